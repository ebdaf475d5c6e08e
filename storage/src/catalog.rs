//! Which files exist, atomically with how far each partition is stored.
//!
//! One transaction publishes the files of a flush, the next offset of every
//! partition it took (compared with what was expected, and with the lease's
//! epoch), the covered ranges of every source, and the gaps that were found.
//! What is not in the catalog does not exist.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
#[cfg(any(test, feature = "conformance"))]
pub mod double;
mod dump;
mod edges;
mod open;
pub mod postgres;
mod row;
mod sql;
pub mod sqlite;
mod types;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;
use weir_proto::model::{AgentId, ByteRange, LayoutId, TenantId};
use weir_runtime::failpoint;

pub use dump::{Cell, Dump, Rows};
pub use edges::{ServiceEdge, SettledMinute};
pub use open::{open, open_read_only};
pub use postgres::PostgresCatalog;
pub use sqlite::SqliteCatalog;
pub use types::{
    Advance, Anchor, Commit, Delivery, FileEntry, Filled, Gap, LaneState, LaneStatus, Lease, LogPartition,
    Losses, Member, Owner, Progress, Snapshot, SourceCover, Tally, TimeRange,
};

/// The catalog's promise; SQLite for one host, Postgres for several.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// Takes the partition for `owner`, or renews it. A lease that has run out
    /// can be taken by anyone and gets the next epoch; one's own lease keeps
    /// its epoch.
    ///
    /// `now_micros` is read before the call. Whether a lease has run out is
    /// judged by it in a catalog of one host, and by the database's clock in
    /// one of several, whose clocks differ.
    ///
    /// # Errors
    /// [`CatalogError::LeaseHeld`] while somebody else's lease runs.
    async fn lease(
        &self,
        partition: &LogPartition,
        owner: &str,
        now_micros: i64,
        lasts: Duration,
    ) -> Result<Lease, CatalogError>;

    /// Every leased partition with its owner, also where the lease has run out
    /// and nobody has taken it since; by partition.
    async fn owners(&self) -> Result<Vec<Owner>, CatalogError>;

    /// Says that `member` is there, serves at `address`, and lasts for a while.
    /// Answers with all whose time has not run out, itself included, by name.
    async fn announce(
        &self,
        member: &str,
        address: &str,
        now_micros: i64,
        lasts: Duration,
    ) -> Result<Vec<Member>, CatalogError>;

    /// Takes a member off the list before its time.
    async fn depart(&self, member: &str) -> Result<(), CatalogError>;

    /// Gives a lease back before its time, so that a restart need not wait.
    async fn release(&self, lease: &Lease) -> Result<(), CatalogError>;

    /// How far a partition is stored, with the covered ranges of its sources
    /// and its lanes.
    async fn progress(&self, partition: &LogPartition) -> Result<Progress, CatalogError>;

    /// Has partitions of another log read from its start: an operator's word
    /// that what the catalog speaks of is gone. Whoever has them loses them, what
    /// comes next is unknown, and the loss becomes a gap. What is covered of each
    /// source stays. Answers with those that the catalog knew, and what came next.
    async fn restart(
        &self,
        topic: &str,
        partitions: Option<&[u32]>,
        now_micros: i64,
    ) -> Result<Vec<(LogPartition, u64)>, CatalogError>;

    /// Publishes a flush: all of it or nothing. Answers with the number of the
    /// commit.
    ///
    /// # Errors
    /// [`CatalogError::Fenced`]: an offset or epoch is not what was expected,
    /// somebody else owns the partition; discard the files. After
    /// [`CatalogError::is_unknown`], read [`Catalog::progress`] before anything
    /// else: the commit may have happened.
    async fn publish(&self, commit: &Commit) -> Result<i64, CatalogError>;

    /// The files of a table that may hold rows of the time range, every
    /// partition's next offset, and every lane, read in one transaction.
    async fn snapshot(
        &self,
        tenant: &TenantId,
        table: &str,
        time: TimeRange,
    ) -> Result<Snapshot, CatalogError>;

    /// Every loss that was noticed, oldest first.
    async fn gaps(&self, tenant: &TenantId) -> Result<Vec<Gap>, CatalogError>;

    /// Forgets the gaps of `source`, as [`Gap::source`] has it, that lie within
    /// `range`: what they tell of is stored after all, or will be. Holes in
    /// sources close by themselves when what was missing is stored. Answers with
    /// how many there were.
    async fn close_gaps(&self, source: &str, range: ByteRange) -> Result<u64, CatalogError>;

    /// How far every source is stored, and what is missing of it.
    async fn delivery(&self, tenant: &TenantId) -> Result<Vec<Delivery>, CatalogError>;

    /// Every line layout that a stored row may name, as JSON.
    async fn layouts(&self) -> Result<BTreeMap<LayoutId, String>, CatalogError>;

    /// Forgets an agent's retired lanes: an operator's word that nothing of
    /// them will come. Answers with how many there were.
    async fn dismiss(&self, agent: AgentId) -> Result<u64, CatalogError>;

    /// An operator's word that the event log does not have this partition any
    /// more: forgets how far it was read, and its lanes. Nobody waits for it
    /// then. What is stored of its sources stays. False when it was not known.
    ///
    /// `now_micros` as for [`Catalog::lease`].
    ///
    /// # Errors
    /// [`CatalogError::LeaseHeld`] while somebody reads it.
    async fn abandon(&self, partition: &LogPartition, now_micros: i64) -> Result<bool, CatalogError>;

    /// Makes a later commit of this path fail: the step before an orphan is
    /// deleted.
    ///
    /// # Errors
    /// [`CatalogError::PathInUse`] when the path is already committed.
    async fn tombstone(&self, path: &str, now_micros: i64) -> Result<(), CatalogError>;

    /// Replaces what is known of minutes: all of it or nothing. A minute that
    /// was counted with more spans stays as it is.
    async fn settle(&self, tenant: &TenantId, minutes: &[SettledMinute]) -> Result<(), CatalogError>;

    /// The settled minutes that begin within a span of time, in order.
    async fn settled(&self, tenant: &TenantId, time: TimeRange) -> Result<Vec<SettledMinute>, CatalogError>;

    /// What is known beside the files, at one instant.
    async fn dump(&self, now_micros: i64) -> Result<Dump, CatalogError>;

    /// Says that a dump is about to be kept as the object `path`, if the last one
    /// is older than `interval`; none when it is not, or somebody else was
    /// quicker. Answers with the last one's path, where there was one.
    async fn claim_state(
        &self,
        path: &str,
        now_micros: i64,
        interval: Duration,
    ) -> Result<Option<Option<String>>, CatalogError>;

    /// Fills an empty catalog with what was dumped from another one, and with
    /// files: all of it or nothing.
    ///
    /// # Errors
    /// [`CatalogError::Invalid`] when it holds something.
    async fn restore(&self, dump: &Dump, files: &[FileEntry], now_micros: i64) -> Result<(), CatalogError>;

    /// Every object path that a committed file has, sorted, for `check` and for
    /// orphans. A path that was given up is not among them: its object is to be
    /// deleted, and may be still there.
    async fn paths(&self) -> Result<Vec<String>, CatalogError>;
}

/// A catalog call that failed.
#[derive(Debug, Error)]
pub enum CatalogError {
    /// The catalog could not be opened.
    #[error("cannot open the catalog at {location}")]
    Open {
        /// Path or URL without credentials.
        location: String,
        /// The cause.
        #[source]
        source: sqlx::Error,
    },
    /// The catalog's URL cannot be understood.
    #[error("the catalog's URL is no good: {reason}")]
    Url {
        /// What is wrong with it; never the password.
        reason: String,
    },
    /// Written by another version of the format.
    #[error("the catalog has format version {found}, this build reads {expected}: {advice}")]
    Version {
        /// What it says.
        found: i64,
        /// What this build reads and writes.
        expected: i64,
        /// What to do.
        advice: &'static str,
    },
    /// Written by a build that did not have this table or column, and opened for reading
    /// only.
    #[error("the catalog does not have {0} yet: start `weir ingest` of this version once, it adds it")]
    Older(&'static str),
    /// Somebody else has the partition.
    #[error("partition {partition} is leased to {owner} for another {remaining:?}")]
    LeaseHeld {
        /// Which partition.
        partition: LogPartition,
        /// Who has it.
        owner: String,
        /// How long its lease still runs.
        remaining: Duration,
    },
    /// The publication was refused: offset or epoch are not the expected ones.
    #[error("publication of {partition} was refused: expected {expected}, found {found}")]
    Fenced {
        /// Which partition.
        partition: LogPartition,
        /// What the commit expected.
        expected: String,
        /// What the catalog holds.
        found: String,
    },
    /// The path is committed or was given up.
    #[error("object path {0} is already in use or was given up")]
    PathInUse(String),
    /// What was handed in contradicts itself: a bug of the caller. Nothing was
    /// changed.
    #[error("the catalog was handed what it must not store: {0}")]
    Invalid(String),
    /// What the catalog holds contradicts itself.
    #[error("the catalog is damaged: {0}")]
    Damaged(String),
    /// A statement failed; nothing was changed.
    #[error("catalog step `{step}` failed")]
    Query {
        /// The step.
        step: &'static str,
        /// The cause.
        #[source]
        source: sqlx::Error,
    },
    /// The commit's outcome is unknown.
    #[error("the outcome of the commit is unknown")]
    CommitUnknown {
        /// The cause.
        #[source]
        source: sqlx::Error,
    },
}

impl CatalogError {
    /// The commit may or may not have happened: read before anything else.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::CommitUnknown { .. })
    }

    /// Somebody else owns what this call wanted to change.
    pub fn is_fenced(&self) -> bool {
        matches!(self, Self::Fenced { .. } | Self::LeaseHeld { .. } | Self::PathInUse(_))
    }
}

fn failed(step: &'static str) -> impl FnOnce(sqlx::Error) -> CatalogError {
    move |source| CatalogError::Query { step, source }
}

/// A place where a test makes a step fail as it would by itself.
fn reach(place: &'static str) -> Result<(), sqlx::Error> {
    failpoint::reach(place).map_err(|injected| sqlx::Error::Io(injected.into()))
}

fn unknown(source: sqlx::Error) -> CatalogError {
    CatalogError::CommitUnknown { source }
}

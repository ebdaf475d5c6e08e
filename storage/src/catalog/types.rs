//! What goes into the catalog and comes out of it. Plain data.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use weir_proto::model::{AgentId, ByteRange, Counted, FileId, LayoutId, RangeSet, SourceId, TenantId};

use super::CatalogError;

/// A partition of the event log, by name: storage does not know the log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LogPartition {
    /// The topic.
    pub topic: String,
    /// Which of its partitions.
    pub partition: u32,
}

impl fmt::Display for LogPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

impl FromStr for LogPartition {
    type Err = CatalogError;

    /// As it is displayed: `weir.logs/0`.
    fn from_str(text: &str) -> Result<Self, CatalogError> {
        let parts = text.rsplit_once('/').and_then(|(topic, number)| Some((topic, number.parse().ok()?)));
        match parts {
            Some((topic, partition)) if !topic.is_empty() => Ok(Self { topic: topic.to_owned(), partition }),
            _ => Err(CatalogError::Invalid(format!("{text:?} is no partition, such as weir.logs/0"))),
        }
    }
}

/// The right to publish a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Which partition.
    pub partition: LogPartition,
    /// Who has it.
    pub owner: String,
    /// Grows with each new owner; a publication with an older one is refused.
    pub epoch: i64,
    /// When it runs out, microseconds: by the clock of the caller who took it,
    /// by the catalog's own where it was read ([`Owner`]).
    pub until_micros: i64,
}

/// Who has a partition, and where that process is to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The lease, which may have run out with nobody taking it since.
    pub lease: Lease,
    /// The address that the owner announced last, also when that was long ago;
    /// none when it never did, or departed.
    pub address: Option<String>,
}

/// A process that said it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name, the `owner` of its leases.
    pub name: String,
    /// Where it serves its live rows.
    pub address: String,
    /// Until when its word is good, microseconds, by the catalog's clock.
    pub until_micros: i64,
}

/// Whether a lane is going to write more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LaneStatus {
    /// It writes, or is silent for a short while.
    Live,
    /// It said that it ends; nothing of it is missing.
    Goodbye,
    /// It fell silent without a word: what it held may be missing.
    Retired,
}

/// What is known of a lane: of one agent in one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneState {
    /// The partition it writes to.
    pub partition: LogPartition,
    /// Whose lane.
    pub agent: AgentId,
    /// Everything written before this time has arrived; microseconds. None:
    /// the lane has not said so yet.
    pub mark_micros: Option<i64>,
    /// When the lane was last heard of, microseconds.
    pub heard_micros: i64,
    /// Whether it is going to write more.
    pub status: LaneStatus,
    /// The mark was not given by the producer: it is derived from what came.
    pub is_estimated: bool,
}

/// The last message of a partition that is stored. A log that holds another one
/// there is another log: a topic that was made anew, or another cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// Where it lies.
    pub offset: u64,
    /// What tells it from another message at that offset.
    pub fingerprint: u64,
}

/// How far a partition is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The offset that comes next; none when the partition was never stored.
    pub next_offset: Option<u64>,
    /// The last message below it, where that is known.
    pub anchor: Option<Anchor>,
    /// How often an operator had it read from the start of another log.
    pub generation: u64,
    /// What is stored of each source.
    pub covered: BTreeMap<SourceId, RangeSet>,
    /// How far the senders of its sources had counted their events.
    pub counted: BTreeMap<SourceId, Counted>,
    /// Its lanes as of what is stored, by agent.
    pub lanes: Vec<LaneState>,
}

/// An object of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its unique id.
    pub id: FileId,
    /// Whose rows.
    pub tenant: TenantId,
    /// Which table.
    pub table: String,
    /// Its path in the object store.
    pub path: String,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// Event times of its rows.
    pub time: TimeRange,
    /// Observed times of its rows.
    pub observed: TimeRange,
    /// 0 for a flush, higher for each compaction.
    pub level: u8,
    /// When it was written, microseconds.
    pub created_micros: i64,
    /// CRC-32C of its bytes; none where nobody knows: of builds that kept none, and in
    /// a catalog that was rebuilt from objects.
    pub crc32c: Option<u32>,
}

/// An inclusive range of time in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeRange {
    /// The earliest.
    pub min_micros: i64,
    /// The latest, itself included.
    pub max_micros: i64,
}

impl TimeRange {
    /// No time: it overlaps nothing.
    pub const NEVER: Self = Self { min_micros: i64::MAX, max_micros: i64::MIN };

    /// All of time.
    pub const ALL: Self = Self { min_micros: i64::MIN, max_micros: i64::MAX };

    /// True when the two share an instant.
    pub fn overlaps(self, other: Self) -> bool {
        self.min_micros <= other.max_micros && other.min_micros <= self.max_micros
    }

    /// The smallest range that holds both.
    pub fn union(self, other: Self) -> Self {
        Self {
            min_micros: self.min_micros.min(other.min_micros),
            max_micros: self.max_micros.max(other.max_micros),
        }
    }
}

/// A partition's step forward in a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advance {
    /// Which partition.
    pub partition: LogPartition,
    /// The epoch of the lease under which it was read.
    pub epoch: i64,
    /// The next offset that the catalog must hold now; none: no row yet.
    pub from: Option<u64>,
    /// The next offset afterwards.
    pub to: u64,
    /// The last message below it; none when the step brought no message.
    pub anchor: Option<Anchor>,
}

/// What is covered of one source after a commit: replaces what was held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceCover {
    /// The partition of the source's lane.
    pub partition: LogPartition,
    /// Whose source.
    pub tenant: TenantId,
    /// Which source.
    pub source: SourceId,
    /// All its ranges that are stored.
    pub ranges: RangeSet,
    /// What the agent said of it: `log.file.path` and the like.
    pub resource: Vec<(String, String)>,
    /// When its last batch was read by the agent, microseconds.
    pub last_observed_micros: i64,
    /// What came of it. Adds to what is held.
    pub tally: Tally,
}

/// What came of a source: in a commit what it adds, in a [`Delivery`] all of
/// it. All is unknown of what was stored by builds that did not keep it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Who sent it last.
    pub agent: Option<AgentId>,
    /// When the last of it was appended to the event log, microseconds.
    pub appended_micros: Option<i64>,
    /// The latest time of its events, microseconds.
    pub event_micros: Option<i64>,
    /// Events stored.
    pub events: u64,
    /// Events that came again and were dropped.
    pub duplicates: u64,
    /// How far its sender had counted its events.
    pub counted: Option<Counted>,
}

impl Tally {
    /// Adds what came later.
    pub fn add(&mut self, later: &Self) {
        self.agent = later.agent.or(self.agent);
        self.appended_micros = later.appended_micros.or(self.appended_micros);
        self.event_micros = later.event_micros.max(self.event_micros);
        self.events += later.events;
        self.duplicates += later.duplicates;
        self.counted = later.counted;
    }
}

/// A loss: which stream, which range, how many, why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Whose.
    pub tenant: TenantId,
    /// Which source; for a loss in the event log, the partition as
    /// `topic/partition`.
    pub source: String,
    /// Bytes of the source, or offsets of the partition.
    pub range: ByteRange,
    /// Events lost; none where nobody can know.
    pub count: Option<u64>,
    /// One of `weir_proto::model::drop_reason`.
    pub reason: String,
    /// When it was noticed, microseconds.
    pub noticed_micros: i64,
}

/// Bytes of a source that were told as missing, and came after all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// Which source.
    pub source: SourceId,
    /// From the first of them to the last.
    pub range: ByteRange,
    /// Events among them.
    pub events: u64,
}

/// How far a source is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The source, its ranges, and all that came of it.
    pub cover: SourceCover,
    /// When its last commit was, microseconds.
    pub committed_micros: i64,
    /// What is missing of it.
    pub losses: Losses,
}

/// A sum over gaps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// How many gaps.
    pub gaps: u64,
    /// How many of them hold events that nobody can count.
    pub uncounted: u64,
    /// Events lost, in the others.
    pub events: u64,
    /// Events that an operator had left out; no gap above is meant.
    pub left_out: u64,
}

/// One flush.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// New files.
    pub files: Vec<FileEntry>,
    /// Every partition taken, once.
    pub advances: Vec<Advance>,
    /// Every source touched, once.
    pub covered: Vec<SourceCover>,
    /// Losses noticed. What holds no event is none.
    pub gaps: Vec<Gap>,
    /// What was missing before, and is not any more.
    pub filled: Vec<Filled>,
    /// Line layouts that the files' rows name, as JSON. Also in the footers.
    pub layouts: BTreeMap<LayoutId, String>,
    /// Lanes whose state changed, each once; others keep theirs. Only of
    /// partitions that advance, if only from an offset to the same one.
    pub lanes: Vec<LaneState>,
    /// When, microseconds.
    pub now_micros: i64,
}

impl Commit {
    /// Refuses what would corrupt the bookkeeping silently: a partition that
    /// goes backwards or comes twice, and covered ranges or lanes of a partition
    /// that the commit does not advance, which no lease would guard.
    pub(crate) fn check(&self) -> Result<(), CatalogError> {
        let mut partitions = BTreeSet::new();
        for advance in &self.advances {
            let partition = &advance.partition;
            if advance.from.is_some_and(|from| from > advance.to) {
                let step = format!("{partition} would go back from {:?} to {}", advance.from, advance.to);
                return Err(CatalogError::Invalid(step));
            }
            if !partitions.insert(partition) {
                return Err(CatalogError::Invalid(format!("{partition} advances twice")));
            }
        }
        let mut sources = BTreeSet::new();
        for cover in &self.covered {
            if !partitions.contains(&cover.partition) {
                let what = format!("source {} is covered in {}", cover.source, cover.partition);
                return Err(CatalogError::Invalid(format!("{what}, which does not advance")));
            }
            if !sources.insert((&cover.partition, cover.source)) {
                return Err(CatalogError::Invalid(format!("source {} is covered twice", cover.source)));
            }
        }
        let mut lanes = BTreeSet::new();
        for lane in &self.lanes {
            if !partitions.contains(&lane.partition) {
                let what = format!("a lane of {} is told in {}", lane.agent, lane.partition);
                return Err(CatalogError::Invalid(format!("{what}, which does not advance")));
            }
            if !lanes.insert((&lane.partition, lane.agent)) {
                let what = format!("the lane of {} in {}", lane.agent, lane.partition);
                return Err(CatalogError::Invalid(format!("{what} is told twice")));
            }
        }
        Ok(())
    }
}

/// The state of a table at one instant.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Files that may hold rows of the time range, newest rows first.
    pub files: Vec<FileEntry>,
    /// Every partition's next offset.
    pub next_offsets: BTreeMap<LogPartition, u64>,
    /// Every lane of every topic, as of what is stored, by partition and agent.
    pub lanes: Vec<LaneState>,
}

impl Snapshot {
    /// The next offset of a partition, 0 when nothing was stored.
    pub fn next_offset(&self, partition: &LogPartition) -> u64 {
        self.next_offsets.get(partition).copied().unwrap_or(0)
    }
}

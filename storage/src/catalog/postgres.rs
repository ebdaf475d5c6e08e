//! The catalog of several hosts: the tables of a Postgres schema.
//!
//! A process has two small pools: leases and commits must not wait behind what
//! queries read. Every call is a transaction in a `Session` that is limited
//! in time, so that a database that is paused, or a network that swallows
//! packets, is an error and not a wait without end.
//!
//! | Postgres dies, or the connection | the caller is told | and afterwards |
//! |---|---|---|
//! | before COMMIT was sent | a failed step: nothing was changed | nothing was |
//! | between COMMIT and its answer | [`CatalogError::CommitUnknown`] | [`Catalog::progress`] waits until that commit has ended, and says how |
//! | after the answer | the number of the commit | it is there: the answer comes after the log's fsync |

#[allow(clippy::duplicate_mod, reason = "compiled for each database")]
#[path = "statements/dump.rs"]
mod dump;
#[allow(clippy::duplicate_mod, reason = "compiled for each database")]
#[path = "statements/edges.rs"]
mod edges;
#[allow(clippy::duplicate_mod, reason = "compiled for each database")]
#[path = "statements/format.rs"]
mod format;
#[allow(clippy::duplicate_mod, reason = "compiled for each database")]
#[path = "statements/lease.rs"]
mod lease;
mod options;
#[allow(clippy::duplicate_mod, reason = "compiled for each database")]
#[path = "statements/publish.rs"]
mod publish;
#[allow(clippy::duplicate_mod, reason = "compiled for each database")]
#[path = "statements/read.rs"]
mod read;
#[cfg(any(test, feature = "conformance"))]
pub mod server;
mod session;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::{PgPool, Postgres};
use weir_proto::model::{AgentId, ByteRange, LayoutId, TenantId};

use super::sql::{self, Dialect};
use super::{
    Catalog, CatalogError, Commit, Delivery, Dump, FileEntry, Gap, Lease, LogPartition, Member, Owner,
    Progress, SettledMinute, Snapshot, TimeRange, failed, reach, unknown,
};
use options::Place;
use session::{Isolation, Session, within};

pub(crate) use options::Limits;

type Database = Postgres;
type Connection = sqlx::PgConnection;
type Arguments = sqlx::postgres::PgArguments;
const DIALECT: Dialect = Dialect::Postgres;

/// The advisory lock of who creates the tables: "weir" in ASCII.
const CREATION: i64 = 0x7765_6972;

/// A catalog in a Postgres database.
#[derive(Clone)]
pub struct PostgresCatalog {
    /// Leases, members and commits; none in a catalog that is only read.
    write: Option<PgPool>,
    read: PgPool,
    place: Place,
    limits: Limits,
}

impl fmt::Debug for PostgresCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresCatalog").field("place", &self.place).finish_non_exhaustive()
    }
}

impl PostgresCatalog {
    /// Opens the catalog at `postgres://user:password@host:port/database`, and
    /// creates its tables when there are none. `sslmode`, `sslrootcert` and
    /// the like are parameters of the URL, as for any client of Postgres; so
    /// is `options[search_path]`, for a schema of its own.
    ///
    /// # Errors
    /// [`CatalogError::Open`] also while the server cannot be reached: the
    /// caller may try again.
    pub async fn open(url: &str) -> Result<Self, CatalogError> {
        Self::open_within(url, Limits::default()).await
    }

    /// Opens an existing catalog for reading. What would change it fails.
    ///
    /// # Errors
    /// [`CatalogError::Version`] when there is none yet.
    pub async fn open_read_only(url: &str) -> Result<Self, CatalogError> {
        let (place, limits) = (Place::parse(url)?, Limits::default());
        let catalog = Self { write: None, read: place.pool(limits, true), place, limits };
        let mut session = catalog.first(&catalog.read, Isolation::Snapshot).await?;
        let outcome = within(limits, format::check(&mut session)).await;
        session.end(outcome).await?;
        Ok(catalog)
    }

    pub(crate) async fn open_within(url: &str, limits: Limits) -> Result<Self, CatalogError> {
        let place = Place::parse(url)?;
        let write = place.pool(limits, false);
        let read = place.pool(limits, true);
        let catalog = Self { write: Some(write.clone()), read, place, limits };
        let mut session = catalog.first(&write, Isolation::Locks).await?;
        let outcome = within(limits, create(&mut session)).await;
        session.commit(outcome).await?;
        Ok(catalog)
    }

    /// The first session of a pool. What prevents it is asked for outside of
    /// the pool, which would only say that it waited in vain.
    async fn first(&self, pool: &PgPool, isolation: Isolation) -> Result<Session, CatalogError> {
        self.place.reach(self.limits).await?;
        Session::begin(pool, isolation, self.limits).await
    }

    /// For calls that change something.
    async fn begin(&self) -> Result<Session, CatalogError> {
        // Without a pool that writes, the readers': the database refuses.
        Session::begin(self.write.as_ref().unwrap_or(&self.read), Isolation::Locks, self.limits).await
    }

    async fn begin_read(&self) -> Result<Session, CatalogError> {
        Session::begin(&self.read, Isolation::Snapshot, self.limits).await
    }

    /// Removes the schema that the URL named by `options[search_path]`, with
    /// the catalog and whatever else is in it.
    ///
    /// # Errors
    /// [`CatalogError::Invalid`] when the URL named none: the schema that
    /// everybody shares is not ours to remove.
    pub async fn drop_schema(&self) -> Result<(), CatalogError> {
        let mut session = self.begin().await?;
        let outcome = within(self.limits, drop_own_schema(&mut session)).await;
        session.commit(outcome).await
    }

    /// Waits for running calls and closes all connections; calls after it
    /// fail.
    pub async fn close(&self) {
        if let Some(write) = &self.write {
            write.close().await;
        }
        self.read.close().await;
    }
}

#[async_trait]
impl Catalog for PostgresCatalog {
    async fn lease(
        &self,
        partition: &LogPartition,
        owner: &str,
        now_micros: i64,
        lasts: Duration,
    ) -> Result<Lease, CatalogError> {
        let mut session = self.begin().await?;
        let outcome = within(self.limits, async {
            let there_micros = now(&mut session).await?;
            let lease = lease::take(&mut session, partition, owner, there_micros, lasts).await?;
            // The caller read its clock before the database did: by its own
            // clock the lease ends no later than by the database's.
            let until_micros = now_micros.saturating_add(lease.until_micros.saturating_sub(there_micros));
            Ok(Lease { until_micros, ..lease })
        });
        let outcome = outcome.await;
        session.commit(outcome).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), CatalogError> {
        let mut session = self.begin().await?;
        let outcome = within(self.limits, lease::release(&mut session, lease)).await;
        session.commit(outcome).await
    }

    async fn owners(&self) -> Result<Vec<Owner>, CatalogError> {
        let mut session = self.begin_read().await?;
        let outcome = within(self.limits, lease::owners(&mut session)).await;
        session.end(outcome).await
    }

    async fn announce(
        &self,
        member: &str,
        address: &str,
        _: i64,
        lasts: Duration,
    ) -> Result<Vec<Member>, CatalogError> {
        let mut session = self.begin().await?;
        let outcome = within(self.limits, async {
            let there_micros = now(&mut session).await?;
            lease::announce(&mut session, member, address, there_micros, lasts).await
        });
        let outcome = outcome.await;
        session.commit(outcome).await
    }

    async fn depart(&self, member: &str) -> Result<(), CatalogError> {
        let mut session = self.begin().await?;
        let outcome = within(self.limits, lease::depart(&mut session, member)).await;
        session.commit(outcome).await
    }

    async fn progress(&self, partition: &LogPartition) -> Result<Progress, CatalogError> {
        if self.write.is_none() {
            let mut session = self.begin_read().await?;
            let outcome = within(self.limits, read::progress(&mut session, partition)).await;
            return session.end(outcome).await;
        }
        let mut session = self.begin().await?;
        let outcome = within(self.limits, async {
            // A commit whose outcome nobody heard holds the lease's row until
            // it has ended one way or the other. With the row held, all that
            // follows is of one instant too.
            sqlx::query(sql::LEASE_HOLD)
                .bind(&partition.topic)
                .bind(i64::from(partition.partition))
                .execute(&mut *session)
                .await
                .map_err(failed("wait for commits"))?;
            read::progress(&mut session, partition).await
        });
        let outcome = outcome.await;
        session.end(outcome).await
    }

    async fn restart(
        &self,
        topic: &str,
        partitions: Option<&[u32]>,
        now_micros: i64,
    ) -> Result<Vec<(LogPartition, u64)>, CatalogError> {
        let mut session = self.begin().await?;
        let restart = publish::restart(&mut session, topic, partitions, now_micros);
        let outcome = within(self.limits, restart).await;
        session.commit(outcome).await
    }

    async fn publish(&self, commit: &Commit) -> Result<i64, CatalogError> {
        reach("storage.begin.before").map_err(failed("begin"))?;
        let mut session = self.begin().await?;
        let outcome = within(self.limits, publish::publish(&mut session, commit)).await;
        let id = session.commit(outcome).await?;
        reach("storage.commit.after").map_err(unknown)?;
        Ok(id)
    }

    async fn snapshot(
        &self,
        tenant: &TenantId,
        table: &str,
        time: TimeRange,
    ) -> Result<Snapshot, CatalogError> {
        let mut session = self.begin_read().await?;
        let outcome = within(self.limits, read::snapshot(&mut session, tenant, table, time)).await;
        session.end(outcome).await
    }

    async fn gaps(&self, tenant: &TenantId) -> Result<Vec<Gap>, CatalogError> {
        let mut session = self.begin_read().await?;
        let outcome = within(self.limits, read::gaps(&mut session, tenant)).await;
        session.end(outcome).await
    }

    async fn close_gaps(&self, source: &str, range: ByteRange) -> Result<u64, CatalogError> {
        let mut session = self.begin().await?;
        let outcome = within(self.limits, publish::close_gaps(&mut session, source, range)).await;
        session.commit(outcome).await
    }

    async fn delivery(&self, tenant: &TenantId) -> Result<Vec<Delivery>, CatalogError> {
        let mut session = self.begin_read().await?;
        let outcome = within(self.limits, read::delivery(&mut session, tenant)).await;
        session.end(outcome).await
    }

    async fn layouts(&self) -> Result<BTreeMap<LayoutId, String>, CatalogError> {
        let mut session = self.begin_read().await?;
        let outcome = within(self.limits, read::layouts(&mut session)).await;
        session.end(outcome).await
    }

    async fn dismiss(&self, agent: AgentId) -> Result<u64, CatalogError> {
        let mut session = self.begin().await?;
        let outcome = within(self.limits, publish::dismiss(&mut session, agent)).await;
        session.commit(outcome).await
    }

    async fn abandon(&self, partition: &LogPartition, _: i64) -> Result<bool, CatalogError> {
        let mut session = self.begin().await?;
        let outcome = within(self.limits, async {
            let there_micros = now(&mut session).await?;
            lease::abandon(&mut session, partition, there_micros).await
        });
        let outcome = outcome.await;
        session.commit(outcome).await
    }

    async fn tombstone(&self, path: &str, now_micros: i64) -> Result<(), CatalogError> {
        let mut session = self.begin().await?;
        let outcome = within(self.limits, publish::tombstone(&mut session, path, now_micros)).await;
        session.commit(outcome).await
    }

    async fn settle(&self, tenant: &TenantId, minutes: &[SettledMinute]) -> Result<(), CatalogError> {
        let mut session = self.begin().await?;
        let outcome = within(self.limits, edges::settle(&mut session, tenant, minutes)).await;
        session.commit(outcome).await
    }

    async fn settled(&self, tenant: &TenantId, time: TimeRange) -> Result<Vec<SettledMinute>, CatalogError> {
        let mut session = self.begin_read().await?;
        let outcome = within(self.limits, edges::settled(&mut session, tenant, time)).await;
        session.end(outcome).await
    }

    async fn dump(&self, now_micros: i64) -> Result<Dump, CatalogError> {
        let mut session = self.begin_read().await?;
        let outcome = within(self.limits, dump::dump(&mut session, now_micros)).await;
        session.end(outcome).await
    }

    async fn claim_state(
        &self,
        path: &str,
        now_micros: i64,
        interval: Duration,
    ) -> Result<Option<Option<String>>, CatalogError> {
        let mut session = self.begin().await?;
        let claim = dump::claim_state(&mut session, path, now_micros, interval);
        let outcome = within(self.limits, claim).await;
        session.commit(outcome).await
    }

    async fn restore(&self, dump: &Dump, files: &[FileEntry], now_micros: i64) -> Result<(), CatalogError> {
        let mut session = self.begin().await?;
        let outcome = dump::restore(&mut session, dump, files, now_micros).await;
        session.commit(outcome).await
    }

    async fn paths(&self) -> Result<Vec<String>, CatalogError> {
        let mut session = self.begin_read().await?;
        let outcome = within(self.limits, read::paths(&mut session)).await;
        session.end(outcome).await
    }
}

/// The clock that judges leases and members.
async fn now(connection: &mut Connection) -> Result<i64, CatalogError> {
    let now = sqlx::query_scalar("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT");
    now.fetch_one(connection).await.map_err(failed("read the clock"))
}

/// Creates the tables where there are none, or checks what is there. The lock
/// comes first: two processes that start at once must not both create.
async fn create(connection: &mut Connection) -> Result<(), CatalogError> {
    let lock = sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(CREATION);
    lock.execute(&mut *connection).await.map_err(failed("lock for creation"))?;
    create_own_schema(connection).await?;
    if !format::has_table(connection, "weir_format").await? {
        return format::create(connection).await;
    }
    format::check_version(connection).await?;
    format::add_later(connection).await
}

/// A schema that the URL names is made like the tables in it.
async fn create_own_schema(connection: &mut Connection) -> Result<(), CatalogError> {
    let present: Option<String> = sqlx::query_scalar("SELECT current_schema()::text")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed("look for the schema"))?;
    if present.is_none()
        && let Some(name) = own_schema(connection).await?
    {
        let statement = format!("CREATE SCHEMA {name}");
        let create = sqlx::query(sqlx::AssertSqlSafe(statement)).execute(connection).await;
        create.map_err(failed("create the schema"))?;
    }
    Ok(())
}

async fn drop_own_schema(connection: &mut Connection) -> Result<(), CatalogError> {
    let Some(name) = own_schema(connection).await? else {
        return Err(CatalogError::Invalid("the URL names no schema of its own".to_owned()));
    };
    let statement = format!("DROP SCHEMA {name} CASCADE");
    let drop = sqlx::query(sqlx::AssertSqlSafe(statement)).execute(connection).await;
    drop.map_err(failed("drop the schema"))?;
    Ok(())
}

/// The schema that the session was told to use, if it is one of its own and
/// its name needs no quotes.
async fn own_schema(connection: &mut Connection) -> Result<Option<String>, CatalogError> {
    let path: String = sqlx::query_scalar("SELECT current_setting('search_path')")
        .fetch_one(connection)
        .await
        .map_err(failed("ask for the schema"))?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let is_own = path != "public" && !path.starts_with("pg_") && path.bytes().all(plain);
    Ok((is_own && !path.is_empty()).then_some(path))
}

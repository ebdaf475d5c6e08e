//! The catalog of one host: an SQLite file.
//!
//! Write-ahead log and `synchronous=FULL`: a commit that was acknowledged
//! survives a power cut, and readers, in this process or another, never wait
//! for the writer. One connection writes, a few read.

// The same text for every database, compiled for each: what it runs on is the
// types below.
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
#[allow(clippy::duplicate_mod, reason = "compiled for each database")]
#[path = "statements/publish.rs"]
mod publish;
#[allow(clippy::duplicate_mod, reason = "compiled for each database")]
#[path = "statements/read.rs"]
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, Sqlite, SqlitePool, Transaction};
use weir_proto::model::{AgentId, ByteRange, LayoutId, TenantId};
use weir_runtime::create_durably;

use super::sql::Dialect;
use super::{
    Catalog, CatalogError, Commit, Delivery, Dump, FileEntry, Gap, Lease, LogPartition, Member, Owner,
    Progress, SettledMinute, Snapshot, TimeRange, failed, reach, unknown,
};

type Database = Sqlite;
type Connection = sqlx::SqliteConnection;
type Arguments = sqlx::sqlite::SqliteArguments;
const DIALECT: Dialect = Dialect::Sqlite;

/// How long a statement waits for another process's write lock. Publications
/// take milliseconds; this is for a host that stalls.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Between attempts to open a file that another process is creating.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// Connections that read. A snapshot is short and CPU-bound, so more than a
/// few only wait for each other.
const READERS: u32 = 4;

/// A catalog in an SQLite file.
#[derive(Clone, Debug)]
pub struct SqliteCatalog {
    /// The only connection that writes; for a read-only catalog the readers,
    /// whose writes the database itself refuses.
    write: SqlitePool,
    read: SqlitePool,
}

impl SqliteCatalog {
    /// Opens the catalog for writing, and creates it, with its directory, when
    /// there is none.
    ///
    /// # Errors
    /// [`CatalogError::Version`] when the file is not a catalog of this
    /// format; it is left as it was.
    pub async fn open(path: &Path) -> Result<Self, CatalogError> {
        if let Some(directory) = path.parent() {
            create_durably(directory).map_err(|error| open_error(path, error))?;
        }
        let options = options(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true);
        let write = connect_first(path, options).await?;
        create(&write).await?;
        sync_directory(path).await.map_err(|error| open_error(path, error))?;
        let read = connect(path, options_read_only(path), READERS).await?;
        Ok(Self { write, read })
    }

    /// Opens an existing catalog for reading, for example while another
    /// process writes it. What would change it fails.
    ///
    /// # Errors
    /// [`CatalogError::Open`] when there is none yet.
    pub async fn open_read_only(path: &Path) -> Result<Self, CatalogError> {
        let read = connect(path, options_read_only(path), READERS).await?;
        let mut connection = read.acquire().await.map_err(failed("acquire"))?;
        format::check(&mut connection).await?;
        drop(connection);
        Ok(Self { write: read.clone(), read })
    }

    /// Immediate: the write lock is taken before the first comparison, so that
    /// nothing compared can change before the commit.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, CatalogError> {
        self.write.begin_with("BEGIN IMMEDIATE").await.map_err(failed("begin"))
    }

    async fn begin_read(&self) -> Result<Transaction<'static, Sqlite>, CatalogError> {
        self.read.begin().await.map_err(failed("begin"))
    }

    async fn reader(&self) -> Result<PoolConnection<Sqlite>, CatalogError> {
        self.read.acquire().await.map_err(failed("acquire"))
    }

    async fn writer(&self) -> Result<PoolConnection<Sqlite>, CatalogError> {
        self.write.acquire().await.map_err(failed("acquire"))
    }

    /// Waits for running calls and closes the file; calls after it fail.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

#[async_trait]
impl Catalog for SqliteCatalog {
    async fn lease(
        &self,
        partition: &LogPartition,
        owner: &str,
        now_micros: i64,
        lasts: Duration,
    ) -> Result<Lease, CatalogError> {
        let mut transaction = self.begin().await?;
        let taken = lease::take(&mut transaction, partition, owner, now_micros, lasts).await?;
        transaction.commit().await.map_err(unknown)?;
        Ok(taken)
    }

    async fn release(&self, lease: &Lease) -> Result<(), CatalogError> {
        lease::release(&mut *self.writer().await?, lease).await
    }

    async fn owners(&self) -> Result<Vec<Owner>, CatalogError> {
        lease::owners(&mut *self.reader().await?).await
    }

    async fn announce(
        &self,
        member: &str,
        address: &str,
        now_micros: i64,
        lasts: Duration,
    ) -> Result<Vec<Member>, CatalogError> {
        let mut transaction = self.begin().await?;
        let members = lease::announce(&mut transaction, member, address, now_micros, lasts).await?;
        transaction.commit().await.map_err(unknown)?;
        Ok(members)
    }

    async fn depart(&self, member: &str) -> Result<(), CatalogError> {
        lease::depart(&mut *self.writer().await?, member).await
    }

    async fn progress(&self, partition: &LogPartition) -> Result<Progress, CatalogError> {
        // On the writer: after a commit of unknown outcome it must not answer
        // before that commit has ended one way or the other.
        let mut transaction = self.write.begin().await.map_err(failed("begin"))?;
        read::progress(&mut transaction, partition).await
    }

    async fn restart(
        &self,
        topic: &str,
        partitions: Option<&[u32]>,
        now_micros: i64,
    ) -> Result<Vec<(LogPartition, u64)>, CatalogError> {
        let mut transaction = self.begin().await?;
        let restarted = publish::restart(&mut transaction, topic, partitions, now_micros).await?;
        transaction.commit().await.map_err(unknown)?;
        Ok(restarted)
    }

    async fn publish(&self, commit: &Commit) -> Result<i64, CatalogError> {
        reach("storage.begin.before").map_err(failed("begin"))?;
        let mut transaction = self.begin().await?;
        let id = publish::publish(&mut transaction, commit).await?;
        transaction.commit().await.map_err(unknown)?;
        reach("storage.commit.after").map_err(unknown)?;
        Ok(id)
    }

    async fn snapshot(
        &self,
        tenant: &TenantId,
        table: &str,
        time: TimeRange,
    ) -> Result<Snapshot, CatalogError> {
        let mut transaction = self.begin_read().await?;
        read::snapshot(&mut transaction, tenant, table, time).await
    }

    async fn gaps(&self, tenant: &TenantId) -> Result<Vec<Gap>, CatalogError> {
        read::gaps(&mut *self.reader().await?, tenant).await
    }

    async fn close_gaps(&self, source: &str, range: ByteRange) -> Result<u64, CatalogError> {
        publish::close_gaps(&mut *self.writer().await?, source, range).await
    }

    async fn delivery(&self, tenant: &TenantId) -> Result<Vec<Delivery>, CatalogError> {
        let mut transaction = self.begin_read().await?;
        read::delivery(&mut transaction, tenant).await
    }

    async fn layouts(&self) -> Result<BTreeMap<LayoutId, String>, CatalogError> {
        read::layouts(&mut *self.reader().await?).await
    }

    async fn dismiss(&self, agent: AgentId) -> Result<u64, CatalogError> {
        publish::dismiss(&mut *self.writer().await?, agent).await
    }

    async fn abandon(&self, partition: &LogPartition, now_micros: i64) -> Result<bool, CatalogError> {
        let mut transaction = self.begin().await?;
        let was_known = lease::abandon(&mut transaction, partition, now_micros).await?;
        transaction.commit().await.map_err(unknown)?;
        Ok(was_known)
    }

    async fn tombstone(&self, path: &str, now_micros: i64) -> Result<(), CatalogError> {
        let mut transaction = self.begin().await?;
        publish::tombstone(&mut transaction, path, now_micros).await?;
        transaction.commit().await.map_err(unknown)
    }

    async fn settle(&self, tenant: &TenantId, minutes: &[SettledMinute]) -> Result<(), CatalogError> {
        let mut transaction = self.begin().await?;
        edges::settle(&mut transaction, tenant, minutes).await?;
        transaction.commit().await.map_err(unknown)
    }

    async fn settled(&self, tenant: &TenantId, time: TimeRange) -> Result<Vec<SettledMinute>, CatalogError> {
        let mut transaction = self.begin_read().await?;
        edges::settled(&mut transaction, tenant, time).await
    }

    async fn dump(&self, now_micros: i64) -> Result<Dump, CatalogError> {
        let mut transaction = self.begin_read().await?;
        dump::dump(&mut transaction, now_micros).await
    }

    async fn claim_state(
        &self,
        path: &str,
        now_micros: i64,
        interval: Duration,
    ) -> Result<Option<Option<String>>, CatalogError> {
        let mut transaction = self.begin().await?;
        let last = dump::claim_state(&mut transaction, path, now_micros, interval).await?;
        transaction.commit().await.map_err(unknown)?;
        Ok(last)
    }

    async fn restore(&self, dump: &Dump, files: &[FileEntry], now_micros: i64) -> Result<(), CatalogError> {
        let mut transaction = self.begin().await?;
        dump::restore(&mut transaction, dump, files, now_micros).await?;
        transaction.commit().await.map_err(unknown)
    }

    async fn paths(&self) -> Result<Vec<String>, CatalogError> {
        read::paths(&mut *self.reader().await?).await
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_TIMEOUT)
}

fn options_read_only(path: &Path) -> SqliteConnectOptions {
    options(path).read_only(true)
}

async fn connect(path: &Path, options: SqliteConnectOptions, count: u32) -> Result<SqlitePool, CatalogError> {
    SqlitePoolOptions::new()
        .max_connections(count)
        .idle_timeout(None)
        .max_lifetime(None)
        // On a full disk SQLite rolls back by itself. The rollback that follows
        // then fails, and the connection would be taken to be in a transaction
        // for ever.
        .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
        .connect_with(options)
        .await
        .map_err(|error| open_error(path, error))
}

/// Connects for writing. Of two processes that create the file at once, one is
/// refused the switch to the write-ahead log without the wait that other
/// statements get.
async fn connect_first(path: &Path, options: SqliteConnectOptions) -> Result<SqlitePool, CatalogError> {
    let started = Instant::now();
    loop {
        match connect(path, options.clone(), 1).await {
            Err(CatalogError::Open { source, .. })
                if is_busy(&source) && started.elapsed() < BUSY_TIMEOUT =>
            {
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            connected => return connected,
        }
    }
}

/// True where SQLite says SQLITE_BUSY, or one of its kinds.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.and_then(|code| code.parse::<i32>().ok()).is_some_and(|code| code & 0xff == 5)
}

/// Creates the tables in an empty file, or checks what is there. The lock
/// comes first: two processes that start at once must not both create.
async fn create(pool: &SqlitePool) -> Result<(), CatalogError> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed("begin"))?;
    let tables: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM sqlite_master")
        .fetch_one(&mut *transaction)
        .await
        .map_err(failed("list tables"))?;
    if tables > 0 {
        format::check_version(&mut transaction).await?;
        format::add_later(&mut transaction).await?;
    } else {
        format::create(&mut transaction).await?;
    }
    transaction.commit().await.map_err(unknown)
}

/// Makes the new file's name durable: the database syncs its content only.
async fn sync_directory(path: &Path) -> std::io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    tokio::fs::File::open(directory).await?.sync_all().await
}

fn open_error(path: &Path, error: impl Into<sqlx::Error>) -> CatalogError {
    CatalogError::Open { location: path.display().to_string(), source: error.into() }
}

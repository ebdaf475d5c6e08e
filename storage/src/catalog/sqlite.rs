//! The catalog of one host: an SQLite file.
//!
//! Write-ahead log and `synchronous=FULL`: a commit that was acknowledged
//! survives a power cut, and readers, in this process or another, never wait
//! for the writer. One connection writes, a few read.

mod publish;
mod read;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, SqlitePool};
use weir_proto::model::{LayoutId, TenantId};

use super::sql::{self, Dialect};
use super::{
    Catalog, CatalogError, Commit, Delivery, Gap, Lease, LogPartition, Progress, Snapshot, TimeRange,
};

/// How long a statement waits for another process's write lock. Publications
/// take milliseconds; this is for a host that stalls.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

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
            tokio::fs::create_dir_all(directory).await.map_err(|error| open_error(path, error))?;
        }
        let options = options(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true);
        let write = connect(path, options, 1).await?;
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
        check_version(&mut connection).await?;
        drop(connection);
        Ok(Self { write: read.clone(), read })
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
        if owner.is_empty() {
            return Err(CatalogError::Invalid("a lease without an owner".to_owned()));
        }
        let until = now_micros.saturating_add(i64::try_from(lasts.as_micros()).unwrap_or(i64::MAX));
        let mut transaction = self.write.begin_with("BEGIN IMMEDIATE").await.map_err(failed("begin"))?;
        let taken: Option<(i64, i64)> = sqlx::query_as(sql::LEASE_TAKE)
            .bind(&partition.topic)
            .bind(i64::from(partition.partition))
            .bind(owner)
            .bind(until)
            .bind(now_micros)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(failed("take lease"))?;
        if let Some((epoch, until_micros)) = taken {
            transaction.commit().await.map_err(|source| CatalogError::CommitUnknown { source })?;
            return Ok(Lease { partition: partition.clone(), owner: owner.to_owned(), epoch, until_micros });
        }
        let (owner, _, until): (String, i64, i64) = sqlx::query_as(sql::LEASE_READ)
            .bind(&partition.topic)
            .bind(i64::from(partition.partition))
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed("read lease"))?;
        let remaining = u64::try_from(until.saturating_sub(now_micros)).unwrap_or(0);
        Err(CatalogError::LeaseHeld {
            partition: partition.clone(),
            owner,
            remaining: Duration::from_micros(remaining),
        })
    }

    async fn release(&self, lease: &Lease) -> Result<(), CatalogError> {
        sqlx::query(sql::LEASE_RELEASE)
            .bind(&lease.partition.topic)
            .bind(i64::from(lease.partition.partition))
            .bind(&lease.owner)
            .bind(lease.epoch)
            .execute(&self.write)
            .await
            .map_err(failed("release lease"))?;
        Ok(())
    }

    async fn progress(&self, partition: &LogPartition) -> Result<Progress, CatalogError> {
        // On the writer: after a commit of unknown outcome it must not answer
        // before that commit has ended one way or the other.
        read::progress(&self.write, partition).await
    }

    async fn publish(&self, commit: &Commit) -> Result<i64, CatalogError> {
        publish::publish(&self.write, commit).await
    }

    async fn snapshot(
        &self,
        tenant: &TenantId,
        table: &str,
        time: TimeRange,
    ) -> Result<Snapshot, CatalogError> {
        read::snapshot(&self.read, tenant, table, time).await
    }

    async fn gaps(&self, tenant: &TenantId) -> Result<Vec<Gap>, CatalogError> {
        read::gaps(&self.read, tenant).await
    }

    async fn delivery(&self, tenant: &TenantId) -> Result<Vec<Delivery>, CatalogError> {
        read::delivery(&self.read, tenant).await
    }

    async fn layouts(&self) -> Result<BTreeMap<LayoutId, String>, CatalogError> {
        read::layouts(&self.read).await
    }

    async fn tombstone(&self, path: &str, now_micros: i64) -> Result<(), CatalogError> {
        publish::tombstone(&self.write, path, now_micros).await
    }

    async fn paths(&self) -> Result<Vec<String>, CatalogError> {
        read::paths(&self.read).await
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
        .connect_with(options)
        .await
        .map_err(|error| open_error(path, error))
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
        return check_version(&mut transaction).await;
    }
    for statement in sql::create_tables(Dialect::Sqlite) {
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut *transaction)
            .await
            .map_err(failed("create tables"))?;
    }
    sqlx::query(sql::FORMAT_INSERT)
        .bind(sql::FORMAT_VERSION)
        .execute(&mut *transaction)
        .await
        .map_err(failed("write format version"))?;
    transaction.commit().await.map_err(|source| CatalogError::CommitUnknown { source })
}

async fn check_version(connection: &mut sqlx::SqliteConnection) -> Result<(), CatalogError> {
    let refuse = |found, advice| CatalogError::Version { found, expected: sql::FORMAT_VERSION, advice };
    let known: i64 = sqlx::query_scalar(
        "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = 'weir_format'",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(failed("find format version"))?;
    if known == 0 {
        return Err(refuse(
            0,
            "the file is no catalog of Weir, or none yet; check the path, start ingest first",
        ));
    }
    let found: Option<i64> = sqlx::query_scalar(sql::FORMAT_READ)
        .fetch_optional(&mut *connection)
        .await
        .map_err(failed("read format version"))?;
    match found {
        Some(found) if found == sql::FORMAT_VERSION => Ok(()),
        Some(found) if found > sql::FORMAT_VERSION => {
            Err(refuse(found, "a newer Weir wrote it; start that version again, nothing was changed"))
        }
        Some(found) => Err(refuse(found, "no version of Weir wrote this; restore the file from a backup")),
        None => Err(CatalogError::Damaged("the format version is missing".to_owned())),
    }
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

fn failed(step: &'static str) -> impl FnOnce(sqlx::Error) -> CatalogError {
    move |source| CatalogError::Query { step, source }
}

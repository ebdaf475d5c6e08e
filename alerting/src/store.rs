//! What alerting remembers: instances, how far each rule has come, which lines
//! were told, and the outbox. An SQLite file of its own, never the catalog's.
//!
//! An evaluation is one transaction: what it changed, how far it came, and what
//! people are to be told. Died before it: evaluated again. Died after it: the
//! outbox has what is to be told.

mod outbox;

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Row, SqlitePool};
use weir_runtime::create_durably;

use crate::error::StoreError;
use crate::evaluate::Instances;
use crate::instance::Instance;
use crate::outgoing::Outgoing;

pub(crate) use outbox::{Entry, Waiting};

/// The format that this build reads and writes.
const FORMAT: i64 = 1;

const TABLES: [&str; 6] = [
    "CREATE TABLE IF NOT EXISTS format (version INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS instance (
        rule TEXT NOT NULL, fingerprint TEXT NOT NULL, state TEXT NOT NULL,
        PRIMARY KEY (rule, fingerprint)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS progress (
        rule TEXT PRIMARY KEY, at_micros INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS seen (
        id TEXT PRIMARY KEY, at_micros INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS outbox (
        number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, channel TEXT NOT NULL,
        receiver TEXT NOT NULL, integration TEXT NOT NULL, status TEXT NOT NULL,
        alertname TEXT NOT NULL, summary TEXT NOT NULL, body TEXT NOT NULL,
        created_micros INTEGER NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL,
        next_micros INTEGER NOT NULL, delivered_micros INTEGER, last_error TEXT)",
    "CREATE INDEX IF NOT EXISTS outbox_waiting ON outbox (channel, number) WHERE state = 'pending'",
];

/// The database.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    pool: SqlitePool,
}

/// What an evaluation changed.
#[derive(Debug, Default)]
pub(crate) struct Change<'a> {
    /// Instances that are new or other than they were.
    pub(crate) changed: Vec<(&'a str, &'a Instance)>,
    /// Fingerprints of those that are no more.
    pub(crate) gone: Vec<&'a str>,
    /// How far the rule has come.
    pub(crate) progress_micros: Option<i64>,
    /// Lines that it was told of.
    pub(crate) seen: &'a [String],
    pub(crate) outgoing: &'a [Outgoing],
}

impl Store {
    /// Opens the database, and creates it when there is none. Nobody else may
    /// have it open: two would tell everything twice.
    pub(crate) async fn open(path: &Path) -> Result<Self, StoreError> {
        if let Some(dir) = path.parent() {
            let failed = |source| StoreError::Directory { path: dir.to_owned(), source };
            create_durably(dir).map_err(failed)?;
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .locking_mode(SqliteLockingMode::Exclusive)
            .busy_timeout(Duration::from_secs(5));
        let pool = SqlitePoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
        let pool = pool.connect_with(options).await.map_err(failed("open"))?;
        let store = Self { pool };
        store.create().await?;
        Ok(store)
    }

    async fn create(&self) -> Result<(), StoreError> {
        let mut begun = self.pool.begin().await.map_err(failed("begin"))?;
        for table in TABLES {
            sqlx::query(table).execute(&mut *begun).await.map_err(failed("create"))?;
        }
        let found: Option<i64> = sqlx::query_scalar("SELECT version FROM format")
            .fetch_optional(&mut *begun)
            .await
            .map_err(failed("format"))?;
        match found {
            Some(found) if found > FORMAT => return Err(StoreError::Newer { found, known: FORMAT }),
            Some(_) => {}
            None => {
                let insert = sqlx::query("INSERT INTO format (version) VALUES (?)").bind(FORMAT);
                insert.execute(&mut *begun).await.map_err(failed("format"))?;
            }
        }
        begun.commit().await.map_err(failed("create"))
    }

    /// Every rule that has an instance.
    pub(crate) async fn rules(&self) -> Result<Vec<String>, StoreError> {
        let rules = sqlx::query_scalar("SELECT DISTINCT rule FROM instance ORDER BY rule");
        rules.fetch_all(&self.pool).await.map_err(failed("rules"))
    }

    /// The instances of a rule.
    pub(crate) async fn instances(&self, rule: &str) -> Result<Instances, StoreError> {
        let rows = sqlx::query("SELECT fingerprint, state FROM instance WHERE rule = ?").bind(rule);
        let rows = rows.fetch_all(&self.pool).await.map_err(failed("instances"))?;
        let instance = |row: sqlx::sqlite::SqliteRow| {
            let (fingerprint, state): (String, String) = (row.get(0), row.get(1));
            let damaged = |source| StoreError::Damaged { what: format!("rule {rule}"), source };
            Ok((fingerprint, serde_json::from_str(&state).map_err(damaged)?))
        };
        rows.into_iter().map(instance).collect()
    }

    /// How far a rule has come.
    pub(crate) async fn progress(&self, rule: &str) -> Result<Option<i64>, StoreError> {
        let found = sqlx::query_scalar("SELECT at_micros FROM progress WHERE rule = ?").bind(rule);
        found.fetch_optional(&self.pool).await.map_err(failed("progress"))
    }

    /// Those of the lines that were not told before, in their order.
    pub(crate) async fn unseen(&self, ids: Vec<String>) -> Result<Vec<String>, StoreError> {
        let mut unseen = Vec::new();
        for id in ids {
            let found = sqlx::query("SELECT 1 FROM seen WHERE id = ?").bind(&id);
            if found.fetch_optional(&self.pool).await.map_err(failed("seen"))?.is_none() {
                unseen.push(id);
            }
        }
        Ok(unseen)
    }

    /// Forgets lines that were told before a time, and what was delivered then.
    pub(crate) async fn forget(&self, before_micros: i64) -> Result<(), StoreError> {
        let seen = sqlx::query("DELETE FROM seen WHERE at_micros < ?").bind(before_micros);
        seen.execute(&self.pool).await.map_err(failed("forget"))?;
        let told = sqlx::query("DELETE FROM outbox WHERE state <> 'pending' AND created_micros < ?");
        told.bind(before_micros).execute(&self.pool).await.map_err(failed("forget"))?;
        Ok(())
    }

    /// Stores an evaluation: all of it or nothing.
    pub(crate) async fn apply(
        &self,
        rule: &str,
        change: &Change<'_>,
        now_micros: i64,
    ) -> Result<(), StoreError> {
        let mut begun = self.pool.begin().await.map_err(failed("begin"))?;
        for (fingerprint, instance) in &change.changed {
            let damaged = |source| StoreError::Damaged { what: format!("rule {rule}"), source };
            let state = serde_json::to_string(instance).map_err(damaged)?;
            let insert = "INSERT INTO instance (rule, fingerprint, state) VALUES (?, ?, ?)
                          ON CONFLICT (rule, fingerprint) DO UPDATE SET state = excluded.state";
            let insert = sqlx::query(insert).bind(rule).bind(*fingerprint).bind(state);
            insert.execute(&mut *begun).await.map_err(failed("instance"))?;
        }
        for fingerprint in &change.gone {
            let delete = sqlx::query("DELETE FROM instance WHERE rule = ? AND fingerprint = ?");
            let delete = delete.bind(rule).bind(*fingerprint);
            delete.execute(&mut *begun).await.map_err(failed("instance"))?;
        }
        if let Some(at_micros) = change.progress_micros {
            let insert = "INSERT INTO progress (rule, at_micros) VALUES (?, ?)
                          ON CONFLICT (rule) DO UPDATE SET at_micros = excluded.at_micros";
            let insert = sqlx::query(insert).bind(rule).bind(at_micros);
            insert.execute(&mut *begun).await.map_err(failed("progress"))?;
        }
        for id in change.seen {
            let insert = sqlx::query("INSERT OR IGNORE INTO seen (id, at_micros) VALUES (?, ?)");
            insert.bind(id).bind(now_micros).execute(&mut *begun).await.map_err(failed("seen"))?;
        }
        outbox::insert(&mut begun, change.outgoing, now_micros).await?;
        begun.commit().await.map_err(failed("commit"))
    }

    /// Lets go of the file.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

fn failed(step: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |source| StoreError::Database { step, source }
}

#[cfg(test)]
mod tests;

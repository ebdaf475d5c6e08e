//! A connection for the length of one transaction.

use std::future::Future;
use std::io;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Executor, PgConnection, PgPool, Postgres};
use tokio::time::timeout;

use super::Limits;
use crate::catalog::{CatalogError, failed, unknown};

/// What a transaction sees of others.
#[derive(Clone, Copy, Debug)]
pub(super) enum Isolation {
    /// Each statement what is committed by then, after it has waited for its
    /// locks: for what compares and changes.
    Locks,
    /// One instant, and nothing can be changed.
    Snapshot,
}

impl Isolation {
    const fn begin(self) -> &'static str {
        match self {
            Self::Locks => "BEGIN ISOLATION LEVEL READ COMMITTED",
            Self::Snapshot => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }
}

/// A transaction, and the connection that it runs on. Unless it is ended in
/// order, the connection is closed with it: after a call that took too long or
/// was given up, nobody knows what is still on its way there.
pub(super) struct Session {
    connection: Option<PoolConnection<Postgres>>,
    limits: Limits,
}

impl Session {
    pub(super) async fn begin(
        pool: &PgPool,
        isolation: Isolation,
        limits: Limits,
    ) -> Result<Self, CatalogError> {
        let connection = pool.acquire().await.map_err(failed("connect"))?;
        let mut session = Self { connection: Some(connection), limits };
        session.run(isolation.begin(), limits.call).await.map_err(failed("begin"))?;
        Ok(session)
    }

    /// Commits if all went well, and undoes it all if not.
    pub(super) async fn commit<T>(mut self, outcome: Result<T, CatalogError>) -> Result<T, CatalogError> {
        if outcome.is_err() {
            return self.end(outcome).await;
        }
        self.run("COMMIT", self.limits.commit).await.map_err(unknown)?;
        self.give_back();
        outcome
    }

    /// Ends the transaction, and nothing was changed.
    pub(super) async fn end<T>(mut self, outcome: Result<T, CatalogError>) -> Result<T, CatalogError> {
        if !outcome.as_ref().is_err_and(is_cut) && self.run("ROLLBACK", self.limits.commit).await.is_ok() {
            self.give_back();
        }
        outcome
    }

    /// A statement that stands in the way of none that are prepared.
    async fn run(&mut self, statement: &'static str, limit: Duration) -> Result<(), sqlx::Error> {
        let run = self.execute(sqlx::raw_sql(statement));
        timeout(limit, run).await.unwrap_or_else(|_| Err(timed_out()))?;
        Ok(())
    }

    fn give_back(&mut self) {
        drop(self.connection.take());
    }
}

impl Deref for Session {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.connection.as_ref().expect("it is given back last")
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("it is given back last")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }
}

/// Waits for a call, and not longer than a call may take.
pub(super) async fn within<T>(
    limits: Limits,
    call: impl Future<Output = Result<T, CatalogError>>,
) -> Result<T, CatalogError> {
    timeout(limits.call, call).await.unwrap_or_else(|_| Err(failed("wait for an answer")(timed_out())))
}

/// True when the connection is of no more use.
fn is_cut(error: &CatalogError) -> bool {
    matches!(error, CatalogError::Query { source, .. } if !matches!(source, sqlx::Error::Database(_)))
}

pub(super) fn timed_out() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the database does not answer"))
}

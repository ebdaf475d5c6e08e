//! From the URL to connections, without ever showing the password.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, Executor, PgConnection, PgPool};
use tokio::time::timeout;
use url::Url;

use super::session::timed_out;
use crate::catalog::CatalogError;

/// Connections of each of the two pools. A process publishes one flush at a
/// time and renews leases beside it; a snapshot is short.
const CONNECTIONS: u32 = 4;

/// Connections that nobody used for this long are closed.
const IDLE: Duration = Duration::from_secs(300);

/// What the URL may say beside the place: what `sqlx` understands. Another
/// parameter is a mistake, and would be logged with its value.
const PARAMETERS: [&str; 20] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "options[search_path]",
    "options[role]",
];

/// How long anything may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Until a connection is there.
    pub(crate) acquire: Duration,
    /// A call before its COMMIT, on this side.
    pub(crate) call: Duration,
    /// COMMIT, on this side.
    pub(crate) commit: Duration,
    /// A statement, on the server's side.
    pub(crate) statement: Duration,
    /// Waiting for a lock, on the server's side.
    pub(crate) lock: Duration,
    /// An open transaction in which nothing happens, on the server's side: of
    /// a process that was paused, and holds locks that its heir needs.
    pub(crate) idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            acquire: seconds(5),
            // A commit of a hundred thousand sources takes most of it.
            call: seconds(30),
            commit: seconds(10),
            statement: seconds(10),
            lock: seconds(5),
            idle: seconds(5),
        }
    }
}

/// Where the catalog is.
#[derive(Clone)]
pub(super) struct Place {
    options: PgConnectOptions,
}

impl Place {
    pub(super) fn parse(url: &str) -> Result<Self, CatalogError> {
        let refuse = |reason: String| CatalogError::Url { reason };
        let parsed = Url::parse(url).map_err(|error| refuse(error.to_string()))?;
        for (key, _) in parsed.query_pairs() {
            if !PARAMETERS.contains(&key.as_ref()) {
                let known = "sslmode, sslrootcert, sslcert, sslkey, options[search_path], application_name";
                return Err(refuse(format!("unknown parameter `{key}`; useful ones: {known}")));
            }
        }
        let options = PgConnectOptions::from_str(url).map_err(|error| refuse(error.to_string()))?;
        let options = match options.get_application_name() {
            Some(_) => options,
            None => options.application_name("weir"),
        };
        Ok(Self { options })
    }

    /// Connects when it is used. Sessions of a pool that reads cannot write.
    pub(super) fn pool(&self, limits: Limits, reads: bool) -> PgPool {
        let settings = settings(limits, reads);
        PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(limits.acquire)
            .idle_timeout(IDLE)
            .after_connect(move |connection, _| {
                let settings = settings.clone();
                Box::pin(async move {
                    connection.execute(sqlx::AssertSqlSafe(settings)).await?;
                    Ok(())
                })
            })
            .after_release(move |connection, _| {
                // The pool's own test of a connection that comes back has no
                // limit, and its place would stay taken.
                Box::pin(async move {
                    timeout(limits.acquire, connection.ping()).await.map_err(|_| timed_out())??;
                    Ok(true)
                })
            })
            .connect_lazy_with(self.options.clone())
    }

    /// Connects once, to learn why it may be impossible.
    pub(super) async fn reach(&self, limits: Limits) -> Result<(), CatalogError> {
        let connect = async {
            let connection = PgConnection::connect_with(&self.options).await?;
            connection.close().await
        };
        let reached = timeout(limits.acquire, connect).await.unwrap_or_else(|_| Err(timed_out()));
        reached.map_err(|source| CatalogError::Open { location: format!("{self:?}"), source })
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.options;
        let database = options.get_database().unwrap_or(options.get_username());
        match options.get_socket() {
            Some(socket) => write!(f, "postgres:{}/{database}", socket.display()),
            None => write!(f, "postgres://{}:{}/{database}", options.get_host(), options.get_port()),
        }
    }
}

/// What a session is told before its first call.
fn settings(limits: Limits, reads: bool) -> String {
    let Limits { statement, lock, idle, .. } = limits;
    let mut settings = format!(
        "SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {};",
        statement.as_millis(),
        lock.as_millis(),
        idle.as_millis(),
    );
    if reads {
        settings.push_str("SET default_transaction_read_only = on;");
    }
    // What was acknowledged survives a power cut, whatever the server's
    // default; a stronger setting than that is left.
    settings.push_str(
        "SELECT set_config('synchronous_commit', 'on', false)
        WHERE current_setting('synchronous_commit') = 'off'",
    );
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_shown_without_user_and_password() {
        let check =
            |url: &str, expected: &str| assert_eq!(format!("{:?}", Place::parse(url).unwrap()), expected);
        check(
            "postgres://weir:secret@db.example:6432/logs?sslmode=require",
            "postgres://db.example:6432/logs",
        );
        check("postgresql://weir:secret@db.example", "postgres://db.example:5432/weir");
        check("postgres://weir:secret@%2Frun%2Fpostgresql/logs", "postgres:/run/postgresql/logs");
    }

    #[test]
    fn a_mistake_in_the_url_is_named_without_the_password() {
        let check = |url: &str, expected: &str| {
            let error = Place::parse(url).err().unwrap();
            let text = format!("{error} {error:?}");
            assert!(text.contains(expected), "{text}");
            assert!(!text.contains("secret"), "{text}");
        };
        check("postgres://weir:secret@db:port/logs", "port");
        check("postgres://weir:secret@db/logs?passwort=secret", "unknown parameter `passwort`");
        check("postgres://weir:secret@db/logs?sslmode=maybe", "maybe");
    }
}

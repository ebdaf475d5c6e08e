mod faults;
mod safety;

use std::sync::{Arc, LazyLock};

use super::server::PostgresServer;
use super::*;
use crate::catalog::conformance::{Store, suite};

/// One server for all tests that do not harm it, each in databases of its own.
static SERVER: LazyLock<PostgresServer> = LazyLock::new(PostgresServer::start);

struct Base {
    url: String,
}

impl Base {
    async fn new() -> Self {
        Self { url: SERVER.database().await }
    }
}

#[async_trait]
impl Store for Base {
    async fn open(&self) -> Arc<dyn Catalog> {
        Arc::new(PostgresCatalog::open(&self.url).await.unwrap())
    }

    /// Far from what the database's clock says, which alone counts.
    fn now(&self) -> i64 {
        7
    }

    /// As the database sees it: what ends, ends sooner.
    async fn pass(&self, time: Duration) {
        use sqlx::Connection as _;
        let micros = time.as_micros() as i64;
        let mut connection = sqlx::PgConnection::connect(&self.url).await.unwrap();
        for statement in [
            "UPDATE leases SET until_micros = until_micros - $1",
            "UPDATE members SET until_micros = until_micros - $1",
        ] {
            sqlx::query(statement).bind(micros).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_every_promise_of_a_catalog() {
    suite(Base::new).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_the_first_build_gets_what_was_added_since() {
    use sqlx::Connection as _;
    let base = Base::new().await;
    base.open().await;
    let mut connection = sqlx::PgConnection::connect(&base.url).await.unwrap();
    let drop = "ALTER TABLE files DROP COLUMN crc32c";
    sqlx::query(drop).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let early = PostgresCatalog::open_read_only(&base.url).await;
    assert!(matches!(early, Err(CatalogError::Older("files.crc32c"))), "{early:?}");
    base.open().await;
    PostgresCatalog::open_read_only(&base.url).await.unwrap();
}

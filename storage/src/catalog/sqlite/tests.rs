use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sqlx::AssertSqlSafe;
use tempfile::TempDir;
use weir_proto::model::{AgentId, ByteRange, LayoutId, RangeSet, SourceId, TenantId};

use super::*;
use crate::catalog::conformance::{Store, suite};
use crate::catalog::{Advance, FileEntry, LaneState, LaneStatus, SourceCover, Tally};

struct File {
    directory: TempDir,
    now_micros: AtomicI64,
}

impl File {
    fn new() -> Self {
        Self { directory: TempDir::new().unwrap(), now_micros: AtomicI64::new(0) }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("state/catalog.sqlite")
    }

    /// Runs SQL behind the catalog's back.
    async fn tamper(&self, statements: &[&'static str]) {
        let pool = SqlitePool::connect_with(options(&self.path())).await.unwrap();
        for statement in statements {
            sqlx::query(*statement).execute(&pool).await.unwrap();
        }
        pool.close().await;
    }
}

#[async_trait]
impl Store for File {
    async fn open(&self) -> Arc<dyn Catalog> {
        Arc::new(SqliteCatalog::open(&self.path()).await.unwrap())
    }

    fn now(&self) -> i64 {
        self.now_micros.load(Ordering::SeqCst)
    }

    async fn pass(&self, time: Duration) {
        self.now_micros.fetch_add(time.as_micros() as i64, Ordering::SeqCst);
    }
}

fn partition() -> LogPartition {
    LogPartition { topic: "weir.logs".to_owned(), partition: 0 }
}

async fn flush(catalog: &dyn Catalog, from: Option<u64>, to: u64) -> Commit {
    let lease = catalog.lease(&partition(), "a", 0, Duration::from_secs(10)).await.unwrap();
    let id = weir_proto::model::FileId::generate();
    let time = TimeRange { min_micros: 0, max_micros: 1 };
    Commit {
        files: vec![FileEntry {
            id,
            tenant: TenantId::default(),
            table: "logs".to_owned(),
            path: format!("{id}.parquet"),
            rows: 1,
            bytes: 1,
            time,
            observed: time,
            level: 0,
            created_micros: 0,
            crc32c: None,
        }],
        advances: vec![Advance { partition: partition(), epoch: lease.epoch, from, to, anchor: None }],
        covered: vec![SourceCover {
            partition: partition(),
            tenant: TenantId::default(),
            source: SourceId::from_u128(1),
            ranges: RangeSet::from_iter([ByteRange::new(0, to)]),
            resource: Vec::new(),
            last_observed_micros: 0,
            tally: Tally::default(),
        }],
        layouts: BTreeMap::from([(LayoutId(1), "[]".to_owned())]),
        lanes: vec![LaneState {
            partition: partition(),
            agent: AgentId::from_u128(1),
            mark_micros: None,
            heard_micros: 0,
            status: LaneStatus::Live,
            is_estimated: false,
        }],
        ..Commit::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_every_promise_of_a_catalog() {
    suite(async || File::new()).await;
}

#[tokio::test]
async fn a_transaction_that_sqlite_rolled_back_by_itself_holds_up_nobody() {
    let store = File::new();
    let catalog = SqliteCatalog::open(&store.path()).await.unwrap();
    // As it does when the disk is full.
    let mut transaction = catalog.begin().await.unwrap();
    sqlx::query("ROLLBACK").execute(&mut *transaction).await.unwrap();
    drop(transaction);
    for _ in 0..2 {
        let commit = catalog.publish(&flush(&catalog, None, 1).await).await;
        assert!(matches!(commit, Ok(_) | Err(CatalogError::Fenced { .. })), "{commit:?}");
    }
    assert_eq!(catalog.progress(&partition()).await.unwrap().next_offset, Some(1));
}

#[tokio::test]
async fn a_second_process_reads_while_the_first_writes() {
    let store = File::new();
    let missing = SqliteCatalog::open_read_only(&store.path()).await;
    assert!(matches!(missing, Err(CatalogError::Open { .. })), "{missing:?}");

    let writer = store.open().await;
    let reader = SqliteCatalog::open_read_only(&store.path()).await.unwrap();
    let commit = flush(&*writer, None, 1).await;
    // A write that is under way neither blocks nor shows.
    let other = SqlitePool::connect_with(options(&store.path())).await.unwrap();
    let mut transaction = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query("INSERT INTO layouts VALUES (7, '')").execute(&mut *transaction).await.unwrap();
    assert_eq!(reader.layouts().await.unwrap(), BTreeMap::new());
    transaction.rollback().await.unwrap();

    writer.publish(&commit).await.unwrap();
    assert_eq!(reader.progress(&partition()).await.unwrap().next_offset, Some(1));
    assert_eq!(reader.paths().await.unwrap().len(), 1);
    let refused = reader.publish(&flush(&*writer, Some(1), 2).await).await;
    assert!(matches!(refused, Err(CatalogError::Query { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_catalog_that_nobody_writes_can_be_read() {
    let store = File::new();
    let writer = SqliteCatalog::open(&store.path()).await.unwrap();
    writer.publish(&flush(&writer, None, 1).await).await.unwrap();
    writer.close().await;
    let reader = SqliteCatalog::open_read_only(&store.path()).await.unwrap();
    assert_eq!(reader.paths().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_foreign_file_or_format_is_refused_and_left_alone() {
    let store = File::new();
    drop(store.open().await);
    store.tamper(&["UPDATE weir_format SET version = 99"]).await;
    for opened in
        [SqliteCatalog::open(&store.path()).await, SqliteCatalog::open_read_only(&store.path()).await]
    {
        match opened {
            Err(CatalogError::Version { found: 99, expected: 1, advice }) => {
                assert!(advice.contains("newer"), "{advice}");
            }
            other => panic!("{other:?}"),
        }
    }

    let store = File::new();
    std::fs::create_dir_all(store.path().parent().unwrap()).unwrap();
    std::fs::write(store.path(), "").unwrap();
    store.tamper(&["CREATE TABLE cats (name TEXT)"]).await;
    let opened = SqliteCatalog::open(&store.path()).await;
    assert!(matches!(opened, Err(CatalogError::Version { found: 0, .. })), "{opened:?}");

    let store = File::new();
    std::fs::create_dir_all(store.path().parent().unwrap()).unwrap();
    std::fs::write(store.path(), vec![7; 10_000]).unwrap();
    let opened = SqliteCatalog::open(&store.path()).await;
    assert!(matches!(opened, Err(CatalogError::Open { .. } | CatalogError::Query { .. })), "{opened:?}");
}

#[tokio::test]
async fn a_file_of_the_first_build_gets_what_was_added_since() {
    let store = File::new();
    let catalog = SqliteCatalog::open(&store.path()).await.unwrap();
    catalog.publish(&flush(&catalog, None, 5).await).await.unwrap();
    catalog.close().await;
    store.tamper(&["DROP TABLE lanes", "DROP TABLE members", "DROP TABLE tallies"]).await;
    let early = SqliteCatalog::open_read_only(&store.path()).await;
    assert!(matches!(early, Err(CatalogError::Older("lanes"))), "{early:?}");
    SqliteCatalog::open(&store.path()).await.unwrap().close().await;
    store.tamper(&["ALTER TABLE files DROP COLUMN crc32c"]).await;
    let early = SqliteCatalog::open_read_only(&store.path()).await;
    assert!(matches!(early, Err(CatalogError::Older("files.crc32c"))), "{early:?}");

    let catalog = store.open().await;
    let reader = SqliteCatalog::open_read_only(&store.path()).await.unwrap();
    assert_eq!(reader.progress(&partition()).await.unwrap().next_offset, Some(5));
    catalog.announce("a", "http://a", 0, Duration::from_secs(1)).await.unwrap();
    // Of what it had stored, what is known now was not kept.
    let delivery = reader.delivery(&TenantId::default()).await.unwrap();
    assert_eq!((delivery.len(), &delivery[0].cover.tally), (1, &Tally::default()));
}

#[tokio::test]
async fn a_publication_that_fails_half_way_leaves_nothing() {
    for step in ["files", "sources", "covered", "tallies", "lanes", "layouts"] {
        let store = File::new();
        let catalog = store.open().await;
        let commit = flush(&*catalog, None, 5).await;
        let trigger = format!(
            "CREATE TRIGGER fails BEFORE INSERT ON {step} BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END"
        );
        let pool = SqlitePool::connect_with(options(&store.path())).await.unwrap();
        sqlx::query(AssertSqlSafe(trigger)).execute(&pool).await.unwrap();
        let failed = catalog.publish(&commit).await;
        assert!(matches!(failed, Err(CatalogError::Query { .. })), "{step}: {failed:?}");
        assert_eq!(catalog.progress(&partition()).await.unwrap(), Progress::default(), "{step}");
        assert_eq!(catalog.paths().await.unwrap(), Vec::<String>::new(), "{step}");
        let commits: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM commits").fetch_one(&pool).await.unwrap();
        assert_eq!(commits, 0, "{step}");

        sqlx::query("DROP TRIGGER fails").execute(&pool).await.unwrap();
        catalog.publish(&commit).await.unwrap();
        assert_eq!(catalog.progress(&partition()).await.unwrap().next_offset, Some(5), "{step}");
    }
}

#[tokio::test]
async fn a_failed_commit_statement_is_an_unknown_outcome() {
    let store = File::new();
    let catalog = store.open().await;
    let commit = flush(&*catalog, None, 5).await;
    // A deferred constraint is checked by COMMIT itself and nothing before it.
    store
        .tamper(&[
            "CREATE TABLE owed (id BIGINT REFERENCES layouts (layout_id) DEFERRABLE INITIALLY DEFERRED)",
            "CREATE TRIGGER owes AFTER INSERT ON commits BEGIN INSERT INTO owed VALUES (404); END",
        ])
        .await;
    let failed = catalog.publish(&commit).await.unwrap_err();
    assert!(failed.is_unknown(), "{failed:?}");
    assert_eq!(catalog.progress(&partition()).await.unwrap(), Progress::default());
    store.tamper(&["DROP TRIGGER owes"]).await;
    catalog.publish(&commit).await.unwrap();
}

#[tokio::test]
async fn damage_is_named() {
    let store = File::new();
    let catalog = store.open().await;
    catalog.publish(&flush(&*catalog, None, 5).await).await.unwrap();
    store.tamper(&["UPDATE offsets SET next_offset = -1", "UPDATE files SET level = 300"]).await;
    let progress = catalog.progress(&partition()).await.unwrap_err();
    assert_eq!(progress.to_string(), "the catalog is damaged: a next offset is -1");
    let snapshot = catalog.snapshot(&TenantId::default(), "logs", TimeRange::ALL).await.unwrap_err();
    assert!(snapshot.to_string().contains("the level of"), "{snapshot}");
    store.tamper(&["UPDATE offsets SET next_offset = 5", "UPDATE lanes SET status = 'odd'"]).await;
    let progress = catalog.progress(&partition()).await.unwrap_err();
    assert_eq!(progress.to_string(), "the catalog is damaged: a lane of weir.logs has the status \"odd\"");
    store.tamper(&["UPDATE sources SET resource = '{'"]).await;
    let delivery = catalog.delivery(&TenantId::default()).await.unwrap_err();
    assert!(delivery.to_string().contains("the resource of source"), "{delivery}");
}

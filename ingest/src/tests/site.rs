//! A place with an event log, a catalog and objects.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use tempfile::TempDir;
use weir_proto::model::{AgentId, ByteRange, Source, SourceId, TenantId};
use weir_proto::schema::Table;
use weir_proto::schema::log::{TABLE, column};
use weir_proto::wire::batch::{LineBatchBuilder, NewLine};
use weir_proto::wire::{BatchHeader, Codec};
use weir_runtime::{ByteSize, Handles, HumanDuration};
use weir_storage::catalog::sqlite::SqliteCatalog;
use weir_storage::catalog::{Catalog, LogPartition, Snapshot, TimeRange};
use weir_storage::file;
use weir_storage::object::{LocalStore, Objects};
use weir_stream::disk::{DiskConfig, DiskLog};
use weir_stream::{Append, Partition, Record, Subscribe, Topic};

use crate::{Config, Ingest};

pub(super) struct Site {
    pub(super) config: Config,
    pub(super) log: DiskLog,
    pub(super) topic: Topic,
    pub(super) catalog: Arc<dyn Catalog>,
    pub(super) objects: LocalStore,
    dir: TempDir,
}

impl Site {
    pub(super) async fn new(partitions: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let topic = Topic::new("weir.logs").unwrap();
        let config = DiskConfig { dir: dir.path().join("log"), ..DiskConfig::default() };
        let log = DiskLog::open(config, &Handles::new("log")).unwrap();
        log.ensure_topic(&topic, partitions).unwrap();
        let catalog = SqliteCatalog::open(&dir.path().join("catalog.sqlite")).await.unwrap();
        let objects = LocalStore::open(&dir.path().join("objects")).unwrap();
        // Nothing is flushed unless a test wants it.
        let config = Config {
            flush_bytes: ByteSize::mib(64),
            flush_interval: HumanDuration(Duration::from_secs(3600)),
            ..Config::default()
        };
        Self { config, log, topic, catalog: Arc::new(catalog), objects, dir }
    }

    pub(super) async fn append(&self, partition: u32, record: Record) {
        let partition = Partition::new(self.topic.clone(), partition);
        self.log.append(&partition, vec![record]).await.unwrap();
    }

    pub(super) async fn start(&self) -> Ingest {
        self.start_with(self.catalog.clone(), "", Handles::new("ingest")).await
    }

    /// Ingesters of different names are different owners.
    pub(super) async fn start_with(&self, catalog: Arc<dyn Catalog>, name: &str, handles: Handles) -> Ingest {
        self.start_on(Arc::new(self.log.reader()), catalog, name, handles).await
    }

    pub(super) async fn start_on(
        &self,
        log: Arc<dyn Subscribe>,
        catalog: Arc<dyn Catalog>,
        name: &str,
        handles: Handles,
    ) -> Ingest {
        let (config, topic, objects) = (self.config.clone(), self.topic.clone(), self.objects.clone());
        crate::start(config, log, topic, catalog, objects, self.dead_letters(name), handles).await.unwrap()
    }

    pub(super) fn dead_letters(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("dead-letters{name}"))
    }

    pub(super) fn partition(&self, partition: u32) -> LogPartition {
        LogPartition { topic: self.topic.to_string(), partition }
    }

    pub(super) async fn snapshot(&self) -> Snapshot {
        self.catalog.snapshot(&TenantId::default(), TABLE, TimeRange::ALL).await.unwrap()
    }

    /// The bodies of the rows in files, sorted.
    pub(super) async fn stored(&self) -> Vec<String> {
        let mut bodies = Vec::new();
        for entry in self.snapshot().await.files {
            let rows = file::read(&self.objects.read(&entry.path).await.unwrap()).unwrap();
            bodies.extend(rows.iter().flat_map(body));
        }
        bodies.sort();
        bodies
    }

    /// The bodies of the rows that a query would see as live, sorted.
    pub(super) async fn live(&self, ingest: &Ingest) -> Vec<String> {
        let mut pinned = ingest.live().pin(&TenantId::default(), &[Table::Logs]).await.unwrap();
        pinned.drop_stored(&self.snapshot().await);
        let mut bodies: Vec<_> = pinned.batches.iter().flat_map(|batch| body(&batch.rows)).collect();
        bodies.sort();
        bodies
    }

    pub(super) async fn gaps(&self) -> Vec<(String, ByteRange, String)> {
        let gaps = self.catalog.gaps(&TenantId::default()).await.unwrap();
        gaps.into_iter().map(|gap| (gap.source, gap.range, gap.reason)).collect()
    }
}

fn body(rows: &RecordBatch) -> Vec<String> {
    let bodies = rows[column::BODY].as_string::<i32>();
    (0..rows.num_rows()).map(|row| bodies.value(row).to_owned()).collect()
}

/// A message with lines of one source, from `start` on; each ends in LF.
pub(super) fn message(source: u128, start: u64, lines: &[&str]) -> Record {
    let mut builder = LineBatchBuilder::new();
    let mut end = start;
    for line in lines {
        let from = end;
        end += line.len() as u64 + 1;
        builder.push(NewLine {
            source: 0,
            start: from,
            end,
            observed_micros: 1_773_144_000_000_000,
            timestamp_nanos: None,
            flags: 0,
            line: line.as_bytes(),
        });
    }
    let header = BatchHeader {
        tenant: TenantId::default(),
        agent: AgentId::from_u128(source),
        mark_micros: Some(1_773_144_000_000_000),
        goodbye: false,
        codec: Codec::Lz4,
    };
    let source = Source {
        id: SourceId::from_u128(source),
        resource: vec![("service.name".to_owned(), "shop".to_owned())],
        parser: "auto".to_owned(),
        covered: ByteRange::new(start, end),
        drops: Vec::new(),
    };
    let encoded = builder.finish(&header, &[source]);
    Record { headers: encoded.headers, timestamp_micros: 1_773_144_000_000_000, payload: encoded.payload }
}

/// Waits for a condition; the limit only ends a test that has failed.
pub(super) async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Ends an ingester as a kill would: nothing is flushed or given back.
pub(super) async fn kill(handles: &Handles) {
    handles.tasks.join(Duration::ZERO).await;
    handles.shutdown.begin();
}

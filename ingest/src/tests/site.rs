//! A place with an event log, a catalog and objects.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use tempfile::TempDir;
use weir_proto::model::{AgentId, ByteRange, Counted, Source, SourceId, TenantId};
use weir_proto::schema::Table;
use weir_proto::wire::batch::{LineBatchBuilder, NewLine};
use weir_proto::wire::{BatchHeader, Codec};
use weir_runtime::{ByteSize, Handles, HumanDuration};
use weir_storage::catalog::sqlite::SqliteCatalog;
use weir_storage::catalog::{Catalog, LogPartition, Snapshot, TimeRange};
use weir_storage::file;
use weir_storage::object::{LocalStore, Objects};
use weir_stream::disk::{DiskConfig, DiskLog};
use weir_stream::{Append, Partition, Record, Subscribe, Topic};

use crate::{Config, DeadLetters, Ingest, MemberIdentity};

/// When everything happens, if nothing else is said.
pub(super) const THEN: i64 = 1_773_144_000_000_000;

pub(super) struct Site {
    pub(super) config: Config,
    pub(super) log: Arc<DiskLog>,
    /// The topic of the lines.
    pub(super) topic: Topic,
    pub(super) spans: Topic,
    pub(super) metrics: Topic,
    pub(super) catalog: Arc<dyn Catalog>,
    pub(super) objects: LocalStore,
    dir: TempDir,
}

impl Site {
    /// Each signal's topic has this many partitions.
    pub(super) async fn new(partitions: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let topic = |name: &str| Topic::new(name).unwrap();
        let (logs, spans, metrics) = (topic("weir.logs"), topic("weir.spans"), topic("weir.metrics"));
        let letters = topic("weir.dead-letter");
        let config = DiskConfig { dir: dir.path().join("log"), ..DiskConfig::default() };
        let log = DiskLog::open(config, &Handles::new("log")).unwrap();
        for topic in [&logs, &spans, &metrics, &letters] {
            log.ensure_topic(topic, partitions).unwrap();
        }
        let catalog = SqliteCatalog::open(&dir.path().join("catalog.sqlite")).await.unwrap();
        let objects = LocalStore::open(&dir.path().join("objects")).unwrap();
        // Nothing is flushed unless a test wants it.
        let config = Config {
            flush_bytes: ByteSize::mib(64),
            flush_interval: HumanDuration(Duration::from_secs(3600)),
            ..Config::default()
        };
        let (log, catalog) = (Arc::new(log), Arc::new(catalog));
        Self { config, log, topic: logs, spans, metrics, catalog, objects, dir }
    }

    pub(super) async fn append(&self, partition: u32, record: Record) {
        self.append_to(&self.topic, partition, record).await;
    }

    pub(super) async fn append_to(&self, topic: &Topic, partition: u32, record: Record) {
        let partition = Partition::new(topic.clone(), partition);
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
        let letters = DeadLetters::directory(self.dead_letters(name));
        self.start_all(log, catalog, letters, name, handles).await
    }

    pub(super) async fn start_all(
        &self,
        log: Arc<dyn Subscribe>,
        catalog: Arc<dyn Catalog>,
        letters: DeadLetters,
        name: &str,
        handles: Handles,
    ) -> Ingest {
        let topics = vec![self.topic.clone(), self.spans.clone(), self.metrics.clone()];
        let objects = Arc::new(self.objects.clone());
        let member = MemberIdentity { name: format!("ingester {name}"), address: format!("unix:/{name}") };
        crate::start(self.config.clone(), log, topics, catalog, objects, letters, Vec::new(), member, handles)
            .await
            .unwrap()
    }

    pub(super) fn dead_letters(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("dead-letters{name}"))
    }

    pub(super) fn partition(&self, partition: u32) -> LogPartition {
        LogPartition { topic: self.topic.to_string(), partition }
    }

    pub(super) async fn snapshot(&self) -> Snapshot {
        self.snapshot_of(Table::Logs).await
    }

    pub(super) async fn snapshot_of(&self, table: Table) -> Snapshot {
        self.catalog.snapshot(&TenantId::default(), table.name(), TimeRange::ALL).await.unwrap()
    }

    /// The bodies of the log rows in files, sorted.
    pub(super) async fn stored(&self) -> Vec<String> {
        self.stored_of(Table::Logs).await
    }

    /// What names each row of a table in files, sorted.
    pub(super) async fn stored_of(&self, table: Table) -> Vec<String> {
        let mut names = Vec::new();
        for entry in self.snapshot_of(table).await.files {
            let rows = file::read(&self.objects.read(&entry.path).await.unwrap()).unwrap();
            names.extend(rows.iter().flat_map(|rows| names_of(table, rows)));
        }
        names.sort();
        names
    }

    /// The bodies of the rows that a query would see as live, sorted.
    pub(super) async fn live(&self, ingest: &Ingest) -> Vec<String> {
        self.live_of(ingest, Table::Logs).await
    }

    pub(super) async fn live_of(&self, ingest: &Ingest, table: Table) -> Vec<String> {
        let mut pinned = ingest.live().pin(&TenantId::default(), &[table]).await.unwrap();
        pinned.drop_stored(&self.snapshot_of(table).await);
        let mut names: Vec<_> =
            pinned.batches.iter().flat_map(|batch| names_of(table, &batch.rows)).collect();
        names.sort();
        names
    }

    pub(super) async fn gaps(&self) -> Vec<(String, ByteRange, String)> {
        let gaps = self.catalog.gaps(&TenantId::default()).await.unwrap();
        gaps.into_iter().map(|gap| (gap.source, gap.range, gap.reason)).collect()
    }
}

/// What a test calls a row by.
fn names_of(table: Table, rows: &RecordBatch) -> Vec<String> {
    let name = match table {
        Table::Logs | Table::Matches => "body",
        Table::Spans => "name",
        Table::MetricSamples | Table::MetricSeries => "metric",
    };
    let names = rows[name].as_string::<i32>();
    (0..rows.num_rows()).map(|row| names.value(row).to_owned()).collect()
}

/// An agent that sends one source, and counts its events.
pub(super) struct Sender {
    source: u128,
    counted: Counted,
}

impl Sender {
    /// Takes the source up at a byte of it.
    pub(super) fn at(source: u128, start: u64) -> Self {
        Self { source, counted: Counted::from(start) }
    }

    /// The next lines.
    pub(super) fn send(&mut self, lines: &[&str]) -> Record {
        let (record, source) = lines_of(self.source, self.counted.to, lines, Some(self.counted));
        self.counted = self.counted.after(&source, lines.len() as u64);
        record
    }
}

/// A message with lines of one source, from `start` on; each ends in LF.
pub(super) fn message(source: u128, start: u64, lines: &[&str]) -> Record {
    lines_of(source, start, lines, None).0
}

fn lines_of(source: u128, start: u64, lines: &[&str], counted: Option<Counted>) -> (Record, Source) {
    let mut builder = LineBatchBuilder::new();
    let mut end = start;
    for line in lines {
        let from = end;
        end += line.len() as u64 + 1;
        builder.push(NewLine {
            source: 0,
            start: from,
            end,
            observed_micros: THEN,
            timestamp_nanos: None,
            flags: 0,
            line: line.as_bytes(),
        });
    }
    let source = Source {
        id: SourceId::from_u128(source),
        resource: vec![("service.name".to_owned(), "shop".to_owned())],
        parser: "auto".to_owned(),
        min_severity: None,
        covered: ByteRange::new(start, end),
        drops: Vec::new(),
        counted,
    };
    let encoded = builder.finish(&header(source.id.as_u128(), Some(THEN)), std::slice::from_ref(&source));
    (Record { headers: encoded.headers, timestamp_micros: THEN, payload: encoded.payload }, source)
}

pub(super) fn header(agent: u128, mark_micros: Option<i64>) -> BatchHeader {
    BatchHeader {
        tenant: TenantId::default(),
        agent: AgentId::from_u128(agent),
        mark_micros,
        goodbye: false,
        codec: Codec::Lz4,
    }
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

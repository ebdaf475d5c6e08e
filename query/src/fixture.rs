//! A small Weir for tests: live rows, files and a catalog that can be flushed
//! at any moment.

pub(crate) mod metrics;
pub(crate) mod spans;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow_array::builder::{BinaryBuilder, MapBuilder, MapFieldNames, StringBuilder};
use arrow_array::{
    ArrayRef, Int16Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use async_trait::async_trait;
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use tempfile::TempDir;
use weir_proto::model::{AgentId, ByteRange, FileId, LayoutId, SourceId, TenantId};
use weir_proto::schema::{Table, log};
use weir_runtime::Handles;
use weir_storage::catalog::double::Double;
use weir_storage::catalog::sqlite::SqliteCatalog;
use weir_storage::catalog::{
    Advance, Catalog, Commit, FileEntry, LaneState, LaneStatus, Lease, LogPartition, SourceCover, Tally,
    TimeRange,
};
use weir_storage::file::{Footer, WriteOptions, sort, write_batches};
use weir_storage::live::{LiveBatch, LiveError, LiveRange, LiveRows, PinnedRows};
use weir_storage::object::path_of;

use crate::{Answer, Config, Engine, QueryError, SqlRequest};

/// The agent, source and file of every row.
pub(crate) const SOURCE: SourceId = SourceId::from_u128(7);

/// 2026-01-01T00:00:00Z.
pub(crate) const NEW_YEAR: i64 = 1_767_225_600_000_000;

/// One row; what is not said is empty.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) micros: i64,
    pub(crate) nanos: i16,
    pub(crate) body: String,
    pub(crate) body_raw: Option<Vec<u8>>,
    pub(crate) layout: Option<i64>,
    pub(crate) service: Option<&'static str>,
    pub(crate) severity: Option<i16>,
    pub(crate) trace: Option<&'static str>,
    pub(crate) attributes: Vec<(&'static str, String)>,
    pub(crate) resource: Vec<(&'static str, String)>,
    pub(crate) number: i64,
}

/// A row at a time with a text; `number` tells rows apart.
pub(crate) fn row(micros: i64, number: i64, body: &str) -> Row {
    Row { micros, number, body: body.to_owned(), ..Row::default() }
}

/// Rows in the schema of `logs`.
pub(crate) fn batch(tenant: &TenantId, rows: &[Row]) -> RecordBatch {
    let count = rows.len();
    let texts = |text: &dyn Fn(&Row) -> Option<String>| -> ArrayRef {
        Arc::new(StringArray::from_iter(rows.iter().map(text)))
    };
    let times = |time: &dyn Fn(&Row) -> i64| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(time)).with_timezone("UTC"))
    };
    let mut raw = BinaryBuilder::new();
    rows.iter().for_each(|row| raw.append_option(row.body_raw.as_deref()));
    let nothing = || texts(&|_| None);
    let columns: Vec<ArrayRef> = vec![
        texts(&|_| Some(tenant.to_string())),
        times(&|row| row.micros),
        Arc::new(Int16Array::from_iter_values(rows.iter().map(|row| row.nanos))),
        times(&|row| row.micros + 1),
        texts(&|row| row.service.map(str::to_owned)),
        texts(&|row| row.severity.map(|number| format!("S{number}"))),
        Arc::new(Int16Array::from_iter(rows.iter().map(|row| row.severity))),
        texts(&|row| Some(row.body.clone())),
        Arc::new(raw.finish()),
        Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.layout))),
        texts(&|row| row.trace.map(str::to_owned)),
        nothing(),
        nothing(),
        nothing(),
        nothing(),
        nothing(),
        nothing(),
        nothing(),
        nothing(),
        maps(rows.iter().map(|row| row.attributes.as_slice())),
        maps(rows.iter().map(|row| row.resource.as_slice())),
        Arc::new(Int64Array::from_iter(std::iter::repeat_n(None, count))),
        Arc::new(Int32Array::from_iter_values(std::iter::repeat_n(0, count))),
        texts(&|_| Some(SOURCE.to_string())),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.number))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.number + 1))),
    ];
    RecordBatch::try_new(log::schema(), columns).expect("rows of logs")
}

fn maps<'a>(rows: impl Iterator<Item = &'a [(&'static str, String)]>) -> ArrayRef {
    let names = MapFieldNames { entry: "entries".into(), key: "key".into(), value: "value".into() };
    let mut maps = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    for row in rows {
        for (key, value) in row {
            maps.keys().append_value(key);
            maps.values().append_value(value);
        }
        maps.append(true).expect("as many keys as values");
    }
    Arc::new(maps.finish())
}

/// What happens after rows were pinned and before the snapshot is read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    /// This many of the oldest live messages become files.
    Flush(usize),
    /// A message arrives.
    Arrive,
    /// Live rows that files hold are let go.
    Release,
}

/// The live side, the files and the catalog.
pub(crate) struct World {
    directory: TempDir,
    pub(crate) catalog: Recording,
    pub(crate) objects: Arc<InMemory>,
    state: Mutex<State>,
    lease: Lease,
    row_group_rows: AtomicUsize,
}

#[derive(Default)]
struct State {
    live: Vec<LiveBatch>,
    lanes: Vec<LaneState>,
    layouts: BTreeMap<LayoutId, String>,
    next: u64,
    stored: u64,
    then: Vec<Then>,
    away: bool,
}

impl World {
    pub(crate) async fn new() -> Arc<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("catalog.db");
        let catalog = SqliteCatalog::open(&path).await.expect("a catalog");
        let hour = Duration::from_secs(3600);
        let lease = catalog.lease(&partition(), "test", 0, hour).await.expect("a lease");
        let catalog = Recording { catalog, calls: Mutex::default() };
        let objects = Arc::new(InMemory::new());
        Arc::new(Self {
            directory,
            catalog,
            objects,
            state: Mutex::default(),
            lease,
            row_group_rows: AtomicUsize::new(64),
        })
    }

    pub(crate) fn engine(self: &Arc<Self>, config: Config) -> Engine {
        let handles = Handles::new("query");
        let spill = self.directory.path().join("spill");
        let objects: Arc<dyn ObjectStore> = self.objects.clone();
        Engine::new(config, self.clone(), objects, self.clone(), spill, &handles).expect("an engine")
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no test panics with it")
    }

    /// How large the row groups of files are from now on; 64 rows at first.
    pub(crate) fn row_groups_of(&self, rows: usize) {
        self.row_group_rows.store(rows, Ordering::SeqCst);
    }

    /// A message arrives.
    pub(crate) fn arrive(&self, rows: &[Row]) {
        self.arrive_for(&TenantId::default(), rows);
    }

    pub(crate) fn arrive_for(&self, tenant: &TenantId, rows: &[Row]) {
        self.arrive_in(tenant, vec![(Table::Logs, batch(tenant, rows))]);
    }

    /// A message with rows of some tables arrives.
    pub(crate) fn arrive_in(&self, tenant: &TenantId, tables: Vec<(Table, RecordBatch)>) {
        let mut state = self.state();
        let offset = state.next;
        state.next += 1;
        for (table, rows) in tables {
            let tenant = tenant.clone();
            state.live.push(LiveBatch { partition: partition(), offset, tenant, table, rows });
        }
    }

    /// Every message so far becomes a file per tenant, and is let go.
    pub(crate) async fn flush(&self) {
        self.store(usize::MAX).await;
        self.release();
    }

    /// The oldest messages become a file; they stay live until released.
    pub(crate) async fn store(&self, messages: usize) {
        let (from, taken) = {
            let state = self.state();
            let waiting = state.live.iter().filter(|batch| batch.offset >= state.stored);
            let end = state.stored.saturating_add(messages as u64);
            let taken = waiting.take_while(|batch| batch.offset < end).cloned().collect::<Vec<_>>();
            (state.stored, taken)
        };
        let Some(last) = taken.last() else { return };
        let to = last.offset + 1;
        let mut commit = Commit { now_micros: NEW_YEAR, ..Commit::default() };
        let mut files: BTreeMap<(TenantId, Table), Vec<RecordBatch>> = BTreeMap::new();
        for batch in taken {
            files.entry((batch.tenant, batch.table)).or_default().push(batch.rows);
        }
        for ((tenant, table), rows) in files {
            commit.files.push(self.put(&tenant, table, &rows).await);
        }
        commit.advances.push(Advance {
            partition: partition(),
            epoch: self.lease.epoch,
            from: (from > 0).then_some(from),
            to,
            anchor: None,
        });
        commit.covered.push(SourceCover {
            partition: partition(),
            tenant: TenantId::default(),
            source: SOURCE,
            ranges: [ByteRange::new(0, to)].into_iter().collect(),
            resource: vec![("log.file.path".to_owned(), "/var/log/app.log".to_owned())],
            last_observed_micros: NEW_YEAR,
            tally: Tally {
                agent: Some(AgentId::from_u128(1)),
                appended_micros: Some(NEW_YEAR + 1),
                event_micros: Some(NEW_YEAR - 1),
                events: to - from,
                duplicates: 2,
                counted: None,
            },
        });
        commit.layouts = self.state().layouts.clone();
        self.catalog.catalog.publish(&commit).await.expect("published");
        self.state().stored = to;
    }

    async fn put(&self, tenant: &TenantId, table: Table, rows: &[RecordBatch]) -> FileEntry {
        let sorted = sort(table, rows).expect("sorted");
        let row_group_rows = self.row_group_rows.load(Ordering::SeqCst);
        let options = WriteOptions { row_group_rows, page_rows: 16, ..WriteOptions::default() };
        let footer = Footer::new(table.name(), tenant.clone());
        let written = write_batches(&sorted, &footer, &options).expect("written");
        let id = FileId::generate();
        let path = path_of(tenant, table.name(), written.time.min_micros, id);
        self.objects.put(&path.as_str().into(), written.bytes.clone().into()).await.expect("put");
        FileEntry {
            id,
            tenant: tenant.clone(),
            table: table.name().to_owned(),
            path,
            rows: written.rows,
            bytes: written.bytes.len() as u64,
            time: written.time,
            observed: written.observed,
            level: 0,
            created_micros: NEW_YEAR,
            crc32c: None,
        }
    }

    /// Live rows that files hold are let go.
    pub(crate) fn release(&self) {
        let mut state = self.state();
        let stored = state.stored;
        state.live.retain(|batch| batch.offset >= stored);
    }

    /// What happens once, after the next pin.
    pub(crate) fn then(&self, steps: Vec<Then>) {
        self.state().then = steps;
    }

    /// Whether ingest can be reached.
    pub(crate) fn away(&self, away: bool) {
        self.state().away = away;
    }

    pub(crate) fn layout(&self, id: LayoutId, json: String) {
        self.state().layouts.insert(id, json);
    }

    pub(crate) fn lane(&self, agent: u128, mark_micros: i64, heard_micros: i64) {
        let agent = AgentId::from_u128(agent);
        self.state().lanes.push(LaneState {
            partition: partition(),
            agent,
            mark_micros: Some(mark_micros),
            heard_micros,
            status: LaneStatus::Live,
            is_estimated: false,
        });
    }

    /// Removes a file behind the catalog's back: whoever opens it fails.
    pub(crate) async fn lose_files_before(&self, micros: i64) -> usize {
        let all = self.catalog.catalog.snapshot(&TenantId::default(), log::TABLE, TimeRange::ALL).await;
        let mut lost = 0;
        for file in all.expect("read").files {
            if file.time.max_micros < micros {
                self.objects.delete(&file.path.as_str().into()).await.expect("deleted");
                lost += 1;
            }
        }
        lost
    }
}

fn partition() -> LogPartition {
    LogPartition { topic: "weir.logs".to_owned(), partition: 0 }
}

#[async_trait]
impl LiveRows for World {
    async fn pin(&self, tenant: &TenantId, tables: &[Table]) -> Result<PinnedRows, LiveError> {
        let (pinned, then) = {
            let mut state = self.state();
            if state.away {
                return Err(LiveError { reason: "nobody answers on /run/secret.sock".to_owned() });
            }
            let is_wanted = |batch: &&LiveBatch| batch.tenant == *tenant && tables.contains(&batch.table);
            let range = LiveRange {
                partition: partition(),
                epoch: self.lease.epoch,
                floor: state.live.first().map_or(state.next, |batch| batch.offset),
                next: state.next,
                is_caught_up: true,
            };
            let pinned = PinnedRows {
                batches: state.live.iter().filter(is_wanted).cloned().collect(),
                lanes: state.lanes.clone(),
                ranges: vec![range],
                layouts: state.layouts.clone(),
                leased: Vec::new(),
            };
            (pinned, std::mem::take(&mut state.then))
        };
        for step in then {
            match step {
                Then::Flush(messages) => self.store(messages).await,
                Then::Arrive => self.arrive(&[row(NEW_YEAR, -1, "came after the pin")]),
                Then::Release => self.release(),
            }
        }
        Ok(pinned)
    }
}

/// A catalog that remembers what it was asked.
pub(crate) struct Recording {
    pub(crate) catalog: SqliteCatalog,
    calls: Mutex<Vec<Call>>,
}

/// A call of the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Snapshot(TimeRange),
    Layouts,
}

impl World {
    /// What the catalog was asked since the last time.
    pub(crate) fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.catalog.calls.lock().expect("not poisoned"))
    }

    fn call(&self, call: Call) {
        self.catalog.calls.lock().expect("not poisoned").push(call);
    }
}

impl Double for World {
    fn inner(&self) -> &dyn Catalog {
        &self.catalog.catalog
    }

    fn on_snapshot(&self, time: TimeRange) {
        self.call(Call::Snapshot(time));
    }

    fn on_layouts(&self) {
        self.call(Call::Layouts);
    }
}

/// A question of the default tenant.
pub(crate) fn ask(query: &str) -> SqlRequest {
    SqlRequest { tenant: TenantId::default(), query: query.to_owned() }
}

/// All rows of an answer.
pub(crate) async fn rows(answer: Result<Answer, QueryError>) -> Result<Vec<RecordBatch>, QueryError> {
    answer?.batches.try_collect().await
}

/// All values of an answer's column of whole numbers, in order.
pub(crate) async fn numbers(engine: &Engine, query: &str) -> Vec<i64> {
    let batches = rows(engine.sql(ask(query)).await).await;
    let batches = batches.unwrap_or_else(|error| panic!("{query}: {error}: {error:?}"));
    column(&batches, 0)
}

/// All values of the nth column, which holds whole numbers.
pub(crate) fn column(batches: &[RecordBatch], index: usize) -> Vec<i64> {
    use arrow_array::cast::AsArray;
    use arrow_array::types::Int64Type;
    let values = batches.iter().flat_map(|batch| batch.column(index).as_primitive::<Int64Type>().iter());
    values.map(|value| value.expect("not null")).collect()
}

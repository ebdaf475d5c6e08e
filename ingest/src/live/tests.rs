use std::collections::HashSet;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Int64Array, RecordBatch};
use futures::FutureExt;
use proptest::prelude::*;
use weir_proto::model::{AgentId, ByteRange, RangeSet, Source, SourceId};
use weir_runtime::Metrics;
use weir_storage::catalog::{LaneStatus, Snapshot, Tally};

use super::*;
use crate::accept::Settled;
use crate::lane::LaneNews;
use crate::ledger::{Found, Ledger, Row};

const TABLES: [Table; 2] = [Table::Logs, Table::Spans];
const RETIRES_AFTER: Duration = Duration::from_secs(600);

fn partition() -> LogPartition {
    LogPartition { topic: "weir.logs".to_owned(), partition: 0 }
}

fn lease() -> Lease {
    Lease { partition: partition(), owner: "me".to_owned(), epoch: 1, until_micros: 0 }
}

fn live() -> Live {
    Live::new(RETIRES_AFTER, IngestMetrics::register(&Metrics::new()))
}

/// Rows of (source, start).
fn rows(rows: &[(i64, i64)]) -> RecordBatch {
    let column =
        |value: fn(&(i64, i64)) -> i64| Arc::new(rows.iter().map(value).collect::<Int64Array>()) as _;
    RecordBatch::try_from_iter([("source", column(|row| row.0)), ("start", column(|row| row.1))])
        .expect("two columns of one length")
}

fn accepted(offset: u64, rows: Option<RecordBatch>) -> Accepted {
    let rows: Vec<_> = rows.map(|rows| (Table::Logs, rows)).into_iter().collect();
    accepted_of(offset, rows)
}

fn accepted_of(offset: u64, rows: Vec<(Table, RecordBatch)>) -> Accepted {
    Accepted {
        offset,
        next: offset + 1,
        tenant: TenantId::default(),
        rows,
        bytes: 100,
        settled: Vec::new(),
        gaps: Vec::new(),
        filled: Vec::new(),
        layouts: vec![(LayoutId(offset as i64), "{}".into())],
        lane: None,
    }
}

fn news(mark: Option<i64>, heard: i64, is_goodbye: bool) -> LaneNews {
    let agent = AgentId::from_u128(5);
    LaneNews { agent, mark_micros: mark, heard_micros: heard, is_goodbye, is_estimated: false }
}

async fn pin(live: &Live) -> PinnedRows {
    live.pin(&TenantId::default(), &TABLES).await.expect("rows")
}

#[tokio::test]
async fn what_is_released_is_no_longer_live_and_what_came_since_is() {
    let live = live();
    let term = live.begin(lease(), &Progress::default());
    live.append(&term, vec![accepted(0, Some(rows(&[(1, 0)]))), accepted(1, None)]);
    let take = live.take(&Extent::All);
    live.append(&term, vec![accepted(2, Some(rows(&[(1, 9)])))]);
    assert_eq!(pin(&live).await.batches.len(), 2, "a flush under way takes nothing from sight");
    live.release(&take);
    let pinned = pin(&live).await;
    assert_eq!(pinned.batches.iter().map(|batch| batch.offset).collect::<Vec<_>>(), [2]);
    assert_eq!(pinned.layouts.keys().copied().collect::<Vec<_>>(), [LayoutId(2)]);
    let next = live.take(&Extent::All);
    assert_eq!((next.advances[0].from, next.advances[0].to), (Some(2), 3));
}

#[tokio::test]
async fn a_lost_term_takes_its_rows_along_and_cannot_touch_the_next() {
    let live = live();
    let old = live.begin(lease(), &Progress::default());
    live.append(&old, vec![accepted(0, Some(rows(&[(1, 0)])))]);
    let take = live.take(&Extent::All);
    assert!(live.end(&old));
    assert!(pin(&live).await.batches.is_empty());
    let new = live.begin(lease(), &Progress::default());
    live.append(&new, vec![accepted(0, Some(rows(&[(1, 0)])))]);
    live.append(&old, vec![accepted(1, Some(rows(&[(1, 5)])))]);
    live.release(&take);
    assert!(!live.fence(&take, &partition()));
    assert!(!live.end(&old));
    assert_eq!(pin(&live).await.batches.len(), 1);
    assert_eq!(live.take(&Extent::All).advances[0].from, None);
}

#[tokio::test]
async fn lanes_follow_the_rows() {
    let live = live();
    let marks = async |live: &Live| -> Vec<(Option<i64>, i64, LaneStatus)> {
        let lanes = pin(live).await.lanes;
        lanes.iter().map(|lane| (lane.mark_micros, lane.heard_micros, lane.status)).collect()
    };
    assert_eq!(pin(&live).await.ranges, [], "not ours: what is stored of it stands in the catalog");
    let term = live.begin(lease(), &Progress::default());
    assert_eq!(marks(&live).await, []);
    let with = |offset, news| vec![Accepted { lane: Some(news), ..accepted(offset, Some(rows(&[(0, 0)]))) }];
    live.append(&term, with(0, news(Some(70), 100, false)));
    assert_eq!(marks(&live).await, [(Some(70), 100, LaneStatus::Live)]);
    let take = live.take(&Extent::All);
    live.append(&term, with(1, news(Some(90), 120, false)));
    live.release(&take);
    assert_eq!(take.lanes.iter().map(|lane| lane.mark_micros).collect::<Vec<_>>(), [Some(70)]);
    assert_eq!(marks(&live).await, [(Some(90), 120, LaneStatus::Live)]);
    live.append(&term, with(2, news(Some(95), 130, true)));
    let take = live.take(&Extent::All);
    assert_eq!(take.lanes.iter().map(|lane| lane.status).collect::<Vec<_>>(), [LaneStatus::Goodbye]);
    // Unstored marks spoke of rows that are dropped; the next term begins with
    // what is stored.
    live.end(&term);
    assert_eq!(marks(&live).await, []);
    let stored = Progress { next_offset: Some(1), lanes: take.lanes.clone(), ..Progress::default() };
    live.begin(lease(), &stored);
    assert_eq!(marks(&live).await, [(Some(95), 130, LaneStatus::Goodbye)]);
}

#[tokio::test]
async fn what_needs_no_file_is_stored_up_to_the_first_row() {
    let live = live();
    let term = live.begin(lease(), &Progress::default());
    let with =
        |offset, mark, rows| Accepted { lane: Some(news(Some(mark), mark, false)), ..accepted(offset, rows) };
    live.append(&term, vec![with(0, 10, None), with(1, 20, None), with(2, 30, Some(rows(&[(0, 0)])))]);
    live.append(&term, vec![with(3, 40, None)]);
    let take = live.take(&Extent::Marks);
    assert_eq!((take.advances[0].from, take.advances[0].to, take.tables.len()), (None, 2, 0));
    assert_eq!(take.lanes.iter().map(|lane| lane.mark_micros).collect::<Vec<_>>(), [Some(20)]);
    live.release(&take);
    assert!(live.take(&Extent::Marks).advances.is_empty());
    let take = live.take(&Extent::All);
    assert_eq!((take.advances[0].from, take.advances[0].to), (Some(2), 4));
    live.release(&take);
    // A lane that only time has changed is stored without a step.
    for second in 0..=600 {
        live.caught_up(&term, second * 1_000_000);
    }
    let take = live.take(&Extent::Marks);
    assert_eq!((take.advances[0].from, take.advances[0].to), (Some(4), 4));
    assert_eq!(take.lanes.iter().map(|lane| lane.status).collect::<Vec<_>>(), [LaneStatus::Retired]);
    live.release(&take);
    assert!(live.take(&Extent::All).advances.is_empty());
}

#[tokio::test]
async fn one_partition_can_be_stored_alone() {
    let live = live();
    let other = LogPartition { partition: 1, ..partition() };
    let term = live.begin(lease(), &Progress::default());
    let term_of_other = live.begin(Lease { partition: other.clone(), ..lease() }, &Progress::default());
    live.append(&term, vec![accepted(0, Some(rows(&[(1, 0)])))]);
    live.append(&term_of_other, vec![accepted(5, Some(rows(&[(2, 0)])))]);
    let take = live.take(&Extent::Partition(other.clone()));
    assert_eq!(take.advances.iter().map(|advance| &advance.partition).collect::<Vec<_>>(), [&other]);
    live.release(&take);
    assert!(live.end(&term_of_other));
    let pinned = pin(&live).await;
    let range = LiveRange { partition: partition(), epoch: 1, floor: 0, next: 1, is_caught_up: false };
    assert_eq!((pinned.batches.len(), pinned.ranges), (1, vec![range]));
}

#[tokio::test]
async fn an_asker_is_sent_what_is_new_to_it() {
    let live = live();
    let term = live.begin(lease(), &Progress::default());
    live.append(&term, vec![accepted(0, Some(rows(&[(1, 0)]))), accepted(1, Some(rows(&[(1, 1)])))]);
    let offsets = |response: &LiveResponse| response.batches.iter().map(|b| b.offset).collect::<Vec<_>>();
    let first = live.news(&LiveRequest::default());
    assert_eq!((offsets(&first), first.ranges[0].floor), (vec![0, 1], 0));
    let request = LiveRequest { instance: Some(first.instance.clone()), have: [(partition(), 1)].into() };
    assert_eq!(offsets(&live.news(&request)), [1]);
    live.release(&live.take(&Extent::All));
    assert_eq!(live.news(&request).ranges[0].floor, 2);
    // Rows dropped unstored: the asker must drop them, too.
    live.append(&term, vec![accepted(2, Some(rows(&[(1, 2)])))]);
    live.end(&term);
    assert_ne!(live.news(&request).instance, first.instance);
}

#[tokio::test(start_paused = true)]
async fn a_flush_is_due_for_size_or_for_age() {
    let live = live();
    let term = live.begin(lease(), &Progress::default());
    let interval = Duration::from_secs(30);
    let started = Instant::now();
    let is_due = || tokio::time::timeout(Duration::from_secs(100), live.due(250, interval));
    assert!(is_due().await.is_err(), "nothing waits");
    live.append(&term, vec![accepted(0, Some(rows(&[(1, 0)])))]);
    let since = Instant::now();
    assert_eq!(is_due().await, Ok(Extent::All), "for age");
    assert_eq!(Instant::now() - since, interval);
    live.append(&term, vec![accepted(1, None), accepted(2, None)]);
    let now = Instant::now();
    assert_eq!(is_due().await, Ok(Extent::All), "for size");
    assert!(now == Instant::now() && now > started);
    assert!(tokio::time::timeout(interval, live.room(300)).await.is_err());
    live.release(&live.take(&Extent::All));
    tokio::time::timeout(interval, live.room(300)).await.expect("room again");
}

#[tokio::test(start_paused = true)]
async fn what_needs_no_file_is_due_earlier() {
    let live = live();
    let term = live.begin(lease(), &Progress::default());
    let due = async |interval| {
        let since = Instant::now();
        let extent = live.due(1 << 20, Duration::from_secs(interval)).await;
        live.release(&live.take(&extent));
        (extent, (Instant::now() - since).as_secs())
    };
    live.append(&term, vec![accepted(0, None)]);
    assert_eq!(due(30).await, (Extent::Marks, 10));
    live.append(&term, vec![accepted(1, None)]);
    assert_eq!(due(3).await, (Extent::Marks, 3));
    live.append(&term, vec![accepted(2, None), accepted(3, Some(rows(&[(1, 0)]))), accepted(4, None)]);
    assert_eq!(due(30).await, (Extent::Marks, 10));
    assert_eq!(due(30).await, (Extent::All, 20));
}

#[tokio::test]
async fn other_tenants_and_other_tables_are_not_shown() {
    let live = live();
    let term = live.begin(lease(), &Progress::default());
    let both = vec![(Table::Logs, rows(&[(1, 0)])), (Table::Spans, rows(&[(1, 1), (1, 2)]))];
    live.append(&term, vec![accepted_of(0, both)]);
    let other = TenantId::new("other").expect("a tenant");
    assert!(live.pin(&other, &TABLES).await.expect("rows").batches.is_empty());
    let spans = live.pin(&TenantId::default(), &[Table::Spans]).await.expect("rows").batches;
    assert_eq!(
        spans.iter().map(|batch| (batch.table, batch.rows.num_rows())).collect::<Vec<_>>(),
        [(Table::Spans, 2)]
    );
    assert_eq!(pin(&live).await.batches.len(), 2);
    assert_eq!(live.take(&Extent::All).rows(), [(Table::Logs, 1), (Table::Spans, 2)].into());
}

/// What happens next in the model.
#[derive(Clone, Debug)]
enum Step {
    /// The agent sends lines of its sources; without the answer it will send
    /// them again.
    Send {
        lines: [usize; 2],
        is_answered: bool,
    },
    /// The agent dies and goes on from its checkpoint.
    AgentRestarts,
    /// Some messages are taken in.
    Accept(usize),
    Flush(Extent, FlushEnd),
    /// The ingester dies and goes on from the catalog.
    IngestRestarts,
    /// Somebody else takes the partition, stores what it finds, and is gone.
    Interloper,
}

#[derive(Clone, Copy, Debug)]
enum FlushEnd {
    Published,
    /// Nothing was changed; tried again later.
    Failed,
    /// Died between publishing and releasing.
    DiedPublished,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let flush = prop_oneof![
        4 => Just(FlushEnd::Published),
        1 => Just(FlushEnd::Failed),
        1 => Just(FlushEnd::DiedPublished),
    ];
    let extent = prop_oneof![
        3 => Just(Extent::All),
        1 => Just(Extent::Marks),
        1 => Just(Extent::Partition(partition())),
    ];
    let step = prop_oneof![
        6 => ([0usize..4, 0usize..4], any::<bool>())
            .prop_map(|(lines, is_answered)| Step::Send { lines, is_answered }),
        1 => Just(Step::AgentRestarts),
        6 => (1usize..5).prop_map(Step::Accept),
        3 => (extent, flush).prop_map(|(extent, end)| Step::Flush(extent, end)),
        1 => Just(Step::IngestRestarts),
        1 => Just(Step::Interloper),
    ];
    prop::collection::vec(step, 1..60)
}

/// A message: of each source the lines and what they cover.
type Message = [(ByteRange, Vec<ByteRange>); 2];

#[derive(Default)]
struct Catalog {
    next_offset: Option<u64>,
    covered: BTreeMap<SourceId, RangeSet>,
    rows: Vec<(i64, i64)>,
    /// What its commits say that they add.
    events: u64,
}

struct Model {
    catalog: Catalog,
    log: Vec<Message>,
    /// Agent: how far each source was sent, and how far it was answered.
    sent: [u64; 2],
    answered: [u64; 2],
    lines: HashSet<(i64, i64)>,
    live: Live,
    term: Term,
    ledger: Ledger,
    next: usize,
    duplicates: u64,
}

impl Model {
    fn new() -> Self {
        let live = live();
        let term = live.begin(lease(), &Progress::default());
        Self {
            catalog: Catalog::default(),
            log: Vec::new(),
            sent: [0; 2],
            answered: [0; 2],
            lines: HashSet::new(),
            live,
            term,
            ledger: Ledger::default(),
            next: 0,
            duplicates: 0,
        }
    }

    /// Lines are cut by content: the same bytes always make the same lines.
    fn line_at(source: usize, start: u64) -> ByteRange {
        ByteRange::new(start, start + 1 + (start * 7 + source as u64 * 3) % 5)
    }

    fn send(&mut self, lines: [usize; 2], is_answered: bool) {
        let message = [0, 1].map(|source| {
            let start = self.sent[source];
            let mut ranges = Vec::new();
            for _ in 0..lines[source] {
                let line = Self::line_at(source, self.sent[source]);
                self.sent[source] = line.end;
                self.lines.insert((source as i64, line.start as i64));
                ranges.push(line);
            }
            (ByteRange::new(start, self.sent[source]), ranges)
        });
        self.log.push(message);
        if is_answered {
            self.answered = self.sent;
        }
    }

    fn accept(&mut self, count: usize) {
        for _ in 0..count {
            let Some(message) = self.log.get(self.next) else { return };
            let sources: Vec<Source> = [0u8, 1]
                .map(|index| Source {
                    id: SourceId::from_u128(index.into()),
                    resource: Vec::new(),
                    parser: String::new(),
                    min_severity: None,
                    covered: message[usize::from(index)].0,
                    drops: Vec::new(),
                    counted: None,
                })
                .into();
            let lines: Vec<(usize, ByteRange)> =
                (0..2).flat_map(|index| message[index].1.iter().map(move |line| (index, *line))).collect();
            let row =
                |(source, range): &(usize, ByteRange)| Row { source: *source, range: *range, is_event: true };
            let admission = self.ledger.admit(&sources, lines.iter().map(row));
            assert_eq!((admission.straddles, admission.losses.len()), (0, 0), "{admission:?}");
            self.duplicates += admission.duplicates;
            let new: Vec<_> = lines
                .iter()
                .zip(&admission.is_new)
                .filter(|(_, is_new)| **is_new)
                .map(|((source, line), _)| (*source as i64, line.start as i64))
                .collect();
            let settle = |(index, found): (usize, &Found)| Settled {
                source: sources[index].id,
                range: found.advanced,
                resource: Arc::new([]),
                observed_micros: 0,
                tally: Tally { events: found.events, duplicates: found.duplicates, ..Tally::default() },
            };
            let settled = admission.found.iter().enumerate().map(settle).collect();
            // Each source has a table of its own.
            let of = |source: i64| new.iter().copied().filter(|row| row.0 == source).collect::<Vec<_>>();
            let tables = [(Table::Logs, of(0)), (Table::Spans, of(1))];
            let tables = tables.iter().filter(|(_, new)| !new.is_empty());
            let tables = tables.map(|(table, new)| (*table, rows(new))).collect();
            let one = Accepted { settled, ..accepted_of(self.next as u64, tables) };
            self.live.append(&self.term, vec![one]);
            self.next += 1;
        }
    }

    fn flush(&mut self, extent: &Extent, end: FlushEnd) {
        let take = self.live.take(extent);
        let Some(advance) = take.advances.first() else { return };
        if matches!(end, FlushEnd::Failed) {
            return;
        }
        if advance.from != self.catalog.next_offset {
            self.live.fence(&take, &partition());
            return self.begin();
        }
        let before = self.catalog.covered.clone();
        self.catalog.next_offset = Some(advance.to);
        for cover in &take.covered {
            self.catalog.covered.insert(cover.source, cover.ranges.clone());
            self.catalog.events += cover.tally.events;
        }
        for (source, ranges) in &take.ranges[0].sources {
            let mut all = before.get(source).cloned().unwrap_or_default();
            all.extend(ranges);
            assert_eq!(self.catalog.covered.get(source), Some(&all), "the footer says what the commit added");
        }
        for ((_, table), taken) in &take.tables {
            for batch in &taken.batches {
                let column = |at: usize| batch.column(at).as_primitive::<Int64Type>().values();
                let rows: Vec<_> = column(0).iter().copied().zip(column(1).iter().copied()).collect();
                let source = i64::from(*table == Table::Spans);
                assert!(rows.iter().all(|row| row.0 == source), "a row in another table than its own");
                self.catalog.rows.extend(rows);
            }
        }
        match end {
            FlushEnd::DiedPublished => self.restart(),
            _ => self.live.release(&take),
        }
    }

    fn restart(&mut self) {
        self.live = live();
        self.begin();
    }

    fn begin(&mut self) {
        let Catalog { next_offset, covered, .. } = &self.catalog;
        let progress =
            Progress { next_offset: *next_offset, covered: covered.clone(), ..Progress::default() };
        self.term = self.live.begin(lease(), &progress);
        self.ledger = Ledger::new(&progress);
        self.next = usize::try_from(next_offset.unwrap_or(0)).expect("small");
    }

    fn interloper(&mut self) {
        let mut other =
            Self { catalog: std::mem::take(&mut self.catalog), log: self.log.clone(), ..Self::new() };
        other.begin();
        other.accept(usize::MAX);
        other.flush(&Extent::All, FlushEnd::Published);
        self.catalog = other.catalog;
    }

    /// Rows as a query sees them: pinned first, then the snapshot.
    fn visible(&self) -> Vec<(i64, i64)> {
        let mut pinned = pin(&self.live).now_or_never().expect("pinning does not wait");
        let next_offsets = self.catalog.next_offset.map(|next| (partition(), next)).into_iter().collect();
        pinned.drop_stored(&Snapshot { next_offsets, ..Snapshot::default() });
        let mut rows = self.catalog.rows.clone();
        for batch in &pinned.batches {
            let column = |at: usize| batch.rows.column(at).as_primitive::<Int64Type>().values();
            rows.extend(column(0).iter().copied().zip(column(1).iter().copied()));
        }
        rows
    }
}

fn run(steps: Vec<Step>) -> Result<u64, TestCaseError> {
    let mut model = Model::new();
    for step in steps {
        match step {
            Step::Send { lines, is_answered } => model.send(lines, is_answered),
            Step::AgentRestarts => model.sent = model.answered,
            Step::Accept(count) => model.accept(count),
            Step::Flush(extent, end) => model.flush(&extent, end),
            Step::IngestRestarts => model.restart(),
            Step::Interloper => model.interloper(),
        }
        let visible = model.visible();
        let distinct: HashSet<_> = visible.iter().collect();
        prop_assert_eq!(distinct.len(), visible.len(), "a row is seen twice");
    }
    // Everything is sent and taken in at last; a first flush may be fenced.
    model.sent = model.answered;
    model.send([0, 0], true);
    for _ in 0..2 {
        model.accept(usize::MAX);
        model.flush(&Extent::All, FlushEnd::Published);
    }
    let stored: HashSet<_> = model.catalog.rows.iter().copied().collect();
    prop_assert_eq!(stored.len(), model.catalog.rows.len(), "a row is stored twice");
    prop_assert_eq!(model.catalog.events, stored.len() as u64, "a row is counted twice, or not");
    prop_assert_eq!(stored, model.lines, "a row is missing");
    Ok(model.duplicates)
}

#[test]
fn the_model_sees_duplicates() {
    let send = || Step::Send { lines: [2, 1], is_answered: false };
    let steps = vec![send(), Step::AgentRestarts, send(), Step::Accept(9), Step::IngestRestarts];
    assert_eq!(run(steps).expect("holds"), 6, "each of three rows twice over, before and after the restart");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn every_row_is_stored_exactly_once_and_never_seen_twice(steps in steps()) {
        run(steps)?;
    }
}

//! Power cuts by the thousand under a spool: what was answered is in the event
//! log at the end, under a number of its own, whatever the disk forgot of the
//! spool, of the lanes' file and of their directories.
//!
//! `cargo xtask power` runs many.

use std::collections::BTreeSet;
use std::ops::AddAssign;
use std::path::PathBuf;

use arrow_array::TimestampMicrosecondArray;
use arrow_array::cast::AsArray;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use weir_proto::schema::span::column::TIMESTAMP;
use weir_proto::wire::{Decoded, otlp};
use weir_stream::disk::files::simulated::lives::{CUTS_PER_LIFE, Cuts, Lived, live_all};
use weir_stream::disk::files::simulated::{Fault, SimulatedFiles};

use super::*;
use crate::bell::Stop;
use crate::receive::spool::{Content, store};

/// Of the ordinary test.
const CUTS: u64 = 300;

/// Requests are told apart by their span's time, from here on.
const FIRST_MICROS: i64 = 1_767_225_600_000_000;

/// What was seen, over all lives.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    cuts: Cuts,
    /// Cuts before anything was taken.
    cuts_at_opening: u64,
    kills: u64,
    answered: u64,
    unanswered: u64,
    /// Of those, in the event log all the same.
    unanswered_kept: u64,
    /// Rows that the event log got more than once, under the same number.
    repeated: u64,
}

impl AddAssign for Seen {
    fn add_assign(&mut self, other: Self) {
        let Self { cuts, cuts_at_opening, kills, answered, unanswered, unanswered_kept, repeated } = other;
        self.cuts += cuts;
        self.cuts_at_opening += cuts_at_opening;
        self.kills += kills;
        self.answered += answered;
        self.unanswered += unanswered;
        self.unanswered_kept += unanswered_kept;
        self.repeated += repeated;
    }
}

/// An agent's spool of spans through many processes, and the event log that it
/// sends to, which forgets nothing.
struct Life {
    files: SimulatedFiles,
    log: Arc<MemoryLog>,
    random: SmallRng,
    next: i64,
    answered: BTreeSet<i64>,
    unanswered: BTreeSet<i64>,
    seen: Seen,
}

impl Life {
    fn new(seed: u64) -> Self {
        Self {
            files: SimulatedFiles::new(),
            log: Arc::default(),
            random: SmallRng::seed_from_u64(seed),
            next: FIRST_MICROS,
            answered: BTreeSet::new(),
            unanswered: BTreeSet::new(),
            seen: Seen::default(),
        }
    }

    fn live(mut self) -> Seen {
        while self.seen.cuts.count < CUTS_PER_LIFE {
            self.files.cut_power_at(self.random.random_range(0..500));
            while !self.files.is_dead() {
                let requests = self.random.random_range(0..30);
                self.process(requests, false);
                self.files.forget_faults();
                self.seen.kills += u64::from(!self.files.is_dead());
            }
            self.seen.cuts.cut(&self.files, self.random.random());
        }
        self.process(0, true);
        self.check();
        self.seen
    }

    /// One process: its runtime ends with everything that it has begun.
    fn process(&mut self, requests: usize, drains: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(self.run(requests, drains));
    }

    async fn run(&mut self, requests: usize, drains: bool) {
        let handles = Handles::new("test");
        let directory = PathBuf::from("/state/receive");
        let partitions = Signal::ALL.map(|signal| (signal, 4));
        let opened = open(Arc::new(self.files.clone()), &directory, &partitions, 1 << 30, &handles);
        let (spools, mut lanes) = match opened {
            Ok(opened) => opened,
            Err(_) if self.files.is_dead() => {
                self.seen.cuts_at_opening += 1;
                return;
            }
            Err(error) => panic!("{error:?}"),
        };
        if let Err(error) = lanes.check(&spools.reader()).await {
            assert!(self.files.is_dead(), "{error:?}");
            return;
        }
        let (spools, lanes) = (Arc::new(spools), Arc::new(lanes));
        let (lane, spool) = (lanes.lane(Signal::Spans), Partition::new(spool_topic(Signal::Spans), 0));
        let reader = Arc::new(spools.reader());
        let received = Received::new(&handles.metrics);
        let backlog = Backlog::new(1 << 30, received.spool_bytes(Signal::Spans));
        let Ok(ends) = reader.watermarks(&spool).await else { return };
        if backlog.restore(&*reader, &spool, Offset(lane.forwarded), ends.end).await.is_err() {
            assert!(self.files.is_dead());
            return;
        }
        let source = Source {
            id: lane.source,
            resource: Vec::new(),
            parser: String::new(),
            min_severity: None,
            covered: weir_proto::model::ByteRange::new(0, 0),
            drops: Vec::new(),
            counted: None,
        };
        let numbering = Numbering { tenant: TenantId::default(), agent: lanes.agent(), source };
        let (queue, arrivals) = spool::queue();
        let (writes, writing) = watch::channel(());
        let writer = Writer {
            spool: Arc::clone(&spools) as Arc<dyn Append>,
            partition: spool.clone(),
            numbering: Arc::new(numbering.clone()),
            next: ends.end,
            counted: Counted::from(spool::numbers(ends.end.0).start),
            arrivals,
            backlog: backlog.clone(),
            clock: handles.clock.clone(),
            trouble: Trouble::default(),
        };
        let stop = watch::Sender::new(drains.then_some(Stop::Drain));
        let forwarder = Forwarder {
            signal: Signal::Spans,
            reader,
            spool,
            delivery: Delivery {
                log: Arc::clone(&self.log) as Arc<dyn Append>,
                partition: Partition::new(Topic::new("t.spans").expect("a topic"), lane.partition),
                measured: Measured::default(),
                trouble: Trouble::default(),
            },
            numbering,
            from: Offset(lane.forwarded),
            lanes,
            backlog: backlog.clone(),
            clock: handles.clock.clone(),
            received,
            stop: stop.subscribe(),
            writing,
        };
        let writes = async move {
            let _writes = writes;
            let _ = writer.run().await;
        };
        if drains {
            drop(queue);
            let (_, sent) = tokio::join!(writes, forwarder.run());
            sent.expect("all is sent");
            assert_eq!(backlog.bytes().0, 0, "nothing is left of the backlog");
            return;
        }
        let clients = self.push(&queue, requests);
        // The process ends in the middle of whatever else it does.
        tokio::select! {
            () = clients => {}
            _ = async { tokio::join!(writes, forwarder.run()) } => {}
        }
    }

    /// Clients that push, a few at a time, until the process takes no more.
    async fn push(&mut self, queue: &spool::Queue, requests: usize) {
        for _ in 0..requests {
            if self.random.random_bool(0.05) {
                let faults = [Fault::SyncError, Fault::TornWrite, Fault::ShortWrite, Fault::NoSpace];
                self.files.fail_next(faults[self.random.random_range(0..faults.len())]);
            }
            let at_once = self.random.random_range(1..4);
            let ids: Vec<i64> = (self.next..self.next + at_once).collect();
            self.next += at_once;
            let answers = ids.iter().map(|id| store(queue, content(*id)));
            let answers = futures::future::join_all(answers).await;
            for (id, answer) in ids.into_iter().zip(answers) {
                let known = if answer.is_ok() { &mut self.answered } else { &mut self.unanswered };
                known.insert(id);
            }
            if self.files.is_dead() {
                return;
            }
        }
    }

    /// Once each, as the table will have it: the first of each number counts.
    fn check(&mut self) {
        let mut rows = BTreeMap::new();
        for batch in self.log.batches(Signal::Spans) {
            for table in &batch.tables {
                let times = table.columns.column_by_name(TIMESTAMP).expect("a time");
                let times: &TimestampMicrosecondArray = times.as_primitive();
                let places = table.source.values().iter().zip(table.start.values());
                for ((source, start), id) in places.zip(times.values()) {
                    let number = (batch.sources[*source as usize].id.to_string(), *start);
                    if let Some(before) = rows.insert(number.clone(), *id) {
                        assert_eq!(before, *id, "two rows have the number {number:?}");
                        self.seen.repeated += 1;
                    }
                }
            }
        }
        let mut found = BTreeSet::new();
        for (number, id) in &rows {
            assert!(found.insert(*id), "{id} is there twice, the second time as {number:?}");
        }
        let lost: Vec<_> = self.answered.difference(&found).collect();
        assert!(lost.is_empty(), "answered and lost: {lost:?}");
        self.seen.answered = self.answered.len() as u64;
        self.seen.unanswered = self.unanswered.len() as u64;
        self.seen.unanswered_kept = self.unanswered.intersection(&found).count() as u64;
        assert_eq!(self.seen.answered + self.seen.unanswered_kept, found.len() as u64, "and nothing else");
    }
}

fn content(id: i64) -> Content {
    let mut one = request(1);
    one.resource_spans[0].scope_spans[0].spans[0].start_time_unix_nano = id as u64 * 1000;
    let decoded: Decoded = otlp::traces(one, id);
    assert_eq!(decoded.accepted, 1);
    Content::Rows { decoded, left_out: Vec::new() }
}

#[test]
fn power_cuts_under_a_spool() {
    let Lived { seen, cuts, seeds } = live_all(CUTS, |seed| Life::new(seed).live());
    println!("seeds {seeds:?}, 0 answered lost: {seen:#?}");
    // A run in which nothing was at stake proves nothing.
    assert!(seen.cuts.count >= cuts);
    if cuts >= CUTS {
        let often = [seen.cuts.with_bytes * 10, seen.cuts.with_names * 40, seen.cuts_at_opening * 20];
        assert!(often.iter().all(|often| *often >= cuts), "{seen:?}");
        assert!(seen.answered > cuts && seen.repeated > cuts / 10 && seen.unanswered > cuts / 20, "{seen:?}");
    }
}

//! The rows that are accepted and not yet in a file, and what is known of the
//! partitions they came from.
//!
//! Readers of partitions append to it, a flush takes from it and later releases
//! what it stored, queries pin it. All under one lock that is held for moves
//! and counts only, never for IO or columns.

mod door;
mod held;
mod take;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use weir_proto::model::{AgentId, FileId, LayoutId, TenantId};
use weir_proto::schema::Table;
use weir_storage::catalog::{Anchor, LaneState, LaneStatus, Lease, LogPartition, Progress};
use weir_storage::live::wire::{LiveRequest, LiveResponse};
use weir_storage::live::{LiveBatch, LiveError, LiveRange, LiveRows, PinnedRows};

use crate::accept::Accepted;
use crate::metrics::IngestMetrics;

pub(crate) use door::router;
pub(crate) use take::{Extent, TableTake, Take};

use held::Held;

/// How long what needs no file waits to be stored: it is one small transaction
/// for all partitions. By it, while nobody has a partition, answers still know
/// how far its lanes were complete.
const MARKS_INTERVAL: Duration = Duration::from_secs(10);

/// The live rows of a process.
#[derive(Debug)]
pub(crate) struct Live {
    state: Mutex<State>,
    /// Told whenever bytes, partitions or progress change.
    changed: watch::Sender<()>,
    lane_retires_after: Duration,
    metrics: IngestMetrics,
}

#[derive(Debug)]
struct State {
    /// Drawn anew whenever rows are dropped unstored: an asker that holds some
    /// of them must drop them too.
    instance: FileId,
    /// Those that are ours.
    partitions: BTreeMap<LogPartition, Held>,
    /// How often each was read from the start of another log: what an asker holds
    /// of it by offset is then of the log before.
    generations: BTreeMap<LogPartition, u64>,
    bytes: usize,
    terms: u64,
}

/// A partition in this process's hands, from a lease to its end.
#[derive(Clone, Debug)]
pub(crate) struct Term {
    pub(crate) lease: Lease,
    /// Told when a publication of it was refused.
    pub(crate) fenced: Arc<Notify>,
    number: u64,
}

impl Live {
    /// Holds nothing yet.
    pub(crate) fn new(lane_retires_after: Duration, metrics: IngestMetrics) -> Self {
        let state = State {
            instance: FileId::generate(),
            partitions: BTreeMap::new(),
            generations: BTreeMap::new(),
            bytes: 0,
            terms: 0,
        };
        Self { state: Mutex::new(state), changed: watch::Sender::new(()), lane_retires_after, metrics }
    }

    /// Begins a term: the partition is ours, and this much of it is stored.
    pub(crate) fn begin(&self, lease: Lease, progress: &Progress) -> Term {
        let mut state = self.lock();
        state.drop_rows(&lease.partition);
        let before = state.generations.insert(lease.partition.clone(), progress.generation);
        if before.is_some_and(|before| before != progress.generation) {
            state.instance = FileId::generate();
        }
        state.terms += 1;
        let term = Term { lease, fenced: Arc::new(Notify::new()), number: state.terms };
        let held = Held::begin(term.clone(), progress, self.lane_retires_after);
        state.partitions.insert(term.lease.partition.clone(), held);
        self.tell(&state);
        term
    }

    /// Ends a term: what is not stored is dropped, for whoever has the
    /// partition now reads it from the log. False when it had ended already.
    pub(crate) fn end(&self, term: &Term) -> bool {
        let mut state = self.lock();
        let is_current = state.partitions.get(&term.lease.partition).is_some_and(|held| held.is(term));
        if is_current {
            state.drop_rows(&term.lease.partition);
            self.tell(&state);
        }
        is_current
    }

    /// Messages were taken in.
    pub(crate) fn append(&self, term: &Term, accepted: Vec<Accepted>) {
        let mut state = self.lock();
        let Some(held) = state.held(term) else { return };
        let bytes: usize = accepted.iter().map(|one| one.bytes).sum();
        held.append(accepted, Instant::now());
        state.bytes += bytes;
        self.tell(&state);
    }

    /// What was taken in of the partition is all that the log held then.
    pub(crate) fn caught_up(&self, term: &Term, at_micros: i64) {
        let mut state = self.lock();
        let Some(held) = state.held(term) else { return };
        held.caught_up(at_micros, Instant::now());
        let until = state.complete_until_micros().map_or(0.0, |micros| micros as f64 / 1e6);
        self.metrics.complete_until.set(until);
        self.tell(&state);
    }

    /// The message by which the partition's log is to be known again.
    pub(crate) fn set_anchor(&self, term: &Term, anchor: Anchor) {
        if let Some(held) = self.lock().held(term) {
            held.set_anchor(anchor);
        }
    }

    /// What comes next in the partition is not read until somebody does
    /// something about it: answers say so.
    pub(crate) fn halted(&self, term: &Term) {
        let mut state = self.lock();
        let Some(held) = state.held(term) else { return };
        held.halted();
        self.tell(&state);
    }

    /// True while the partition has a lane that an operator may dismiss.
    pub(crate) fn has_retired(&self, term: &Term) -> bool {
        self.lock().held(term).is_some_and(|held| held.lanes_stored().has_retired())
    }

    /// The catalog has these lanes of the partition, and no others.
    pub(crate) fn forget_dismissed(&self, term: &Term, kept: &BTreeSet<AgentId>) {
        let mut state = self.lock();
        let Some(held) = state.held(term) else { return };
        held.forget_dismissed(kept);
        self.tell(&state);
    }

    /// Waits until the live rows take less than this.
    pub(crate) async fn room(&self, pause_bytes: usize) {
        self.until(|state| state.bytes < pause_bytes).await;
    }

    /// Waits until a flush is due: of rows for their size or the oldest's age,
    /// of what needs no file earlier.
    pub(crate) async fn due(&self, flush_bytes: usize, interval: Duration) -> Extent {
        let mut changes = self.changed.subscribe();
        loop {
            let (bytes, rows, marks) = {
                let state = self.lock();
                let oldest =
                    |since: fn(&Held) -> Option<Instant>| state.partitions.values().filter_map(since).min();
                (state.bytes, oldest(Held::rows_since), oldest(Held::marks_since))
            };
            let now = Instant::now();
            let rows = rows.map(|since| since + interval);
            let marks = marks.map(|since| since + interval.min(MARKS_INTERVAL));
            if bytes >= flush_bytes || rows.is_some_and(|at| now >= at) {
                return Extent::All;
            }
            if marks.is_some_and(|at| now >= at) {
                return Extent::Marks;
            }
            let next = [rows, marks].into_iter().flatten().min();
            tokio::select! {
                // The sender lives as long as `self`.
                _ = changes.changed() => {}
                () = async { tokio::time::sleep_until(next.unwrap_or(now)).await }, if next.is_some() => {}
            }
        }
    }

    /// The leases of the partitions that are ours.
    pub(crate) fn leases(&self) -> Vec<Lease> {
        self.lock().partitions.values().map(|held| held.term().lease.clone()).collect()
    }

    /// What is new to the asker.
    pub(crate) fn news(&self, request: &LiveRequest) -> LiveResponse {
        let state = self.lock();
        let instance = state.instance.to_string();
        let is_known = request.instance.as_ref() == Some(&instance);
        let wanted = |partition: &LogPartition| match is_known {
            true => request.have.get(partition).copied().unwrap_or(0),
            false => 0,
        };
        let batches = state.partitions.iter().flat_map(|(partition, held)| {
            let from = wanted(partition);
            held.batches().filter(move |batch| batch.offset >= from)
        });
        LiveResponse {
            instance,
            ranges: state.ranges(),
            lanes: state.lanes(),
            layouts: state.layouts(),
            batches: batches.collect(),
        }
    }

    async fn until(&self, is_so: impl Fn(&State) -> bool) {
        let mut changes = self.changed.subscribe();
        while !is_so(&self.lock()) {
            // The sender lives as long as `self`.
            let _ = changes.changed().await;
        }
    }

    fn tell(&self, state: &State) {
        self.metrics.live_bytes.set(i64::try_from(state.bytes).unwrap_or(i64::MAX));
        self.metrics.partitions.set(i64::try_from(state.partitions.len()).unwrap_or(i64::MAX));
        self.changed.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl LiveRows for Live {
    async fn pin(&self, tenant: &TenantId, tables: &[Table]) -> Result<PinnedRows, LiveError> {
        let state = self.lock();
        let is_wanted = |batch: &LiveBatch| batch.tenant == *tenant && tables.contains(&batch.table);
        Ok(PinnedRows {
            batches: state.partitions.values().flat_map(Held::batches).filter(is_wanted).collect(),
            lanes: state.lanes(),
            layouts: state.layouts(),
            ranges: state.ranges(),
            leased: Vec::new(),
        })
    }
}

impl State {
    fn held(&mut self, term: &Term) -> Option<&mut Held> {
        self.partitions.get_mut(&term.lease.partition).filter(|held| held.is(term))
    }

    fn drop_rows(&mut self, partition: &LogPartition) {
        let Some(held) = self.partitions.remove(partition) else { return };
        if held.bytes() > 0 {
            self.bytes -= held.bytes();
            self.instance = FileId::generate();
        }
    }

    /// Every lane of the partitions that are ours. Of others, the catalog knows
    /// what is stored.
    fn lanes(&self) -> Vec<LaneState> {
        self.partitions.values().flat_map(|held| held.lanes().iter()).cloned().collect()
    }

    /// The earliest mark of the lanes that live; none when one has not said any.
    fn complete_until_micros(&self) -> Option<i64> {
        let lanes = self.partitions.values().flat_map(|held| held.lanes().iter());
        let marks = lanes.filter(|lane| lane.status == LaneStatus::Live).map(|lane| lane.mark_micros);
        // None is less than any.
        marks.min().flatten()
    }

    fn ranges(&self) -> Vec<LiveRange> {
        self.partitions.values().map(Held::range).collect()
    }

    fn layouts(&self) -> BTreeMap<LayoutId, String> {
        let named = self.partitions.values().flat_map(Held::layouts);
        let distinct: BTreeMap<LayoutId, &Arc<str>> = named.map(|(id, json)| (*id, json)).collect();
        distinct.into_iter().map(|(id, json)| (id, json.to_string())).collect()
    }
}

/// The batches of a message, for the query side.
fn batches(partition: &LogPartition, accepted: &Accepted) -> impl Iterator<Item = LiveBatch> {
    accepted.rows.iter().map(|(table, rows)| LiveBatch {
        partition: partition.clone(),
        offset: accepted.offset,
        tenant: accepted.tenant.clone(),
        table: *table,
        rows: rows.clone(),
    })
}

#[cfg(test)]
mod tests;

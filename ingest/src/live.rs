//! The rows that are accepted and not yet in a file, and what is known of the
//! partitions they came from.
//!
//! Readers of partitions append to it, a flush takes from it and later releases
//! what it stored, queries pin it. All under one lock that is held for moves
//! and counts only, never for IO or columns.

mod door;
mod held;
mod take;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use weir_proto::model::{AgentId, FileId, LayoutId, TenantId};
use weir_proto::schema::Table;
use weir_storage::catalog::{LaneState, LaneStatus, Lease, LogPartition, Progress};
use weir_storage::live::wire::{LiveRequest, LiveResponse};
use weir_storage::live::{LiveBatch, LiveError, LiveRange, LiveRows, PinnedRows};

use crate::accept::Accepted;
use crate::metrics::IngestMetrics;

pub(crate) use door::router;
pub(crate) use take::{TableTake, Take};

use held::Held;

/// The live rows of a process.
#[derive(Debug)]
pub(crate) struct Live {
    state: Mutex<State>,
    /// Told whenever bytes, partitions or progress change.
    changed: watch::Sender<()>,
    metrics: IngestMetrics,
}

#[derive(Debug)]
struct State {
    /// Drawn anew whenever rows are dropped unstored: an asker that holds some
    /// of them must drop them too.
    instance: FileId,
    partitions: BTreeMap<LogPartition, Held>,
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
    /// Holds nothing of these partitions yet.
    pub(crate) fn new(metrics: IngestMetrics) -> Self {
        let state = State { instance: FileId::generate(), partitions: BTreeMap::new(), bytes: 0, terms: 0 };
        Self { state: Mutex::new(state), changed: watch::Sender::new(()), metrics }
    }

    /// A partition exists. Until it is read, its rows are missing and nothing
    /// is complete.
    pub(crate) fn expect(&self, partition: &LogPartition) {
        self.lock().partitions.entry(partition.clone()).or_default();
    }

    /// Begins a term: the partition is ours, and this much of it is stored.
    pub(crate) fn begin(&self, lease: Lease, progress: &Progress) -> Term {
        let mut state = self.lock();
        state.drop_rows(&lease.partition);
        state.terms += 1;
        let term = Term { lease, fenced: Arc::new(Notify::new()), number: state.terms };
        let held = state.partitions.entry(term.lease.partition.clone()).or_default();
        held.begin(term.clone(), progress);
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

    /// The partition was read up to here, perhaps in vain.
    pub(crate) fn append(&self, term: &Term, accepted: Vec<Accepted>) {
        let mut state = self.lock();
        let Some(held) = state.partitions.get_mut(&term.lease.partition).filter(|held| held.is(term)) else {
            return;
        };
        let bytes: usize = accepted.iter().map(|one| one.bytes).sum();
        held.append(accepted, Instant::now());
        state.bytes += bytes;
        self.tell(&state);
    }

    /// Waits until the live rows take less than this.
    pub(crate) async fn room(&self, pause_bytes: usize) {
        self.until(|state| state.bytes < pause_bytes).await;
    }

    /// Waits until a flush is due: for size, or for the oldest row's age.
    pub(crate) async fn due(&self, flush_bytes: usize, interval: Duration) {
        let mut changes = self.changed.subscribe();
        loop {
            let (bytes, oldest) = {
                let state = self.lock();
                (state.bytes, state.partitions.values().filter_map(Held::oldest).min())
            };
            let Some(oldest) = oldest else {
                // The sender lives as long as `self`.
                let _ = changes.changed().await;
                continue;
            };
            let at = oldest + interval;
            if bytes >= flush_bytes || Instant::now() >= at {
                return;
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep_until(at) => {}
            }
        }
    }

    /// The leases of the partitions that are ours.
    pub(crate) fn leases(&self) -> Vec<Lease> {
        self.lock().partitions.values().filter_map(|held| Some(held.term()?.lease.clone())).collect()
    }

    /// What is new to the asker.
    pub(crate) fn answer(&self, request: &LiveRequest) -> LiveResponse {
        let state = self.lock();
        let instance = state.instance.to_string();
        let is_known = request.instance.as_ref() == Some(&instance);
        let wanted = |partition: &LogPartition| match is_known {
            true => request.have.get(partition).copied().unwrap_or(0),
            false => 0,
        };
        let batches = state.partitions.iter().flat_map(|(partition, held)| {
            let from = wanted(partition);
            held.batches(partition).filter(move |batch| batch.offset >= from)
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
        let batches = state.partitions.iter().flat_map(|(partition, held)| held.batches(partition));
        let is_wanted = |batch: &LiveBatch| batch.tenant == *tenant && tables.contains(&batch.table);
        Ok(PinnedRows {
            batches: batches.filter(is_wanted).collect(),
            lanes: state.lanes(),
            ranges: state.ranges(),
            layouts: state.layouts(),
        })
    }
}

impl State {
    fn drop_rows(&mut self, partition: &LogPartition) {
        let Some(held) = self.partitions.get_mut(partition) else { return };
        let bytes = held.end();
        if bytes > 0 {
            self.bytes -= bytes;
            self.instance = FileId::generate();
        }
    }

    /// Every lane; and for a partition that is not being read one that nobody
    /// has, marked at the beginning of time: its rows are missing, so nothing
    /// is complete.
    fn lanes(&self) -> Vec<LaneState> {
        let unread = |(partition, held): (&LogPartition, &Held)| {
            (!held.is_read()).then(|| LaneState {
                agent: AgentId::from_u128(0),
                partition: partition.clone(),
                mark_micros: Some(0),
                heard_micros: 0,
                status: LaneStatus::Live,
                is_estimated: false,
            })
        };
        let unread = self.partitions.iter().filter_map(unread);
        let lanes = self.partitions.values().flat_map(Held::lanes).cloned();
        lanes.chain(unread).collect()
    }

    fn ranges(&self) -> Vec<LiveRange> {
        self.partitions.values().filter_map(Held::range).collect()
    }

    fn layouts(&self) -> BTreeMap<LayoutId, String> {
        let named = self.partitions.values().flat_map(Held::layouts);
        let distinct: BTreeMap<LayoutId, &Arc<str>> = named.map(|(id, json)| (*id, json)).collect();
        distinct.into_iter().map(|(id, json)| (id, json.to_string())).collect()
    }
}

/// The batches of a partition, for the query side.
fn batch(partition: &LogPartition, accepted: &Accepted) -> Option<LiveBatch> {
    let rows = accepted.rows.clone()?;
    Some(LiveBatch {
        partition: partition.clone(),
        offset: accepted.offset,
        tenant: accepted.tenant.clone(),
        table: Table::Logs,
        rows,
    })
}

#[cfg(test)]
mod tests;

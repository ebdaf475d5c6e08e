//! What a flush takes: a contiguous prefix of every partition.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use weir_proto::model::{LayoutId, RangeSet, SourceId, TenantId};
use weir_storage::catalog::{Advance, Gap, LogPartition, SourceCover};
use weir_storage::file::{LogSpan, PartitionRanges};

use super::{Live, Term};
use crate::accept::{Accepted, Settled};

/// Everything that one commit says, except its files.
#[derive(Debug, Default)]
pub(crate) struct Take {
    /// The rows of each tenant, in the order they were accepted.
    pub(crate) tables: BTreeMap<TenantId, TableTake>,
    pub(crate) advances: Vec<Advance>,
    pub(crate) covered: Vec<SourceCover>,
    pub(crate) gaps: Vec<Gap>,
    /// What it takes of each partition, for the files' footers.
    pub(crate) spans: Vec<LogSpan>,
    pub(crate) ranges: Vec<PartitionRanges>,
    parts: Vec<Part>,
}

/// The rows of a tenant, and the layouts they name.
#[derive(Debug, Default)]
pub(crate) struct TableTake {
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) layouts: BTreeMap<LayoutId, Arc<str>>,
}

/// What it took of a partition, to release it later.
#[derive(Debug)]
struct Part {
    term: Term,
    count: usize,
    to: u64,
}

impl Live {
    /// Takes all that waits, and leaves it where it is until [`Self::release`].
    pub(crate) fn take(&self) -> Take {
        let state = self.lock();
        let mut take = Take::default();
        for (partition, held) in &state.partitions {
            let (Some(term), Some(last)) = (held.term(), held.waiting().last()) else { continue };
            let mut sources: BTreeMap<SourceId, (TenantId, Settled, RangeSet)> = BTreeMap::new();
            for one in held.waiting() {
                take.add(one);
                for settled in &one.settled {
                    let (_, newest, ranges) = sources
                        .entry(settled.source)
                        .or_insert_with(|| (one.tenant.clone(), settled.clone(), RangeSet::new()));
                    ranges.insert(settled.range);
                    *newest = settled.clone();
                }
            }
            for (source, (tenant, newest, taken)) in &sources {
                let mut ranges = held.covered(*source);
                ranges.extend(taken);
                take.covered.push(SourceCover {
                    partition: partition.clone(),
                    tenant: tenant.clone(),
                    source: *source,
                    ranges,
                    resource: newest.resource.to_vec(),
                    last_observed_micros: newest.observed_micros,
                });
            }
            let from = held.stored();
            let taken = sources.into_iter().map(|(source, (_, _, taken))| (source, taken)).collect();
            take.advances.push(Advance {
                partition: partition.clone(),
                epoch: term.lease.epoch,
                from,
                to: last.next,
            });
            take.spans.push(LogSpan { partition: partition.clone(), from: from.unwrap_or(0), to: last.next });
            take.ranges.push(PartitionRanges { partition: partition.clone(), sources: taken });
            take.parts.push(Part { term: term.clone(), count: held.waiting().len(), to: last.next });
        }
        take
    }

    /// What was taken is stored: its rows are in files that every snapshot from
    /// now on shows.
    pub(crate) fn release(&self, take: &Take) {
        let mut state = self.lock();
        for part in &take.parts {
            let partition = &part.term.lease.partition;
            // A partition lost meanwhile starts anew from the catalog.
            let Some(held) = state.partitions.get_mut(partition).filter(|held| held.is(&part.term)) else {
                continue;
            };
            let of_partition = take.covered.iter().filter(|cover| cover.partition == *partition);
            let covered = of_partition.map(|cover| (cover.source, cover.ranges.clone())).collect();
            state.bytes -= held.release(part.count, part.to, covered);
        }
        self.tell(&state);
    }

    /// The partition's publication was refused: somebody else has it. Its rows
    /// are dropped and its reader told. False when it is not ours anyway.
    pub(crate) fn fence(&self, take: &Take, partition: &LogPartition) -> bool {
        let Some(part) = take.parts.iter().find(|part| part.term.lease.partition == *partition) else {
            return false;
        };
        part.term.fenced.notify_one();
        self.end(&part.term)
    }
}

impl Take {
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub(crate) fn rows(&self) -> usize {
        self.tables.values().flat_map(|table| &table.batches).map(RecordBatch::num_rows).sum()
    }

    fn add(&mut self, one: &Accepted) {
        self.gaps.extend(one.gaps.iter().cloned());
        let Some(rows) = &one.rows else { return };
        let table = self.tables.entry(one.tenant.clone()).or_default();
        table.batches.push(rows.clone());
        table.layouts.extend(one.layouts.iter().cloned());
    }
}

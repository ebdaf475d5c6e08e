//! What a flush takes: a contiguous prefix of every partition it is about.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::RecordBatch;
use weir_proto::model::{LayoutId, RangeSet, SourceId, TenantId};
use weir_proto::schema::Table;
use weir_runtime::planted;
use weir_storage::catalog::{Advance, Filled, Gap, LaneState, LogPartition, SourceCover, Tally};
use weir_storage::file::{LogSpan, PartitionRanges};

use super::held::Held;
use super::{Live, Term};
use crate::accept::{Accepted, Settled};
use crate::lane::Lanes;

/// What a flush is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All that waits.
    All,
    /// What waits before the first row of each partition, and what became of
    /// lanes: no file, one small transaction.
    Marks,
    /// All that waits of one partition.
    Partition(LogPartition),
}

/// Everything that one commit says, except its files.
#[derive(Debug, Default)]
pub(crate) struct Take {
    /// The rows of each tenant's tables, in the order they were accepted.
    pub(crate) tables: BTreeMap<(TenantId, Table), TableTake>,
    pub(crate) advances: Vec<Advance>,
    pub(crate) covered: Vec<SourceCover>,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) filled: Vec<Filled>,
    pub(crate) lanes: Vec<LaneState>,
    /// What it takes of each partition, for the files' footers.
    pub(crate) spans: Vec<LogSpan>,
    pub(crate) ranges: Vec<PartitionRanges>,
    parts: Vec<Part>,
}

/// The rows of a table, and the layouts they name.
#[derive(Debug, Default)]
pub(crate) struct TableTake {
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) layouts: BTreeMap<LayoutId, Arc<str>>,
}

/// What a take has of one source.
struct Gathered<'a> {
    tenant: &'a TenantId,
    newest: &'a Settled,
    taken: RangeSet,
    tally: Tally,
}

/// What it took of a partition, to release it later.
#[derive(Debug)]
struct Part {
    term: Term,
    count: usize,
    to: u64,
    lanes: Lanes,
}

impl Live {
    /// Takes what waits, and leaves it where it is until [`Self::release`].
    pub(crate) fn take(&self, extent: &Extent) -> Take {
        let state = self.lock();
        let mut take = Take::default();
        for (partition, held) in &state.partitions {
            let count = match extent {
                Extent::All => held.waiting().len(),
                Extent::Marks => held.rowless(),
                Extent::Partition(of) if of == partition => held.waiting().len(),
                Extent::Partition(_) => continue,
            };
            take.add_partition(partition, held, count);
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
            state.bytes -= held.release(part.count, part.to, covered, &part.lanes);
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
    /// The rows of each table.
    pub(crate) fn rows(&self) -> BTreeMap<Table, u64> {
        let mut rows = BTreeMap::new();
        for ((_, table), taken) in &self.tables {
            let count: usize = taken.batches.iter().map(RecordBatch::num_rows).sum();
            *rows.entry(*table).or_default() += count as u64;
        }
        rows
    }

    /// The first `count` that wait in a partition. Nothing, when that and its
    /// lanes are stored.
    fn add_partition(&mut self, partition: &LogPartition, held: &Held, count: usize) {
        let lanes = held.lanes_at(count);
        let changed = lanes.changed_since(held.lanes_stored());
        let from = held.stored();
        let last = held.waiting().take(count).last();
        if last.is_none() && changed.is_empty() {
            return;
        }
        let to = last.map_or(from.unwrap_or(0), |last| last.next);
        self.add_sources(partition, held, count);
        self.lanes.extend(changed);
        self.advances.push(Advance {
            partition: partition.clone(),
            epoch: held.term().lease.epoch,
            from,
            to,
            anchor: held.anchor(),
        });
        if count > 0 {
            self.spans.push(LogSpan {
                partition: partition.clone(),
                from: from.unwrap_or(0),
                to,
                epoch: held.term().lease.epoch,
                generation: held.generation(),
            });
        }
        self.parts.push(Part { term: held.term().clone(), count, to, lanes });
    }

    fn add_sources(&mut self, partition: &LogPartition, held: &Held, count: usize) {
        let mut sources: BTreeMap<SourceId, Gathered<'_>> = BTreeMap::new();
        for one in held.waiting().take(count) {
            self.add_rows(one);
            for settled in &one.settled {
                let gathered = sources.entry(settled.source).or_insert_with(|| Gathered {
                    tenant: &one.tenant,
                    newest: settled,
                    taken: RangeSet::new(),
                    tally: Tally::default(),
                });
                settled.range.into_iter().for_each(|range| gathered.taken.insert(range));
                gathered.tally.add(&settled.tally);
                gathered.newest = settled;
            }
        }
        for (source, Gathered { tenant, newest, taken, tally }) in &sources {
            let mut ranges =
                if planted::is("range-by-put") { RangeSet::new() } else { held.covered(*source) };
            ranges.extend(taken);
            self.covered.push(SourceCover {
                partition: partition.clone(),
                tenant: (*tenant).clone(),
                source: *source,
                ranges,
                resource: newest.resource.to_vec(),
                last_observed_micros: newest.observed_micros,
                tally: tally.clone(),
            });
        }
        let sources = sources.into_iter().filter(|(_, gathered)| !gathered.taken.is_empty());
        let (mut taken, mut tenants) = (BTreeMap::new(), BTreeMap::new());
        for (source, gathered) in sources {
            tenants.insert(source, gathered.tenant.clone());
            taken.insert(source, gathered.taken);
        }
        self.ranges.push(PartitionRanges { partition: partition.clone(), sources: taken, tenants });
    }

    fn add_rows(&mut self, one: &Accepted) {
        self.gaps.extend(one.gaps.iter().cloned());
        self.filled.extend(one.filled.iter().cloned());
        for (of, rows) in &one.rows {
            let table = self.tables.entry((one.tenant.clone(), *of)).or_default();
            table.batches.push(rows.clone());
            if *of == Table::Logs {
                table.layouts.extend(one.layouts.iter().cloned());
            }
        }
    }
}

//! The live rows that a query process holds, kept current by exchanges.

use std::collections::BTreeMap;

use weir_proto::model::{LayoutId, TenantId};
use weir_proto::schema::Table;

use super::wire::{LiveRequest, LiveResponse};
use super::{LiveBatch, LiveRange, PinnedRows};
use crate::WireError;
use crate::catalog::{LaneState, LogPartition};

/// Live batches by where they lie: a message may hold rows of several tables. A
/// batch never changes, so one that was seen is never asked for again.
#[derive(Debug, Default)]
pub struct LiveCache {
    instance: Option<String>,
    batches: BTreeMap<(LogPartition, u64, Table), LiveBatch>,
    /// What each partition is asked for next.
    next: BTreeMap<LogPartition, u64>,
    /// Below these, batches are stored or dropped.
    floors: BTreeMap<LogPartition, u64>,
    ranges: Vec<LiveRange>,
    lanes: Vec<LaneState>,
    layouts: BTreeMap<LayoutId, String>,
}

impl LiveCache {
    /// Holds nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// What to ask for now.
    pub fn request(&self) -> LiveRequest {
        LiveRequest { instance: self.instance.clone(), have: self.next.clone() }
    }

    /// Takes in the answer to `request`. Exchanges may overlap: applying an
    /// older answer late adds nothing that was dropped since.
    ///
    /// # Errors
    /// [`WireError::Stale`] when the answer adds to what another instance
    /// sent: meanwhile the other side was restarted. The cache is unchanged.
    pub fn apply(&mut self, request: &LiveRequest, response: LiveResponse) -> Result<(), WireError> {
        let complete = request.instance.as_ref() != Some(&response.instance);
        if complete {
            *self = Self { instance: Some(response.instance), ..Self::default() };
        } else if self.instance.as_ref() != Some(&response.instance) {
            let held = self.instance.clone().unwrap_or_default();
            return Err(WireError::Stale { found: response.instance, held });
        }
        for LiveRange { partition, floor, .. } in response.ranges.clone() {
            let held = self.floors.entry(partition.clone()).or_default();
            *held = floor.max(*held);
            self.forget_below(&partition, floor);
            self.want(partition, floor);
        }
        for batch in response.batches {
            let floor = self.floors.get(&batch.partition).copied().unwrap_or(0);
            if batch.offset >= floor {
                self.want(batch.partition.clone(), batch.offset.saturating_add(1));
                self.batches.insert((batch.partition.clone(), batch.offset, batch.table), batch);
            }
        }
        self.ranges = response.ranges;
        self.lanes = response.lanes;
        // Layouts are few and named by their content: keeping one that its
        // file holds by now costs less than losing one that a row names.
        self.layouts.extend(response.layouts);
        Ok(())
    }

    /// The rows of a tenant in `tables` as of the last exchange.
    pub fn pin(&self, tenant: &TenantId, tables: &[Table]) -> PinnedRows {
        let wanted = |batch: &&LiveBatch| batch.tenant == *tenant && tables.contains(&batch.table);
        PinnedRows {
            batches: self.batches.values().filter(wanted).cloned().collect(),
            lanes: self.lanes.clone(),
            ranges: self.ranges.clone(),
            leased: Vec::new(),
            layouts: self.layouts.clone(),
        }
    }

    fn forget_below(&mut self, partition: &LogPartition, floor: u64) {
        let [first, ..] = Table::ALL;
        let all = (partition.clone(), 0, first)..(partition.clone(), floor, first);
        let stored: Vec<_> = self.batches.range(all).map(|(place, _)| place.clone()).collect();
        for place in stored {
            self.batches.remove(&place);
        }
    }

    fn want(&mut self, partition: LogPartition, offset: u64) {
        let next = self.next.entry(partition).or_default();
        *next = offset.max(*next);
    }
}

#[cfg(test)]
mod tests;

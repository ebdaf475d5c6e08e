//! One partition: what is stored of it, and what waits.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;
use weir_proto::model::{AgentId, LayoutId, RangeSet, SourceId};
use weir_storage::catalog::{LaneState, LaneStatus, LogPartition, Progress};
use weir_storage::live::{LiveBatch, LiveRange};

use super::{Term, batch};
use crate::accept::{Accepted, LaneNews};

/// A partition as this process sees it.
#[derive(Debug, Default)]
pub(super) struct Held {
    term: Option<Term>,
    /// The next offset that the catalog holds; none: no row yet.
    stored: Option<u64>,
    /// What the catalog holds of each source.
    covered: HashMap<SourceId, RangeSet>,
    /// Accepted and not stored, oldest first.
    waiting: VecDeque<(Instant, Accepted)>,
    bytes: usize,
    /// Lanes as of the last message stored, and as of the last accepted.
    lanes_stored: BTreeMap<AgentId, LaneState>,
    lanes: BTreeMap<AgentId, LaneState>,
    /// The log was read in this term.
    is_read: bool,
}

impl Held {
    pub(super) fn begin(&mut self, term: Term, progress: &Progress) {
        self.term = Some(term);
        self.stored = progress.next_offset;
        self.covered = progress.covered.iter().map(|(source, ranges)| (*source, ranges.clone())).collect();
    }

    /// Drops what waits; answers with the memory that it held. Lanes go back to
    /// what is stored: later marks spoke of rows that are gone from here.
    pub(super) fn end(&mut self) -> usize {
        self.term = None;
        self.is_read = false;
        self.waiting.clear();
        self.lanes = self.lanes_stored.clone();
        std::mem::take(&mut self.bytes)
    }

    pub(super) fn is(&self, term: &Term) -> bool {
        self.term.as_ref().is_some_and(|held| held.number == term.number)
    }

    pub(super) fn append(&mut self, accepted: Vec<Accepted>, now: Instant) {
        self.is_read = true;
        for one in accepted {
            if let Some(news) = &one.lane
                && let Some(term) = &self.term
            {
                hear(&mut self.lanes, news, &term.lease.partition);
            }
            self.bytes += one.bytes;
            self.waiting.push_back((now, one));
        }
    }

    /// Stored: the first `count` that waited, and with them these ranges.
    /// Answers with the memory that they held.
    pub(super) fn release(&mut self, count: usize, to: u64, covered: Vec<(SourceId, RangeSet)>) -> usize {
        let mut bytes = 0;
        for (_, one) in self.waiting.drain(..count) {
            bytes += one.bytes;
            if let Some(news) = &one.lane
                && let Some(term) = &self.term
            {
                hear(&mut self.lanes_stored, news, &term.lease.partition);
            }
        }
        self.stored = Some(to);
        self.covered.extend(covered);
        self.bytes -= bytes;
        bytes
    }

    pub(super) fn term(&self) -> Option<&Term> {
        self.term.as_ref()
    }

    pub(super) fn stored(&self) -> Option<u64> {
        self.stored
    }

    pub(super) fn covered(&self, source: SourceId) -> RangeSet {
        self.covered.get(&source).cloned().unwrap_or_default()
    }

    pub(super) fn waiting(&self) -> impl ExactSizeIterator<Item = &Accepted> {
        self.waiting.iter().map(|(_, one)| one)
    }

    /// When the oldest that waits was accepted.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.waiting.front().map(|(since, _)| *since)
    }

    pub(super) fn batches(&self, partition: &LogPartition) -> impl Iterator<Item = LiveBatch> {
        self.waiting().filter_map(move |one| batch(partition, one))
    }

    pub(super) fn layouts(&self) -> impl Iterator<Item = &(LayoutId, Arc<str>)> {
        self.waiting().flat_map(|one| &one.layouts)
    }

    pub(super) fn lanes(&self) -> impl Iterator<Item = &LaneState> {
        self.lanes.values()
    }

    pub(super) fn is_read(&self) -> bool {
        self.is_read
    }

    /// Which of its offsets are live; none while it is not ours.
    pub(super) fn range(&self) -> Option<LiveRange> {
        let lease = &self.term.as_ref()?.lease;
        let floor = self.stored.unwrap_or(0);
        Some(LiveRange {
            partition: lease.partition.clone(),
            epoch: lease.epoch,
            floor,
            next: self.waiting.back().map_or(floor, |(_, last)| last.next),
            is_caught_up: self.is_read,
        })
    }
}

/// A lane says its mark; what it said before no longer counts, even if it was
/// later: an agent that finds older text unread takes its word back.
fn hear(lanes: &mut BTreeMap<AgentId, LaneState>, news: &LaneNews, partition: &LogPartition) {
    if news.is_goodbye {
        lanes.remove(&news.agent);
    } else if let Some(mark_micros) = news.mark_micros {
        let (agent, heard_micros) = (news.agent, news.heard_micros);
        let state = LaneState {
            partition: partition.clone(),
            agent,
            mark_micros: Some(mark_micros),
            heard_micros,
            status: LaneStatus::Live,
            is_estimated: false,
        };
        lanes.insert(agent, state);
    } else if let Some(lane) = lanes.get_mut(&news.agent) {
        lane.heard_micros = news.heard_micros;
    }
}

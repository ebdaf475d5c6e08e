//! One partition: what is stored of it, and what waits.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use weir_proto::model::{AgentId, LayoutId, RangeSet, SourceId};
use weir_storage::catalog::{Anchor, LogPartition, Progress};
use weir_storage::live::{LiveBatch, LiveRange};

use super::{Term, batches};
use crate::accept::Accepted;
use crate::lane::{Lanes, Listener};

/// A partition in this process's hands.
#[derive(Debug)]
pub(super) struct Held {
    term: Term,
    generation: u64,
    anchor: Option<Anchor>,
    /// The next offset that the catalog holds; none: no row yet.
    stored: Option<u64>,
    /// What the catalog holds of each source.
    covered: HashMap<SourceId, RangeSet>,
    /// Accepted and not stored, oldest first.
    waiting: VecDeque<(Instant, Accepted)>,
    bytes: usize,
    /// Lanes as the catalog holds them, and as of the last message accepted.
    lanes_stored: Lanes,
    lanes: Lanes,
    /// Since when lanes changed without a message.
    lanes_since: Option<Instant>,
    listener: Listener,
}

impl Held {
    pub(super) fn begin(term: Term, progress: &Progress, retires_after: Duration) -> Self {
        let lanes = Lanes::new(&progress.lanes);
        Self {
            term,
            generation: progress.generation,
            anchor: progress.anchor,
            stored: progress.next_offset,
            covered: progress.covered.iter().map(|(source, ranges)| (*source, ranges.clone())).collect(),
            waiting: VecDeque::new(),
            bytes: 0,
            lanes_stored: lanes.clone(),
            lanes,
            lanes_since: None,
            listener: Listener::new(retires_after),
        }
    }

    /// Which log its offsets are of.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The message by which the log is known again.
    pub(super) fn anchor(&self) -> Option<Anchor> {
        self.anchor
    }

    pub(super) fn set_anchor(&mut self, anchor: Anchor) {
        self.anchor = Some(anchor);
    }

    pub(super) fn term(&self) -> &Term {
        &self.term
    }

    pub(super) fn is(&self, term: &Term) -> bool {
        self.term.number == term.number
    }

    pub(super) fn append(&mut self, accepted: Vec<Accepted>, now: Instant) {
        for mut one in accepted {
            if let Some(news) = &mut one.lane {
                self.listener.hear(news);
                self.lanes.hear(news, &self.term.lease.partition);
            }
            self.bytes += one.bytes;
            self.waiting.push_back((now, one));
        }
    }

    /// What waits is all that the log held at `at_micros`.
    pub(super) fn caught_up(&mut self, at_micros: i64, now: Instant) {
        self.listener.caught_up(at_micros, &mut self.lanes);
        if self.waiting.is_empty() && self.lanes != self.lanes_stored {
            self.lanes_since.get_or_insert(now);
        }
    }

    /// What comes next is not read for now.
    pub(super) fn halted(&mut self) {
        self.listener.halted();
    }

    /// The catalog has these lanes, and no others: what else was stored as
    /// retired was dismissed.
    pub(super) fn forget_dismissed(&mut self, kept: &BTreeSet<AgentId>) {
        self.lanes.forget_dismissed(&self.lanes_stored, kept);
        let stored = self.lanes_stored.clone();
        self.lanes_stored.forget_dismissed(&stored, kept);
    }

    /// Stored: the first `count` that waited, and with them these ranges and
    /// lanes. Answers with the memory that they held.
    pub(super) fn release(
        &mut self,
        count: usize,
        to: u64,
        covered: Vec<(SourceId, RangeSet)>,
        lanes: &Lanes,
    ) -> usize {
        let bytes = self.waiting.drain(..count).map(|(_, one)| one.bytes).sum();
        self.stored = Some(to);
        self.covered.extend(covered);
        self.lanes_stored = lanes.clone();
        self.lanes_since = None;
        self.bytes -= bytes;
        bytes
    }

    /// The next offset that the catalog holds.
    pub(super) fn stored(&self) -> Option<u64> {
        self.stored
    }

    pub(super) fn covered(&self, source: SourceId) -> RangeSet {
        self.covered.get(&source).cloned().unwrap_or_default()
    }

    pub(super) fn waiting(&self) -> impl ExactSizeIterator<Item = &Accepted> {
        self.waiting.iter().map(|(_, one)| one)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many wait before the first that has rows.
    pub(super) fn rowless(&self) -> usize {
        self.waiting().take_while(|one| one.rows.is_empty()).count()
    }

    /// When the oldest rows that wait were accepted.
    pub(super) fn rows_since(&self) -> Option<Instant> {
        self.waiting.iter().find(|(_, one)| !one.rows.is_empty()).map(|(since, _)| *since)
    }

    /// Since when there is something to store that needs no file.
    pub(super) fn marks_since(&self) -> Option<Instant> {
        match self.waiting.front() {
            Some((since, one)) => one.rows.is_empty().then_some(*since),
            None => self.lanes_since.filter(|_| self.lanes != self.lanes_stored),
        }
    }

    /// The lanes once the first `count` that wait are stored. What time alone
    /// has changed, retirements, is known only where nothing more waits.
    pub(super) fn lanes_at(&self, count: usize) -> Lanes {
        if count == self.waiting.len() {
            return self.lanes.clone();
        }
        let mut lanes = self.lanes_stored.clone();
        for news in self.waiting().take(count).filter_map(|one| one.lane.as_ref()) {
            lanes.hear(news, &self.term.lease.partition);
        }
        lanes
    }

    pub(super) fn lanes_stored(&self) -> &Lanes {
        &self.lanes_stored
    }

    pub(super) fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    pub(super) fn batches(&self) -> impl Iterator<Item = LiveBatch> {
        let partition = &self.term.lease.partition;
        self.waiting().flat_map(move |one| batches(partition, one))
    }

    pub(super) fn layouts(&self) -> impl Iterator<Item = &(LayoutId, Arc<str>)> {
        self.waiting().flat_map(|one| &one.layouts)
    }

    /// Which of its offsets are live.
    pub(super) fn range(&self) -> LiveRange {
        let floor = self.stored.unwrap_or(0);
        LiveRange {
            partition: self.partition().clone(),
            epoch: self.term.lease.epoch,
            floor,
            next: self.waiting.back().map_or(floor, |(_, last)| last.next),
            is_caught_up: self.listener.has_caught_up(),
        }
    }

    fn partition(&self) -> &LogPartition {
        &self.term.lease.partition
    }
}

//! The agent's lane: records of many sources become batches, in order.
//!
//! A batch says for each source what it settles: from where the batch before
//! ended to the end of the last record it holds, or further, once more is
//! known to hold nothing for that source. So the covered ranges of a source
//! touch, begin at 0, and no row lies across the border of two.
//!
//! A batch is encoded and compressed by whoever closes it: the reading thread.

use std::collections::VecDeque;

use weir_proto::limit::BATCH_SOURCES_MAX;
use weir_proto::model::{AgentId, ByteRange, Counted, Drop, Source, SourceId, TenantId, drop_reason};
use weir_proto::wire::batch::{EncodedBatch, LineBatchBuilder, NewLine};
use weir_proto::wire::{BatchHeader, Codec};
use weir_runtime::failpoint;

use crate::checkpoint::FileKey;
use crate::frame::Frame;

/// Names a source within the lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SourceKey(usize);

/// A batch on its way, and what its acknowledgement will settle.
#[derive(Debug)]
pub(crate) struct Closed {
    /// The message.
    pub(crate) batch: EncodedBatch,
    /// What stands on record once it is acknowledged.
    pub(crate) settles: Settles,
}

/// What the acknowledgement of a batch settles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settles {
    /// The new covered end of each source.
    pub(crate) ends: Vec<(SourceKey, u64)>,
    /// The batch's mark.
    pub(crate) mark: Option<i64>,
    /// Bytes of memory that the batch holds until then.
    pub(crate) bytes: usize,
}

/// How whoever reads the batches shall treat a source's lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Treatment {
    /// The name of a parser.
    pub(crate) parser: &'static str,
    /// Rows whose severity number is known and lower are left out.
    pub(crate) min_severity: Option<i16>,
}

/// Assembles the batches of one lane.
#[derive(Debug)]
pub(crate) struct Lane {
    agent: AgentId,
    tenant: TenantId,
    /// Valid for what has been pushed so far: set it before pushing more.
    mark: Option<i64>,
    sources: Vec<Option<State>>,
    /// Places in `sources` that are free.
    free: Vec<usize>,
    builder: LineBatchBuilder,
    slots: Vec<Slot>,
    closed: VecDeque<Closed>,
}

#[derive(Debug)]
struct State {
    file: FileKey,
    id: SourceId,
    resource: Vec<(String, String)>,
    treatment: Treatment,
    /// Covered by an acknowledged batch.
    acknowledged: u64,
    /// Covered by any batch, the open one included.
    settled: u64,
    /// Events of the batches before the open one, since it was added.
    counted: Counted,
    slot: Option<usize>,
}

#[derive(Debug)]
struct Slot {
    source: SourceKey,
    start: u64,
    rows: u64,
    drops: Vec<Drop>,
}

impl Lane {
    /// An empty lane.
    pub(crate) fn new(agent: AgentId, tenant: TenantId) -> Self {
        Self {
            agent,
            tenant,
            mark: None,
            sources: Vec::new(),
            free: Vec::new(),
            builder: LineBatchBuilder::new(),
            slots: Vec::new(),
            closed: VecDeque::new(),
        }
    }

    /// Adds a source of which `acknowledged` bytes are covered.
    pub(crate) fn add(
        &mut self,
        file: FileKey,
        id: SourceId,
        resource: Vec<(String, String)>,
        treatment: Treatment,
        acknowledged: u64,
    ) -> SourceKey {
        let (settled, counted) = (acknowledged, Counted::from(acknowledged));
        let state = State { file, id, resource, treatment, acknowledged, settled, counted, slot: None };
        let key = self.free.pop().unwrap_or(self.sources.len());
        if key == self.sources.len() {
            self.sources.push(None);
        }
        self.sources[key] = Some(state);
        SourceKey(key)
    }

    /// What is pushed of the source from now on is described so.
    pub(crate) fn describe(
        &mut self,
        source: SourceKey,
        resource: Vec<(String, String)>,
        treatment: Treatment,
    ) {
        let state = self.state(source);
        if state.resource == resource && state.treatment == treatment {
            return;
        }
        // A batch has one description of each source.
        if state.slot.is_some() {
            self.close();
        }
        let state = self.state_mut(source);
        (state.resource, state.treatment) = (resource, treatment);
    }

    /// Forgets a source, all of which is acknowledged.
    pub(crate) fn remove(&mut self, source: SourceKey) {
        self.sources[source.0] = None;
        self.free.push(source.0);
    }

    /// The source's identifier.
    pub(crate) fn id(&self, source: SourceKey) -> SourceId {
        self.state(source).id
    }

    /// How far the source is covered by acknowledged batches.
    pub(crate) fn acknowledged(&self, source: SourceKey) -> u64 {
        self.state(source).acknowledged
    }

    /// How far the source is covered by any batch.
    pub(crate) fn settled(&self, source: SourceKey) -> u64 {
        self.state(source).settled
    }

    /// True when every settled byte of the source is acknowledged.
    pub(crate) fn is_acknowledged(&self, source: SourceKey) -> bool {
        let state = self.state(source);
        state.acknowledged == state.settled
    }

    /// The mark of batches that are closed from now on.
    pub(crate) fn set_mark(&mut self, mark: Option<i64>) {
        self.mark = mark;
    }

    /// Adds a record, closing the batch first if it has no room.
    pub(crate) fn push(&mut self, source: SourceKey, frame: &Frame<'_>, observed_micros: i64) {
        if self.builder.is_full() || self.builder.would_overflow(frame.text.len()) {
            self.close();
        }
        let slot = self.slot(source);
        self.builder.push(NewLine {
            source: slot,
            start: frame.range.start,
            end: frame.range.end,
            observed_micros,
            timestamp_nanos: frame.timestamp_nanos,
            flags: frame.flags,
            line: frame.text,
        });
        self.slots[slot].rows += 1;
        if let Some(range) = frame.dropped {
            let reason = drop_reason::LINE_TOO_LONG.to_owned();
            self.slots[slot].drops.push(Drop { range, count: 1, reason });
        }
        self.settle(source, frame.range.end);
    }

    /// Says that a range will never become rows.
    pub(crate) fn drop(&mut self, source: SourceKey, drop: Drop) {
        let (slot, end) = (self.slot(source), drop.range.end);
        self.slots[slot].drops.push(drop);
        self.settle(source, end);
    }

    /// Says that one event will never be a row. All of a batch that have the
    /// same source and reason are one drop, however many rows lie between.
    pub(crate) fn refuse(&mut self, source: SourceKey, range: ByteRange, reason: &'static str) {
        let slot = self.slot(source);
        let drops = &mut self.slots[slot].drops;
        match drops.iter_mut().find(|drop| drop.reason == reason) {
            Some(drop) => {
                drop.range = ByteRange::new(drop.range.start, drop.range.end.max(range.end));
                drop.count += 1;
            }
            None => drops.push(Drop { range, count: 1, reason: reason.to_owned() }),
        }
        self.settle(source, range.end);
    }

    /// Every byte of the source below `end` is settled.
    pub(crate) fn settle(&mut self, source: SourceKey, end: u64) {
        if end > self.state(source).settled {
            self.slot(source);
            self.state_mut(source).settled = end;
        }
    }

    /// True when there is nothing to close.
    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Closes the batch, if it holds anything.
    pub(crate) fn close(&mut self) {
        if !self.is_empty() {
            self.close_as(false);
        }
    }

    /// Closes a batch that may be empty: an idle lane's mark, or its goodbye.
    pub(crate) fn close_as(&mut self, goodbye: bool) {
        let slots = std::mem::take(&mut self.slots);
        let mut sources = Vec::with_capacity(slots.len());
        let mut ends = Vec::with_capacity(slots.len());
        for slot in slots {
            let state = self.state_mut(slot.source);
            state.slot = None;
            ends.push((slot.source, state.settled));
            let source = Source {
                id: state.id,
                resource: state.resource.clone(),
                parser: state.treatment.parser.to_owned(),
                min_severity: state.treatment.min_severity,
                covered: ByteRange::new(slot.start, state.settled),
                drops: slot.drops,
                counted: Some(state.counted),
            };
            state.counted = state.counted.after(&source, slot.rows);
            sources.push(source);
        }
        let header = BatchHeader {
            tenant: self.tenant.clone(),
            agent: self.agent,
            mark_micros: self.mark,
            goodbye,
            codec: Codec::Lz4,
        };
        drop(failpoint::reach("agent.encode.before"));
        let batch = self.builder.finish(&header, &sources);
        drop(failpoint::reach("agent.encode.after"));
        let settles = Settles { ends, mark: self.mark, bytes: batch.payload.len() };
        self.closed.push_back(Closed { batch, settles });
    }

    /// The batches closed and not yet taken.
    pub(crate) fn closed(&self) -> &VecDeque<Closed> {
        &self.closed
    }

    /// Takes the closed batches, in order.
    pub(crate) fn take_closed(&mut self) -> VecDeque<Closed> {
        std::mem::take(&mut self.closed)
    }

    /// A batch is durable. Answers with the files whose sources moved on.
    pub(crate) fn acknowledge(&mut self, settles: &Settles) -> Vec<FileKey> {
        let mut files = Vec::with_capacity(settles.ends.len());
        for &(source, end) in &settles.ends {
            let state = self.state_mut(source);
            state.acknowledged = state.acknowledged.max(end);
            files.push(state.file);
        }
        files
    }

    /// The row of `source` in the open batch.
    fn slot(&mut self, source: SourceKey) -> usize {
        if let Some(slot) = self.state(source).slot {
            return slot;
        }
        if self.slots.len() >= BATCH_SOURCES_MAX {
            self.close();
        }
        let slot = self.slots.len();
        let state = self.state_mut(source);
        state.slot = Some(slot);
        let start = state.settled;
        self.slots.push(Slot { source, start, rows: 0, drops: Vec::new() });
        slot
    }

    fn state(&self, source: SourceKey) -> &State {
        self.sources[source.0].as_ref().expect("a key is used until its source is removed")
    }

    fn state_mut(&mut self, source: SourceKey) -> &mut State {
        self.sources[source.0].as_mut().expect("a key is used until its source is removed")
    }
}

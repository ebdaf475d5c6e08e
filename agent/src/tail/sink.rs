//! From the framer to the lane: whose record it is, whether it may pass, and what is
//! replaced in it.

use std::path::Path;
use std::sync::Arc;

use weir_proto::model::{SourceId, drop_reason, flags};

use super::about::About;
use super::{Bench, Moment, Tail};
use crate::attribute::Origin;
use crate::checkpoint::FileKey;
use crate::frame::{Frame, Framer, Sink, Stream};
use crate::join::Joiner;
use crate::lane::{Lane, SourceKey};
use crate::limit::{Gate, Judgement, Limiter, Subject};
use crate::metric::Measured;
use crate::redact;
use crate::redact::{Outcome, Redaction, Redactor, Scratch};
use crate::status::Counts;
use crate::tap::{Stage, Tap};

impl Tail {
    /// Lets the framer speak to the lane, then tells the lane what is settled.
    pub(super) fn with_sink<T>(
        &mut self,
        bench: &mut Bench<'_>,
        now: Moment,
        act: impl FnOnce(&mut Framer, &mut Joiner, &mut Vec<u8>, &mut TailSink<'_>) -> T,
    ) -> T {
        let mut sink = TailSink {
            key: self.key,
            path: &self.path,
            sources: &mut self.sources,
            drew: false,
            written: self.written,
            lane: bench.lane,
            origin: bench.origin,
            measured: bench.measured,
            limiter: bench.limiter,
            redaction: bench.redaction,
            scratch: bench.scratch,
            tap: bench.tap,
            gate: &mut self.gate,
            redactor: &mut self.redactor,
            counts: &mut self.counts,
            about: &self.about,
            flags: self.about.flags(),
            now,
        };
        let result = act(&mut self.framer, &mut self.joiner, bench.buffer, &mut sink);
        for stream in Stream::ALL {
            if self.framer.first(stream).is_some() {
                let source = sink.source(stream);
                let framed = self.framer.settled(stream);
                let settled = self.joiner.held_from(stream).map_or(framed, |held| held.min(framed));
                sink.lane.settle(source, settled);
            }
        }
        self.written = sink.written;
        self.undurable |= sink.drew;
        result
    }
}

/// Hands records to the lane under their sources, drawing those that are new.
pub(super) struct TailSink<'a> {
    key: FileKey,
    path: &'a Path,
    sources: &'a mut [Option<SourceKey>; 3],
    drew: bool,
    written: Option<i64>,
    lane: &'a mut Lane,
    origin: &'a Origin,
    measured: &'a Measured,
    limiter: &'a mut Limiter,
    redaction: &'a Redaction,
    scratch: &'a mut Scratch,
    tap: &'a Tap,
    gate: &'a mut Gate,
    redactor: &'a mut Option<Arc<Redactor>>,
    counts: &'a mut Counts,
    about: &'a About,
    /// Bits that each record has.
    flags: i32,
    now: Moment,
}

impl TailSink<'_> {
    pub(super) fn source(&mut self, stream: Stream) -> SourceKey {
        if let Some(source) = self.sources[stream.index()] {
            return source;
        }
        let resource = self.about.resource(self.origin, self.path, stream);
        let treatment = self.about.treatment(self.origin, self.path);
        let source = self.lane.add(self.key, SourceId::generate(), resource, treatment, 0);
        self.sources[stream.index()] = Some(source);
        self.drew = true;
        source
    }

    /// Says what becomes of a record whatever is in it, and counts it if it is dropped.
    fn judge(&mut self, source: SourceKey, frame: &Frame<'_>) -> Judgement {
        if self.gate.subject().is_none() {
            let subject = Subject::of(&self.about.resource(self.origin, self.path, frame.stream));
            *self.redactor = self.about.redactor(self.redaction, &subject, self.measured);
            self.gate.drop_by_content(self.redactor.as_ref().is_some_and(|redactor| redactor.drops()));
            self.limiter.admit(self.gate, Arc::new(subject), self.about.applied().asked);
        }
        let judgement = self.limiter.judge(self.gate, self.lane.id(source), frame, self.now);
        self.drew |= judgement.is_undurable;
        if let Some(reason) = judgement.refused {
            self.refuse(source, frame, reason);
        }
        judgement
    }

    fn refuse(&mut self, source: SourceKey, frame: &Frame<'_>, reason: &'static str) {
        self.lane.refuse(source, frame.range, reason);
        self.measured.dropped(reason, frame.range.len());
        self.counts.dropped(reason);
    }
}

impl Sink for TailSink<'_> {
    fn record(&mut self, mut frame: Frame<'_>) {
        frame.flags |= self.flags;
        let source = self.source(frame.stream);
        let judgement = self.judge(source, &frame);
        self.tap.offer(Stage::Framed, self.gate.subject(), &frame, self.now);
        if let Some(nanos) = frame.timestamp_nanos {
            self.written = Some(nanos.div_euclid(1_000));
        }
        if judgement.refused.is_some() {
            return;
        }
        let outcome = match self.redactor {
            Some(redactor) => redactor.redact(frame.text, judgement.is_droppable, self.scratch),
            None => Outcome::Clean,
        };
        let frame = match outcome {
            Outcome::Clean => frame,
            Outcome::Changed(text) => redact::rewritten(frame, text),
            Outcome::Dropped => {
                self.limiter.dropped(self.gate, drop_reason::REDACTED, frame.range.len());
                return self.refuse(source, &frame, drop_reason::REDACTED);
            }
        };
        self.tap.offer(Stage::Batched, self.gate.subject(), &frame, self.now);
        self.lane.push(source, &frame, self.now.wall);
        self.measured.lines.inc();
        self.counts.passed(frame.range.len());
        if let Some(dropped) = frame.dropped {
            debug_assert!(frame.flags & flags::TRUNCATED != 0, "what is dropped is marked");
            self.measured.dropped(drop_reason::LINE_TOO_LONG, dropped.len());
            self.counts.dropped(drop_reason::LINE_TOO_LONG);
        }
    }
}

//! A stream that is no file: what comes through a pipe becomes the messages
//! that an agent takes on `/api/v1/lines`.
//!
//! Lines are framed and joined as those of a file are. Nothing can be read
//! again, so a message is its owner's to keep until it was answered; and no cut
//! needs a checkpoint, because nothing is framed twice. A message that is sent
//! again covers the same bytes of the same source, so it is stored once.
//!
//! Not here: reading, sending, and what to do while nobody takes anything.

mod window;

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use bytes::Bytes;
use memchr::memchr;
use weir_proto::model::{AgentId, ByteRange, Counted, Drop, Source, SourceId, TenantId, drop_reason};
use weir_proto::wire::batch::{LineBatchBuilder, NewLine};
use weir_proto::wire::{BatchHeader, Codec};
use weir_runtime::Clock;

use crate::frame::{Format, Frame, Framer, Sink, Stream};
use crate::join::{Joiner, Modes, Multiline};
use window::Window;

/// A last line without newline is sent after it did not grow for this long.
const LINE_TIMEOUT: Duration = Duration::from_secs(1);

/// An event that might have more lines is sent after it did not grow for this
/// long.
const EVENT_TIMEOUT: Duration = Duration::from_millis(300);

/// A batch that is not full is sent after this long.
const BATCH_DELAY: Duration = Duration::from_millis(100);

/// So many bytes without a newline are looked at together.
const UNSEEN_BYTES_MAX: u64 = 64 * 1024;

/// Lines of one stream, on their way into messages.
#[derive(Debug)]
pub struct Pipe {
    framer: Framer,
    joiner: Joiner,
    window: Window,
    buffer: Vec<u8>,
    batch: Batch,
    clock: Clock,
    began: Instant,
    grew: Duration,
}

/// A message for `POST /api/v1/lines`.
#[derive(Clone, Debug)]
pub struct PipeBatch {
    /// HTTP headers, `content-type` among them.
    pub headers: Vec<(String, Bytes)>,
    /// The body.
    pub body: Bytes,
    /// Lines in it; those of a stack trace are one.
    pub lines: u64,
    /// Lines that it says were not kept.
    pub dropped: u64,
}

/// The message being made.
#[derive(Debug)]
struct Batch {
    source: SourceId,
    resource: Vec<(String, String)>,
    builder: LineBatchBuilder,
    /// What the messages before covered.
    start: u64,
    settled: u64,
    drops: Vec<Drop>,
    /// The events of the messages before.
    counted: Counted,
    since: Option<Duration>,
    closed: Vec<PipeBatch>,
}

/// Where lines go.
struct PipeSink<'a> {
    batch: &'a mut Batch,
    /// False: there is no room for lines, they are only counted.
    keep: bool,
    observed_micros: i64,
    now: Duration,
}

impl Pipe {
    /// A stream at its beginning, of which these OpenTelemetry resource
    /// attributes hold: `service.name` and what else is known.
    pub fn new(mut resource: Vec<(String, String)>, clock: Clock) -> Self {
        resource.sort();
        Self {
            framer: Framer::resume(Some(Format::Plain), &[(Stream::File, 0)], Vec::new()),
            joiner: Joiner::resume(Modes::one(Multiline::Auto), &[], Vec::new()),
            window: Window::default(),
            buffer: Vec::new(),
            batch: Batch::new(SourceId::generate().of_client(), resource),
            clock,
            began: Instant::now(),
            grew: Duration::ZERO,
        }
    }

    /// What came next. Without `keep` its lines are counted as dropped, as
    /// `sender_full`.
    pub fn push(&mut self, bytes: &[u8], keep: bool) {
        self.push_at(bytes, keep, self.began.elapsed());
    }

    /// To be called every now and then, about twenty times a second: sends on
    /// what does not grow any more.
    pub fn tick(&mut self, keep: bool) {
        self.tick_at(keep, self.began.elapsed());
    }

    /// Nothing more comes: what is unfinished is a line.
    pub fn finish(&mut self, keep: bool) {
        let now = self.began.elapsed();
        self.cut_line(keep, now);
        self.with_sink(keep, now, |_, joiner, sink| joiner.abandon(sink));
        self.batch.close();
    }

    /// The messages that are complete, in the order in which they are to be
    /// sent.
    pub fn take(&mut self) -> Vec<PipeBatch> {
        std::mem::take(&mut self.batch.closed)
    }

    fn push_at(&mut self, bytes: &[u8], keep: bool, now: Duration) {
        if !bytes.is_empty() {
            self.grew = now;
        }
        self.window.feed(bytes);
        // A line that comes a few bytes at a time is not looked at each time.
        let unseen = self.window.end() - self.window.seen();
        if unseen >= UNSEEN_BYTES_MAX || memchr(b'\n', bytes).is_some() {
            self.advance(keep, now);
        }
    }

    fn tick_at(&mut self, keep: bool, now: Duration) {
        if self.has_open_line() && now >= self.grew + LINE_TIMEOUT {
            self.cut_line(keep, now);
        }
        if let Some(before) = now.checked_sub(EVENT_TIMEOUT) {
            self.with_sink(keep, now, |_, joiner, sink| joiner.cut(before, sink));
        }
        self.batch.close_if_due(keep, now);
        // No replay needs a cut.
        let settled = self.batch.settled;
        self.framer.cuts_needed(|_| Some(settled));
        self.joiner.cuts_needed(|_| Some(settled));
    }

    fn has_open_line(&self) -> bool {
        self.framer.position() < self.window.end()
    }

    fn cut_line(&mut self, keep: bool, now: Duration) {
        if self.has_open_line() {
            self.framer.cut_line(self.window.end());
            self.advance(keep, now);
        }
    }

    /// Frames all that was fed.
    fn advance(&mut self, keep: bool, now: Duration) {
        let (mut window, mut buffer) = (std::mem::take(&mut self.window), std::mem::take(&mut self.buffer));
        let mut seen = window.seen();
        loop {
            let before = self.framer.position();
            let end = self.with_sink(keep, now, |framer, joiner, sink| {
                framer.advance(&window, &mut buffer, now, &mut joiner.to(sink, now))
            });
            // Memory can be read.
            let end = end.unwrap_or(seen);
            if end <= seen && self.framer.position() == before {
                break;
            }
            seen = seen.max(end);
        }
        window.saw(seen);
        window.forget(self.framer.position());
        (self.window, self.buffer) = (window, buffer);
    }

    fn with_sink<T>(
        &mut self,
        keep: bool,
        now: Duration,
        act: impl FnOnce(&mut Framer, &mut Joiner, &mut PipeSink<'_>) -> T,
    ) -> T {
        let mut sink =
            PipeSink { batch: &mut self.batch, keep, observed_micros: self.clock.now_micros(), now };
        let result = act(&mut self.framer, &mut self.joiner, &mut sink);
        let framed = self.framer.settled(Stream::File);
        let settled = self.joiner.held_from(Stream::File).map_or(framed, |held| held.min(framed));
        self.batch.settled = self.batch.settled.max(settled);
        result
    }
}

impl Sink for PipeSink<'_> {
    fn record(&mut self, frame: Frame<'_>) {
        let batch = &mut *self.batch;
        if !self.keep {
            batch.drop(frame.range, drop_reason::SENDER_FULL);
        } else {
            if batch.builder.is_full() || batch.builder.would_overflow(frame.text.len()) {
                batch.close();
            }
            batch.builder.push(NewLine {
                source: 0,
                start: frame.range.start,
                end: frame.range.end,
                observed_micros: self.observed_micros,
                timestamp_nanos: frame.timestamp_nanos,
                flags: frame.flags,
                line: frame.text,
            });
            if let Some(rest) = frame.dropped {
                batch.drop(rest, drop_reason::LINE_TOO_LONG);
            }
        }
        batch.settled = batch.settled.max(frame.range.end);
        batch.since.get_or_insert(self.now);
    }
}

impl Batch {
    fn new(source: SourceId, resource: Vec<(String, String)>) -> Self {
        Self {
            source,
            resource,
            builder: LineBatchBuilder::new(),
            start: 0,
            settled: 0,
            drops: Vec::new(),
            counted: Counted::from(0),
            since: None,
            closed: Vec::new(),
        }
    }

    /// One line, or its rest, will never be a row. Neighbours are told as one.
    fn drop(&mut self, range: ByteRange, reason: &str) {
        match self.drops.last_mut().filter(|last| last.reason == reason && last.range.end == range.start) {
            Some(last) => {
                last.range = ByteRange::new(last.range.start, range.end);
                last.count += 1;
            }
            None => self.drops.push(Drop { range, count: 1, reason: reason.to_owned() }),
        }
    }

    /// While there is no room, what is dropped gathers.
    fn close_if_due(&mut self, keep: bool, now: Duration) {
        if keep && self.since.is_some_and(|since| now >= since + BATCH_DELAY) {
            self.close();
        }
    }

    fn close(&mut self) {
        if self.settled == self.start {
            return;
        }
        let drops = std::mem::take(&mut self.drops);
        let full = drops.iter().filter(|drop| drop.reason == drop_reason::SENDER_FULL);
        let dropped = full.map(|drop| drop.count).sum();
        let lines = self.builder.rows() as u64;
        let source = Source {
            id: self.source,
            resource: self.resource.clone(),
            parser: "auto".to_owned(),
            min_severity: None,
            covered: ByteRange::new(self.start, self.settled),
            drops,
            counted: Some(self.counted),
        };
        self.counted = self.counted.after(&source, lines);
        // Who takes it says whose it is and in which lane it goes.
        let header = BatchHeader {
            tenant: TenantId::default(),
            agent: AgentId::from_u128(self.source.as_u128()),
            mark_micros: None,
            goodbye: false,
            codec: Codec::Lz4,
        };
        let encoded = self.builder.finish(&header, &[source]);
        self.closed.push(PipeBatch { headers: encoded.headers, body: encoded.payload, lines, dropped });
        (self.start, self.since) = (self.settled, None);
    }
}

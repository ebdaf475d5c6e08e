//! From lines to events: the lines of a stack trace are one event.
//!
//! ```text
//! framer -> line -> begins something? --no--> lane
//!                        | yes
//!                        held until a line that does not go on with it
//! ```
//!
//! Only a line that may have lines after it is held: one that tells of an
//! error, or begins a trace (see [`trace`]). Every other line passes uncopied.
//!
//! Whether a line goes on with the one before depends on the text of the two,
//! and on how far apart they are in the file: not on time. The exception is an
//! event that stopped growing; it is cut, and the cut stands in the checkpoint
//! before the event is sent, so that a replay cuts alike. After a cut, a cap or
//! a start of the agent the joiner begins anew: nothing of what it decides
//! depends on lines before the first one it holds.
//!
//! Source of the languages' formats: what their runtimes print; the fixtures
//! beside this file are such prints.

mod shape;
mod trace;

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_proto::model::{ByteRange, flags};

use crate::frame::{Cut, CutKind, Cuts, Frame, Sink, Stream};
use trace::Trace;

/// The longest text of a joined event. What comes after begins another.
const EVENT_BYTES_MAX: usize = 256 * 1024;

/// The most lines of one event: a stack that overflowed has 1024 frames in
/// Java and a head.
const EVENT_LINES_MAX: usize = 2_048;

/// A line of the same stream that begins further behind belongs to something
/// else: what lies between was written by the other stream meanwhile.
const GAP_BYTES_MAX: u64 = 1 << 20;

/// Whether lines are joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Multiline {
    /// Each line is an event. What a checkpoint without this setting means.
    #[default]
    None,
    /// Stack traces of the known languages are joined.
    Auto,
}

/// From where on which mode is in force, in the order of the places. A change
/// stands in the checkpoint before anything is sent that it concerns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Modes(Vec<(u64, Multiline)>);

/// Joins the lines of one file.
#[derive(Debug, Default)]
pub(crate) struct Joiner {
    modes: Modes,
    streams: [StreamState; 3],
    cuts: Cuts,
}

#[derive(Debug, Default)]
struct StreamState {
    held: Option<Held>,
    /// The event before the next line was cut by time.
    was_cut: bool,
}

/// An event that may have more lines.
#[derive(Debug)]
struct Held {
    trace: Trace,
    range: ByteRange,
    text: Vec<u8>,
    lines: usize,
    timestamp_nanos: Option<i64>,
    /// Of the first line, but for its ending.
    flags: i32,
    /// The last line ended in CR LF.
    crlf: bool,
    /// When the last line was read.
    grew: Duration,
}

/// Lets lines pass through a joiner on their way to a sink.
pub(crate) struct Joining<'a, S> {
    joiner: &'a mut Joiner,
    sink: &'a mut S,
    now: Duration,
}

impl Modes {
    /// One mode for the whole file.
    pub(crate) fn one(mode: Multiline) -> Self {
        Self(vec![(0, mode)])
    }

    /// The mode of a line that begins at `start`.
    fn at(&self, start: u64) -> Multiline {
        self.0
            .iter()
            .rev()
            .find(|(from, _)| *from <= start)
            .map_or_else(Multiline::default, |(_, mode)| *mode)
    }

    fn last(&self) -> Multiline {
        self.at(u64::MAX)
    }

    /// What lines at `resume` and behind it need.
    fn needed(&mut self, resume: u64) -> Self {
        let past = self.0.iter().filter(|(from, _)| *from <= resume).count();
        self.0.drain(..past.saturating_sub(1));
        self.clone()
    }
}

impl Joiner {
    /// A file whose streams are settled up to the given positions, and where
    /// it was cut.
    pub(crate) fn resume(modes: Modes, settled: &[(Stream, u64)], cuts: Vec<Cut>) -> Self {
        let mut joiner = Self { modes, cuts: Cuts::new(cuts), ..Self::default() };
        for &(stream, resume) in settled {
            joiner.streams[stream.index()].was_cut = joiner.cuts.is_pending(stream, resume);
        }
        joiner
    }

    /// Joins by `mode` the lines that begin at `from` or behind it: at the end
    /// of all that may have been sent. True when that is a change.
    pub(crate) fn switch(&mut self, mode: Multiline, from: u64) -> bool {
        let changes = self.modes.last() != mode;
        if changes {
            self.modes.0.retain(|(earlier, _)| *earlier < from);
            self.modes.0.push((from, mode));
        }
        changes
    }

    /// From where on the newest mode is in force.
    pub(crate) fn switched_at(&self) -> u64 {
        self.modes.0.last().map_or(0, |(from, _)| *from)
    }

    /// The modes that a replay from `resume` would need.
    pub(crate) fn modes_needed(&mut self, resume: u64) -> Modes {
        self.modes.needed(resume)
    }

    /// The way of a line through this joiner to `sink`.
    pub(crate) fn to<'a, S: Sink>(&'a mut self, sink: &'a mut S, now: Duration) -> Joining<'a, S> {
        Joining { joiner: self, sink, now }
    }

    /// Where the event held of `stream` begins.
    pub(crate) fn held_from(&self, stream: Stream) -> Option<u64> {
        self.streams[stream.index()].held.as_ref().map(|held| held.range.start)
    }

    /// True while any event is held.
    pub(crate) fn has_held(&self) -> bool {
        self.streams.iter().any(|state| state.held.is_some())
    }

    /// When the oldest held event last grew.
    pub(crate) fn oldest(&self) -> Option<Duration> {
        self.streams.iter().filter_map(|state| Some(state.held.as_ref()?.grew)).min()
    }

    /// The cuts that a replay from the acknowledged ends would need.
    pub(crate) fn cuts_needed(&mut self, acknowledged: impl Fn(Stream) -> Option<u64>) -> Vec<Cut> {
        self.cuts.needed(acknowledged)
    }

    /// Hands on what nothing can be joined to any more, now that each stream
    /// has been framed up to where `framed` says.
    pub(crate) fn pass(&mut self, framed: impl Fn(Stream) -> u64, sink: &mut impl Sink) {
        for stream in Stream::ALL {
            let held = &self.streams[stream.index()].held;
            if held.as_ref().is_some_and(|held| framed(stream) > held.range.end + GAP_BYTES_MAX) {
                self.hand_on(stream, sink);
            }
        }
    }

    /// Cuts the events that have not grown since `before`. True when there was
    /// one.
    pub(crate) fn cut(&mut self, before: Duration, sink: &mut impl Sink) -> bool {
        let mut any = false;
        for stream in Stream::ALL {
            let held = &self.streams[stream.index()].held;
            let Some(end) = held.as_ref().filter(|held| held.grew <= before).map(|held| held.range.end)
            else {
                continue;
            };
            any = true;
            self.hand_on(stream, sink);
            self.streams[stream.index()].was_cut = true;
            self.cuts.insert(end, stream, CutKind::Event);
        }
        any
    }

    /// The file ended here for good: hands on what is held.
    pub(crate) fn abandon(&mut self, sink: &mut impl Sink) {
        for stream in Stream::ALL {
            self.hand_on(stream, sink);
        }
    }

    fn line(&mut self, frame: Frame<'_>, now: Duration, sink: &mut impl Sink) {
        let is_alone = self.modes.at(frame.range.start) == Multiline::None;
        // A piece of a line is no line: it is not looked at.
        if is_alone || frame.flags & (flags::TRUNCATED | flags::CONTINUATION) != 0 {
            self.hand_on(frame.stream, sink);
            self.streams[frame.stream.index()].was_cut = false;
            self.alone(frame, false, sink);
            return;
        }
        let is_cut = frame.flags & flags::CUT != 0;
        if let Some(held) = &mut self.streams[frame.stream.index()].held {
            if let Some(trace) = held.goes_on(&frame) {
                held.add(&frame, trace, now);
                self.end_where_cut(&frame, is_cut, sink);
                return;
            }
            self.hand_on(frame.stream, sink);
        }
        let was_cut = std::mem::take(&mut self.streams[frame.stream.index()].was_cut);
        let continues = was_cut && (shape::is_indented(frame.text) || shape::is_frame(frame.text));
        match Trace::begin(frame.text).filter(|_| !is_cut) {
            Some(trace) => {
                self.streams[frame.stream.index()].held = Some(Held::new(&frame, trace, continues, now));
                self.end_where_cut(&frame, is_cut, sink);
            }
            None => self.alone(frame, continues, sink),
        }
    }

    /// Ends the held event behind its last line, if it was cut there before, or
    /// the line itself was.
    fn end_where_cut(&mut self, last: &Frame<'_>, is_cut: bool, sink: &mut impl Sink) {
        let was_cut = self.cuts.ends_join(last.stream, last.range.end);
        if is_cut || was_cut {
            self.hand_on(last.stream, sink);
            self.streams[last.stream.index()].was_cut = was_cut;
        }
    }

    /// A line that is an event of its own.
    fn alone(&mut self, mut frame: Frame<'_>, continues: bool, sink: &mut impl Sink) {
        self.cuts.resolve(frame.stream, frame.range.end);
        if continues {
            frame.flags |= flags::CONTINUATION;
        }
        sink.record(frame);
    }

    fn hand_on(&mut self, stream: Stream, sink: &mut impl Sink) {
        let Some(held) = self.streams[stream.index()].held.take() else { return };
        self.cuts.resolve(stream, held.range.end);
        sink.record(Frame {
            stream,
            range: held.range,
            text: &held.text,
            timestamp_nanos: held.timestamp_nanos,
            flags: held.flags | if held.crlf { flags::CRLF } else { 0 },
            dropped: None,
        });
    }
}

impl Held {
    fn new(frame: &Frame<'_>, trace: Trace, continues: bool, now: Duration) -> Self {
        let continuation = if continues { flags::CONTINUATION } else { 0 };
        Self {
            trace,
            range: frame.range,
            text: frame.text.to_vec(),
            lines: 1,
            timestamp_nanos: frame.timestamp_nanos,
            flags: frame.flags & !flags::CRLF | continuation,
            crlf: frame.flags & flags::CRLF != 0,
            grew: now,
        }
    }

    /// What is held with this line at its end, if it goes on with it.
    fn goes_on(&self, frame: &Frame<'_>) -> Option<Trace> {
        let is_near = frame.range.start <= self.range.end + GAP_BYTES_MAX;
        let fits = self.text.len() + frame.text.len() + 2 <= EVENT_BYTES_MAX && self.lines < EVENT_LINES_MAX;
        if is_near && fits { self.trace.next(frame.text) } else { None }
    }

    fn add(&mut self, frame: &Frame<'_>, trace: Trace, now: Duration) {
        self.text.extend_from_slice(if self.crlf { b"\r\n" } else { b"\n" });
        self.text.extend_from_slice(frame.text);
        self.range = ByteRange::new(self.range.start, frame.range.end);
        self.flags |= frame.flags & !flags::CRLF;
        self.crlf = frame.flags & flags::CRLF != 0;
        self.lines += 1;
        self.trace = trace;
        self.grew = now;
    }
}

impl<S: Sink> Sink for Joining<'_, S> {
    fn record(&mut self, frame: Frame<'_>) {
        self.joiner.line(frame, self.now, self.sink);
    }
}

//! From the bytes of a file to records `[start, end)`.
//!
//! Where a record begins and ends depends on content alone: not on how much a
//! read brought, not on when it was made. The one exception is a *cut*, made
//! when an unfinished record stopped growing; cuts are kept in the checkpoint
//! before anything of them is sent, so a replay cuts at the same places.
//!
//! The framer holds no bytes of the file, only where the line that it has not
//! finished begins; it reads that line again with the next block. Memory does
//! not grow with the number of files, and a line over the limit is scanned for
//! its end without being held. The exception is a container's record whose parts
//! lie between lines of the other stream: its text, up to the line limit, is kept.
//!
//! Not here: which source a stream is, and batches.

mod cri;
mod cut;
mod docker;
mod part;
mod pass;
mod record;

#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

use memchr::memchr;
use weir_proto::limit::LINE_BYTES_MAX;
use weir_proto::model::{ByteRange, flags};

pub(crate) use cut::{Cut, CutKind, Cuts};
use part::Part;
pub(crate) use pass::Passed;
pub(crate) use record::{Format, Frame, ReadAt, Sink, Stream};

/// What one read asks for: enough to make its cost vanish, little enough to
/// stay in a core's cache until it is framed.
pub(crate) const BLOCK_BYTES: usize = 256 * 1024;

/// The longest line that is looked at as a whole: the limit of its text and
/// what a container runtime writes around it. A longer one is scanned for its end only.
pub(crate) const WINDOW_BYTES_MAX: usize = LINE_BYTES_MAX + 256;

const _: () = assert!(BLOCK_BYTES < WINDOW_BYTES_MAX);

/// Frames one file.
#[derive(Debug, Default)]
pub(crate) struct Framer {
    format: Option<Format>,
    /// The format of a file whose first line does not say it.
    fallback: Option<Format>,
    /// Where the line being read begins: all before it is framed.
    position: u64,
    /// No line ends in `[position, scanned)`.
    scanned: u64,
    streams: [StreamState; 3],
    cuts: Cuts,
    passed: Passed,
}

#[derive(Debug, Default)]
struct StreamState {
    /// Lines that start below are settled already and are passed over.
    resume: u64,
    /// Where the stream's first line was seen.
    first: Option<u64>,
    /// A record whose last part has not come.
    open: Option<Open>,
    /// The record before the next was cut for want of its last part.
    continues: bool,
}

#[derive(Debug)]
struct Open {
    start: u64,
    /// End of the last part.
    end: u64,
    text: Vec<u8>,
    /// Where the text that no longer fitted begins.
    dropped_at: Option<u64>,
    timestamp_nanos: Option<i64>,
    continues: bool,
    /// When the last part was read.
    grew: Duration,
}

/// What ended a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Newline,
    Cut,
}

/// A line without its newline; of one that is too long, the beginning.
#[derive(Clone, Copy)]
struct RawLine<'a> {
    range: ByteRange,
    head: &'a [u8],
    whole: bool,
    ending: Ending,
}

impl Framer {
    /// A file at its beginning. Its first line says the format; if it is none
    /// of a container, it is `fallback`, else [`Format::Plain`].
    pub(crate) fn new(fallback: Option<Format>) -> Self {
        Self { fallback, ..Self::default() }
    }

    /// A file whose streams are settled up to the given positions; its format
    /// is known if a line of it was framed.
    pub(crate) fn resume(format: Option<Format>, settled: &[(Stream, u64)], cuts: Vec<Cut>) -> Self {
        let cuts = Cuts::new(cuts);
        let mut framer = Self { format, ..Self::default() };
        for &(stream, resume) in settled {
            let continues = cuts.is_pending(stream, resume);
            framer.streams[stream.index()] =
                StreamState { resume, first: Some(resume), open: None, continues };
        }
        framer.position = settled.iter().map(|&(_, resume)| resume).min().unwrap_or(0);
        framer.scanned = framer.position;
        framer.cuts = cuts;
        framer
    }

    /// The same, with the format of a file whose first line will not say it.
    pub(crate) fn with_fallback(self, fallback: Option<Format>) -> Self {
        Self { fallback, ..self }
    }

    /// The same, with what an earlier process passed over.
    pub(crate) fn with_passed(self, passed: Passed) -> Self {
        Self { passed, ..self }
    }

    /// Nothing from the unfinished line to `end` is wanted: the next line
    /// begins there. In a replay, nothing from where the wanted ended before.
    pub(crate) fn pass_to(&mut self, end: u64) {
        self.passed.add(self.position, end);
        if self.passed.ahead(self.position).is_some() {
            return;
        }
        self.position = self.position.max(end);
        self.scanned = self.position;
    }

    /// What is passed over in a replay, too.
    pub(crate) fn passed(&self) -> &Passed {
        &self.passed
    }

    /// What of that a replay from `resume` would need.
    pub(crate) fn passed_needed(&mut self, resume: Option<u64>) -> Passed {
        self.passed.needed(resume)
    }

    /// The format, once known.
    pub(crate) fn format(&self) -> Option<Format> {
        self.format
    }

    /// Where the unfinished line begins.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Where the first line of `stream` was seen, if any.
    pub(crate) fn first(&self, stream: Stream) -> Option<u64> {
        self.streams[stream.index()].first
    }

    /// How far every byte is settled for `stream`: framed, or another stream's,
    /// and not part of a record that is still open.
    pub(crate) fn settled(&self, stream: Stream) -> u64 {
        let state = &self.streams[stream.index()];
        state.open.as_ref().map_or(self.position, |open| open.start).max(state.resume)
    }

    /// How far every byte is settled for every stream seen.
    pub(crate) fn settled_for_all(&self) -> u64 {
        let seen = Stream::ALL.into_iter().filter(|stream| self.first(*stream).is_some());
        seen.map(|stream| self.settled(stream)).min().unwrap_or(self.position)
    }

    /// True while a joined record waits for its last part.
    pub(crate) fn has_open(&self) -> bool {
        self.streams.iter().any(|state| state.open.is_some())
    }

    /// The cuts that a replay from the acknowledged ends would need.
    pub(crate) fn cuts_needed(&mut self, acknowledged: impl Fn(Stream) -> Option<u64>) -> Vec<Cut> {
        self.cuts.needed(acknowledged)
    }

    /// Reads on and hands complete records to `sink`. Answers with the end of
    /// what was seen: unless that grew, the file has nothing new.
    pub(crate) fn advance(
        &mut self,
        file: &impl ReadAt,
        buffer: &mut Vec<u8>,
        now: Duration,
        sink: &mut impl Sink,
    ) -> io::Result<u64> {
        if let Some(end) = self.passed.end_of(self.position) {
            (self.position, self.scanned) = (end, end);
        }
        let known = usize::try_from(self.scanned - self.position).unwrap_or(usize::MAX);
        if known >= WINDOW_BYTES_MAX {
            return self.skip(file, buffer, now, sink);
        }
        let wanted = (known + BLOCK_BYTES).min(WINDOW_BYTES_MAX);
        // It begins with a line, so that nothing before is left in the middle.
        let room = self.passed.ahead(self.position).map_or(usize::MAX, |start| index(start - self.position));
        let wanted = if room > known { wanted.min(room) } else { wanted };
        let window = sized(buffer, wanted);
        let read = file.read_at(window, self.position)?;
        let end = self.position + read as u64;
        let cut = self.cuts.inside(self.position).is_some_and(|cut| cut <= end);
        if read > known || cut {
            self.frame(&window[..read], known, now, sink);
        }
        Ok(end)
    }

    /// Frames the complete lines of a window that begins at `position`; its
    /// first `known` bytes hold no newline.
    fn frame(&mut self, window: &[u8], known: usize, now: Duration, sink: &mut impl Sink) {
        let base = self.position;
        let (mut at, mut search) = (0, known);
        let mut scratch = Vec::new();
        loop {
            let forced = self.cuts.inside(base + at as u64).map(|end| index(end - base));
            let limit = forced.map_or(window.len(), |end| end.min(window.len()));
            let newline = window.get(search..limit).and_then(|bytes| memchr(b'\n', bytes));
            let (text_end, line_end, ending) = match newline {
                Some(found) => (search + found, search + found + 1, Ending::Newline),
                None if forced == Some(limit) => (limit, limit, Ending::Cut),
                None => break,
            };
            let range = ByteRange::new(base + at as u64, base + line_end as u64);
            let line = RawLine { range, head: &window[at..text_end], whole: true, ending };
            self.line(line, &mut scratch, now, sink);
            (at, search) = (line_end, line_end);
        }
        self.scanned = base + window.len() as u64;
    }

    /// Looks for the end of a line that is over the limit.
    fn skip(
        &mut self,
        file: &impl ReadAt,
        buffer: &mut Vec<u8>,
        now: Duration,
        sink: &mut impl Sink,
    ) -> io::Result<u64> {
        let forced = self.cuts.inside(self.position);
        let wanted = forced.map_or(BLOCK_BYTES, |end| index(end - self.scanned).min(BLOCK_BYTES));
        let block = sized(buffer, wanted);
        let read = file.read_at(block, self.scanned)?;
        let seen = self.scanned + read as u64;
        let (end, ending) = match memchr(b'\n', &block[..read]) {
            Some(found) => (self.scanned + found as u64 + 1, Ending::Newline),
            None if forced == Some(seen) => (seen, Ending::Cut),
            None => {
                self.scanned = seen;
                return Ok(seen);
            }
        };
        let head = sized(buffer, WINDOW_BYTES_MAX);
        if !read_full(file, head, self.position)? {
            return Ok(self.position);
        }
        let range = ByteRange::new(self.position, end);
        self.line(RawLine { range, head, whole: false, ending }, &mut Vec::new(), now, sink);
        Ok(seen)
    }

    /// Settles one line. `scratch` is for text that does not stand in it as it is.
    fn line(&mut self, line: RawLine<'_>, scratch: &mut Vec<u8>, now: Duration, sink: &mut impl Sink) {
        let fallback = self.fallback.unwrap_or(Format::Plain);
        match *self.format.get_or_insert_with(|| part::format_of(line.head).unwrap_or(fallback)) {
            Format::Plain => self.plain_line(line, sink),
            Format::Cri => {
                let part = self.continuation(&line).unwrap_or_else(|| part::cri(&line));
                self.container_line(line, part, now, sink);
            }
            Format::Docker => {
                let part = self.continuation(&line).unwrap_or_else(|| part::docker(&line, scratch));
                self.container_line(line, part, now, sink);
            }
        }
        self.position = line.range.end;
        self.scanned = line.range.end;
    }

    fn plain_line(&mut self, line: RawLine<'_>, sink: &mut impl Sink) {
        let start = line.range.start;
        let continues = self.cuts.ending_at(start).is_some();
        if line.ending == Ending::Cut {
            self.cuts.describe(line.range.end, Stream::File, CutKind::Line);
        }
        let state = &mut self.streams[Stream::File.index()];
        if start < state.resume {
            return;
        }
        state.first.get_or_insert(start);
        let mut bits = 0;
        let mut text = line.head;
        if let Some(stripped) = line.stripped() {
            (text, bits) = (stripped, flags::CRLF);
        }
        if continues && text.is_empty() && line.ending == Ending::Newline {
            return;
        }
        let mut dropped = None;
        if text.len() > LINE_BYTES_MAX {
            (text, bits) = (&text[..LINE_BYTES_MAX], flags::TRUNCATED);
            dropped = Some(ByteRange::new(start + LINE_BYTES_MAX as u64, line.range.end));
        }
        bits |= flag(continues, flags::CONTINUATION) | flag(line.ending == Ending::Cut, flags::CUT);
        let stream = Stream::File;
        sink.record(Frame { stream, range: line.range, text, timestamp_nanos: None, flags: bits, dropped });
    }

    /// Joins what the runtime has split. Each stream for itself: the parts of
    /// one may lie between lines of the other.
    fn container_line(&mut self, line: RawLine<'_>, part: Part<'_>, now: Duration, sink: &mut impl Sink) {
        let stream = part.stream;
        if line.ending == Ending::Cut {
            let kind = if part.partial { CutKind::PartialLine } else { CutKind::Line };
            self.cuts.describe(line.range.end, stream, kind);
        }
        let join_ends = self.cuts.ends_join(stream, line.range.end);
        let state = &mut self.streams[stream.index()];
        if line.range.start < state.resume {
            return;
        }
        state.first.get_or_insert(line.range.start);
        let continues = std::mem::take(&mut state.continues) || part.after_cut;
        let closes = !part.partial || line.ending == Ending::Cut;
        if closes && state.open.is_none() {
            self.whole_record(line, part, continues, sink);
            return;
        }
        let open =
            state.open.get_or_insert_with(|| Open::new(line.range.start, part.timestamp_nanos, continues));
        open.add(line, part, now);
        if closes {
            let crlf = !part.partial && part.ended;
            let bits = flag(line.ending == Ending::Cut, flags::CUT) | flag(part.partial, flags::PARTIAL);
            self.close(stream, bits, crlf, sink);
        } else if join_ends {
            self.close(stream, flags::CUT | flags::PARTIAL, false, sink);
            self.streams[stream.index()].continues = true;
        }
    }

    /// The rest of a line that was cut in its middle.
    fn continuation<'a>(&self, line: &RawLine<'a>) -> Option<Part<'a>> {
        let cut = self.cuts.ending_at(line.range.start)?;
        let partial = cut.kind == CutKind::PartialLine;
        Some(Part { stream: cut.stream, partial, after_cut: true, ..Part::as_it_is(line) })
    }

    /// A line that is a record of its own: the common case, not copied.
    fn whole_record(&mut self, line: RawLine<'_>, part: Part<'_>, continues: bool, sink: &mut impl Sink) {
        let Part { stream, timestamp_nanos, .. } = part;
        self.cuts.resolve(stream, line.range.end);
        let (mut text, mut bits) = (part.text, 0);
        if part.ended
            && let Some(stripped) = text.strip_suffix(b"\r")
        {
            (text, bits) = (stripped, flags::CRLF);
        }
        if continues && text.is_empty() && line.ending == Ending::Newline {
            return;
        }
        let mut dropped = None;
        if text.len() > LINE_BYTES_MAX {
            (text, bits) = (&text[..LINE_BYTES_MAX], flags::TRUNCATED);
            dropped = Some(ByteRange::new(part.source_of(&line, LINE_BYTES_MAX), line.range.end));
        }
        bits |= flag(continues, flags::CONTINUATION);
        if line.ending == Ending::Cut {
            bits |= flags::CUT | flag(part.partial, flags::PARTIAL);
        }
        sink.record(Frame { stream, range: line.range, text, timestamp_nanos, flags: bits, dropped });
    }

    /// Hands on the open record of `stream` as it is.
    fn close(&mut self, stream: Stream, bits: i32, crlf: bool, sink: &mut impl Sink) {
        let Some(open) = self.streams[stream.index()].open.take() else { return };
        self.cuts.resolve(stream, open.end);
        let mut bits = bits | flag(open.continues, flags::CONTINUATION);
        let mut text = open.text.as_slice();
        let dropped = open.dropped_at.map(|at| ByteRange::new(at, open.end));
        if dropped.is_some() {
            bits |= flags::TRUNCATED;
        } else if crlf && let Some(stripped) = text.strip_suffix(b"\r") {
            (text, bits) = (stripped, bits | flags::CRLF);
        }
        if open.continues && text.is_empty() && bits & flags::CUT == 0 {
            return;
        }
        let range = ByteRange::new(open.start, open.end);
        let timestamp_nanos = open.timestamp_nanos;
        sink.record(Frame { stream, range, text, timestamp_nanos, flags: bits, dropped });
    }

    // -- cuts ---------------------------------------------------------------

    /// Decides that the unfinished line ends at `end` for want of growth. The
    /// next [`Self::advance`] frames it so.
    pub(crate) fn cut_line(&mut self, end: u64) {
        self.cuts.insert(end, Stream::File, CutKind::Line);
    }

    /// Cuts the joined records whose last part came before `before`. True when
    /// there was one.
    pub(crate) fn cut_joins(&mut self, before: Duration, sink: &mut impl Sink) -> bool {
        let mut any = false;
        for stream in Stream::ALL {
            let state = &mut self.streams[stream.index()];
            let Some(end) = state.open.as_ref().filter(|open| open.grew <= before).map(|open| open.end)
            else {
                continue;
            };
            any = true;
            self.close(stream, flags::CUT | flags::PARTIAL, false, sink);
            self.streams[stream.index()].continues = true;
            self.cuts.insert(end, stream, CutKind::Join);
        }
        any
    }

    /// When the oldest open join last grew.
    pub(crate) fn oldest_join(&self) -> Option<Duration> {
        self.streams.iter().filter_map(|state| Some(state.open.as_ref()?.grew)).min()
    }

    /// The file ended here for good: hands on what is open. Nothing can be
    /// replayed after this, so no cut is kept.
    pub(crate) fn abandon_joins(&mut self, sink: &mut impl Sink) {
        for stream in Stream::ALL {
            self.close(stream, flags::PARTIAL, false, sink);
        }
    }
}

impl Open {
    fn new(start: u64, timestamp_nanos: Option<i64>, continues: bool) -> Self {
        let text = Vec::new();
        Self { start, end: start, text, dropped_at: None, timestamp_nanos, continues, grew: Duration::ZERO }
    }

    /// Adds the text of a line, as far as there is room.
    fn add(&mut self, line: RawLine<'_>, part: Part<'_>, now: Duration) {
        self.end = line.range.end;
        self.grew = now;
        let room = if self.dropped_at.is_some() { 0 } else { LINE_BYTES_MAX - self.text.len() };
        if part.text.len() > room {
            self.dropped_at.get_or_insert_with(|| part.source_of(&line, room));
        }
        self.text.extend_from_slice(&part.text[..part.text.len().min(room)]);
    }
}

impl<'a> RawLine<'a> {
    /// The line without the CR before its newline, if there is one.
    fn stripped(&self) -> Option<&'a [u8]> {
        if self.is_ended() { self.head.strip_suffix(b"\r") } else { None }
    }

    /// True when all of it is there.
    fn is_ended(&self) -> bool {
        self.whole && self.ending == Ending::Newline
    }
}

fn flag(set: bool, bit: i32) -> i32 {
    if set { bit } else { 0 }
}

fn index(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// The first `bytes` of the buffer, which grows when it must.
fn sized(buffer: &mut Vec<u8>, bytes: usize) -> &mut [u8] {
    if buffer.len() < bytes {
        buffer.resize(bytes, 0);
    }
    &mut buffer[..bytes]
}

/// Fills `buffer`, unless the file ends before.
fn read_full(file: &impl ReadAt, buffer: &mut [u8], position: u64) -> io::Result<bool> {
    let mut filled = 0;
    while filled < buffer.len() {
        let read = file.read_at(&mut buffer[filled..], position + filled as u64)?;
        if read == 0 {
            return Ok(false);
        }
        filled += read;
    }
    Ok(true)
}

//! Walks over the frames of one segment, past damage.
//!
//! Three ways on: a frame follows at once; a frame with a sound head and a
//! damaged body is stepped over; where no head is, every later byte position is
//! tried until a whole frame is found. Used by recovery and by readers, so that
//! both see the same records.

use std::io;

use bytes::Bytes;

use super::files::{File, read_full};
use super::frame::{HEAD_BYTES, Head};
use super::segment::Seed;
use crate::Record;

/// How much is searched at once for the next frame.
const SEARCH_BYTES: u64 = 1 << 20;

/// How much is read at once while only heads are needed.
const SKIP_BYTES: usize = 64 << 10;

/// What stands between the frames of a segment and their readers.
#[derive(Debug)]
pub(super) struct Scanner {
    window: Window,
    seed: Seed,
    /// Where the next frame should begin.
    at: u64,
    /// The offset it should have.
    expected: u64,
    /// No frame of this segment has this offset or a higher one.
    upper: u64,
    /// What was wrong since the last sound frame.
    damage: Option<Damage>,
    /// Bytes that failed searches may still read. Without it a payload full of
    /// forged heads, beside real damage, would keep a reader busy for days.
    budget: u64,
    /// How much is read at once.
    chunk: usize,
}

/// A sound frame.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) offset: u64,
    /// It begins what was written together.
    pub(super) begins: bool,
    pub(super) record: Record,
    /// Where it ends in the file.
    pub(super) end: u64,
    /// What was wrong between the frame before and this one.
    pub(super) damage: Option<Damage>,
}

/// The first thing that was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damage {
    at: u64,
    what: &'static str,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

/// What lies at a position.
enum Look {
    Frame(Head, Bytes),
    Head(Head),
    BadBody(Head),
    NoFrame(&'static str),
    /// A sound frame of an offset that is not this segment's to hold.
    Beyond,
    End,
}

impl Scanner {
    /// Begins at byte `at`, where the frame of offset `expected` should be.
    /// Frames from `upper` on are not looked for. `chunk` bytes are read at a
    /// time, more for a larger frame.
    pub(super) fn new(
        file: Box<dyn File>,
        seed: Seed,
        at: u64,
        expected: u64,
        upper: u64,
        chunk: usize,
    ) -> io::Result<Self> {
        let window = Window::new(file)?;
        let budget = window.size.saturating_mul(4).saturating_add(64 << 20);
        Ok(Self { window, seed, at, expected, upper, damage: None, budget, chunk })
    }

    /// The next sound frame of offset `wanted` or higher; none when there is no
    /// more. Of frames below `wanted` only heads are read. The caller sees a
    /// loss by comparing the offset with the one it expected.
    pub(super) fn next(&mut self, wanted: u64) -> io::Result<Option<Found>> {
        while self.expected < self.upper {
            match self.look(self.at, wanted)? {
                Look::Frame(head, frame) => match head.record(&frame) {
                    Some(record) => return Ok(Some(self.step_onto(&head, record))),
                    None => self.step_over(&head, "a record fails its checksum"),
                },
                Look::Head(head) => {
                    self.damage = None;
                    self.at += head.frame_bytes() as u64;
                    self.expected = head.offset + 1;
                }
                Look::BadBody(head) => self.step_over(&head, "a record is cut short"),
                Look::NoFrame(what) => {
                    self.note(what);
                    match self.search()? {
                        Some(at) => self.at = at,
                        None => return Ok(None),
                    }
                }
                Look::Beyond | Look::End => return Ok(None),
            }
        }
        Ok(None)
    }

    /// What was wrong after the last sound frame.
    pub(super) fn damage(&self) -> Option<Damage> {
        self.damage
    }

    /// The file's length when it was opened.
    pub(super) fn file_bytes(&self) -> u64 {
        self.window.size
    }

    fn note(&mut self, what: &'static str) {
        self.damage.get_or_insert(Damage { at: self.at, what });
    }

    fn step_onto(&mut self, head: &Head, record: Record) -> Found {
        self.at += head.frame_bytes() as u64;
        self.expected = head.offset + 1;
        Found { offset: head.offset, begins: head.begins, record, end: self.at, damage: self.damage.take() }
    }

    fn step_over(&mut self, head: &Head, what: &'static str) {
        self.note(what);
        self.at += head.frame_bytes() as u64;
        self.expected = head.offset + 1;
    }

    fn look(&mut self, at: u64, wanted: u64) -> io::Result<Look> {
        // Bodies that are stepped over need not be read.
        let chunk = if self.expected < wanted { SKIP_BYTES } else { self.chunk };
        let Some(bytes) = self.window.view(at, HEAD_BYTES, chunk)? else {
            let torn = at < self.window.size;
            if torn {
                self.note("the file ends within a frame");
            }
            return Ok(Look::End);
        };
        let Some(head) = Head::parse(bytes, self.seed) else { return Ok(Look::NoFrame("no frame begins")) };
        if head.offset < self.expected {
            return Ok(Look::NoFrame("a frame of an earlier offset lies"));
        }
        if head.offset >= self.upper {
            return Ok(Look::Beyond);
        }
        let frame_bytes = head.frame_bytes();
        if at + frame_bytes as u64 > self.window.size {
            return Ok(Look::BadBody(head));
        }
        if head.offset < wanted {
            return Ok(Look::Head(head));
        }
        Ok(match self.window.share(at, frame_bytes, chunk)? {
            Some(frame) => Look::Frame(head, frame),
            None => Look::BadBody(head),
        })
    }

    /// The position of the next whole frame after `self.at`.
    fn search(&mut self) -> io::Result<Option<u64>> {
        let mut at = self.at + 1;
        // Each lost record took at least a head's worth of bytes.
        let offset_max = self.expected.saturating_add(self.window.size / HEAD_BYTES as u64 + 1);
        while at + HEAD_BYTES as u64 <= self.window.size {
            let bytes = SEARCH_BYTES.min(self.window.size - at);
            let length = usize::try_from(bytes).expect("a search window is small");
            let Some(view) = self.window.view(at, length, length)? else { return Ok(None) };
            let (seed, expected, upper) = (self.seed, self.expected, self.upper.min(offset_max));
            let is_candidate = |bytes: &[u8]| {
                Head::parse(bytes, seed).is_some_and(|head| (expected..upper).contains(&head.offset))
            };
            let Some(skipped) = view.windows(HEAD_BYTES).position(is_candidate) else {
                at += bytes - (HEAD_BYTES as u64 - 1);
                continue;
            };
            at += skipped as u64;
            let mut cost = SEARCH_BYTES;
            if let Look::Frame(head, frame) = self.look(at, 0)? {
                if head.record(&frame).is_some() {
                    return Ok(Some(at));
                }
                cost += frame.len() as u64;
            }
            match self.budget.checked_sub(cost) {
                Some(left) => self.budget = left,
                None => return Ok(None),
            }
            at += 1;
        }
        Ok(None)
    }
}

/// The part of the file that is in memory.
#[derive(Debug)]
struct Window {
    file: Box<dyn File>,
    size: u64,
    start: u64,
    bytes: Bytes,
}

impl Window {
    fn new(file: Box<dyn File>) -> io::Result<Self> {
        let size = file.size()?;
        Ok(Self { file, size, start: 0, bytes: Bytes::new() })
    }

    /// Bytes `[at, at + length)`; none when the file ends before.
    fn view(&mut self, at: u64, length: usize, chunk: usize) -> io::Result<Option<&[u8]>> {
        Ok(self.load(at, length, chunk)?.map(|from| &self.bytes[from..from + length]))
    }

    /// The same, without copying and outliving the window.
    fn share(&mut self, at: u64, length: usize, chunk: usize) -> io::Result<Option<Bytes>> {
        Ok(self.load(at, length, chunk)?.map(|from| self.bytes.slice(from..from + length)))
    }

    /// Sees to it that the bytes are in memory; answers with their place there.
    fn load(&mut self, at: u64, length: usize, chunk: usize) -> io::Result<Option<usize>> {
        let end = at + length as u64;
        if end > self.size {
            return Ok(None);
        }
        if at < self.start || end > self.start + self.bytes.len() as u64 {
            let left = usize::try_from(self.size - at).unwrap_or(usize::MAX);
            let mut buffer = vec![0; length.max(chunk).min(left)];
            let read = read_full(&*self.file, &mut buffer, at)?;
            buffer.truncate(read);
            self.start = at;
            self.bytes = buffer.into();
            // Cut since it was opened.
            if read < length {
                return Ok(None);
            }
        }
        Ok(usize::try_from(at - self.start).ok())
    }
}

//! What of a stream may still be needed: the unfinished line. Of one over the
//! limit, only the beginning is kept, and what was not looked at yet.

use std::io;

use crate::frame::{ReadAt, WINDOW_BYTES_MAX};

/// Bytes of a stream, read as if it were a file.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Where `head` begins: at the unfinished line.
    base: u64,
    head: Vec<u8>,
    /// Where `tail` begins; what lies before it and behind `head` is gone.
    tail_base: u64,
    tail: Vec<u8>,
    /// All before was looked at.
    seen: u64,
}

impl Window {
    /// Adds what came next.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if self.has_gap() {
            self.tail.extend_from_slice(bytes);
        } else {
            self.head.extend_from_slice(bytes);
            self.tail_base = self.head_end();
        }
    }

    /// The end of what was fed.
    pub(super) fn end(&self) -> u64 {
        self.tail_base + self.tail.len() as u64
    }

    /// The end of what was looked at.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// All before `seen` was looked at.
    pub(super) fn saw(&mut self, seen: u64) {
        self.seen = seen;
    }

    /// The unfinished line begins at `position`, and all that was fed was
    /// looked at: the rest is not needed.
    pub(super) fn forget(&mut self, position: u64) {
        let before = usize::try_from(position - self.base).unwrap_or(usize::MAX);
        if before >= self.head.len() && position >= self.tail_base {
            let inside = usize::try_from(position - self.tail_base).unwrap_or(usize::MAX);
            self.tail.drain(..inside.min(self.tail.len()));
            self.head.clear();
            std::mem::swap(&mut self.head, &mut self.tail);
        } else {
            self.head.drain(..before.min(self.head.len()));
        }
        self.base = position;
        if self.head.len() > WINDOW_BYTES_MAX || self.has_gap() {
            let end = self.end();
            self.head.truncate(WINDOW_BYTES_MAX);
            self.tail.clear();
            self.tail_base = end;
        } else {
            self.tail_base = self.head_end();
        }
    }

    /// Bytes of memory in use.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    fn head_end(&self) -> u64 {
        self.base + self.head.len() as u64
    }

    fn has_gap(&self) -> bool {
        self.tail_base > self.head_end()
    }
}

impl ReadAt for Window {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let (base, bytes) =
            if position < self.head_end() { (self.base, &self.head) } else { (self.tail_base, &self.tail) };
        match position.checked_sub(base) {
            Some(at) => bytes.as_slice().read_at(buffer, at),
            None => Ok(0),
        }
    }
}

//! A file that is read on in a kept copy, and what is said of one that cannot
//! be read any more.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use weir_proto::model::{ByteRange, Drop, drop_reason};

use super::{Bench, Moment, Tail};
use crate::checkpoint::{Entry, FileKey, StreamEntry};
use crate::descriptor::Descriptor;
use crate::frame::Stream;
use crate::join::Multiline;
use crate::keep::Draft;
use crate::lane::Lane;

/// Bytes that are read at once to count lines.
const COUNT_BYTES: usize = 256 << 10;

impl Tail {
    /// A compressed file. There is nothing to read of it but a kept copy of
    /// what it holds, and mostly not even that.
    pub(crate) fn archive(
        key: FileKey,
        path: PathBuf,
        metadata: &Metadata,
        multiline: Multiline,
        now: Moment,
    ) -> Self {
        let mut tail = Self::new(key, path, None, metadata, multiline, now);
        tail.archive = true;
        // It is younger than what it holds.
        tail.floor = None;
        tail
    }

    /// Goes on in a kept copy. False: that is of another content.
    pub(crate) fn take_copy(&mut self, copy: Descriptor) -> io::Result<bool> {
        let size = copy.metadata()?.len();
        let Some(fingerprint) = self.fingerprint.verify(&*copy)? else { return Ok(false) };
        if self.has_shrunk(size) {
            return Ok(false);
        }
        self.fingerprint = fingerprint;
        self.size = size;
        self.file = Some(copy);
        (self.kept, self.verified, self.parked) = (true, true, None);
        // The file itself is not looked for any more.
        (self.deleted, self.gone) = (!self.archive, None);
        Ok(true)
    }

    /// Copies what a reader of `draft` needs.
    pub(crate) fn copy(&self, draft: &mut Draft) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| draft.copy(file, self.size))
    }

    /// Everything in the kept copy is acknowledged.
    pub(crate) fn leave_copy(&mut self) {
        self.file = None;
        self.kept = false;
    }

    /// Below this, a copy of it need not hold anything.
    pub(crate) fn needed_from(&mut self, lane: &Lane) -> u64 {
        let resume = self.resume(lane);
        self.endings.last().map_or(resume, |ending| ending.start().min(resume))
    }

    /// Below this, all of it is acknowledged.
    pub(crate) fn resume(&mut self, lane: &Lane) -> u64 {
        let Entry { streams, .. } = self.entry(lane);
        streams.iter().map(StreamEntry::resume).min().unwrap_or(0)
    }

    /// True when `head`, the beginning of some content, may be that of its own.
    /// Of a file that was empty nothing can be said.
    pub(crate) fn may_begin(&self, head: &[u8]) -> io::Result<bool> {
        Ok(!self.fingerprint.is_empty() && self.fingerprint.verify(&head)?.is_some())
    }

    /// True when `content`, `length` bytes long, is what it had: as much as was
    /// read of it, and perhaps more.
    pub(crate) fn is_held_in(&self, content: &File, length: u64) -> io::Result<bool> {
        if self.has_shrunk(length) || self.fingerprint.is_empty() {
            return Ok(false);
        }
        if self.endings.last().is_none() && self.read_end() == 0 {
            return Ok(self.fingerprint.verify(content)?.is_some());
        }
        self.is_copied_in(content, length)
    }

    /// True when bytes of it are known that were not acknowledged.
    pub(crate) fn has_unsettled(&mut self, lane: &Lane) -> bool {
        !self.ended && !self.is_excluded() && self.size > self.resume(lane)
    }

    /// It cannot be read any more: what is not settled of it is told as
    /// dropped, and it ends.
    pub(crate) fn lose(&mut self, bench: &mut Bench<'_>, now: Moment) {
        self.with_sink(bench, now, |framer, joiner, _, sink| {
            framer.abandon_joins(&mut joiner.to(sink, now.steady));
            joiner.abandon(sink);
            if Stream::ALL.iter().all(|stream| framer.first(*stream).is_none()) {
                sink.source(Stream::File);
            }
        });
        let known_end = self.size.max(self.seen);
        let position = self.framer.position();
        // The streams of a file share its bytes: the one that is settled least
        // tells.
        let least = self.sources().min_by_key(|source| bench.lane.settled(*source));
        let from = least.map_or(position, |source| bench.lane.settled(source).max(position));
        if known_end > from {
            let range = ByteRange::new(from, known_end);
            bench.measured.dropped(drop_reason::ROTATED_UNREAD, range.len());
            let reason = drop_reason::ROTATED_UNREAD.to_owned();
            let lines = self.file.as_ref().and_then(|file| lines(file, range).ok()).unwrap_or(0);
            for source in self.sources() {
                if Some(source) == least {
                    bench.lane.drop(source, Drop { range, count: lines, reason: reason.clone() });
                } else {
                    bench.lane.settle(source, known_end);
                }
            }
            tracing::warn!(
                path = %self.last_path.display(), start = range.start, end = range.end, lines,
                "the file is gone before these bytes were sent; they are counted as dropped"
            );
        }
        self.close();
        (self.kept, self.ended) = (false, true);
    }
}

/// How many lines stand in a range of a file; the last needs no ending. Those
/// of a stack trace are many: which belong together is not looked at.
fn lines(file: &File, range: ByteRange) -> io::Result<u64> {
    let (mut at, mut lines, mut last) = (range.start, 0, b'\n');
    let mut buffer = vec![0; COUNT_BYTES];
    while at < range.end {
        let wanted = buffer.len().min(usize::try_from(range.end - at).unwrap_or(usize::MAX));
        let read = file.read_at(&mut buffer[..wanted], at)?;
        let Some(end) = buffer[..read].last() else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        last = *end;
        lines += buffer[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
        at += read as u64;
    }
    Ok(lines + u64::from(last != b'\n'))
}

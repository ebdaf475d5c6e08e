//! Copies that were made to cut the original off (logrotate's `copytruncate`).
//!
//! Whatever the original had and was not settled when it was cut off is read
//! in the copy, and only that. As long as the original lives and has not read
//! as far as the copy goes, the copy waits: it may still be made, and then
//! each line is read in the original. What was written between the copying and
//! the cutting is in neither: it was read in time, or is told as dropped.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::Reader;
use super::scan::{COPYING_MICROS, Sight, micros};
use crate::checkpoint::FileKey;
use crate::find::FoundFile;
use crate::tail::{Moment, Tail};

/// What a rotated file that nobody knows is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    /// A file of its own.
    Own,
    /// That cannot be told yet.
    Later,
    /// A copy of a file that is read no further, or was read further.
    Copy(FileKey),
}

impl Reader {
    /// Looks for the original of a rotated file.
    pub(super) fn likeness(
        &self,
        found: &FoundFile,
        file: &File,
        metadata: &Metadata,
        sight: &Sight<'_>,
        now: Moment,
    ) -> io::Result<Likeness> {
        let length = metadata.len();
        let mut likeness = Likeness::Own;
        for original in self.originals(found, sight) {
            if is_being_copied(original, metadata, now) && original.may_be_copied_in(file, length)? {
                likeness = Likeness::Later;
            } else if original.is_copied_in(file, length)? {
                let waits = !original.ended && original.settled() < length;
                return Ok(if waits { Likeness::Later } else { Likeness::Copy(original.key) });
            }
        }
        Ok(likeness)
    }

    /// What was read under the name that a rotated file had, of the file that
    /// stands there now, the latest first. A renamed file is not a copy, however
    /// alike the two begin: it stands there no more.
    fn originals<'a>(&'a self, found: &'a FoundFile, sight: &Sight<'_>) -> impl Iterator<Item = &'a Tail> {
        let path = found.rotated_from.as_deref().unwrap_or(Path::new(""));
        let identity = sight.standing(path);
        let keys = identity.map(|identity| self.files.incarnations(identity)).unwrap_or_default();
        let tails = keys.into_iter().rev().filter_map(|key| self.files.get(key));
        tails.filter(move |tail| tail.last_path == path && !tail.kept && !tail.archive)
    }

    /// Tells what was lost of files that were cut off, now that their copies
    /// are known.
    pub(super) fn tell_truncated(&mut self, now: Moment) {
        for key in std::mem::take(&mut self.truncated) {
            self.lane.set_mark(self.marks.value());
            let Some((tail, mut bench)) = self.workplace(key) else { continue };
            tail.tell_truncated(&mut bench, now);
            self.framed(key);
            self.marks.forget(key);
        }
    }
}

/// True when a rotated file may be a copy that is still being made: shorter
/// than what was read of the original, which is not yet cut off, and fresh.
/// The next scan looks again.
fn is_being_copied(original: &Tail, metadata: &Metadata, now: Moment) -> bool {
    let written = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let is_fresh = written.is_some_and(|since| now.wall - micros(since) < COPYING_MICROS);
    is_fresh && !original.ended && original.read_end() > metadata.len()
}

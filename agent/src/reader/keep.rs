//! What to do about files that are gone from where they were and not yet sent:
//! while the agent lives and the event log takes batches, their descriptors
//! are enough. If it takes none, or the agent ends, what is left of them is
//! copied; and where there is no room for that, the oldest copy is given up,
//! byte by byte accounted for.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, UNIX_EPOCH};

use super::{GRACE, Reader};
use crate::checkpoint::FileKey;
use crate::tail::{Moment, Tail};

/// The event log takes nothing when it acknowledged nothing for this long.
const STALL: Duration = Duration::from_secs(5);

/// When the event log was last seen to take what it was given.
#[derive(Debug, Default)]
pub(super) struct Stall {
    acknowledged: bool,
    since: Option<Duration>,
}

impl Stall {
    /// A batch was acknowledged.
    pub(super) fn acknowledged(&mut self) {
        self.acknowledged = true;
    }

    /// True when batches wait and none was acknowledged for a while.
    fn lasts(&mut self, waiting: bool, now: Moment) -> bool {
        if std::mem::take(&mut self.acknowledged) || !waiting {
            self.since = None;
            return false;
        }
        now.steady >= *self.since.get_or_insert(now.steady) + STALL
    }
}

impl Reader {
    /// Takes up the copies that an earlier process kept.
    pub(super) fn take_up(&mut self) {
        for key in self.keep.keys().collect::<Vec<_>>() {
            let taken = match self.files.get_mut(key) {
                Some(tail) => {
                    self.keep.read(key).and_then(|copy| tail.take_copy(self.descriptors.hold(copy)))
                }
                // It was whole before the checkpoint knew of its file.
                None => Ok(false),
            };
            match taken {
                Ok(true) => {}
                Ok(false) => self.let_go(key),
                Err(error) => self.trouble("keep", &self.keep.path(key), &error),
            }
        }
    }

    /// Copies what is unread of deleted files, if the event log takes nothing.
    pub(super) fn keep_deleted(&mut self, now: Moment) {
        let waiting = !self.is_acknowledged();
        if !self.stall.lasts(waiting, now) {
            return;
        }
        let deleted = |tail: &&Tail| tail.deleted && tail.is_open() && !tail.kept;
        // Its writer may hold it as well, and go on: then the descriptor stays.
        let is_quiet = |tail: &&Tail| {
            let written = tail.metadata().and_then(Result::ok).and_then(|metadata| metadata.modified().ok());
            let since = written.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            since.is_none_or(|since| super::scan::micros(since + GRACE) <= now.wall)
        };
        let keys: Vec<_> = self.files.iter().filter(deleted).filter(is_quiet).map(|tail| tail.key).collect();
        for key in keys {
            self.keep_rest(key, now);
        }
    }

    /// The process ends, and with it the descriptors.
    pub(super) fn keep_all_deleted(&mut self, now: Moment) {
        let is_deleted = |tail: &&Tail| {
            let links = tail.metadata().and_then(Result::ok).map(|metadata| metadata.nlink());
            !tail.kept && links == Some(0)
        };
        let keys: Vec<_> = self.files.iter().filter(is_deleted).map(|tail| tail.key).collect();
        for key in keys {
            self.keep_rest(key, now);
        }
    }

    /// Reads on in copies, and removes those that are acknowledged.
    pub(super) fn tend_kept(&mut self, now: Moment) {
        for key in self.keep.keys().collect::<Vec<_>>() {
            let Some(tail) = self.files.get_mut(key) else { continue };
            if !tail.kept {
                continue;
            }
            if tail.has_unread(tail.size) {
                self.queue(key);
                continue;
            }
            let unfinished = tail.queued.is_some() || tail.settled() < tail.size;
            if !unfinished && tail.sources().all(|source| self.lane.is_acknowledged(source)) {
                tail.leave_copy();
                self.marks.forget(key);
                self.dirty.insert(key);
                // The checkpoint must say so before the copy is gone.
                if self.save(now) {
                    self.let_go(key);
                }
            }
        }
        // Of those whose removal failed before.
        if self.is_behind() {
            return;
        }
        let left: Vec<_> =
            self.keep.keys().filter(|key| self.files.get(*key).is_none_or(|tail| !tail.kept)).collect();
        for key in left {
            self.let_go(key);
        }
    }

    /// What of a file that is gone was not acknowledged is lost.
    pub(super) fn lose(&mut self, key: FileKey, now: Moment) {
        self.lane.set_mark(self.marks.value());
        let Some((tail, mut bench)) = self.workplace(key) else { return };
        tail.lose(&mut bench, now);
        self.framed(key);
        self.marks.forget(key);
        self.unfinished.remove(key);
        self.resting.remove(key);
        self.dirty.insert(key);
    }

    /// Makes room for a copy of so many bytes by giving up the oldest ones.
    /// False: there cannot be enough.
    fn make_room(&mut self, bytes: u64, now: Moment) -> bool {
        if !self.keep.could_hold(bytes) {
            return false;
        }
        while self.keep.room() < bytes {
            if !self.give_up_oldest(now) {
                return false;
            }
        }
        true
    }

    fn give_up_oldest(&mut self, now: Moment) -> bool {
        let Some(oldest) = self.keep.keys().next() else { return false };
        self.lose(oldest, now);
        let before = self.keep.bytes();
        self.let_go(oldest);
        self.keep.bytes() < before
    }

    /// Copies what is not acknowledged of a file, durably, and reads on there.
    fn keep_rest(&mut self, key: FileKey, now: Moment) {
        let Some(tail) = self.files.get_mut(key) else { return };
        let Some(Ok(metadata)) = tail.metadata() else { return };
        tail.size = metadata.len();
        self.dirty.insert(key);
        if !tail.has_unsettled(&self.lane) {
            return;
        }
        let from = tail.needed_from(&self.lane);
        let (path, bytes) = (tail.last_path.clone(), tail.size - from.min(tail.size));
        // What the copy leaves out must not be asked for by a restart.
        if !self.make_room(bytes, now) || !self.save(now) {
            return;
        }
        let kept = loop {
            match self.copy_rest(key, from) {
                Err(error) if error.kind() == io::ErrorKind::StorageFull && self.give_up_oldest(now) => {}
                other => break other,
            }
        };
        match kept {
            Ok(true) => {
                tracing::warn!(path = %path.display(), bytes, "the file was deleted before it was sent; its rest is kept");
            }
            Ok(false) => self.let_go(key),
            Err(error) => self.trouble("keep", &path, &error),
        }
    }

    fn copy_rest(&mut self, key: FileKey, from: u64) -> io::Result<bool> {
        let Some(tail) = self.files.get_mut(key) else { return Ok(false) };
        let mut draft = self.keep.draft(key, from)?;
        if let Err(error) = tail.copy(&mut draft) {
            draft.discard();
            return Err(error);
        }
        tail.take_copy(self.descriptors.hold(self.keep.finish(draft)?))
    }

    /// Removes a copy; if that fails, a later turn or the next start does.
    pub(super) fn let_go(&mut self, key: FileKey) {
        if let Err(error) = self.keep.remove(key) {
            self.trouble("keep", &self.keep.path(key), &error);
        }
    }
}

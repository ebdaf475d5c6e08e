//! Whose descriptor is held, when there are more files than descriptors.
//!
//! An open file that is renamed or deleted can still be read. So descriptors
//! go first to what has something unread, and those who must give theirs up
//! are, in this order:
//!
//! 1. files where a pattern finds them, read to their end, the longest quiet
//!    first. They are opened again when they grow, if what stands there then
//!    is the same file: its device, inode, birth and first bytes are compared;
//! 2. renamed or deleted files, read to their end and quiet for a moment;
//! 3. files read to their end of which the last line is unfinished;
//! 4. files that were only read in part and stay where they are.
//!
//! Never a renamed or deleted one that is not read to its end: nobody could
//! open it again.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;

use super::Reader;
use super::queue::Urgency;
use crate::checkpoint::FileKey;
use crate::descriptor::Descriptor;
use crate::tail::Moment;

/// A renamed or deleted file keeps its descriptor for so long after its last
/// line, however many others want one.
const QUIET: Duration = Duration::from_secs(1);

/// How many files with something unread are looked at for one to give its
/// descriptor up.
const LOOKS_MAX: usize = 64;

/// Why an open file may give its descriptor up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// It is read to its end.
    Read,
    /// The same, and it was renamed or deleted.
    Left,
    /// It is read to its end, and its last line is unfinished.
    Unfinished,
}

/// Open files that nothing is read of now, the longest quiet first.
#[derive(Debug, Default)]
pub(super) struct Resting {
    ranks: [BTreeSet<(Duration, FileKey)>; 3],
    places: HashMap<FileKey, (Rest, Duration)>,
}

impl Resting {
    /// A file rests since `since`.
    pub(super) fn insert(&mut self, key: FileKey, rest: Rest, since: Duration) {
        self.remove(key);
        self.places.insert(key, (rest, since));
        self.ranks[rest as usize].insert((since, key));
    }

    /// A file does not rest.
    pub(super) fn remove(&mut self, key: FileKey) {
        if let Some((rest, since)) = self.places.remove(&key) {
            self.ranks[rest as usize].remove(&(since, key));
        }
    }

    /// A file was renamed or deleted.
    pub(super) fn left(&mut self, key: FileKey) {
        match self.places.get(&key) {
            Some(&(Rest::Read, since)) => self.insert(key, Rest::Left, since),
            Some((Rest::Unfinished, _)) => self.remove(key),
            Some((Rest::Left, _)) | None => {}
        }
    }

    fn first(&self, rest: Rest) -> Option<(Duration, FileKey)> {
        self.ranks[rest as usize].first().copied()
    }
}

impl Reader {
    /// Has a file at hand that is about to be read. False: not now.
    pub(super) fn at_hand(&mut self, key: FileKey, now: Moment) -> io::Result<bool> {
        let Some(tail) = self.files.get(key) else { return Ok(false) };
        if tail.is_open() {
            self.wants_room = false;
            return Ok(true);
        }
        if tail.parked.is_none() {
            return Ok(false);
        }
        let path = tail.last_path.clone();
        if !self.find_room(key, now) {
            self.wait_for_room(key);
            return Ok(false);
        }
        match self.open(&path, now).and_then(|file| self.resume(key, file)) {
            Ok(true) => Ok(true),
            Ok(false) => {
                // What was seen there since was another file's.
                if let Some(tail) = self.files.get_mut(key) {
                    tail.size = tail.parked.unwrap_or(tail.size).max(tail.read_end());
                }
                self.doubt(key);
                Ok(false)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.doubt(key);
                Ok(false)
            }
            Err(error) if is_exhaustion(&error) => {
                self.wait_for_room(key);
                Ok(false)
            }
            Err(error) => {
                self.doubt(key);
                Err(error)
            }
        }
    }

    /// Opens a file that was found. If the kernel has no descriptor left, files
    /// at rest give some up, and fewer are held from now on.
    pub(super) fn open(&mut self, path: &Path, now: Moment) -> io::Result<Descriptor> {
        let mut opened = self.patterns.open(path);
        if opened.as_ref().is_err_and(is_exhaustion) {
            self.make_do(now);
            opened = self.patterns.open(path);
        }
        Ok(self.descriptors.hold(opened?))
    }

    fn make_do(&mut self, now: Moment) {
        let before = self.descriptors.limit();
        self.descriptors.exhausted();
        self.measured.failed("descriptors");
        if self.descriptors.limit() < before {
            tracing::warn!(
                limit = self.descriptors.limit(),
                "the process or the host has no descriptor left; fewer files are held open from now on. \
                 Raise LimitNOFILE (systemd), ulimit -n or fs.file-max"
            );
        }
        while self.descriptors.held() > self.descriptors.limit() && self.spare_one(now) {}
    }

    /// A closed file was opened for it: goes on there if it is the same.
    pub(super) fn reopen(&mut self, key: FileKey, path: &Path, now: Moment) -> io::Result<bool> {
        let file = match self.open(path, now) {
            Err(error) if is_exhaustion(&error) => {
                // It is looked at when its turn comes.
                self.park(key);
                return Ok(true);
            }
            opened => opened?,
        };
        let same = self.resume(key, file)?;
        if same {
            self.hold_or_park(key, now);
        }
        Ok(same)
    }

    fn resume(&mut self, key: FileKey, file: Descriptor) -> io::Result<bool> {
        self.files.get_mut(key).map_or(Ok(false), |tail| tail.open(file))
    }

    /// A file was opened: if that is one too many, a file that needs its
    /// descriptor less gives it up, or this one does.
    pub(super) fn hold_or_park(&mut self, key: FileKey, now: Moment) {
        let Some(tail) = self.files.get(key) else { return };
        let needs_it = tail.has_unread(tail.size);
        if !needs_it {
            self.resting.insert(key, Rest::Read, now.steady);
        }
        if self.descriptors.held() > self.descriptors.limit() && !(needs_it && self.spare_one(now)) {
            self.park(key);
        }
    }

    /// It is opened again when its turn to be read comes.
    fn park(&mut self, key: FileKey) {
        self.resting.remove(key);
        if let Some(tail) = self.files.get_mut(key) {
            tail.park();
        }
    }

    /// What stands where the file was is another one, or nothing: the scan
    /// finds out what became of it.
    fn doubt(&mut self, key: FileKey) {
        if let Some(tail) = self.files.get_mut(key) {
            (tail.parked, tail.verified) = (None, false);
        }
        self.scan_wished = true;
    }

    /// Its turn comes again.
    fn wait_for_room(&mut self, key: FileKey) {
        self.wants_room = true;
        let Some(tail) = self.files.get_mut(key) else { return };
        tail.queued = Some(Urgency::Calm);
        self.queue.push_back(key, Urgency::Calm);
    }

    /// Finds a descriptor for `key`, which has something to read.
    fn find_room(&mut self, key: FileKey, now: Moment) -> bool {
        while self.descriptors.held() >= self.descriptors.limit() {
            if !self.spare_one(now) && !self.interrupt_one(key) {
                return false;
            }
        }
        true
    }

    /// Takes the descriptor of a file at rest. False: there is none.
    fn spare_one(&mut self, now: Moment) -> bool {
        for rest in [Rest::Read, Rest::Left, Rest::Unfinished] {
            while let Some((since, key)) = self.resting.first(rest) {
                if rest == Rest::Left && now.steady < since + QUIET {
                    break;
                }
                self.resting.remove(key);
                if self.spare(key, rest, since) {
                    return true;
                }
            }
        }
        false
    }

    /// Closes a file at rest, unless it has grown or must be held after all.
    fn spare(&mut self, key: FileKey, rest: Rest, since: Duration) -> bool {
        let Some(tail) = self.files.get_mut(key) else { return false };
        let Some(Ok(metadata)) = tail.metadata() else { return false };
        if tail.kept || tail.queued.is_some() {
            return false;
        }
        if tail.has_unread(metadata.len()) || tail.has_shrunk(metadata.len()) {
            tail.size = tail.size.max(metadata.len());
            self.queue(key);
            return false;
        }
        // Also where the log does not have it all: if it is deleted meanwhile, no copy can
        // be made of it. But others could not be read at all.
        if metadata.nlink() > 0 {
            tail.park();
            return true;
        }
        match rest {
            // It was deleted just now: nobody can open it again.
            Rest::Read => {
                self.resting.insert(key, Rest::Left, since);
                self.scan_wished = true;
                false
            }
            // Its copy can be made from nothing else. The scan closes it later.
            Rest::Left if tail.has_unsettled(&self.lane) => false,
            Rest::Left => {
                tail.deleted = true;
                tail.close();
                true
            }
            Rest::Unfinished => false,
        }
    }

    /// Takes the descriptor of a file that is to be read later than `key`.
    fn interrupt_one(&mut self, key: FileKey) -> bool {
        let may_wait = |other: &FileKey| {
            let tail = self.files.get(*other);
            *other != key && tail.is_some_and(|tail| tail.is_open() && tail.matched && !tail.kept)
        };
        let Some(other) = self.queue.last_first().take(LOOKS_MAX).find(may_wait) else { return false };
        self.park(other);
        true
    }
}

/// True when there was no descriptor left, in the process or on the host.
fn is_exhaustion(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

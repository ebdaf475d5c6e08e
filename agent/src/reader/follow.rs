//! Files that are not where they were any more: renamed, moved away, or deleted.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::{GRACE, Reader};
use crate::checkpoint::FileKey;
use crate::find::FoundFile;
use crate::identity::Identity;
use crate::tail::{Moment, Tail};

impl Reader {
    /// Whatever no pattern finds any more was renamed or deleted.
    pub(super) fn unmatch(&mut self, matched: &BTreeSet<FileKey>) {
        let mut rotated = 0;
        for tail in self.files.iter_mut().filter(|tail| tail.matched && !matched.contains(&tail.key)) {
            tail.matched = false;
            self.resting.left(tail.key);
            rotated += u64::from(!tail.ended && !tail.archive);
        }
        self.measured.rotations.inc_by(rotated);
    }

    /// Looks after the files that no pattern finds.
    pub(super) fn follow(&mut self, now: Moment) {
        let mut sought: BTreeMap<PathBuf, Vec<FileKey>> = BTreeMap::new();
        let unmatched: Vec<_> =
            self.files.iter().filter(|tail| is_followed(tail)).map(|tail| tail.key).collect();
        for key in unmatched {
            if self.check_open(key, now)
                && let Some(parent) = self.files.get(key).and_then(|tail| tail.last_path.parent())
            {
                sought.entry(parent.to_owned()).or_default().push(key);
            }
        }
        for (directory, keys) in sought {
            self.seek(&directory, &keys, now);
        }
    }

    /// Looks for what is left of the files that are nowhere.
    pub(super) fn recover_gone(&mut self, archives: &[FoundFile], now: Moment) {
        let gone = |tail: &&Tail| {
            let is_gone = tail.gone.is_some() && !tail.archive && !tail.deleted && !tail.is_excluded();
            is_followed(tail) && is_gone
        };
        let keys: Vec<_> = self.files.iter().filter(gone).map(|tail| tail.key).collect();
        for key in keys {
            self.recover(key, archives, now);
        }
    }

    /// Looks at an unmatched file through its descriptor. True: where it is
    /// now should be sought.
    fn check_open(&mut self, key: FileKey, now: Moment) -> bool {
        let Some(tail) = self.files.get_mut(key) else { return false };
        let metadata = match tail.metadata() {
            None => return !tail.deleted,
            Some(Ok(metadata)) => metadata,
            Some(Err(error)) => {
                self.unreadable(key, &error);
                return false;
            }
        };
        tail.deleted = metadata.nlink() == 0;
        let deleted = tail.deleted;
        if tail.has_shrunk(metadata.len()) {
            self.replaced(key, now);
            return false;
        }
        tail.size = metadata.len();
        if tail.has_unread(tail.size) {
            self.queue(key);
        } else if tail.queued.is_none()
            && tail.settled() >= tail.size
            && now.steady >= tail.grew() + GRACE
            // If it is deleted, its descriptor is all that a copy can be made from.
            && !tail.has_unsettled(&self.lane)
        {
            tail.close();
        }
        !deleted
    }

    /// Finds renamed files in the directory where they were last seen.
    fn seek(&mut self, directory: &Path, keys: &[FileKey], now: Moment) {
        let by_inode: HashMap<u64, FileKey> =
            keys.iter().filter_map(|key| Some((self.files.get(*key)?.identity.inode, *key))).collect();
        let mut missing: BTreeSet<_> = keys.iter().copied().collect();
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.gone(&missing, now);
                return;
            }
            Err(error) => {
                self.trouble("directory", directory, &error);
                return;
            }
        };
        for entry in entries.flatten() {
            let Some(&key) = by_inode.get(&entry.ino()) else { continue };
            let path = entry.path();
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            let known = self.files.get(key).map(|tail| tail.identity);
            if !metadata.is_file() || !known.is_some_and(|known| known.may_equal(&Identity::of(&metadata))) {
                continue;
            }
            if self.found_again(key, &path, metadata.len(), now) {
                missing.remove(&key);
            }
        }
        self.gone(&missing, now);
    }

    /// A renamed file was found. False: it is another one after all.
    fn found_again(&mut self, key: FileKey, path: &Path, size: u64, now: Moment) -> bool {
        if self.files.locate(key, path) {
            self.dirty.insert(key);
        }
        match self.go_on(key, path, size, now) {
            Ok(true) => {
                if let Some(tail) = self.files.get_mut(key) {
                    tail.gone = None;
                }
            }
            Ok(false) => self.replaced(key, now),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.scan_wished = true,
            Err(error) => self.unreadable(key, &error),
        }
        true
    }

    /// Takes note of files that are nowhere. One that is still open is read on.
    fn gone(&mut self, missing: &BTreeSet<FileKey>, now: Moment) {
        for key in missing {
            let Some((tail, mut bench)) = self.workplace(*key) else { continue };
            if tail.is_open() || tail.gone.is_some() {
                continue;
            }
            // Nobody waits for what its last line would have been.
            tail.cut_events(&mut bench, now);
            (tail.gone, tail.parked) = (Some(now.wall), None);
            self.framed(*key);
            self.dirty.insert(*key);
        }
    }
}

/// True for a file that no pattern finds any more and that may be somewhere.
fn is_followed(tail: &Tail) -> bool {
    !tail.matched && !tail.ended && !tail.kept && !tail.dismissed
}

//! Looking for files: what is new, what is known, and what was replaced.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::archive::Fit;
use super::copies::Likeness;
use super::{EXPIRY_MICROS, Reader};
use crate::checkpoint::FileKey;
use crate::find::FoundFile;
use crate::identity::Identity;
use crate::rotation::generation;
use crate::tail::{Moment, Tail};

/// After a scan that took this long, the next one asked for waits this many
/// times as long; so scanning never takes more than a fifth of a core.
const REST_FACTOR: u32 = 5;

/// A rotated file that was written to within this time may still be growing
/// into a copy.
pub(super) const COPYING_MICROS: i64 = 2_000_000;

/// Scans asked for come no faster than this.
const REST_MIN: Duration = Duration::from_millis(10);

/// What a scan found.
pub(super) struct Sight<'a> {
    /// The files, by path.
    standing: HashMap<&'a Path, Identity>,
    /// The youngest rotated generation of each path: when it was written to,
    /// and its size.
    generations: HashMap<&'a Path, (i64, u64)>,
    archives: &'a [FoundFile],
}

impl<'a> Sight<'a> {
    fn new(files: &'a [FoundFile], archives: &'a [FoundFile]) -> Self {
        let standing = files.iter().map(|file| (file.path.as_path(), file.identity)).collect();
        let mut generations = HashMap::new();
        for file in files {
            let Some(path) = file.rotated_from.as_deref() else { continue };
            let youngest = generations.entry(path).or_insert((file.modified, file.size));
            *youngest = (*youngest).max((file.modified, file.size));
        }
        Self { standing, generations, archives }
    }

    /// Which file stands at `path`.
    pub(super) fn standing(&self, path: &Path) -> Option<&Identity> {
        self.standing.get(path)
    }

    /// How long the file at `path` was when it was last rotated.
    fn budget(&self, path: &Path) -> Option<u64> {
        self.generations.get(path).map(|(_, size)| *size)
    }
}

impl Reader {
    /// Walks the directories and brings what is known up to date.
    pub(super) fn scan(&mut self, now: Moment) {
        let began = Instant::now();
        self.scan_wished = false;
        let found = self.patterns.walk();
        let troubled: BTreeSet<_> = found.errors.iter().map(|(path, _)| path.clone()).collect();
        for (path, error) in found.errors {
            self.trouble("directory", &path, &error);
        }
        let mut matched = BTreeSet::new();
        // What is known is placed first: a copy is told by where its original is.
        let sight = Sight::new(&found.files, &found.archives);
        let vanished = self.archives.begin_scan(&found.archives, found.is_unsteady);
        self.lose_archives(vanished, now);
        let is_known = |file: &&FoundFile| self.files.by_identity(&file.identity).is_some();
        let (known, mut unknown): (Vec<_>, Vec<_>) = found.files.iter().partition(is_known);
        unknown.sort_by_cached_key(|file| age(file));
        for file in known.into_iter().chain(unknown) {
            if let Some(key) = self.place(file, &sight, now) {
                matched.insert(key);
                self.troubled.remove(&file.path);
            }
        }
        self.reconciles = false;
        self.tell_truncated(now);
        self.troubled.retain(|path| troubled.contains(path) || !found.directories.contains(path));
        let is_known = |file: &&FoundFile| self.files.archive_by_identity(&file.identity).is_some();
        let (known, mut unknown): (Vec<_>, Vec<_>) = found.archives.iter().partition(is_known);
        unknown.sort_by_cached_key(|file| age(file));
        matched.extend(known.into_iter().filter_map(|archive| self.place_archive(archive, now)));
        self.dismiss(&matched, now);
        self.unmatch(&matched);
        self.follow(now);
        self.recover_gone(&found.archives, now);
        for archive in unknown {
            self.place_archive(archive, now);
        }
        self.scan_wished |= self.archives.end_scan(&found.directories);
        self.keep_deleted(now);
        self.tend_kept(now);
        self.observe(now, found.is_unsteady);
        self.look_for_dismissed(now);
        if found.is_unsteady {
            // What was missed may be what the forgotten would have become.
            self.scan_wished = true;
        } else {
            self.forget(now);
        }
        let parents = self.files.iter().filter_map(|tail| tail.last_path.parent());
        let directories: HashSet<_> = found.directories.iter().map(PathBuf::as_path).chain(parents).collect();
        match &mut self.watch {
            Some(watch) => self.scan_wished |= watch.keep(&directories, &self.measured),
            None => drop(self.measured.unwatched_directories.set(gauge(directories.len() as u64))),
        }
        let took = began.elapsed();
        self.scan_from = now.steady + (took * REST_FACTOR).max(REST_MIN);
        self.next_scan = now.steady + self.config.scan_interval.0.max(took * REST_FACTOR);
    }

    /// A file was created, or renamed to there. The next scan, which is asked
    /// for as well, finds out about everything else.
    pub(super) fn appeared(&mut self, path: &Path, now: Moment) {
        let Some(found) = self.patterns.find(path) else { return };
        if self.files.by_identity(&found.identity).is_none() {
            match self.adopt(&found, &Sight::new(&[], &[]), now) {
                Ok(_) => drop(self.measured.files.set(gauge(self.files.len() as u64))),
                // The scan tells of whatever cannot be read.
                Err(_) => self.scan_wished = true,
            }
        }
    }

    /// Which incarnation a found file is; a new one if none fits.
    fn place(&mut self, found: &FoundFile, sight: &Sight<'_>, now: Moment) -> Option<FileKey> {
        if let Some(key) = self.files.by_identity(&found.identity) {
            if let Some(tail) = self.files.get_mut(key) {
                tail.rotated = found.rotated_from.is_some();
                tail.budget = sight.budget(&found.path);
                // It is not read as if it had been renamed.
                tail.matched = true;
            }
            match self.go_on(key, &found.path, found.size, now) {
                Ok(true) => {
                    if self.files.locate(key, &found.path) {
                        self.measured.rotations.inc();
                        self.dirty.insert(key);
                    }
                    if let Some(tail) = self.files.get_mut(key) {
                        tail.gone = None;
                        if std::mem::take(&mut tail.dismissed) {
                            self.dirty.insert(key);
                        }
                    }
                    return Some(key);
                }
                // While nobody looked, it may have been copied first.
                Ok(false) if self.files.get(key).is_some_and(|tail| !tail.verified) => {
                    match self.recover(key, sight.archives, now) {
                        Fit::Own => {}
                        Fit::Later => return None,
                        Fit::Other => self.replaced(key, now),
                    }
                }
                Ok(false) => self.replaced(key, now),
                // It was renamed since the walk: the next one finds it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.scan_wished = true;
                    return Some(key);
                }
                Err(error) => {
                    self.unreadable(key, &error);
                    return Some(key);
                }
            }
        }
        match self.adopt(found, sight, now) {
            Ok(key) => Some(key),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                self.trouble("file", &found.path, &error);
                None
            }
        }
    }

    /// A known file stands at `path` with `size` bytes: opens it if need be.
    /// False: what stands there has another content.
    pub(super) fn go_on(&mut self, key: FileKey, path: &Path, size: u64, now: Moment) -> io::Result<bool> {
        let reconciles = self.reconciles;
        let Some(tail) = self.files.get_mut(key) else { return Ok(false) };
        if tail.archive {
            return Ok(true);
        }
        if tail.has_shrunk(size) {
            return Ok(false);
        }
        let changed = size != tail.size || !tail.verified;
        let same = if tail.is_open() {
            !(changed || reconciles) || tail.verify()?
        } else if tail.parked.is_some() {
            // Compared when its turn to be read comes.
            true
        } else if changed || tail.has_unread(size) {
            self.reopen(key, path, now)?
        } else {
            true
        };
        let Some(tail) = self.files.get_mut(key) else { return Ok(false) };
        if !same {
            return Ok(false);
        }
        tail.size = size;
        if tail.has_unread(size) {
            self.queue(key);
        }
        Ok(true)
    }

    /// Begins a new incarnation with a found file. A copy that was made to cut
    /// off the original goes on where that was settled.
    fn adopt(&mut self, found: &FoundFile, sight: &Sight<'_>, now: Moment) -> io::Result<FileKey> {
        let path = &found.path;
        let file = self.open(path, now)?;
        let metadata = file.metadata()?;
        if let Some(key) = self.files.by_identity(&Identity::of(&metadata)) {
            return Ok(key);
        }
        let likeness = self.likeness(found, &file, &metadata, sight, now)?;
        if likeness == Likeness::Later {
            return Err(io::ErrorKind::NotFound.into());
        }
        let key = self.files.next_key();
        let mut tail = Tail::new(key, path.to_owned(), Some(file), &metadata, self.config.multiline, now);
        tail.rotated = found.rotated_from.is_some();
        tail.budget = sight.budget(path);
        tail.verify()?;
        if let Likeness::Copy(original) = likeness
            && let Some(settled) =
                self.files.get_mut(original).map(|original| original.copied(metadata.len()))
        {
            tracing::info!(path = %path.display(), "the file is a copy, reading what its original had left");
            tail = tail.continuing(&settled, &mut self.lane, &self.origin);
            self.measured.copies.inc();
        }
        self.files.insert(tail);
        self.dirty.insert(key);
        self.discovered = true;
        self.ask(key, now);
        self.hold_or_park(key, now);
        self.queue(key);
        Ok(key)
    }

    /// The incarnation is over: the file shrank or has another beginning.
    pub(super) fn replaced(&mut self, key: FileKey, now: Moment) {
        self.measured.truncations.inc();
        let Some((tail, mut bench)) = self.workplace(key) else { return };
        tracing::info!(path = %tail.last_path.display(), "the file was truncated or replaced, reading it anew");
        tail.end(&mut bench, now);
        let tail_is_untold = tail.is_untold();
        self.framed(key);
        if tail_is_untold {
            self.truncated.push(key);
        } else {
            self.marks.forget(key);
        }
        self.unfinished.remove(key);
        self.resting.remove(key);
        self.scan_wished = true;
    }

    /// Tells the marks what this scan saw. It began at `now`: all that was
    /// written before lies below the sizes seen, if it saw every file.
    fn observe(&mut self, now: Moment, is_unsteady: bool) {
        let (mut known, mut parked, mut deleted, mut deleted_bytes, mut unread) = (0, 0, 0, 0, 0);
        for tail in self.files.iter_mut() {
            known += 1;
            parked += i64::from(tail.parked.is_some());
            if tail.is_open() && tail.deleted && !tail.kept {
                deleted += 1;
                deleted_bytes += tail.size;
            }
            if tail.is_open() && (!tail.matched || tail.kept) {
                unread += tail.size.saturating_sub(tail.read_end());
            }
            if tail.outgrew_its_entry() {
                self.dirty.insert(tail.key);
            }
            if tail.is_untold() {
                continue;
            }
            if tail.ended || !tail.is_within_reach() {
                self.marks.forget(tail.key);
                continue;
            }
            if tail.is_excluded() {
                self.marks.forget(tail.key);
                tail.floor = Some(now.wall);
                continue;
            }
            let settled = tail.settled();
            if self.marks.observe(tail.key, now.wall, tail.size, settled, tail.floor) {
                tail.floor = Some(now.wall);
            }
        }
        // Archives that wait were not seen yet, and what was renamed while its
        // directory was listed may not have been.
        if !self.archives.wait() && !is_unsteady {
            self.marks.scanned(now.wall);
        }
        self.measured.files.set(known);
        self.measured.files_open.set(gauge(self.descriptors.held() as u64));
        self.measured.files_open_max.set(gauge(self.descriptors.limit() as u64));
        self.measured.files_parked.set(parked);
        self.measured.open_deleted_files.set(deleted);
        self.measured.open_deleted_bytes.set(gauge(deleted_bytes));
        self.measured.rotated_unread_bytes.set(gauge(unread));
        self.measured.kept_bytes.set(gauge(self.keep.bytes()));
    }

    /// Forgets what cannot come back, once all of it is acknowledged, or told
    /// as lost. One scan late: this one may have listed the directory before
    /// there was an archive of it, and the next must know whose that is.
    fn forget(&mut self, now: Moment) {
        let has_expired = |tail: &Tail| tail.gone.is_some_and(|since| now.wall - since > EXPIRY_MICROS);
        let expired: Vec<_> =
            self.files.iter().filter(|tail| has_expired(tail)).map(|tail| tail.key).collect();
        for key in expired {
            let unsettled =
                |tail: &mut Tail| !tail.archive && !tail.dismissed && tail.has_unsettled(&self.lane);
            if self.files.get_mut(key).is_some_and(unsettled) {
                self.lose(key, now);
            }
        }
        let over = |tail: &&Tail| {
            let expired = has_expired(tail);
            let finished =
                (tail.ended && !tail.is_untold()) || (!tail.is_open() && (tail.deleted || expired));
            let acknowledged = || tail.sources().all(|source| self.lane.is_acknowledged(source));
            finished && acknowledged() && !self.archives.await_one_of(&tail.last_path)
        };
        let keys: Vec<_> = self.files.iter().filter(over).map(|tail| tail.key).collect();
        for key in keys {
            if self.files.get_mut(key).is_some_and(|tail| !std::mem::replace(&mut tail.over, true)) {
                continue;
            }
            let Some(tail) = self.files.remove(key) else { continue };
            for source in tail.sources() {
                self.lane.remove(source);
            }
            self.marks.forget(key);
            self.unfinished.remove(key);
            self.resting.remove(key);
            self.dirty.remove(&key);
            self.forgotten.push(key);
        }
    }
}

fn gauge(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// The order in which new files are read: rotated generations before live
/// files, the oldest first. Of those written to at the same time, a higher
/// number is older; dates sort as names.
fn age(file: &FoundFile) -> (bool, i64, std::cmp::Reverse<u64>) {
    match file.rotated_from {
        Some(_) => (false, file.modified, std::cmp::Reverse(generation(&file.path).unwrap_or(0))),
        None => (true, 0, std::cmp::Reverse(0)),
    }
}

//! Compressed rotated files. Nearly always everything in them was read before
//! they were compressed: one begins like a known file and has its length, and
//! no more of it is looked at. Otherwise a `.gz` is
//!
//! - what an earlier process had not finished: the known file it was is gone,
//!   and it begins and goes on like that one. What is left is read from a kept
//!   copy, under the same source and at the same offsets;
//! - nobody's: it was there before the agent was, or came and was compressed
//!   while the agent was down or between two of its looks. It is read from its
//!   beginning, as a file of its own.
//!
//! Never both. What was decided stays in the checkpoint; until then the mark
//! stands still, so that a restart decides anew.

use std::collections::{HashMap, HashSet};
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::Reader;
use super::scan::{COPYING_MICROS, micros};
use crate::checkpoint::FileKey;
use crate::find::{COARSE, FoundFile};
use crate::identity::Identity;
use crate::inflate::{Inflated, beginning, inflate, stated_length};
use crate::keep::Draft;
use crate::rotation::{family, uncompressed};
use crate::tail::{Moment, Tail};

/// What is known of compressed files beyond the checkpoint.
#[derive(Debug)]
pub(super) struct Archives {
    /// Directories that this agent knows.
    known: HashSet<PathBuf>,
    /// All that was written before is settled, as the checkpoint says.
    settled_before: Option<i64>,
    is_first_scan: bool,
    /// To be read, but not now: not yet whole, or there is no room.
    pending: HashMap<Place, Pending>,
    /// Compared in vain: the file, the archive's inode and its size.
    compared: HashSet<(FileKey, u64, u64)>,
    /// One was decompressed in this scan; the others wait.
    worked: bool,
    /// One that this scan's walk has found was renamed before it was looked at.
    missed: bool,
    /// The copies took so many bytes when there was no room for another.
    full_at: Option<u64>,
}

/// Device and inode.
type Place = (u64, u64);

/// An archive that waits, as it was last looked at.
#[derive(Debug)]
pub(super) struct Pending {
    path: PathBuf,
    metadata: Metadata,
    /// What it says that it holds, bytes.
    length: u64,
}

/// How a file that is gone fares with the archives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// None is what it was.
    Other,
    /// That cannot be told yet.
    Later,
    /// One is; what is left of it, if anything, is being read.
    Own,
}

impl Archives {
    pub(super) fn new(known: HashSet<PathBuf>, settled_before: Option<i64>) -> Self {
        Self {
            known,
            settled_before,
            is_first_scan: true,
            pending: HashMap::new(),
            compared: HashSet::new(),
            worked: false,
            missed: false,
            full_at: None,
        }
    }

    /// Those that waited and are there no longer, if that can be told.
    pub(super) fn begin_scan(&mut self, archives: &[FoundFile], is_unsteady: bool) -> Vec<Pending> {
        (self.worked, self.missed) = (false, false);
        if is_unsteady {
            return Vec::new();
        }
        let there: HashSet<_> = archives.iter().map(|found| place(&found.identity)).collect();
        self.pending.extract_if(|place, _| !there.contains(place)).map(|(_, pending)| pending).collect()
    }

    /// True while an archive waits of which the file at `path` may be the
    /// origin: until then that is not forgotten.
    pub(super) fn await_one_of(&self, path: &Path) -> bool {
        self.missed || self.pending.values().any(|held| family(&held.path) == family(path))
    }

    /// True while there is one of which it is not known what it holds.
    pub(super) fn wait(&self) -> bool {
        self.missed || !self.pending.is_empty()
    }

    /// True when there is something to do that waits for its turn only.
    pub(super) fn end_scan(&mut self, directories: &[PathBuf]) -> bool {
        self.is_first_scan = false;
        self.known.extend(directories.iter().cloned());
        self.worked
    }

    /// True when an archive that nobody knows may hold what was never read.
    /// Not, when it was there when an earlier process looked, and is settled.
    fn may_be_unread(&self, found: &FoundFile, metadata: &Metadata) -> bool {
        let directory = found.path.parent().unwrap_or(Path::new("/"));
        let newer = || {
            let both = modified(metadata).zip(self.settled_before);
            both.is_none_or(|(at, mark)| at + micros(COARSE) > mark)
        };
        !self.is_first_scan || !self.known.contains(directory) || newer()
    }

    /// Lets an archive wait. True when it may be looked into: it is not growing
    /// while what it is made of is still there.
    fn look(&mut self, found: &FoundFile, archive: &File, metadata: &Metadata) -> io::Result<bool> {
        let length = stated_length(archive)?.into();
        let waiting = Pending { path: found.path.clone(), metadata: metadata.clone(), length };
        let before = self.pending.insert(place(&found.identity), waiting);
        let is_growing = before.is_none_or(|before| before.metadata.len() != metadata.len());
        Ok(!is_growing || !uncompressed(&found.path).exists())
    }
}

impl Reader {
    /// Looks for what is left of a known file that is gone, or was replaced
    /// while nobody looked.
    pub(super) fn recover(&mut self, key: FileKey, archives: &[FoundFile], now: Moment) -> Fit {
        let Some(tail) = self.files.get(key) else { return Fit::Other };
        let mut best = Fit::Other;
        let (directory, line) = (tail.last_path.parent().map(Path::to_owned), family(&tail.last_path));
        for found in archives {
            let same_line = found.rotated_from.as_deref() == Some(&line);
            if !same_line || found.path.parent() != directory.as_deref() {
                continue;
            }
            let comparison = (key, found.identity.inode, found.size);
            if self.archives.compared.contains(&comparison) {
                continue;
            }
            match self.fit(key, found, now) {
                Ok(Fit::Own) => return Fit::Own,
                Ok(Fit::Later) => best = Fit::Later,
                Ok(Fit::Other) => drop(self.archives.compared.insert(comparison)),
                Err(error) => self.trouble("archive", &found.path, &error),
            }
        }
        best
    }

    fn fit(&mut self, key: FileKey, found: &FoundFile, now: Moment) -> io::Result<Fit> {
        let Some(archive) = self.open_archive(found)? else { return Ok(Fit::Later) };
        let Some(tail) = self.files.get_mut(key) else { return Ok(Fit::Other) };
        let head = beginning(&archive)?;
        if !tail.may_begin(&head)? {
            // It may only have begun to be written.
            return Ok(if head.is_empty() { Fit::Later } else { Fit::Other });
        }
        let resume = tail.resume(&self.lane);
        if !tail.has_unsettled(&self.lane) && stated_length(&archive)? == resume as u32 {
            (tail.deleted, tail.gone) = (true, None);
            self.dirty.insert(key);
            self.note_own(found, &archive, now)?;
            return Ok(Fit::Own);
        }
        // One that was replaced cannot wait: its successor would have to.
        if self.archives.worked && tail.gone.is_some() {
            return Ok(Fit::Later);
        }
        // What a copy leaves out must not be asked for by a restart.
        let from = tail.needed_from(&self.lane);
        self.dirty.insert(key);
        if !self.save(now) {
            return Ok(Fit::Later);
        }
        let Some(draft) = self.inflate(key, found, &archive, from, now)? else { return Ok(Fit::Later) };
        let Some(tail) = self.files.get_mut(key) else { return Ok(Fit::Other) };
        if !tail.is_held_in(draft.file(), draft.end())? {
            draft.discard();
            return Ok(Fit::Other);
        }
        if !tail.take_copy(self.descriptors.hold(self.keep.finish(draft)?))? {
            return Ok(Fit::Other);
        }
        tracing::info!(path = %found.path.display(), "the file was compressed before it was sent, reading its rest");
        self.note_own(found, &archive, now)?;
        Ok(Fit::Own)
    }

    /// Opens an archive. None: it was renamed since the walk, and what stands there
    /// now, if anything does, is another one. The next walk finds both.
    fn open_archive(&mut self, found: &FoundFile) -> io::Result<Option<File>> {
        let archive = match self.patterns.open(&found.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened?),
        };
        let is_found = |archive: &File| {
            archive.metadata().map(|metadata| place(&Identity::of(&metadata)) == place(&found.identity))
        };
        match archive {
            Some(archive) if is_found(&archive)? => Ok(Some(archive)),
            _ => {
                (self.scan_wished, self.archives.missed) = (true, true);
                Ok(None)
            }
        }
    }

    /// An archive is that of a known file: nobody else shall read it.
    fn note_own(&mut self, found: &FoundFile, archive: &File, now: Moment) -> io::Result<()> {
        if self.files.archive_by_identity(&found.identity).is_none() {
            let metadata = archive.metadata()?;
            let key = self.files.next_key();
            let multiline = self.config.multiline;
            let tail = Tail::archive(key, found.path.clone(), &metadata, multiline, now);
            self.note_archive(tail, now);
        }
        Ok(())
    }

    /// Takes note of an archive. Nothing else is done about most.
    pub(super) fn place_archive(&mut self, found: &FoundFile, now: Moment) -> Option<FileKey> {
        if let Some(key) = self.files.archive_by_identity(&found.identity) {
            if self.files.locate(key, &found.path) {
                self.dirty.insert(key);
            }
            let tail = self.files.get_mut(key)?;
            (tail.matched, tail.gone) = (true, None);
            return Some(key);
        }
        match self.adopt_archive(found, now) {
            Ok(key) => key,
            Err(error) => {
                self.trouble("archive", &found.path, &error);
                None
            }
        }
    }

    fn adopt_archive(&mut self, found: &FoundFile, now: Moment) -> io::Result<Option<FileKey>> {
        let Some(archive) = self.open_archive(found)? else { return Ok(None) };
        let metadata = archive.metadata()?;
        let at = place(&found.identity);
        let may_be_unread =
            self.archives.pending.contains_key(&at) || self.archives.may_be_unread(found, &metadata);
        let unread = may_be_unread && !self.is_length_of_a_known_file(found, &archive)?;
        let key = self.files.next_key();
        let mut tail = Tail::archive(key, found.path.clone(), &metadata, self.config.multiline, now);
        tail.floor = self.mark_acknowledged;
        if unread {
            if !self.archives.look(found, &archive, &metadata)? || self.archives.worked {
                return Ok(None);
            }
            let Some(draft) = self.inflate(key, found, &archive, 0, now)? else {
                return Ok((!self.archives.pending.contains_key(&at)).then(|| self.note_archive(tail, now)));
            };
            if self.is_of_a_known_file(found, draft.file(), draft.end())? {
                draft.discard();
            } else {
                let copy = self.keep.finish(draft)?;
                tail.take_copy(self.descriptors.hold(copy))?;
            }
        }
        Ok(Some(self.note_archive(tail, now)))
    }

    /// Tells of archives that nobody knew what they hold, and that were deleted
    /// before they were read.
    pub(super) fn lose_archives(&mut self, vanished: Vec<Pending>, now: Moment) {
        for Pending { path, metadata, length } in vanished {
            let key = self.files.next_key();
            let mut tail = Tail::archive(key, path, &metadata, self.config.multiline, now);
            (tail.size, tail.floor) = (length, self.mark_acknowledged);
            self.note_archive(tail, now);
            self.lose(key, now);
        }
    }

    fn note_archive(&mut self, tail: Tail, now: Moment) -> FileKey {
        let key = tail.key;
        self.archives.pending.remove(&place(&tail.identity));
        self.files.insert(tail);
        self.dirty.insert(key);
        self.discovered = true;
        self.ask(key, now);
        self.queue(key);
        key
    }

    /// True when it begins like a known file and says that it is as long: it is
    /// read there.
    fn is_length_of_a_known_file(&self, found: &FoundFile, archive: &File) -> io::Result<bool> {
        let of_its_line = |tail: &&Tail| !tail.archive && Some(family(&tail.last_path)) == found.rotated_from;
        let mut of_its_line = self.files.iter().filter(of_its_line).peekable();
        if of_its_line.peek().is_none() {
            return Ok(false);
        }
        let (head, length) = (beginning(archive)?, stated_length(archive)?);
        for tail in of_its_line {
            if tail.size as u32 == length && tail.may_begin(&head)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// True when a file that is known, wherever it is, has that content: it is
    /// read there.
    fn is_of_a_known_file(&self, found: &FoundFile, content: &File, length: u64) -> io::Result<bool> {
        let of_its_line = |tail: &&Tail| Some(family(&tail.last_path)) == found.rotated_from;
        for tail in self.files.iter().filter(of_its_line) {
            if tail.is_held_in(content, length)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Decompresses an archive into a draft. Nothing: not now, or, once it is
    /// no longer pending, never.
    fn inflate(
        &mut self,
        key: FileKey,
        found: &FoundFile,
        archive: &File,
        from: u64,
        now: Moment,
    ) -> io::Result<Option<Draft>> {
        let metadata = archive.metadata()?;
        if self.archives.full_at.is_some_and(|bytes| self.keep.bytes() >= bytes) {
            return Ok(None);
        }
        (self.archives.worked, self.archives.full_at) = (true, None);
        let mut draft = self.keep.draft(key, from)?;
        let inflated = match inflate(archive, &mut draft, self.keep.room()) {
            Ok(inflated) => inflated,
            Err(error) => {
                draft.discard();
                return Err(error);
            }
        };
        let reason = match inflated {
            Inflated::Whole => return Ok(Some(draft)),
            // Room comes when other copies are acknowledged.
            Inflated::TooLong if self.keep.bytes() > 0 => {
                self.archives.full_at = Some(self.keep.bytes());
                None
            }
            Inflated::TooLong => Some(io::Error::other("holds more than agent.keep_bytes, it is not read")),
            // What it is made of is still there: it is being written.
            Inflated::Unsound(_) if uncompressed(&found.path).exists() || is_fresh(&metadata, now) => None,
            Inflated::Unsound(error) => Some(error),
        };
        draft.discard();
        if let Some(error) = reason {
            self.archives.pending.remove(&place(&Identity::of(&metadata)));
            self.archives.compared.insert((key, found.identity.inode, found.size));
            self.trouble("archive", &found.path, &error);
        }
        Ok(None)
    }
}

fn place(identity: &Identity) -> Place {
    (identity.device, identity.inode)
}

/// True when an archive may still be being written.
fn is_fresh(metadata: &Metadata, now: Moment) -> bool {
    modified(metadata).is_some_and(|at| (0..COPYING_MICROS).contains(&(now.wall - at)))
}

fn modified(metadata: &Metadata) -> Option<i64> {
    let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map(micros)
}

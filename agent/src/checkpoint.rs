//! The agent's durable state: who it is, which files it knows, how far each
//! source is acknowledged, and where it cut.
//!
//! One file, `checkpoint`, of lines `<crc32c, 8 hex digits> <json>`. The first
//! line says the version, the agent and its partition; each further line has
//! entries that changed, replacing earlier ones of the same key. Lines that are
//! written together have `+` instead of the space, but for the first. Every write
//! is synced before it returns. When the file has grown to
//! several times its content it is written anew, beside the old one, synced,
//! and renamed over it.
//!
//! | died | a restart sees |
//! |---|---|
//! | while lines are written | some of them, any of them torn: dropped from the first that is, nothing depended on them yet |
//! | after the line, before its batch was appended | a source or a cut that nothing was sent of |
//! | after the append, before the next line | ends that lag: read and sent again, dropped by range |
//! | while written anew | the old file, and a `checkpoint.new` that is overwritten |
//!
//! A damaged line with another write behind it means that synced bytes changed. The
//! agent then does not start: going on would read files again under new
//! sources, which no reader could tell from new lines.

mod journal;

#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use weir_proto::model::{AgentId, SourceId};
use weir_runtime::create_durably;
use weir_stream::disk::files::{Files, SystemFiles};

use crate::StartError;
use crate::frame::{Cut, Format, Passed, Stream};
use crate::identity::{Ending, Fingerprint, Identity};
use crate::join::Modes;
use journal::Journal;

/// Names a file's incarnation within the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct FileKey(pub(crate) u64);

/// What never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    version: u32,
    /// Who the agent is.
    pub(crate) agent: AgentId,
    /// The partition of its lane.
    pub(crate) partition: u32,
}

/// One incarnation of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Its name here.
    pub(crate) key: FileKey,
    /// Where it was first found: what its attributes were made from.
    pub(crate) path: String,
    /// Where it was last seen.
    pub(crate) last_path: String,
    /// Which file it is.
    pub(crate) identity: Identity,
    /// How it begins.
    pub(crate) fingerprint: Fingerprint,
    /// How its lines are written.
    pub(crate) format: Option<Format>,
    /// Its sources.
    pub(crate) streams: Vec<StreamEntry>,
    /// The cuts that a replay needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) cuts: Vec<Cut>,
    /// How its lines are joined.
    #[serde(default)]
    pub(crate) multiline: Modes,
    /// Since when no such file is found, microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gone: Option<i64>,
    /// The last bytes that were read of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ending: Option<Ending>,
    /// Such of before, by which copies of it are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) endings: Vec<Ending>,
    /// Its size when this was written.
    #[serde(default)]
    pub(crate) size: u64,
    /// It is a compressed file, which is not read as it is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) archive: bool,
    /// No pattern means it any more, and it is not read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) dismissed: bool,
    /// Its container is excluded: nothing more of it is read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) excluded: bool,
    /// What was passed over while it was.
    #[serde(default, skip_serializing_if = "Passed::is_empty")]
    pub(crate) passed: Passed,
}

/// One source of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StreamEntry {
    /// Which stream.
    pub(crate) stream: Stream,
    /// Its source.
    pub(crate) id: SourceId,
    /// Where its first line begins, or a later place where this was written
    /// anew: nothing below is its own and unacknowledged.
    pub(crate) first: u64,
    /// Covered by acknowledged batches: 0 until the first.
    pub(crate) acknowledged: u64,
    /// No record that ends beyond it was sent, where lines are limited.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) reach: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl StreamEntry {
    /// Where reading goes on.
    pub(crate) fn resume(&self) -> u64 {
        self.first.max(self.acknowledged)
    }
}

/// Entries that changed. Durable together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Changes {
    /// New or changed files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) files: Vec<Entry>,
    /// Files that are forgotten.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) gone: Vec<FileKey>,
    /// The mark of the last acknowledged batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mark: Option<i64>,
}

/// The open checkpoint; while it is, no other process can open it.
#[derive(Debug)]
pub(crate) struct Checkpoint {
    journal: Journal,
    head: Head,
    _lock: File,
}

/// What a checkpoint held when it was opened.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Restored {
    /// The files, by key.
    pub(crate) files: Vec<Entry>,
    /// The mark of the last acknowledged batch.
    pub(crate) mark: Option<i64>,
}

impl Checkpoint {
    /// Locks the directory, created if need be, against other processes.
    pub(crate) fn lock(directory: &Path) -> Result<File, StartError> {
        let refused = |path: &Path| {
            let path = path.to_owned();
            move |source| StartError::StateDirectory { path, source }
        };
        create_durably(directory).map_err(refused(directory))?;
        let path = directory.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(refused(&path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(lock),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(StartError::InUse { path }),
            Err(errno) => Err(StartError::StateDirectory { path, source: errno.into() }),
        }
    }

    /// Reads the checkpoint. Without one this is a new agent: it draws its
    /// identifier and chooses one of `partitions`, for good.
    pub(crate) fn open(
        directory: &Path,
        lock: File,
        partitions: u32,
    ) -> Result<(Self, Restored), StartError> {
        Self::open_on(Arc::new(SystemFiles), directory, lock, partitions)
    }

    fn open_on(
        files: Arc<dyn Files>,
        directory: &Path,
        lock: File,
        partitions: u32,
    ) -> Result<(Self, Restored), StartError> {
        let path = directory.join("checkpoint");
        let read = journal::read(&*files, &path)?;
        let refused = |source| StartError::StateDirectory { path: path.clone(), source };
        let (head, restored, journal) = match read {
            Some(read) => {
                let journal = Journal::open(files, path.clone(), &read.good).map_err(refused)?;
                (read.head, read.restored, journal)
            }
            None => {
                let agent = AgentId::generate();
                let partition = choose(agent, partitions);
                let head = Head { version: journal::VERSION, agent, partition };
                let journal = Journal::create(files, path.clone(), &head, [].into_iter()).map_err(refused)?;
                (head, Restored::default(), journal)
            }
        };
        Ok((Self { journal, head, _lock: lock }, restored))
    }

    /// Who the agent is.
    pub(crate) fn head(&self) -> Head {
        self.head
    }

    /// Makes changes durable, a line each: a crash leaves the first of them.
    /// After a failure the next write must be [`Self::rewrite`]: what the
    /// failed one left is unknown.
    pub(crate) fn append(&mut self, changes: impl Iterator<Item = Changes>) -> io::Result<()> {
        self.journal.append(changes)
    }

    /// True when the journal has outgrown its content, or is broken.
    pub(crate) fn wants_rewrite(&self) -> bool {
        self.journal.wants_rewrite()
    }

    /// Every write fails from now on.
    #[cfg(test)]
    pub(crate) fn refuse_writes(&mut self) {
        self.journal.refuse_writes();
    }

    /// Writes succeed again.
    #[cfg(test)]
    pub(crate) fn accept_writes(&mut self) {
        self.journal.accept_writes();
    }

    /// Where kept copies lie.
    pub(crate) fn kept(&self) -> PathBuf {
        self.journal.path().with_file_name("kept")
    }

    /// Writes everything anew.
    pub(crate) fn rewrite(&mut self, changes: impl Iterator<Item = Changes>) -> io::Result<()> {
        let (files, path) = (self.journal.files(), self.journal.path().to_owned());
        self.journal = Journal::create(files, path, &self.head, changes)?;
        Ok(())
    }
}

/// Spreads agents over partitions by the random part of their identifier.
pub(crate) fn choose(agent: AgentId, partitions: u32) -> u32 {
    let random = agent.as_u128() % u128::from(partitions.max(1));
    u32::try_from(random).unwrap_or(0)
}

/// The directory's entries are durable after this.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().map_or_else(|| PathBuf::from("."), Path::to_owned);
    File::open(parent)?.sync_all()
}

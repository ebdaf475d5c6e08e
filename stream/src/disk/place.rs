//! Where things lie: the directories of topics and partitions.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use weir_runtime::{failpoint, is_not_ours_to_sync};

use super::error::OpenError;
use super::files::Files;
use super::retain::Retain;
use super::segment;
use crate::{Offset, Partition, Topic};

/// The file in the log's directory that its writer locks.
pub(super) const LOCK_NAME: &str = "lock";

const WATERMARK_NAME: &str = "durable";

const RESERVATION_NAME: &str = "reserved";

/// A partition and its directory.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) partition: Partition,
    pub(super) dir: PathBuf,
}

impl Place {
    /// Where the partition lies in the log at `log_dir`.
    pub(super) fn new(log_dir: &Path, partition: &Partition) -> Self {
        let dir = log_dir.join(partition.topic.as_str()).join(partition.index.to_string());
        Self { partition: partition.clone(), dir }
    }

    /// The segment file at `base`.
    pub(super) fn segment(&self, base: u64) -> PathBuf {
        self.dir.join(segment::file_name(base))
    }

    /// The file that says how far readers may read.
    pub(super) fn watermark(&self) -> PathBuf {
        self.dir.join(WATERMARK_NAME)
    }

    /// The file that says which offsets may have been given away without a sync.
    pub(super) fn reservation(&self) -> PathBuf {
        self.dir.join(RESERVATION_NAME)
    }

    /// The base offsets of the partition's segments, ascending.
    pub(super) fn bases(&self, files: &dyn Files) -> io::Result<Vec<u64>> {
        let entries = files.list(&self.dir)?;
        let mut bases: Vec<_> = entries.iter().filter_map(|entry| segment::base_of(&entry.name)).collect();
        bases.sort_unstable();
        Ok(bases)
    }

    /// Deletes the segments that may go once nobody needs what lies below
    /// `before`, oldest first.
    ///
    /// What the directory says is made durable before each deletion, so that what
    /// is left after a power cut has no hole, and a segment behind it: that may be
    /// one whose creation was not finished, and an earlier deletion may have been
    /// left without its sync.
    pub(super) fn trim(&self, files: &dyn Files, before: Offset, retain: &Retain) -> io::Result<()> {
        let bases = self.bases(files)?;
        let removable = retain.removable(files, self, &bases, before)?;
        for base in &bases[..removable] {
            files.sync_dir(&self.dir)?;
            failpoint::reach("log.segment.unlink.before")?;
            match files.remove(&self.segment(*base)) {
                // Somebody else trims too.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                other => other?,
            }
            failpoint::reach("log.segment.unlink.after")?;
        }
        if removable > 0 {
            failpoint::reach("log.segment.unlink.sync_directory.before")?;
            files.sync_dir(&self.dir)?;
            failpoint::reach("log.segment.unlink.sync_directory.after")?;
        }
        Ok(())
    }
}

/// The topics in a log's directory.
pub(super) fn topics(files: &dyn Files, log_dir: &Path) -> io::Result<Vec<Topic>> {
    let entries = files.list(log_dir)?;
    Ok(entries.iter().filter(|e| e.is_dir).filter_map(|e| Topic::new(&e.name).ok()).collect())
}

/// How many partitions a topic has: directories `0`, `1`, ... without a hole.
pub(super) fn partitions(files: &dyn Files, log_dir: &Path, topic: &Topic) -> io::Result<u32> {
    let entries = match files.list(&log_dir.join(topic.as_str())) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        other => other?,
    };
    let exists = |index: &u32| entries.iter().any(|e| e.is_dir && e.name == index.to_string());
    let count = (0..u32::MAX).take_while(exists).count();
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Creates a directory and its missing parents, all of them durable.
///
/// Each is synced also where it exists: whoever created it may have been killed
/// before its own sync.
pub(super) fn create_dirs(files: &dyn Files, dir: &Path) -> Result<(), OpenError> {
    let Some(parent) = dir.parent() else { return Ok(()) };
    if parent.as_os_str().is_empty() {
        return create_dir(files, dir, Path::new("."));
    }
    create_dirs(files, parent)?;
    create_dir(files, dir, parent)
}

/// Creates a directory in an existing one, durably.
pub(super) fn create_dir(files: &dyn Files, dir: &Path, parent: &Path) -> Result<(), OpenError> {
    let failed = |step, path: &Path, source| OpenError::Directory { step, path: path.to_owned(), source };
    let existed = match files.create_dir(dir) {
        Ok(()) => false,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => true,
        Err(error) => return Err(failed("create", dir, error)),
    };
    match files.sync_dir(parent) {
        Err(error) if existed && is_not_ours_to_sync(&error) => Ok(()),
        other => other.map_err(|source| failed("sync", parent, source)),
    }
}

//! How an agent stands: file by file, and its spools. A snapshot, made when
//! somebody asks; nothing is kept for it but plain counters.

mod api;
mod explain;

use std::collections::BTreeMap;

use crate::checkpoint::FileKey;
use crate::frame::Format;
use crate::limit::Subject;

pub(crate) use api::{Desk, router};

/// What became of a file's lines since this process began to read it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Lines put into batches.
    pub(crate) lines: u64,
    /// Their bytes in the file.
    pub(crate) bytes: u64,
    /// What never becomes a row, by reason.
    pub(crate) drops: BTreeMap<&'static str, u64>,
}

/// How the reading of one file stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileStatus {
    /// Its name in the checkpoint: the same through renames.
    pub(crate) key: FileKey,
    /// Where it was last seen.
    pub(crate) path: String,
    /// Who writes it.
    pub(crate) subject: Subject,
    /// A container's streams, as far as they were seen.
    pub(crate) streams: Vec<&'static str>,
    /// How its lines are written, once that is known.
    pub(crate) format: Option<Format>,
    /// Its bytes, when it was last looked at.
    pub(crate) size: u64,
    /// The end of what was read.
    pub(crate) read: u64,
    /// The end of what was put into batches or dropped.
    pub(crate) settled: u64,
    /// The end of what the event log has.
    pub(crate) acknowledged: u64,
    /// Bytes that the event log does not have.
    pub(crate) lag: u64,
    /// The time in its last line, microseconds since 1970.
    pub(crate) written: Option<i64>,
    /// Its descriptor is held.
    pub(crate) is_open: bool,
    /// Its last link is gone.
    pub(crate) is_deleted: bool,
    /// No pattern finds it any more.
    pub(crate) is_rotated: bool,
    /// What became of its lines.
    pub(crate) counts: Counts,
    /// Whether its pod is known, where somebody is asked about that.
    pub(crate) metadata: Option<&'static str>,
    /// It is not read: its pod, or its namespace, says so.
    pub(crate) is_excluded: bool,
}

/// How the reading thread stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReaderStatus {
    /// Who it is.
    pub(crate) agent: String,
    /// The kernel tells of changes; otherwise only scanning finds them.
    pub(crate) is_watching: bool,
    /// Directories that it does not watch.
    pub(crate) unwatched_directories: u64,
    /// Files held open.
    pub(crate) open_files: usize,
    /// As many may be.
    pub(crate) open_files_max: usize,
    /// Compressed bytes that were handed on and not acknowledged.
    pub(crate) in_flight_bytes: u64,
    /// Nothing is read until the event log takes some of them.
    pub(crate) is_paused: bool,
    /// What keeps it from its work.
    pub(crate) problem: Option<String>,
    /// Every known file.
    pub(crate) files: Vec<FileStatus>,
}

impl Counts {
    /// A line was put into a batch.
    pub(crate) fn passed(&mut self, bytes: u64) {
        self.lines += 1;
        self.bytes += bytes;
    }

    /// An event will never be a row.
    pub(crate) fn dropped(&mut self, reason: &'static str) {
        *self.drops.entry(reason).or_default() += 1;
    }
}

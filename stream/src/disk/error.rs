//! Why a log, a topic or a partition could not be opened.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::{Partition, Topic};

/// A log that was not opened for writing.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process writes to the directory.
    #[error("the event log at {dir} is in use by another process: stop it, or choose another directory")]
    InUse {
        /// The log's directory.
        dir: PathBuf,
    },
    /// The lock file could not be opened or locked.
    #[error("cannot lock the event log with {path}")]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A directory could not be created, listed or synced.
    #[error("cannot {step} directory {path} of the event log")]
    Directory {
        /// `create`, `list` or `sync`.
        step: &'static str,
        /// The directory.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// A segment or watermark file could not be read or repaired.
    #[error("cannot {step} {path} of partition {partition}")]
    File {
        /// `read`, `create`, `cut`, `sync` or `write`.
        step: &'static str,
        /// The partition.
        partition: Partition,
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The segment belongs to another partition or offset.
    #[error(
        "{path} belongs to {found}, not to partition {partition}: move it back to where it was copied from"
    )]
    Foreign {
        /// The partition being opened.
        partition: Partition,
        /// The segment.
        path: PathBuf,
        /// What the segment says it is.
        found: String,
    },
    /// The segment was written by a later Weir.
    #[error("{path} has format version {version}, this Weir knows 1 and 2: run the Weir that wrote it")]
    Version {
        /// The segment.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// The name is used by the log itself.
    #[error("topic {0} cannot be created: the name is used by the event log itself")]
    ReservedTopic(Topic),
    /// The system gave no thread.
    #[error("cannot start the writer of partition {partition}")]
    Thread {
        /// The partition.
        partition: Partition,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The log was closed.
    #[error("the event log is closed")]
    Closed,
}

//! What can go wrong, a variant per step.

use std::io;
use std::path::PathBuf;

use thiserror::Error;
use tokio::task::JoinError;
use weir_storage::catalog::CatalogError;
use weir_storage::{FileError, ObjectError};
use weir_stream::{ReadError, Topic};

/// The ingester could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A value that cannot work.
    #[error("{0}")]
    Config(String),
    /// A topic whose messages nobody can read.
    #[error("topic {0} is not named after a signal: end its name in .logs, .spans or .metrics")]
    Topic(Topic),
    /// The topic could not be looked at.
    #[error("cannot list the partitions of topic {topic}")]
    Partitions {
        /// The topic.
        topic: Topic,
        /// The cause.
        #[source]
        source: ReadError,
    },
    /// The place for messages that cannot be decoded could not be made.
    #[error("cannot create the directory for dead letters at {path}")]
    DeadLetters {
        /// The directory.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

/// A flush that stored nothing. Its rows stay live and are tried again.
#[derive(Debug, Error)]
pub(crate) enum FlushError {
    #[error("cannot make a file of {rows} rows")]
    File {
        rows: usize,
        #[source]
        source: FileError,
    },
    #[error("cannot store {path}")]
    Object {
        path: String,
        #[source]
        source: ObjectError,
    },
    #[error("cannot publish the flush")]
    Publish {
        #[source]
        source: CatalogError,
    },
    #[error("the catalog does not answer, so nothing is written yet")]
    Away {
        #[source]
        source: CatalogError,
    },
    #[error("cannot find out whether the flush was published")]
    Outcome {
        #[source]
        source: CatalogError,
    },
    /// A fault of Weir's own, or the end of the process.
    #[error("writing {rows} rows to files was broken off")]
    BrokenOff {
        rows: usize,
        #[source]
        source: JoinError,
    },
}

impl FlushError {
    /// The catalog is what failed.
    pub(crate) fn is_of_catalog(&self) -> bool {
        matches!(self, Self::Publish { .. } | Self::Away { .. } | Self::Outcome { .. })
    }
}

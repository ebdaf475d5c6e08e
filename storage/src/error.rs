//! What can go wrong with files, objects and live rows, a variant per step.
//! The catalog's errors are [`crate::catalog::CatalogError`].

use std::io;
use std::path::PathBuf;

use arrow_schema::ArrowError;
use parquet::errors::ParquetError;
use thiserror::Error;

/// A file that could not be made or read.
#[derive(Debug, Error)]
pub enum FileError {
    /// A file holds at least one row.
    #[error("a file without rows was asked for")]
    Empty,
    /// The footer names a table that does not exist.
    #[error("there is no table {0:?}")]
    NoTable(String),
    /// A column that every table has is absent or of another type.
    #[error("column {column} is missing or is not of type {expected}")]
    Column {
        /// Its name.
        column: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// The rows to write go back in time: the file would claim an order that
    /// it does not have.
    #[error("rows are not sorted: row {row} of batch {batch} is older than the one before it")]
    Unsorted {
        /// Which of the batches.
        batch: usize,
        /// Which row in it.
        row: usize,
    },
    /// Rows could not be brought into order.
    #[error("cannot sort {rows} rows by time")]
    Sort {
        /// How many.
        rows: usize,
        /// The cause.
        #[source]
        source: ArrowError,
    },
    /// The writer refused.
    #[error("cannot write a file of table {table}")]
    Write {
        /// The table.
        table: String,
        /// The cause.
        #[source]
        source: ParquetError,
    },
    /// The footer could not be turned into text or back.
    #[error("the file's {key} is not valid")]
    Footer {
        /// The key in the file's metadata.
        key: &'static str,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// The file is Parquet, and nobody of ours wrote it.
    #[error("the file has no {0} in its metadata: it is not one of Weir's")]
    NotOurs(&'static str),
    /// The file's format is another one.
    #[error("the file has format {found:?}, this build reads {expected}: read it with a newer Weir")]
    Version {
        /// What it says.
        found: String,
        /// What this build reads.
        expected: &'static str,
    },
    /// The bytes are no readable Parquet file.
    #[error("the file's {part} cannot be read")]
    Read {
        /// Which part of it.
        part: &'static str,
        /// The cause.
        #[source]
        source: ParquetError,
    },
    /// The bytes are damaged in a way that the reader did not expect.
    #[error("the file's {part} is damaged: the reader gave up on it")]
    Damaged {
        /// Which part of it.
        part: &'static str,
    },
}

/// An object that could not be put, read or removed.
#[derive(Debug, Error)]
pub enum ObjectError {
    /// The path could leave the store or hide in it.
    #[error(
        "object path {0:?} is not allowed: use names joined by '/', none of them empty or starting with '.'"
    )]
    BadPath(String),
    /// The path has an object already, which is kept.
    #[error("object {0} exists already and is never replaced")]
    Exists(String),
    /// There is no such object.
    #[error("object {0} does not exist")]
    Missing(String),
    /// The range reaches beyond the object.
    #[error("object {path} has {bytes} bytes, up to {end} were asked for")]
    BeyondEnd {
        /// Which object.
        path: String,
        /// Its size.
        bytes: u64,
        /// The end of the range.
        end: u64,
    },
    /// The disk refused; no object and no part of one is left.
    #[error("cannot {step} {path}")]
    Disk {
        /// What was being done.
        step: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The store refused or could not be reached, for as long as it was tried.
    #[error("the object store cannot {step} {path}")]
    Store {
        /// What was being done.
        step: &'static str,
        /// Which object; empty for all.
        path: String,
        /// What it said.
        #[source]
        source: object_store::Error,
    },
    /// The store could not be opened.
    #[error("cannot open the object store at {root}: {reason}")]
    Open {
        /// Its directory.
        root: PathBuf,
        /// What failed.
        reason: String,
    },
    /// The process is ending and runs no more work.
    #[error("the process is ending, nothing was stored")]
    Ending,
}

impl ObjectError {
    /// No space or no quota is left: wait and try again, and let pressure
    /// travel upstream.
    pub fn is_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self, Self::Disk { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded))
    }

    /// The same call may succeed later, after space was made, a permission was
    /// given or a disk came back.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Disk { .. } | Self::Store { .. })
    }
}

/// Live rows that could not be sent or understood.
#[derive(Debug, Error)]
pub enum WireError {
    /// The bytes contradict the format.
    #[error("malformed {what}: {reason}")]
    Malformed {
        /// The part of the message.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The other side speaks another version.
    #[error("live rows came in version {found}, this build reads {expected}: run one version on both sides")]
    Version {
        /// What came.
        found: u32,
        /// What this build reads.
        expected: u32,
    },
    /// Rows could not be turned into Arrow messages.
    #[error("cannot encode live rows of {partition}")]
    Encode {
        /// Where they came from.
        partition: crate::catalog::LogPartition,
        /// The cause.
        #[source]
        source: ArrowError,
    },
    /// The answer belongs to an exchange that another has overtaken.
    #[error("live rows of instance {found} came, the cache holds {held}: ask again")]
    Stale {
        /// Whose rows came.
        found: String,
        /// Whose rows are held.
        held: String,
    },
}

impl WireError {
    pub(crate) fn malformed(what: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Malformed { what, reason: reason.to_string() }
    }
}

//! What can go wrong, by what the caller does about it.

use std::io;
use std::path::PathBuf;

use thiserror::Error;
use weir_runtime::failpoint::Injected;

use crate::{Offset, Partition, Topic};

/// An append that was not acknowledged.
#[derive(Debug, Error)]
pub enum AppendError {
    /// No space; nothing was written. Try again later.
    #[error("the event log's disk is full at {path}")]
    Full {
        /// The segment.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The record can never be appended.
    #[error("a record of {bytes} bytes is over the event log's limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A write or sync failed: what lies on disk is unknown and the partition
    /// takes no more until it is opened anew.
    #[error("partition {partition} failed and is closed: {reason}")]
    Poisoned {
        /// The partition.
        partition: Partition,
        /// The first failure.
        reason: String,
    },
    /// There is no such partition.
    #[error("partition {0} does not exist")]
    NoPartition(Partition),
    /// There is no such topic.
    #[error("topic {0} does not exist")]
    NoTopic(Topic),
    /// The log cannot be reached, or does not let us in. Nothing was written.
    /// Try again later.
    #[error("the event log is not available: {reason}")]
    Unavailable {
        /// What is in the way.
        reason: String,
    },
    /// The log was reached and did not say how it went, for all records or for
    /// some.
    #[error("the event log did not answer for {partition}: {reason}")]
    Unanswered {
        /// The partition.
        partition: Partition,
        /// What came instead of the answer.
        reason: String,
    },
    /// The log is shutting down.
    #[error("the event log is closed")]
    Closed,
}

impl AppendError {
    /// The same append may succeed later, without anything else being done.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::Unavailable { .. } | Self::Unanswered { .. })
    }

    /// The records may or may not have been stored.
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Poisoned { .. } | Self::Unanswered { .. } | Self::Closed)
    }
}

/// A read that brought nothing.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The log no longer holds `from`: `[from, start)` is lost to this reader.
    #[error("partition {partition} starts at offset {start}, {from} was asked for")]
    BelowStart {
        /// The partition.
        partition: Partition,
        /// What was asked for.
        from: Offset,
        /// The oldest offset held.
        start: Offset,
    },
    /// `from` lies beyond the end: the log was replaced or cut back.
    #[error("partition {partition} ends at offset {end}, {from} was asked for")]
    AboveEnd {
        /// The partition.
        partition: Partition,
        /// What was asked for.
        from: Offset,
        /// The end.
        end: Offset,
    },
    /// Stored records fail their checksum: `[from, next)` is lost.
    #[error("partition {partition} is corrupt at {path}, offsets {from} to {next} are lost: {reason}")]
    Corrupt {
        /// The partition.
        partition: Partition,
        /// The segment; on Kafka the brokers.
        path: PathBuf,
        /// First offset lost.
        from: Offset,
        /// First offset after the loss.
        next: Offset,
        /// What failed.
        reason: String,
    },
    /// There is no such partition.
    #[error("partition {0} does not exist")]
    NoPartition(Partition),
    /// There is no such topic.
    #[error("topic {0} does not exist")]
    NoTopic(Topic),
    /// The log cannot be reached, or does not let us in. Try again later.
    #[error("the event log is not available: {reason}")]
    Unavailable {
        /// What is in the way.
        reason: String,
    },
    /// The system refused.
    #[error("cannot read {path}")]
    Io {
        /// The segment.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
}

impl From<Injected> for ReadError {
    fn from(injected: Injected) -> Self {
        Self::Unavailable { reason: injected.to_string() }
    }
}

impl ReadError {
    /// The same read may succeed later, without anything else being done.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Io { .. })
    }
}

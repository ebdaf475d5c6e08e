//! The consuming side.

use std::time::Duration;

use async_trait::async_trait;

use crate::{Offset, Partition, ReadError, StoredRecord, Topic};

/// How much one read may bring, and how long it may wait for the first record.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimit {
    /// Stop after this many payload bytes; at least one record is returned.
    pub bytes: usize,
    /// With nothing to read, wait this long for something.
    pub wait: Duration,
}

/// What a partition holds: `[start, end)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermarks {
    /// Oldest offset still held.
    pub start: Offset,
    /// The offset that the next record gets. Everything below is durable.
    pub end: Offset,
}

/// Reads partitions from explicit offsets. Only durable records are seen.
#[async_trait]
pub trait Subscribe: Send + Sync {
    /// The records from `from` on, in order, without a gap; none when nothing
    /// came within the wait.
    ///
    /// # Errors
    /// [`ReadError::BelowStart`] and [`ReadError::Corrupt`] name the offset at
    /// which reading can go on, so that the caller can count what is lost.
    async fn read(
        &self,
        partition: &Partition,
        from: Offset,
        limit: ReadLimit,
    ) -> Result<Vec<StoredRecord>, ReadError>;

    /// What the partition holds now.
    async fn watermarks(&self, partition: &Partition) -> Result<Watermarks, ReadError>;

    /// Records below `before` are no longer needed. They may stay readable.
    async fn trim(&self, partition: &Partition, before: Offset) -> Result<(), ReadError>;

    /// How many partitions the topic has.
    async fn partitions(&self, topic: &Topic) -> Result<u32, ReadError>;
}

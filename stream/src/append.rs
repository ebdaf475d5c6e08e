//! The producing side.

use async_trait::async_trait;

use crate::{AppendError, Offset, Partition, Record, Topic};

/// Appends records to partitions.
#[async_trait]
pub trait Append: Send + Sync {
    /// Appends records in order and answers with the offset of the first; the
    /// others follow without a gap. The answer comes only after the records
    /// are durable: they survive a power cut. Concurrent appends share a sync.
    ///
    /// # Errors
    /// After [`AppendError::is_unknown`], the records may or may not be there.
    async fn append(&self, partition: &Partition, records: Vec<Record>) -> Result<Offset, AppendError>;

    /// How many partitions the topic has.
    async fn partitions(&self, topic: &Topic) -> Result<u32, AppendError>;
}

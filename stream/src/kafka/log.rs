//! The log itself: what the roles see.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio::time::Instant;
use weir_runtime::{Handles, Shutdown};

use super::consumer::Consuming;
use super::contact::Contact;
use super::metrics::KafkaMetrics;
use super::producer::{Producing, blocking};
use super::topics::{Counts, Steward};
use super::{KafkaConfig, KafkaError, TopicSpec};
use crate::{
    Append, AppendError, Offset, Partition, ReadError, ReadLimit, Record, StoredRecord, Subscribe, Topic,
    Watermarks,
};

/// How often librdkafka is asked what it has to say. Records do not wait for
/// it, only news of connections.
const SERVE_INTERVAL: Duration = Duration::from_millis(100);

/// How often lag tools are told how far rows are stored, and partitions that
/// nobody reads are looked for.
const TIDY_INTERVAL: Duration = Duration::from_secs(5);

/// The event log of a Kafka cluster. Cloning shares.
///
/// The records of one append follow each other without a gap unless another
/// process appends to the same partition just then: its records may come to lie
/// between them, where an append is more than one of Kafka's batches.
#[derive(Clone)]
pub struct KafkaLog {
    config: KafkaConfig,
    contact: Contact,
    producing: Arc<Producing>,
    consuming: Arc<Consuming>,
}

impl KafkaLog {
    /// A log at these brokers. They are not asked anything yet:
    /// [`ensure_topics`](Self::ensure_topics) does.
    ///
    /// # Errors
    /// Settings that cannot work.
    pub fn open(config: KafkaConfig, handles: &Handles) -> Result<Self, KafkaError> {
        config.validate()?;
        let metrics = KafkaMetrics::register(&handles.metrics);
        let contact = Contact::new(&config.brokers, metrics.clone());
        let counts = Counts::default();
        let producing = Producing::new(config.clone(), contact.clone(), counts.clone(), metrics.clone());
        let consuming = Consuming::new(config.clone(), contact.clone(), counts, metrics);
        let (producing, consuming) = (Arc::new(producing), Arc::new(consuming));
        handles
            .tasks
            .spawn("kafka", serve(Arc::downgrade(&consuming), consuming.begun(), handles.shutdown.clone()));
        Ok(Self { config, contact, producing, consuming })
    }

    /// Sees to it that the topics are there and fit to use: creates what is
    /// missing, checks what is there and changes nothing about it.
    ///
    /// # Errors
    /// [`KafkaError::is_retryable`] while no broker answers; else what an
    /// operator must do.
    pub async fn ensure_topics(&self, topics: &[TopicSpec]) -> Result<(), KafkaError> {
        let steward = self.steward().await?;
        for spec in topics {
            steward.ensure(spec).await?;
        }
        Ok(())
    }

    /// Deletes topics with all their records; those that are not there are
    /// none the less gone.
    ///
    /// # Errors
    /// When brokers cannot be reached or refuse.
    pub async fn delete_topics(&self, topics: &[Topic]) -> Result<(), KafkaError> {
        self.steward().await?.delete(topics).await
    }

    pub(super) fn producing(&self) -> &Arc<Producing> {
        &self.producing
    }

    pub(super) async fn steward(&self) -> Result<Steward<'_>, KafkaError> {
        Steward::new(&self.config, &self.producing, &self.contact).await
    }
}

impl fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaLog").field("config", &self.config).finish_non_exhaustive()
    }
}

#[async_trait]
impl Append for KafkaLog {
    async fn append(&self, partition: &Partition, records: Vec<Record>) -> Result<Offset, AppendError> {
        self.producing.append(partition, &records).await
    }

    async fn partitions(&self, topic: &Topic) -> Result<u32, AppendError> {
        self.producing.partitions(topic).await
    }
}

#[async_trait]
impl Subscribe for KafkaLog {
    async fn read(
        &self,
        partition: &Partition,
        from: Offset,
        limit: ReadLimit,
    ) -> Result<Vec<StoredRecord>, ReadError> {
        self.consuming.read(partition, from, limit).await
    }

    async fn watermarks(&self, partition: &Partition) -> Result<Watermarks, ReadError> {
        self.consuming.watermarks(partition).await
    }

    /// Nothing is deleted: that is retention's. Lag tools are told.
    async fn trim(&self, partition: &Partition, before: Offset) -> Result<(), ReadError> {
        self.consuming.stored_to(partition, before);
        Ok(())
    }

    async fn partitions(&self, topic: &Topic) -> Result<u32, ReadError> {
        self.consuming.partitions(topic).await
    }
}

/// Serves the consumer, from its first use until the log is gone or the process
/// ends.
async fn serve(
    consuming: Weak<Consuming>,
    begun: Arc<Notify>,
    shutdown: Shutdown,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    tokio::select! {
        () = shutdown.begun() => return Ok(()),
        () = begun.notified() => {}
    }
    let mut tidied = Instant::now();
    while tokio::time::timeout(SERVE_INTERVAL, shutdown.begun()).await.is_err() {
        let Some(consuming) = consuming.upgrade() else { break };
        consuming.serve();
        if tidied.elapsed() >= TIDY_INTERVAL {
            tidied = Instant::now();
            blocking(move || consuming.tidy()).await?;
        }
    }
    Ok(())
}

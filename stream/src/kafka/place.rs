//! One partition as it is read: its queue in librdkafka, and where it stands.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError as RdError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Offset as RdOffset, TopicPartitionList};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};
use weir_runtime::planted;

use super::contact::Contact;
use super::message::stored;
use super::producer::kafka_index;
use crate::{Offset, Partition, StoredRecord};

/// The consumer of all partitions.
pub(super) type Client = BaseConsumer<Contact>;

/// How often a queue is looked at even if nobody rang.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// A partition's place. Whoever reads holds it alone.
pub(super) struct Place {
    partition: Partition,
    queue: PartitionQueue<Contact>,
    /// Rung when something has come into the queue.
    bell: Arc<Notify>,
    /// What the queue brings next; none: it must be put somewhere first.
    next: Option<Offset>,
    /// Librdkafka fetches it.
    is_fetched: bool,
    /// A checksum failed there. Once may be the network's fault.
    damaged: Option<Offset>,
    /// Came behind records that were answered first.
    trouble: Option<RDKafkaErrorCode>,
    read_at: Instant,
}

impl Place {
    /// Of a partition that is not fetched yet; none when it cannot exist.
    pub(super) fn new(client: &Arc<Client>, partition: &Partition) -> Option<Self> {
        let mut queue = client.split_partition_queue(partition.topic.as_str(), kafka_index(partition))?;
        let bell = Arc::new(Notify::new());
        queue.set_nonempty_callback({
            let bell = bell.clone();
            move || bell.notify_one()
        });
        Some(Self {
            partition: partition.clone(),
            queue,
            bell,
            next: None,
            is_fetched: false,
            damaged: None,
            trouble: None,
            read_at: Instant::now(),
        })
    }

    /// It stands there.
    pub(super) fn is_at(&self, from: Offset) -> bool {
        self.next == Some(from)
    }

    /// Begins to fetch from there. Blocks for a moment. What was fetched before
    /// is not seen again: librdkafka marks it as outdated.
    pub(super) fn put(&mut self, client: &Client, from: Offset) -> Result<(), RdError> {
        self.release(client)?;
        let mut offset = RdOffset::Offset(i64::try_from(from.0).unwrap_or(i64::MAX));
        if planted::is("auto-offset-store") {
            offset = self.stored(client)?.unwrap_or(offset);
        }
        client.incremental_assign(&self.list(offset)?)?;
        (self.is_fetched, self.next) = (true, Some(from));
        Ok(())
    }

    /// Where the group says that it stands.
    fn stored(&self, client: &Client) -> Result<Option<RdOffset>, RdError> {
        let told = client.committed_offsets(self.list(RdOffset::Invalid)?, Duration::from_secs(2))?;
        let offset = told.elements().first().map(TopicPartitionListElem::offset);
        Ok(offset.filter(|offset| matches!(offset, RdOffset::Offset(_))))
    }

    /// Fetches no more, and gives free what was read ahead. Blocks for a
    /// moment.
    pub(super) fn release(&mut self, client: &Client) -> Result<(), RdError> {
        (self.next, self.trouble) = (None, None);
        if std::mem::take(&mut self.is_fetched) {
            client.incremental_unassign(&self.list(RdOffset::Invalid)?)?;
        }
        Ok(())
    }

    /// The next read puts it anew.
    pub(super) fn begin_anew(&mut self) {
        self.next = None;
    }

    /// A checksum failed there: true when it is the second time.
    pub(super) fn is_damaged_again(&mut self, at: Offset) -> bool {
        self.damaged.replace(at) == Some(at)
    }

    /// Nobody has read it for so long, and it is fetched.
    pub(super) fn is_idle(&self, time: Duration) -> bool {
        self.is_fetched && self.read_at.elapsed() > time
    }

    /// What is there, in order, up to so many bytes and at least one record if
    /// there is one. Does not wait, so that no caller who goes away takes
    /// records with it.
    ///
    /// # Errors
    /// What librdkafka says; reading must be begun anew.
    pub(super) fn take(&mut self, bytes: usize) -> Result<Vec<StoredRecord>, RDKafkaErrorCode> {
        self.read_at = Instant::now();
        let Some(mut next) = self.next else { return Ok(Vec::new()) };
        if let Some(code) = self.trouble.take() {
            return Err(code);
        }
        let (mut records, mut taken) = (Vec::new(), 0);
        while records.is_empty() || taken < bytes {
            let Some(result) = self.queue.poll(Duration::ZERO) else { break };
            match result.map(|message| stored(&message)) {
                Ok(record) if record.offset < next => {}
                Ok(record) => {
                    next = record.offset.next();
                    self.next = Some(next);
                    taken += record.record.payload.len();
                    records.push(record);
                }
                Err(error) => {
                    let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
                    if records.is_empty() {
                        return Err(code);
                    }
                    self.trouble = Some(code);
                    break;
                }
            }
        }
        Ok(records)
    }

    /// Waits until something may be there; false when it is too late.
    pub(super) async fn wait(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        // Whether it rang or not: the queue is looked at.
        let _ = timeout(left.min(LOOK_INTERVAL), self.bell.notified()).await;
        true
    }

    fn list(&self, offset: RdOffset) -> Result<TopicPartitionList, RdError> {
        list([(&self.partition, offset)])
    }
}

/// Partitions as librdkafka takes them.
pub(super) fn list<'a>(
    partitions: impl IntoIterator<Item = (&'a Partition, RdOffset)>,
) -> Result<TopicPartitionList, RdError> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in partitions {
        list.add_partition_offset(partition.topic.as_str(), kafka_index(partition), offset)?;
    }
    Ok(list)
}

/// A consumer with these settings.
pub(super) fn consumer(config: &ClientConfig, contact: Contact) -> Result<Arc<Client>, RdError> {
    config.create_with_context(contact).map(Arc::new)
}

//! The producing side: one producer for all partitions.
//!
//! librdkafka repeats what was not acknowledged, under the same sequence
//! numbers, for as long as it takes. An append therefore does not time out
//! while its records are under way: giving up would only store them twice. What
//! has not begun is turned away while no broker is within reach, so that the
//! caller holds back and can say why.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError as RdError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::contact::Contact;
use super::delivery::{Deliveries, Outcome, Pending};
use super::message::{check_limits, headers, timestamp_millis};
use super::metrics::KafkaMetrics;
use super::topics::{Counts, METADATA_WAIT, is_missing};
use super::{KafkaConfig, KafkaError, settings};
use crate::{AppendError, Offset, Partition, Record, Topic};

/// How long an append that has not begun waits for room.
const ROOM_WAIT: Duration = Duration::from_secs(10);

/// How often a full queue is tried even if nobody told of room.
const ROOM_INTERVAL: Duration = Duration::from_millis(50);

/// How long a broker that was away may take to show that it is back.
const PROBE_WAIT: Duration = Duration::from_secs(2);

/// How long librdkafka is listened to in one go. What it has to say is heard at
/// once; this is how late the end of a producer is noticed, and how often an
/// idle process wakes for it.
const HEAR_WAIT: Duration = Duration::from_secs(10);

type Client = BaseProducer<Deliveries>;

/// Appends.
pub(super) struct Producing {
    config: KafkaConfig,
    contact: Contact,
    counts: Counts,
    metrics: KafkaMetrics,
    client: Mutex<Option<Arc<Client>>>,
    /// Held while an append's records are queued, so that they stay together.
    lanes: Mutex<HashMap<Partition, Arc<tokio::sync::Mutex<()>>>>,
    room: Arc<Notify>,
}

impl Producing {
    pub(super) fn new(config: KafkaConfig, contact: Contact, counts: Counts, metrics: KafkaMetrics) -> Self {
        let (client, lanes, room) = (Mutex::default(), Mutex::default(), Arc::default());
        Self { config, contact, counts, metrics, client, lanes, room }
    }

    /// Appends and waits until all is acknowledged.
    pub(super) async fn append(
        self: &Arc<Self>,
        partition: &Partition,
        records: &[Record],
    ) -> Result<Offset, AppendError> {
        for record in records {
            check_limits(record, self.config.message_bytes.as_usize())?;
        }
        let client = self.client().await.map_err(|error| self.unavailable(error.to_string()))?;
        self.find(&client, partition).await?;
        if records.is_empty() {
            return self.end(client, partition.clone()).await;
        }
        let (pending, answer) = Pending::new(records.len());
        let lane = self.lane(partition);
        let turn = lane.lock().await;
        self.queue(&client, partition, records, &pending).await?;
        drop((turn, pending));
        match answer.await {
            Ok(Outcome::Stored(first)) => {
                self.metrics.appended_records.inc_by(records.len() as u64);
                self.metrics
                    .appended_bytes
                    .inc_by(records.iter().map(|record| record.payload.len() as u64).sum());
                Ok(first)
            }
            Ok(Outcome::Somewhere) => Err(self.unanswered(partition, "stored, where is not known any more")),
            Ok(Outcome::Failed { code, stored }) => {
                self.replace_if_fatal(&client);
                Err(self.failed(partition, records, code, stored))
            }
            Err(_) => Err(self.unanswered(partition, "the client was closed")),
        }
    }

    /// How many partitions the topic has, by the brokers.
    pub(super) async fn partitions(self: &Arc<Self>, topic: &Topic) -> Result<u32, AppendError> {
        let count = self.look_up(topic).await.map_err(|reason| self.unavailable(reason))?;
        count.ok_or_else(|| AppendError::NoTopic(topic.clone()))
    }

    /// It is not as it was.
    pub(super) fn forget(&self, topic: &Topic) {
        self.counts.forget(topic);
    }

    /// The same; none when there is no such topic; in words why not.
    pub(super) async fn look_up(self: &Arc<Self>, topic: &Topic) -> Result<Option<u32>, String> {
        let client = self.client().await.map_err(|error| error.to_string())?;
        self.look_up_within(&client, topic, METADATA_WAIT).await
    }

    /// The fewest copies that a partition of the topic has, and the fewest in
    /// sync; in words why that is not known.
    pub(super) async fn copies(self: &Arc<Self>, topic: &Topic) -> Result<(usize, usize), String> {
        let client = self.client().await.map_err(|error| error.to_string())?;
        let (this, topic) = (self.clone(), topic.clone());
        blocking(move || {
            let metadata = client.client().fetch_metadata(Some(topic.as_str()), METADATA_WAIT);
            let metadata = metadata.map_err(|error| this.contact.reason(&error))?;
            let partitions = || metadata.topics().iter().flat_map(MetadataTopic::partitions);
            let replicas = partitions().map(|partition| partition.replicas().len()).min();
            let in_sync = partitions().map(|partition| partition.isr().len()).min();
            Ok((replicas.unwrap_or(0), in_sync.unwrap_or(0)))
        })
        .await
        .unwrap_or_else(Err)
    }

    async fn look_up_within(
        self: &Arc<Self>,
        client: &Arc<Client>,
        topic: &Topic,
        wait: Duration,
    ) -> Result<Option<u32>, String> {
        let (this, client, topic) = (self.clone(), client.clone(), topic.clone());
        blocking(move || match this.counts.look_up(client.client(), &topic, wait) {
            Ok(count) => {
                this.contact.reached();
                Ok(count)
            }
            Err(error) => Err(this.contact.reason(&error)),
        })
        .await
        .unwrap_or_else(Err)
    }

    /// Makes sure that there is such a partition: librdkafka would wait half a
    /// minute for it to appear.
    async fn find(self: &Arc<Self>, client: &Arc<Client>, partition: &Partition) -> Result<(), AppendError> {
        let away = self.contact.is_away();
        if !away && self.counts.get(&partition.topic).is_some_and(|count| partition.index < count) {
            return Ok(());
        }
        let wait = if away { PROBE_WAIT } else { METADATA_WAIT };
        match self.look_up_within(client, &partition.topic, wait).await {
            Ok(Some(count)) if partition.index < count => Ok(()),
            Ok(Some(_)) => Err(AppendError::NoPartition(partition.clone())),
            Ok(None) => Err(AppendError::NoTopic(partition.topic.clone())),
            Err(reason) => Err(self.unavailable(reason)),
        }
    }

    async fn queue(
        &self,
        client: &Client,
        partition: &Partition,
        records: &[Record],
        pending: &Arc<Pending>,
    ) -> Result<(), AppendError> {
        let begun = Instant::now();
        for (index, record) in records.iter().enumerate() {
            loop {
                let Err(error) = send(client, partition, record, pending) else { break };
                let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
                if code != RDKafkaErrorCode::QueueFull {
                    self.replace_if_fatal(client);
                    return Err(match index {
                        0 => self.failed(partition, records, code, 0),
                        _ => self.unanswered(partition, &code.to_string()),
                    });
                }
                if index == 0 && begun.elapsed() > ROOM_WAIT {
                    return Err(self.unavailable("the send queue stays full".to_owned()));
                }
                // Nothing lost if it passes: the queue is tried again.
                let _ = timeout(ROOM_INTERVAL, self.room.notified()).await;
            }
        }
        Ok(())
    }

    /// Where the partition ends: the answer to an append of nothing.
    async fn end(&self, client: Arc<Client>, partition: Partition) -> Result<Offset, AppendError> {
        let index = kafka_index(&partition);
        let fetch = {
            let topic = partition.topic.clone();
            move || client.client().fetch_watermarks(topic.as_str(), index, METADATA_WAIT)
        };
        match blocking(fetch).await {
            Ok(Ok((_, end))) => Ok(Offset(u64::try_from(end).unwrap_or(0))),
            Ok(Err(error)) => Err(self.unavailable(self.contact.reason(&error))),
            Err(reason) => Err(self.unavailable(reason)),
        }
    }

    fn failed(
        &self,
        partition: &Partition,
        records: &[Record],
        code: RDKafkaErrorCode,
        stored: usize,
    ) -> AppendError {
        match code {
            RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge => {
                let limit = self.config.message_bytes.as_usize();
                tracing::error!(%partition, limit, "the broker takes less than message_bytes: raise the topic's max.message.bytes");
                let bytes = records.iter().map(|record| record.payload.len()).max().unwrap_or(0);
                AppendError::TooLarge { bytes, limit }
            }
            _ if stored > 0 => {
                self.unanswered(partition, &format!("{stored} records are stored, then: {code}"))
            }
            _ if is_missing(code) => {
                self.counts.forget(&partition.topic);
                AppendError::NoPartition(partition.clone())
            }
            RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::InvalidTimestamp
            | RDKafkaErrorCode::InvalidMessage
            | RDKafkaErrorCode::PolicyViolation
            | RDKafkaErrorCode::PurgeQueue => self.unavailable(format!("{partition} is refused: {code}")),
            _ => self.unanswered(partition, &code.to_string()),
        }
    }

    fn unavailable(&self, reason: String) -> AppendError {
        self.metrics.unavailable.inc();
        AppendError::Unavailable { reason }
    }

    fn unanswered(&self, partition: &Partition, reason: &str) -> AppendError {
        self.metrics.unanswered.inc();
        AppendError::Unanswered { partition: partition.clone(), reason: reason.to_owned() }
    }

    async fn client(self: &Arc<Self>) -> Result<Arc<Client>, KafkaError> {
        if let Some(client) = &*self.slot() {
            return Ok(client.clone());
        }
        let this = self.clone();
        let made = blocking(move || {
            let mut slot = this.slot();
            if let Some(client) = &*slot {
                return Ok(client.clone());
            }
            let context = Deliveries { contact: this.contact.clone(), room: this.room.clone() };
            let client = Client::from_config_and_context(&settings::producer(&this.config)?, context)
                .map_err(|error| KafkaError::Client { reason: error.to_string() })?;
            let client = Arc::new(client);
            let heard = Arc::downgrade(&client);
            std::thread::Builder::new()
                .name("kafka-producer".to_owned())
                .spawn(move || hear(&heard))
                .map_err(|error| KafkaError::Client { reason: format!("no thread for it: {error}") })?;
            Ok(slot.insert(client).clone())
        });
        made.await.unwrap_or_else(|reason| Err(KafkaError::Client { reason }))
    }

    /// A producer whose sequence the brokers contradict never sends again; the
    /// next append makes a new one.
    fn replace_if_fatal(&self, client: &Client) {
        let Some((code, reason)) = client.client().fatal_error() else { return };
        let mut slot = self.slot();
        if slot.as_ref().is_some_and(|held| std::ptr::eq(&raw const **held, client)) {
            tracing::error!(%code, reason, "the producer cannot go on, a new one takes its place");
            // Not dropped here: it waits for librdkafka's threads.
            let old = slot.take();
            drop(tokio::task::spawn_blocking(move || drop(old)));
        }
    }

    fn lane(&self, partition: &Partition) -> Arc<tokio::sync::Mutex<()>> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.entry(partition.clone()).or_default().clone()
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<Client>>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hears what became of records, until the producer is not used any more.
fn hear(client: &Weak<Client>) {
    while let Some(client) = client.upgrade() {
        client.poll(HEAR_WAIT);
    }
}

fn send(
    client: &Client,
    partition: &Partition,
    record: &Record,
    pending: &Arc<Pending>,
) -> Result<(), RdError> {
    let message: BaseRecord<'_, (), [u8], Arc<Pending>> =
        BaseRecord::with_opaque_to(partition.topic.as_str(), pending.clone())
            .partition(kafka_index(partition))
            .payload(&record.payload[..])
            .timestamp(timestamp_millis(record))
            .headers(headers(record));
    client.send(message).map_err(|(error, _)| error)
}

/// The index as Kafka counts: what is too large for it cannot exist.
pub(super) fn kafka_index(partition: &Partition) -> i32 {
    i32::try_from(partition.index).unwrap_or(i32::MAX)
}

/// Runs what blocks where blocking is allowed.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.map_err(|error| format!("a call of librdkafka failed: {error}"))
}

//! The consuming side: one consumer for all partitions, each with a queue and
//! a position of its own.
//!
//! A partition is put to an offset when somebody asks for another one than it
//! stands at, which costs a question to the brokers: what does it hold? From
//! then on librdkafka reads ahead, `fetch_bytes` of each partition. One that
//! nobody has read for a minute is given up, with what was read ahead.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::Offset as RdOffset;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::KafkaError as RdError;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::contact::Contact;
use super::metrics::KafkaMetrics;
use super::place::{self, Client, Place, Trouble};
use super::producer::{blocking, kafka_index};
use super::topics::{Counts, METADATA_WAIT, is_missing};
use super::{KafkaConfig, settings};
use crate::{Offset, Partition, ReadError, ReadLimit, StoredRecord, Topic, Watermarks};

/// The shortest time that brokers get for an answer, however short the read
/// may wait; also for records that are known to be there.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// A partition that nobody reads for so long is given up.
const IDLE: Duration = Duration::from_secs(60);

/// Reads.
pub(super) struct Consuming {
    config: KafkaConfig,
    contact: Contact,
    counts: Counts,
    metrics: KafkaMetrics,
    client: OnceCell<Arc<Client>>,
    places: Mutex<HashMap<Partition, Arc<tokio::sync::Mutex<Place>>>>,
    /// How far rows are stored, not yet told to the group.
    stored: Mutex<HashMap<Partition, Offset>>,
}

impl Consuming {
    pub(super) fn new(config: KafkaConfig, contact: Contact, counts: Counts, metrics: KafkaMetrics) -> Self {
        let (client, places, stored) = (OnceCell::new(), Mutex::default(), Mutex::default());
        Self { config, contact, counts, metrics, client, places, stored }
    }

    pub(super) async fn read(
        &self,
        partition: &Partition,
        from: Offset,
        limit: ReadLimit,
    ) -> Result<Vec<StoredRecord>, ReadError> {
        let mut deadline = Instant::now() + limit.wait;
        let answer_wait = limit.wait.clamp(ANSWER_WAIT, METADATA_WAIT);
        let client = self.client().await?;
        if self.contact.is_away() {
            self.find(&client, partition, answer_wait).await?;
        }
        let place = self.place(&client, partition)?;
        let mut place = place.lock_owned().await;
        if !place.is_at(from) {
            let held = self.range(&client, partition, answer_wait).await?;
            check_range(partition, from, held)?;
            self.metrics.restarts.inc();
            let put = {
                let client = client.clone();
                blocking(move || (place.put(&client, from), place)).await
            };
            let (put, moved) = put.map_err(|reason| self.unavailable(reason))?;
            put.map_err(|error| self.unavailable(self.contact.reason(&error)))?;
            place = moved;
            // Known to be there: a read that may not wait does, for them.
            if from < held.end {
                deadline = deadline.max(Instant::now() + ANSWER_WAIT);
            }
        }
        loop {
            match place.take(limit.bytes) {
                Ok(records) if records.is_empty() => {}
                Ok(records) => {
                    self.contact.reached();
                    self.metrics.read_records.inc_by(records.len() as u64);
                    self.metrics
                        .read_bytes
                        .inc_by(records.iter().map(|it| it.record.payload.len() as u64).sum());
                    return Ok(records);
                }
                Err(trouble) => {
                    place.begin_anew();
                    return Err(self.explain(&client, partition, from, trouble).await);
                }
            }
            if !place.wait(deadline).await {
                break;
            }
        }
        if place.is_damaged() {
            return Err(
                self.unavailable(format!("the brokers' records of {partition} from {from} on are damaged"))
            );
        }
        if self.contact.is_away() {
            return Err(self.unavailable(format!("{}: no answer", self.contact.brokers())));
        }
        Ok(Vec::new())
    }

    pub(super) async fn watermarks(&self, partition: &Partition) -> Result<Watermarks, ReadError> {
        let client = self.client().await?;
        self.range(&client, partition, METADATA_WAIT).await
    }

    /// How many partitions the topic has, by the brokers.
    pub(super) async fn partitions(&self, topic: &Topic) -> Result<u32, ReadError> {
        let client = self.client().await?;
        let count = self.look_up(&client, topic, METADATA_WAIT).await?;
        count.ok_or_else(|| ReadError::NoTopic(topic.clone()))
    }

    /// Remembers, for lag tools, how far rows are stored.
    pub(super) fn stored_to(&self, partition: &Partition, before: Offset) {
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        stored.insert(partition.clone(), before);
    }

    /// Hears what librdkafka has to say; to be called often.
    pub(super) fn serve(&self) {
        // Without a client there is nothing to hear.
        if let Some(client) = self.client.get() {
            // Records come through the partitions' queues; errors are heard by
            // the context on the way.
            while client.poll(Duration::ZERO).is_some() {}
        }
    }

    /// Gives up partitions that nobody reads, and tells the group how far rows
    /// are stored; to be called now and then. Blocks for a moment.
    pub(super) fn tidy(&self) {
        let Some(client) = self.client.get() else { return };
        let places: Vec<_> = self.places().values().cloned().collect();
        for place in places {
            if let Ok(mut place) = place.try_lock()
                && place.is_idle(IDLE)
                && let Err(error) = place.release(client)
            {
                tracing::debug!(%error, "a partition that nobody reads was not given up");
            }
        }
        let stored = std::mem::take(&mut *self.stored.lock().unwrap_or_else(PoisonError::into_inner));
        if stored.is_empty() || self.contact.is_away() {
            return;
        }
        let offsets = stored.iter().map(|(partition, before)| {
            (partition, RdOffset::Offset(i64::try_from(before.0).unwrap_or(i64::MAX)))
        });
        let told = place::list(offsets).and_then(|list| client.commit(&list, CommitMode::Async));
        if let Err(error) = told {
            tracing::debug!(%error, group = self.config.group, "lag tools were not told how far rows are stored");
        }
    }

    /// What the partition holds, after making sure that there is one.
    async fn range(
        &self,
        client: &Arc<Client>,
        partition: &Partition,
        wait: Duration,
    ) -> Result<Watermarks, ReadError> {
        self.find(client, partition, wait).await?;
        let ask = {
            let (client, partition) = (client.clone(), partition.clone());
            move || client.fetch_watermarks(partition.topic.as_str(), kafka_index(&partition), wait)
        };
        let offset = |raw| Offset(u64::try_from(raw).unwrap_or(0));
        match blocking(ask).await.map_err(|reason| self.unavailable(reason))? {
            Ok((start, end)) => Ok(Watermarks { start: offset(start), end: offset(end) }),
            Err(error) => {
                // It may be gone: the next call asks.
                self.counts.forget(&partition.topic);
                Err(self.unavailable(self.contact.reason(&error)))
            }
        }
    }

    /// Makes sure that there is such a partition: librdkafka would wait for it
    /// to appear.
    async fn find(
        &self,
        client: &Arc<Client>,
        partition: &Partition,
        wait: Duration,
    ) -> Result<(), ReadError> {
        let known = self.counts.get(&partition.topic).is_some_and(|count| partition.index < count);
        if known && !self.contact.is_away() {
            return Ok(());
        }
        match self.look_up(client, &partition.topic, wait).await? {
            Some(count) if partition.index < count => Ok(()),
            Some(_) => Err(ReadError::NoPartition(partition.clone())),
            None => Err(ReadError::NoTopic(partition.topic.clone())),
        }
    }

    async fn look_up(
        &self,
        client: &Arc<Client>,
        topic: &Topic,
        wait: Duration,
    ) -> Result<Option<u32>, ReadError> {
        let (counts, client, topic) = (self.counts.clone(), client.clone(), topic.clone());
        let asked = blocking(move || counts.look_up(client.client(), &topic, wait)).await;
        match asked.map_err(|reason| self.unavailable(reason))? {
            Ok(count) => {
                self.contact.reached();
                Ok(count)
            }
            Err(error) => Err(self.unavailable(self.contact.reason(&error))),
        }
    }

    /// What the trouble means, by what the brokers hold now.
    async fn explain(
        &self,
        client: &Arc<Client>,
        partition: &Partition,
        from: Offset,
        trouble: Trouble,
    ) -> ReadError {
        let code = match trouble {
            Trouble::DamagedBefore(next) => {
                return ReadError::Corrupt {
                    partition: partition.clone(),
                    path: self.contact.brokers().into(),
                    from,
                    next,
                    reason: "the checksum of a batch is wrong".to_owned(),
                };
            }
            Trouble::Code(code) => code,
        };
        if is_missing(code) {
            self.counts.forget(&partition.topic);
        }
        let held = match self.range(client, partition, METADATA_WAIT).await {
            Ok(held) => held,
            Err(error) => return error,
        };
        match check_range(partition, from, held) {
            Err(error) => error,
            Ok(()) => self.unavailable(format!("{partition} at {from}: {code}")),
        }
    }

    fn unavailable(&self, reason: String) -> ReadError {
        self.metrics.unavailable.inc();
        ReadError::Unavailable { reason }
    }

    async fn client(&self) -> Result<Arc<Client>, ReadError> {
        let make = || async {
            let client = settings::consumer(&self.config).map_err(|error| error.to_string())?;
            let contact = self.contact.clone();
            let words = |error: RdError| format!("cannot make a client: {error}");
            blocking(move || place::consumer(&client, contact)).await?.map_err(words)
        };
        self.client.get_or_try_init(make).await.cloned().map_err(|reason| self.unavailable(reason))
    }

    fn place(
        &self,
        client: &Arc<Client>,
        partition: &Partition,
    ) -> Result<Arc<tokio::sync::Mutex<Place>>, ReadError> {
        let mut places = self.places();
        if let Some(place) = places.get(partition) {
            return Ok(place.clone());
        }
        let place = Place::new(client, partition).ok_or_else(|| ReadError::NoPartition(partition.clone()))?;
        let place = Arc::new(tokio::sync::Mutex::new(place));
        places.insert(partition.clone(), place.clone());
        Ok(place)
    }

    fn places(&self) -> std::sync::MutexGuard<'_, HashMap<Partition, Arc<tokio::sync::Mutex<Place>>>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the partition holds `from`, or ends there.
fn check_range(partition: &Partition, from: Offset, held: Watermarks) -> Result<(), ReadError> {
    let Watermarks { start, end } = held;
    let partition = partition.clone();
    if from < start {
        return Err(ReadError::BelowStart { partition, from, start });
    }
    if from > end {
        return Err(ReadError::AboveEnd { partition, from, end });
    }
    Ok(())
}

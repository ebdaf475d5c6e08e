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

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError as RdError, RDKafkaErrorCode};
use tokio::sync::{Notify, OnceCell};
use tokio::time::Instant;

use super::contact::Contact;
use super::lag::Lag;
use super::metrics::KafkaMetrics;
use super::place::{self, Client, Place};
use super::producer::{blocking, kafka_index};
use super::topics::{Counts, METADATA_WAIT, is_missing};
use super::{KafkaConfig, settings};
use crate::{Offset, Partition, ReadError, ReadLimit, StoredRecord, Topic, Watermarks};

/// The shortest time that brokers get for an answer, however short the read
/// may wait; also for records that are known to be there.
const ANSWER_WAIT: Duration = Duration::from_secs(2);

/// How often a partition is asked where it ends before what lies behind is
/// called lost, and how long between: the leader that has just taken over may
/// not know yet how far records are acknowledged.
const END_LOOKS: u32 = 3;
const END_INTERVAL: Duration = Duration::from_millis(300);

/// What librdkafka is heard out for in one go.
const EVENTS: u32 = 64;

/// A partition that nobody reads for so long is given up.
const IDLE: Duration = Duration::from_secs(60);

/// A place, held alone.
type Held = tokio::sync::OwnedMutexGuard<Place>;

/// Reads.
pub(super) struct Consuming {
    config: KafkaConfig,
    contact: Contact,
    counts: Counts,
    metrics: KafkaMetrics,
    client: OnceCell<Arc<Client>>,
    places: Mutex<HashMap<Partition, Arc<tokio::sync::Mutex<Place>>>>,
    lag: Lag,
    /// Rung at the first use: a process that only appends need not be woken to
    /// serve it.
    begun: Arc<Notify>,
}

impl Consuming {
    pub(super) fn new(config: KafkaConfig, contact: Contact, counts: Counts, metrics: KafkaMetrics) -> Self {
        let (client, places) = (OnceCell::new(), Mutex::default());
        let lag = Lag::new(config.clone(), contact.clone());
        Self { config, contact, counts, metrics, client, places, lag, begun: Arc::default() }
    }

    /// Rung when there is something to serve.
    pub(super) fn begun(&self) -> Arc<Notify> {
        self.begun.clone()
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
            let held = self.range_with(&client, partition, from, answer_wait).await?;
            self.metrics.restarts.inc();
            place = self.put(&client, place, from).await?;
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
                Err(RDKafkaErrorCode::BadMessage) if place.is_damaged_again(from) => {
                    return Err(self.pass(&client, partition, place, from).await);
                }
                Err(code) => {
                    place.begin_anew();
                    return Err(self.explain(&client, partition, from, code).await);
                }
            }
            if !place.wait(deadline).await {
                break;
            }
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
        self.lag.stored_to(partition, before);
        self.begun.notify_one();
    }

    /// Hears what librdkafka has to say; to be called often.
    pub(super) fn serve(&self) {
        // Without a client there is nothing to hear.
        if let Some(client) = self.client.get() {
            // Records come through the partitions' queues; errors and log lines
            // are heard by the context on the way, the latter without a result.
            for _ in 0..EVENTS {
                client.poll(Duration::ZERO);
            }
        }
        self.lag.serve();
    }

    /// Gives up partitions that nobody reads, and tells the group how far rows
    /// are stored; to be called now and then. Blocks for a moment.
    pub(super) fn tidy(&self) {
        self.lag.tell();
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
    }

    /// What the partition holds, if `from` lies in it or at its end.
    async fn range_with(
        &self,
        client: &Arc<Client>,
        partition: &Partition,
        from: Offset,
        wait: Duration,
    ) -> Result<Watermarks, ReadError> {
        let mut looks = 1;
        loop {
            let held = self.range(client, partition, wait).await?;
            match check_range(partition, from, held) {
                Ok(()) => return Ok(held),
                Err(ReadError::AboveEnd { .. }) if looks < END_LOOKS => looks += 1,
                Err(error) => return Err(error),
            }
            tokio::time::sleep(END_INTERVAL).await;
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

    /// Puts the place there. It travels, so that a caller who goes away does
    /// not leave it half way.
    async fn put(&self, client: &Arc<Client>, mut place: Held, from: Offset) -> Result<Held, ReadError> {
        let client = client.clone();
        let put = blocking(move || (place.put(&client, from), place)).await;
        let (put, place) = put.map_err(|reason| self.unavailable(reason))?;
        put.map_err(|error| self.unavailable(self.contact.reason(&error)))?;
        Ok(place)
    }

    /// Finds where reading can go on behind a damaged batch. librdkafka does
    /// not come past it by itself, and how long it is stands in what is damaged:
    /// so offset after offset is tried, until one is not in it.
    async fn pass(
        &self,
        client: &Arc<Client>,
        partition: &Partition,
        place: Held,
        from: Offset,
    ) -> ReadError {
        match self.next_readable(client, partition, place, from).await {
            Ok(next) => ReadError::Corrupt {
                partition: partition.clone(),
                path: self.contact.brokers().into(),
                from,
                next,
                reason: "the checksum of a batch is wrong".to_owned(),
            },
            Err(error) => error,
        }
    }

    async fn next_readable(
        &self,
        client: &Arc<Client>,
        partition: &Partition,
        mut place: Held,
        from: Offset,
    ) -> Result<Offset, ReadError> {
        let end = self.range(client, partition, METADATA_WAIT).await?.end;
        let mut next = from.next();
        while next < end {
            place = self.put(client, place, next).await?;
            let deadline = Instant::now() + METADATA_WAIT;
            let taken = loop {
                match place.take(1) {
                    Ok(records) if records.is_empty() && place.wait(deadline).await => {}
                    taken => break taken,
                }
            };
            place.begin_anew();
            match taken {
                Ok(records) if records.is_empty() => {
                    return Err(self.unavailable(format!("{partition} at {next}: no answer")));
                }
                Ok(_) => return Ok(next),
                Err(RDKafkaErrorCode::BadMessage) => next = next.next(),
                Err(code) => return Err(self.explain(client, partition, next, code).await),
            }
        }
        Ok(end)
    }

    /// What the trouble means, by what the brokers hold now.
    async fn explain(
        &self,
        client: &Arc<Client>,
        partition: &Partition,
        from: Offset,
        code: RDKafkaErrorCode,
    ) -> ReadError {
        if is_missing(code) {
            self.counts.forget(&partition.topic);
        }
        match self.range_with(client, partition, from, METADATA_WAIT).await {
            Err(error) => error,
            Ok(_) => self.unavailable(format!("{partition} at {from}: {code}")),
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
        let client = self.client.get_or_try_init(make).await.map_err(|reason| self.unavailable(reason))?;
        self.begun.notify_one();
        Ok(client.clone())
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

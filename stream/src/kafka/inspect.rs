//! Looking at a cluster, for people who look for a mistake: who answers, and how
//! topics are. Nothing is changed, but for [`KafkaLog::see_clock`], which says
//! so.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use weir_runtime::{Clock, Handles};

use super::{KafkaConfig, KafkaError, KafkaLog, TopicSpec};
use crate::{Append, Partition, ReadLimit, Record, Subscribe, Topic};

/// How long the broker's clock may take to come back.
const CLOCK_WAIT: Duration = Duration::from_secs(10);

/// One of the configured brokers, asked by itself.
#[derive(Debug)]
pub struct BootstrapSeen {
    /// `HOST:PORT` as configured.
    pub address: String,
    /// Why it does not answer, if it does not.
    pub trouble: Option<String>,
    /// How long it took to say so.
    pub took: Duration,
}

/// How a topic is.
#[derive(Debug, Default)]
pub struct TopicSeen {
    /// Its partitions; none: there is no such topic.
    pub partitions: Option<u32>,
    /// The fewest copies that one of its partitions has.
    pub replicas: usize,
    /// The fewest of them that are in sync.
    pub in_sync: usize,
    /// Its settings; none: we may not see them.
    pub settings: Option<BTreeMap<String, String>>,
    /// Why it does not serve, and what to do, if it does not.
    pub unfit: Option<String>,
}

/// A broker's clock beside ours.
#[derive(Clone, Copy, Debug)]
pub struct ClockSeen {
    /// By how much the broker is ahead; negative: behind. Microseconds.
    pub ahead_micros: i64,
    /// It may be so much more or less. Microseconds.
    pub uncertainty_micros: i64,
}

/// Asks each configured broker by itself: one that is down does not show while
/// another answers.
///
/// # Errors
/// Settings that cannot work.
pub async fn bootstrap(config: &KafkaConfig, topic: &Topic) -> Result<Vec<BootstrapSeen>, KafkaError> {
    let mut seen = Vec::new();
    for address in config.brokers.split(',').map(str::trim).filter(|address| !address.is_empty()) {
        let alone = KafkaConfig { brokers: address.to_owned(), ..config.clone() };
        let handles = Handles::new("inspect");
        let log = KafkaLog::open(alone, &handles)?;
        let began = Instant::now();
        let trouble = log.producing().look_up(topic).await.err();
        seen.push(BootstrapSeen { address: address.to_owned(), trouble, took: began.elapsed() });
        handles.shutdown.begin();
    }
    Ok(seen)
}

impl KafkaLog {
    /// Looks at a topic, and whether it serves as it is asked for.
    ///
    /// # Errors
    /// No broker answers.
    pub async fn see_topic(&self, spec: &TopicSpec) -> Result<TopicSeen, KafkaError> {
        self.steward().await?.see(spec).await
    }

    /// Reads a broker's clock: brokers tell it only to who writes. Creates a
    /// topic of this name, whose records get the broker's time, writes one, and
    /// deletes the topic.
    ///
    /// # Errors
    /// The topic cannot be created, written, read or deleted, in words.
    pub async fn see_clock(&self, topic: &Topic) -> Result<ClockSeen, String> {
        let steward = self.steward().await.map_err(|error| error.to_string())?;
        let settings =
            [("message.timestamp.type", "LogAppendTime".to_owned()), ("retention.ms", "60000".to_owned())];
        let spec = TopicSpec { topic: topic.clone(), partitions: 1 };
        steward.create(&spec, &settings).await.map_err(|error| error.to_string())?;
        let seen = tokio::time::timeout(CLOCK_WAIT, self.read_clock(topic)).await;
        let deleted = steward.delete(std::slice::from_ref(topic)).await;
        let seen = seen.unwrap_or_else(|_| Err(format!("no record came back within {CLOCK_WAIT:?}")))?;
        deleted.map_err(|error| error.to_string())?;
        Ok(seen)
    }

    async fn read_clock(&self, topic: &Topic) -> Result<ClockSeen, String> {
        let (clock, partition) = (Clock::system(), Partition::new(topic.clone(), 0));
        let mut read = (0, 0, 0);
        // The first opens connections; the second is quick.
        for _ in 0..2 {
            let before = clock.now_micros();
            let record = Record { headers: Vec::new(), timestamp_micros: before, payload: "?".into() };
            let offset = self.append(&partition, vec![record]).await.map_err(|error| error.to_string())?;
            let after = clock.now_micros();
            let limit = ReadLimit { bytes: 1 << 10, wait: CLOCK_WAIT };
            let records = self.read(&partition, offset, limit).await.map_err(|error| error.to_string())?;
            let stored = records.first().ok_or("the record did not come back")?;
            read = (before, stored.record.timestamp_micros, after);
        }
        let (before, broker, after) = read;
        // It counts milliseconds.
        let uncertainty_micros = (after - before) / 2 + 1_000;
        Ok(ClockSeen { ahead_micros: broker - (before + after) / 2, uncertainty_micros })
    }
}

//! The event log as this process sees it: Kafka, the disk log that it writes,
//! or the one that another process on the same host writes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use weir_proto::model::Signal;
use weir_runtime::{ByteSize, Handles};
use weir_stream::disk::{DiskConfig, DiskLog, DiskReader};
use weir_stream::kafka::{KafkaLog, TopicSpec};
use weir_stream::{Append, Subscribe, Topic};

use crate::config::Config;

/// How often a Kafka that is away is tried again.
const AWAY_INTERVAL: Duration = Duration::from_secs(1);

/// The two sides of the event log, each where a role needs it.
pub struct Log {
    /// The topics of the signals.
    pub topics: Topics,
    /// Set where events are sent from, and on Kafka where they are stored, for
    /// the dead letters.
    pub append: Option<Arc<dyn Append>>,
    /// Set where the ingester runs.
    pub subscribe: Option<Arc<dyn Subscribe>>,
    /// Where messages go that cannot be decoded; none: into a directory.
    pub dead_letters: Option<Topic>,
}

/// A topic for each signal.
#[derive(Clone, Debug)]
pub struct Topics {
    /// Lines and log records.
    pub logs: Topic,
    /// Spans.
    pub spans: Topic,
    /// Metric points.
    pub metrics: Topic,
}

impl Topics {
    /// Those whose names begin so.
    pub fn of_prefix(prefix: &str) -> Result<Self> {
        let topic = |signal: Signal| Topic::new(&format!("{prefix}.{signal}")).context("log.topic_prefix");
        Ok(Self {
            logs: topic(Signal::Logs)?,
            spans: topic(Signal::Spans)?,
            metrics: topic(Signal::Metrics)?,
        })
    }

    /// Every topic.
    pub fn all(&self) -> Vec<Topic> {
        vec![self.logs.clone(), self.spans.clone(), self.metrics.clone()]
    }
}

impl Log {
    /// Opens the log for writing, reading, both or neither. A writer waits for
    /// a Kafka that is away, and tells `away` why: what it would write is safe
    /// where it is. A reader has nothing to do without it, and is told at once.
    pub async fn open(
        config: &Config,
        writes: bool,
        reads: bool,
        handles: &Handles,
        away: impl FnMut(String),
    ) -> Result<Self> {
        let topics = Topics::of_prefix(&config.log.topic_prefix)?;
        let mut log = Self { topics, append: None, subscribe: None, dead_letters: None };
        if !writes && !reads {
            return Ok(log);
        }
        if !config.log.kafka.brokers.is_empty() {
            log.on_kafka(config, writes, reads, handles, away).await?;
        } else if writes {
            log.on_own_disk(config, reads, handles)?;
        } else {
            log.on_disk_of_another(config, handles).await?;
        }
        Ok(log)
    }

    /// Deletes the topics of a log on Kafka, with everything in them.
    #[cfg(feature = "query")]
    pub async fn remove(config: &Config, handles: &Handles) -> Result<()> {
        let mut topics = Topics::of_prefix(&config.log.topic_prefix)?.all();
        topics.push(dead_letters(&config.log.topic_prefix)?);
        Ok(KafkaLog::open(config.log.kafka.clone(), handles)?.delete_topics(&topics).await?)
    }

    async fn on_kafka(
        &mut self,
        config: &Config,
        writes: bool,
        reads: bool,
        handles: &Handles,
        mut away: impl FnMut(String),
    ) -> Result<()> {
        let dead_letters = dead_letters(&config.log.topic_prefix)?;
        let kafka = Arc::new(KafkaLog::open(config.log.kafka.clone(), handles)?);
        let partitions = config.log.partitions;
        let mut topics: Vec<_> =
            self.topics.all().into_iter().map(|topic| TopicSpec { topic, partitions }).collect();
        topics.push(TopicSpec { topic: dead_letters.clone(), partitions: 1 });
        let mut is_away = false;
        while let Err(error) = kafka.ensure_topics(&topics).await {
            if !writes || !error.is_retryable() {
                return Err(error.into());
            }
            if !is_away {
                tracing::warn!(%error, "the event log is away, waiting for it");
            }
            is_away = true;
            away(error.to_string());
            tokio::time::sleep(AWAY_INTERVAL).await;
        }
        self.append = Some(kafka.clone());
        self.subscribe = reads.then_some(kafka as Arc<dyn Subscribe>);
        self.dead_letters = Some(dead_letters);
        Ok(())
    }

    fn on_own_disk(&mut self, config: &Config, reads: bool, handles: &Handles) -> Result<()> {
        // Without a reader in the process nobody would be served from memory.
        let tail_bytes = if reads { DiskConfig::default().tail_bytes } else { ByteSize(0) };
        let disk = DiskConfig {
            dir: config.paths().log(),
            segment_bytes: config.log.segment_bytes,
            fsync: config.log.fsync,
            retention: config.log.retention,
            tail_bytes,
            queue_bytes: ByteSize::mib(8),
        };
        let log = DiskLog::open(disk, handles)?;
        for topic in self.topics.all() {
            log.ensure_topic(&topic, config.log.partitions)?;
        }
        self.subscribe = reads.then(|| Arc::new(log.reader()) as Arc<dyn Subscribe>);
        self.append = Some(Arc::new(log));
        Ok(())
    }

    async fn on_disk_of_another(&mut self, config: &Config, handles: &Handles) -> Result<()> {
        let dir = config.paths().log();
        for topic in self.topics.all() {
            if !super::appears(&dir.join(topic.as_str())).await {
                bail!(
                    "there is no event log at {}: start `weir agent --data {}` on this host first, \
                     or name Kafka's brokers in log.kafka.brokers",
                    dir.display(),
                    config.data.display()
                );
            }
        }
        let reader = DiskReader::open(dir).keeping(config.log.retention, &handles.clock);
        self.subscribe = Some(Arc::new(reader));
        Ok(())
    }
}

fn dead_letters(prefix: &str) -> Result<Topic> {
    Topic::new(&format!("{prefix}.dead-letter")).context("log.topic_prefix")
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("topics", &self.topics).finish_non_exhaustive()
    }
}

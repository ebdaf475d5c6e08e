//! Somebody else who writes to Weir's topics, and reads the dead letters.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use tokio::runtime::Runtime;
use weir_runtime::Handles;
use weir_stream::kafka::{KafkaConfig, KafkaLog};
use weir_stream::{Append, Partition, ReadLimit, Record, Subscribe, Topic};

/// A client of the brokers.
pub(crate) struct Stranger {
    runtime: Runtime,
    log: KafkaLog,
}

impl Stranger {
    /// A client of these brokers.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn new(brokers: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let config = KafkaConfig { brokers: brokers.to_owned(), ..KafkaConfig::default() };
        let entered = runtime.enter();
        let log = KafkaLog::open(config, &Handles::new("stranger")).context("a client of Kafka")?;
        drop(entered);
        Ok(Self { runtime, log })
    }

    /// Writes one record; the brokers have it when it returns.
    ///
    /// # Errors
    /// They do not.
    pub(crate) fn append(
        &self,
        topic: &str,
        index: u32,
        headers: &[(&str, &str)],
        payload: &[u8],
    ) -> Result<()> {
        let header =
            |(name, value): &(&str, &str)| ((*name).to_owned(), Bytes::copy_from_slice(value.as_bytes()));
        let headers = headers.iter().map(header).collect();
        let timestamp_micros = jiff::Timestamp::now().as_microsecond();
        let record = Record { headers, timestamp_micros, payload: Bytes::copy_from_slice(payload) };
        let partition = Partition::new(Topic::new(topic)?, index);
        self.runtime.block_on(self.log.append(&partition, vec![record]))?;
        Ok(())
    }

    /// Everything in a topic, as of now.
    ///
    /// # Errors
    /// It cannot be read within the time.
    pub(crate) fn read(&self, topic: &str, patience: Duration) -> Result<Vec<Record>> {
        let (topic, until) = (Topic::new(topic)?, Instant::now() + patience);
        self.runtime.block_on(async {
            let mut found = Vec::new();
            for index in 0..Subscribe::partitions(&self.log, &topic).await? {
                let partition = Partition::new(topic.clone(), index);
                let held = self.log.watermarks(&partition).await?;
                let mut next = held.start;
                while next < held.end && Instant::now() < until {
                    let limit = ReadLimit { bytes: 1 << 20, wait: Duration::from_millis(500) };
                    for read in self.log.read(&partition, next, limit).await? {
                        next = read.offset.next();
                        found.push(read.record);
                    }
                }
            }
            Ok(found)
        })
    }
}

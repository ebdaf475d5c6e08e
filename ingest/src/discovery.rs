//! Which partitions there are, now and later.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use weir_proto::model::Signal;
use weir_runtime::TaskError;
use weir_runtime::telemetry::error_chain;
use weir_storage::catalog::LogPartition;
use weir_stream::{Partition, ReadError, Topic};

use crate::error::StartError;
use crate::partition::{Reader, Shared};

/// How often new partitions are looked for.
const INTERVAL: Duration = Duration::from_secs(2);

/// Looks for partitions and starts a reader for each, whoever's it should be.
pub(crate) struct Discovery {
    topics: Vec<Found>,
    partitions: watch::Sender<BTreeSet<LogPartition>>,
    shared: Arc<Shared>,
}

/// How much of a topic is known.
struct Found {
    topic: Topic,
    signal: Signal,
    partitions: u32,
}

impl Discovery {
    /// Knows no partition yet.
    ///
    /// # Errors
    /// A topic that is not named after a signal.
    pub(crate) fn new(topics: Vec<Topic>, shared: Arc<Shared>) -> Result<Self, StartError> {
        let found = |topic: Topic| match Signal::of_topic(topic.as_str()) {
            Some(signal) => Ok(Found { topic, signal, partitions: 0 }),
            None => Err(StartError::Topic(topic)),
        };
        let topics = topics.into_iter().map(found).collect::<Result<_, _>>()?;
        Ok(Self { topics, partitions: watch::Sender::new(BTreeSet::new()), shared })
    }

    /// Every partition of every topic that is known.
    pub(crate) fn partitions(&self) -> watch::Receiver<BTreeSet<LogPartition>> {
        self.partitions.subscribe()
    }

    /// Looks once.
    ///
    /// # Errors
    /// A topic that cannot be there. A log that is away may come.
    pub(crate) async fn first(&mut self) -> Result<(), StartError> {
        for (topic, error) in self.look().await {
            if !error.is_retryable() {
                return Err(StartError::Partitions { topic, source: error });
            }
            self.say(&topic, &error);
        }
        Ok(())
    }

    /// Looks until told to end.
    pub(crate) async fn run(mut self) -> Result<(), TaskError> {
        let shutdown = self.shared.handles.shutdown.clone();
        loop {
            tokio::select! {
                () = shutdown.begun() => return Ok(()),
                () = tokio::time::sleep(INTERVAL) => {}
            }
            for (topic, error) in self.look().await {
                self.say(&topic, &error);
            }
        }
    }

    /// Starts readers of what is new; answers with what could not be looked at.
    async fn look(&mut self) -> Vec<(Topic, ReadError)> {
        let mut failed = Vec::new();
        for found in &mut self.topics {
            match self.shared.log.partitions(&found.topic).await {
                Ok(count) => {
                    self.shared.health.fine(&part(&found.topic));
                    let new = found.partitions..count;
                    found.partitions = found.partitions.max(count);
                    let of = |index| LogPartition { topic: found.topic.to_string(), partition: index };
                    if !new.is_empty() {
                        self.partitions.send_modify(|known| known.extend(new.clone().map(of)));
                    }
                    for index in new {
                        let partition = Partition::new(found.topic.clone(), index);
                        let reader = Reader { partition, signal: found.signal, shared: self.shared.clone() };
                        self.shared.handles.tasks.spawn("reader", reader.run());
                    }
                }
                Err(error) => failed.push((found.topic.clone(), error)),
            }
        }
        failed
    }

    fn say(&self, topic: &Topic, error: &ReadError) {
        let why = error_chain(error);
        if self.shared.health.wrong(&part(topic), &why) {
            tracing::warn!(%topic, error = %why, "cannot look for partitions");
        }
    }
}

fn part(topic: &Topic) -> String {
    format!("topic {topic}")
}

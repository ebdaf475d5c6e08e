//! Why the event log on Kafka cannot be opened, or its topics not be used.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::Topic;

/// A log that is not to be had.
#[derive(Debug, Error)]
pub enum KafkaError {
    /// A setting cannot work.
    #[error("kafka: {key} {reason}")]
    Setting {
        /// The key, below `kafka`.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that a setting names cannot be read.
    #[error("kafka: cannot read {path}, which {key} names")]
    File {
        /// The key, below `kafka`.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// librdkafka refuses the settings: a key file that is none, and the like.
    #[error("kafka: cannot make a client: {reason}")]
    Client {
        /// Its words.
        reason: String,
    },
    /// No broker answers, or none lets us in.
    #[error("kafka: no answer from {brokers}: {reason}")]
    Unreachable {
        /// Where we looked.
        brokers: String,
        /// What is in the way.
        reason: String,
    },
    /// A topic is missing and may not be created.
    #[error(
        "kafka: topic {topic} does not exist and create_topics is false: create it with \
         `kafka-topics --create --topic {topic} --partitions {partitions} --config max.message.bytes={message_bytes}`"
    )]
    NoTopic {
        /// The topic.
        topic: Topic,
        /// How many partitions it is to have.
        partitions: u32,
        /// How large its messages may be.
        message_bytes: u64,
    },
    /// The brokers did not create it.
    #[error("kafka: topic {topic} cannot be created: {reason}")]
    Create {
        /// The topic.
        topic: Topic,
        /// Their words.
        reason: String,
    },
    /// The brokers did not delete it.
    #[error("kafka: topic {topic} cannot be deleted: {reason}")]
    Delete {
        /// The topic.
        topic: Topic,
        /// Their words.
        reason: String,
    },
    /// A topic is there and does not fit.
    #[error("kafka: topic {topic} {what}: {advice}")]
    Unfit {
        /// The topic.
        topic: Topic,
        /// How it is, and how it must be.
        what: String,
        /// What an operator can do.
        advice: String,
    },
}

impl KafkaError {
    /// The same may succeed later, without anything else being done.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

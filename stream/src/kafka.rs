//! The event log on Apache Kafka.
//!
//! [`KafkaLog`] appends and reads with explicit offsets, over one producer and
//! one consumer of librdkafka however many partitions there are; each is made
//! when it is first needed. There is no consumer group that decides who reads
//! what: a commit in [`trim`](crate::Subscribe::trim) is a courtesy to tools
//! that show lag, and nobody waits for it.
//!
//! Every setting of librdkafka that Weir depends on stands in [`settings`] with
//! its reason; `docs/kafka.md` is the operator's page.
//!
//! What happens to an append when something dies, and what the caller sees:
//!
//! | while | the log | the caller |
//! |---|---|---|
//! | the broker is away, append not begun | has nothing | `Unavailable`, nothing was written |
//! | the broker dies under way | repeats the records under their sequence numbers when it is back: once, in order | waits, then the offset |
//! | this process dies under way | has some, all or none | is gone; what it sends again under a new producer is there twice |
//! | the broker loses what it acknowledged (power cut without replicas) | is cut back | readers see `AboveEnd` |
//! | the send queue is full | waits for room, in memory bounded by `send_bytes` | waits |
//!
//! Offsets may have gaps. Transactions of foreign producers leave control
//! records and, when aborted, records that nobody sees; both take offsets. A
//! gap between two records that were read is therefore no loss. What retention
//! deleted before it was read is told apart by the partition's start.

mod config;
mod consumer;
mod contact;
mod delivery;
mod error;
#[cfg(any(test, feature = "conformance"))]
pub mod hints;
mod inspect;
mod lag;
mod log;
mod message;
mod metrics;
mod place;
mod producer;
#[cfg(any(test, feature = "conformance"))]
pub mod server;
pub mod settings;
mod topics;

#[cfg(test)]
mod tests;

pub use config::{KafkaConfig, KafkaSasl, KafkaTls, SaslMechanism};
pub use error::KafkaError;
pub use inspect::{BootstrapSeen, ClockSeen, TopicSeen, bootstrap};
pub use log::KafkaLog;
pub use topics::TopicSpec;

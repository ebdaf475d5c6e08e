//! What the tests share: the broker, and logs on it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use weir_runtime::Handles;

use crate::Topic;
use crate::kafka::server::{KafkaOptions, KafkaServer};
use crate::kafka::{KafkaConfig, KafkaLog, TopicSpec};

/// The broker of this process. It is never dropped; the server's watch ends it
/// with the process.
pub(super) fn server() -> &'static KafkaServer {
    static SERVER: OnceLock<KafkaServer> = OnceLock::new();
    SERVER.get_or_init(|| KafkaServer::start(KafkaOptions::default()))
}

/// The shared broker, waited for where waiting is allowed.
pub(super) async fn brokers() -> String {
    tokio::task::spawn_blocking(|| server().brokers()).await.expect("Kafka starts")
}

/// A topic that no other test uses.
pub(super) fn topic() -> Topic {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    Topic::new(&format!("weir-{}.logs", NEXT.fetch_add(1, Ordering::Relaxed))).expect("a topic's name")
}

/// A log at these brokers.
pub(super) fn open(brokers: &str) -> KafkaLog {
    let config = KafkaConfig { brokers: brokers.to_owned(), ..KafkaConfig::default() };
    KafkaLog::open(config, &Handles::new("test")).expect("the log opens")
}

/// A log with a new topic.
pub(super) async fn with_topic(brokers: &str, partitions: u32) -> (KafkaLog, Topic) {
    let (log, topic) = (open(brokers), topic());
    log.ensure_topics(&[TopicSpec { topic: topic.clone(), partitions }]).await.expect("the topic is created");
    (log, topic)
}

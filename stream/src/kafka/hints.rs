//! That this program does not take Kafka's hints about new leaders: `leader_hints.c`.
//!
//! For tests only, behind the feature `conformance`, so that each package that links
//! a program can see to it that the linker was told.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::message::Message;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

const TOPIC: &str = "moved";
const PATIENCE: Duration = Duration::from_secs(30);

/// What librdkafka said.
#[derive(Clone, Default)]
struct Words(Arc<Mutex<Vec<String>>>);

impl Words {
    fn with(&self, text: &str) -> Vec<String> {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().filter(|line| line.contains(text)).cloned().collect()
    }
}

impl ClientContext for Words {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.push(format!("{facility}: {message}"));
    }
}

impl ConsumerContext for Words {}

/// Has a partition's leader change under a consumer that is told so with a hint.
///
/// # Panics
/// The hint was taken, or none was given, or reading did not go on at the new leader.
pub fn are_not_taken() {
    let cluster = MockCluster::new(2).expect("a mock of two brokers");
    cluster.create_topic(TOPIC, 1, 2).expect("a topic");
    cluster.partition_leader(TOPIC, 0, Some(1)).expect("a leader");
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers()).set("group.id", "test");
    let producer: BaseProducer = config.create().expect("a producer");
    config.set("debug", "fetch,metadata,protocol").set_log_level(RDKafkaLogLevel::Debug);
    let words = Words::default();
    let consumer: BaseConsumer<Words> = config.create_with_context(words.clone()).expect("a consumer");
    let mut place = TopicPartitionList::new();
    place.add_partition_offset(TOPIC, 0, Offset::Beginning).expect("a place");
    consumer.assign(&place).expect("assigned");
    for (leader, payload) in [(1, "before"), (2, "after")] {
        cluster.partition_leader(TOPIC, 0, Some(leader)).expect("a leader");
        producer.send(BaseRecord::<(), _>::to(TOPIC).partition(0).payload(payload)).expect("queued");
        producer.flush(PATIENCE).expect("sent");
        assert_eq!(next(&consumer), payload.as_bytes());
    }
    assert!(!words.with("NOT_LEADER_FOR_PARTITION").is_empty(), "no fetch went to the wrong broker");
    // Hints stand in answers from version 16 on.
    assert!(!words.with("Received FetchResponse (v16").is_empty(), "answers of another version");
    let taken = words.with("METADATAUPDATE");
    assert!(taken.is_empty(), "the linker was not told, see leader_hints.c: {taken:?}");
}

fn next(consumer: &BaseConsumer<Words>) -> Vec<u8> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            return message.payload().unwrap_or_default().to_vec();
        }
    }
    panic!("nothing comes from the leader");
}

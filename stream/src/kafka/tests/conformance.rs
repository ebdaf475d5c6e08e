//! The suite, on a real Kafka.

use std::sync::Arc;

use super::harness::{brokers, with_topic};
use crate::conformance::{PARTITIONS, Subject, suite};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_promises_of_an_event_log() {
    let brokers = brokers().await;
    suite(|| async {
        let (log, topic) = with_topic(&brokers, PARTITIONS).await;
        let subscribe = Arc::new(log.clone());
        Subject { append: Arc::new(log), subscribe, topic, keep: Box::new(()) }
    })
    .await;
}

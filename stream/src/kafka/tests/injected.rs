//! Errors that a broker gives for a moment, by librdkafka's own mock.

use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::harness::{append_each, config, number, open, read_all, record, soon, topic};
use crate::{Append, Offset, Partition, Subscribe};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes_is_repeated_and_stored_once() {
    let mock = MockCluster::new(1).expect("a mock");
    let topic = topic();
    mock.create_topic(topic.as_str(), 1, 1).expect("a topic");
    let log = open(config(&mock.bootstrap_servers()));
    let partition = Partition::new(topic, 0);
    append_each(&log, &partition, 0..1).await;
    mock.request_errors(
        RDKafkaApiKey::Produce,
        &[
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        ],
    );
    // One at a time: the mock takes a batch whose predecessor it has refused,
    // which no broker does.
    for n in 1..3 {
        let appended = soon("append", log.append(&partition, vec![record(n)])).await;
        assert_eq!(appended.expect("it is stored"), Offset(n));
    }
    mock.request_errors(
        RDKafkaApiKey::Fetch,
        &[
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
        ],
    );
    let read = soon("read", read_all(&log, &partition, 0)).await;
    let seen: Vec<_> = read.iter().map(|stored| (stored.offset.0, number(stored))).collect();
    assert_eq!(seen, [(0, 0), (1, 1), (2, 2)]);
    assert_eq!(log.watermarks(&partition).await.expect("watermarks").end, Offset(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_told_and_ends_with_its_cause() {
    let mock = MockCluster::new(1).expect("a mock");
    let topic = topic();
    mock.create_topic(topic.as_str(), 1, 1).expect("a topic");
    let log = open(config(&mock.bootstrap_servers()));
    let partition = Partition::new(topic, 0);
    append_each(&log, &partition, 0..1).await;
    mock.request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED],
    );
    let refused = soon("append", log.append(&partition, vec![record(1)])).await.expect_err("not allowed");
    assert!(refused.is_retryable() && !refused.is_unknown(), "{refused}");
    assert!(refused.to_string().contains("authorization failed"), "{refused}");
    // The operator has given the right, and the appender tries again.
    let again = async {
        while let Err(error) = log.append(&partition, vec![record(1)]).await {
            assert!(error.is_retryable() && !error.is_unknown(), "{error}");
        }
    };
    soon("append", again).await;
    let numbers: Vec<_> = read_all(&log, &partition, 0).await.iter().map(number).collect();
    assert_eq!(numbers, [0, 1]);
}

//! Topics: made, checked, grown, missing.

use std::time::Duration;

use rdkafka::admin::{AdminOptions, NewPartitions, NewTopic, TopicReplication};
use weir_runtime::{ByteSize, HumanDuration};

use super::harness::{
    PATIENCE, admin, append_each, brokers, config, open, read, read_all, record, topic, with_topic,
};
use crate::kafka::{KafkaConfig, KafkaError, KafkaLog, TopicSpec};
use crate::{Append, AppendError, Offset, Partition, ReadError, ReadLimit, Record, Subscribe, Topic};

/// What ensuring it says, as text; empty when it is fit.
async fn told(log: &KafkaLog, topic: &Topic, partitions: u32) -> String {
    let ensured = log.ensure_topics(&[TopicSpec { topic: topic.clone(), partitions }]).await;
    ensured.err().map(|error| error.to_string()).unwrap_or_default()
}

async fn create(brokers: &str, topic: &Topic, settings: &[(&str, &str)]) {
    let new = NewTopic::new(topic.as_str(), 2, TopicReplication::Fixed(1));
    let new = settings.iter().fold(new, |new, (name, value)| new.set(name, value));
    let created = admin(brokers).create_topics([&new], &AdminOptions::new()).await.unwrap();
    assert!(created[0].is_ok(), "{created:?}");
}

#[tokio::test]
async fn a_topic_is_created_once_and_found_fit_afterwards() {
    let (log, topic) = with_topic(&brokers().await, 2).await;
    assert_eq!(told(&log, &topic, 2).await, "");
    assert_eq!(told(&log, &topic, 1).await, "");
    assert_eq!(Append::partitions(&log, &topic).await.unwrap(), 2);
}

#[tokio::test]
async fn a_topic_that_does_not_fit_is_told_with_what_to_do() {
    let brokers = brokers().await;
    let log = open(KafkaConfig {
        retention: HumanDuration(Duration::from_secs(3600)),
        message_bytes: ByteSize(1_000_000),
        ..config(&brokers)
    });
    let check = async |settings: &[(&str, &str)], partitions, expected: &str| {
        let topic = topic();
        create(&brokers, &topic, settings).await;
        let told = told(&log, &topic, partitions).await;
        assert!(told.contains(expected) && told.is_empty() == expected.is_empty(), "{told}");
    };
    check(&[], 2, "").await;
    check(&[], 3, "has 2 partitions and 3 are asked for").await;
    check(&[("max.message.bytes", "1000")], 2, "takes messages of 1000 bytes").await;
    check(&[("retention.ms", "60000")], 2, "keeps records for 60000 ms").await;
    check(&[("cleanup.policy", "compact")], 2, "has cleanup.policy=compact").await;
}

#[tokio::test]
async fn a_missing_topic_is_an_error_and_is_not_made_by_being_named() {
    let brokers = brokers().await;
    let (log, topic) = (open(KafkaConfig { create_topics: false, ..config(&brokers) }), topic());
    let ensured = log.ensure_topics(&[TopicSpec { topic: topic.clone(), partitions: 3 }]).await;
    let error = ensured.unwrap_err();
    assert!(matches!(error, KafkaError::NoTopic { .. }) && !error.is_retryable(), "{error:?}");
    let advice = format!("kafka-topics --create --topic {topic} --partitions 3");
    assert!(error.to_string().contains(&advice), "{error}");

    let partition = Partition::new(topic.clone(), 0);
    let append = log.append(&partition, vec![record(0)]).await;
    assert!(matches!(append, Err(AppendError::NoTopic(ref named)) if *named == topic), "{append:?}");
    let limit = ReadLimit { bytes: 1, wait: Duration::ZERO };
    let read = log.read(&partition, Offset(0), limit).await;
    assert!(matches!(read, Err(ReadError::NoTopic(ref named)) if *named == topic), "{read:?}");
    assert!(Subscribe::partitions(&log, &topic).await.is_err(), "it was made");
}

#[tokio::test]
async fn partitions_that_are_added_are_seen_and_used() {
    let brokers = brokers().await;
    let (log, topic) = with_topic(&brokers, 1).await;
    let (old, new) = (Partition::new(topic.clone(), 0), Partition::new(topic.clone(), 2));
    append_each(&log, &old, 0..1).await;
    assert_eq!(read(&log, &old, 0).await.unwrap().len(), 1);
    let append = log.append(&new, vec![record(0)]).await;
    assert!(matches!(append, Err(AppendError::NoPartition(_))), "{append:?}");

    let grown = NewPartitions::new(topic.as_str(), 3);
    let grown = admin(&brokers).create_partitions([&grown], &AdminOptions::new()).await.unwrap();
    assert!(grown[0].is_ok(), "{grown:?}");
    while Subscribe::partitions(&log, &topic).await.unwrap() < 3 {}
    assert_eq!(Append::partitions(&log, &topic).await.unwrap(), 3);
    assert_eq!(log.append(&new, vec![record(7)]).await.unwrap(), Offset(0));
    assert_eq!(read(&log, &new, 0).await.unwrap()[0].record, record(7));
    assert_eq!(log.append(&old, vec![record(1)]).await.unwrap(), Offset(1));
}

#[tokio::test]
async fn a_record_that_the_topic_does_not_take_is_too_large() {
    let brokers = brokers().await;
    let (log, topic) = (open(config(&brokers)), topic());
    create(&brokers, &topic, &[("max.message.bytes", "100000")]).await;
    let partition = Partition::new(topic, 0);
    let large = Record { payload: vec![7; 200_000].into(), ..record(0) };
    let append = log.append(&partition, vec![large]).await;
    assert!(matches!(append, Err(AppendError::TooLarge { bytes: 200_000, .. })), "{append:?}");
    assert_eq!(log.append(&partition, vec![record(0)]).await.unwrap(), Offset(0));
}

#[tokio::test]
async fn a_topic_made_anew_is_above_the_end_and_not_an_empty_answer() {
    let (log, topic) = with_topic(&brokers().await, 1).await;
    let partition = Partition::new(topic.clone(), 0);
    append_each(&log, &partition, 0..5).await;
    assert_eq!(read_all(&log, &partition, 0).await.len(), 5);
    log.delete_topics(std::slice::from_ref(&topic)).await.unwrap();
    log.delete_topics(std::slice::from_ref(&topic)).await.expect("it stays deleted");
    let begun = std::time::Instant::now();
    let error = loop {
        assert!(begun.elapsed() < PATIENCE, "nobody notices");
        // Refused while the old one is on its way out.
        let _ = log.ensure_topics(&[TopicSpec { topic: topic.clone(), partitions: 1 }]).await;
        match read(&log, &partition, 5).await {
            Ok(records) => assert!(records.is_empty(), "{records:?}"),
            Err(ReadError::NoTopic(_) | ReadError::Unavailable { .. }) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, ReadError::AboveEnd { from: Offset(5), end: Offset(0), .. }), "{error}");
}

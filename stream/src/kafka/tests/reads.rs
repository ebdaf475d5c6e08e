//! Reading what retention, transactions and foreign producers left.

use std::time::Duration;

use rdkafka::admin::AdminOptions;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset as RdOffset, TopicPartitionList};
use tokio::time::Instant;

use super::harness::{admin, append_each, blocking, brokers, read, read_all, record, with_topic};
use crate::kafka::KafkaLog;
use crate::limit::PAYLOAD_BYTES_MAX;
use crate::{Append, Offset, Partition, ReadError, ReadLimit, Record, StoredRecord, Subscribe};

#[tokio::test]
async fn what_retention_deleted_is_named() {
    let brokers = brokers().await;
    let (log, topic) = with_topic(&brokers, 1).await;
    let partition = Partition::new(topic, 0);
    append_each(&log, &partition, 0..10).await;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(partition.topic.as_str(), 0, RdOffset::Offset(6)).unwrap();
    admin(&brokers).delete_records(&list, &AdminOptions::new()).await.unwrap();

    match read(&log, &partition, 2).await {
        Err(ReadError::BelowStart { from, start, .. }) => assert_eq!((from, start), (Offset(2), Offset(6))),
        other => panic!("{other:?}"),
    }
    assert_eq!(read_all(&log, &partition, 6).await.len(), 4);
    let watermarks = log.watermarks(&partition).await.unwrap();
    assert_eq!((watermarks.start, watermarks.end), (Offset(6), Offset(10)));
}

#[tokio::test]
async fn gaps_that_transactions_leave_are_no_loss() {
    let brokers = brokers().await;
    let (log, topic) = with_topic(&brokers, 1).await;
    let partition = Partition::new(topic.clone(), 0);
    blocking(move || {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("transactional.id", topic.as_str())
            .create()
            .unwrap();
        let wait = Duration::from_secs(30);
        let send = |text: &str| {
            let message: BaseRecord<'_, (), str> = BaseRecord::to(topic.as_str()).partition(0).payload(text);
            producer.send(message).map_err(|(error, _)| error).unwrap();
        };
        producer.init_transactions(wait).unwrap();
        producer.begin_transaction().unwrap();
        send("a");
        send("b");
        producer.commit_transaction(wait).unwrap();
        producer.begin_transaction().unwrap();
        send("aborted");
        producer.flush(wait).unwrap();
        producer.abort_transaction(wait).unwrap();
        producer.begin_transaction().unwrap();
        send("c");
        producer.commit_transaction(wait).unwrap();
    })
    .await;
    // Each transaction ends with a control record.
    let seen = some(&log, &partition, 0, 3).await;
    let seen: Vec<_> = seen.iter().map(|it| (it.offset.0, &it.record.payload[..])).collect();
    assert_eq!(seen, [(0, &b"a"[..]), (1, b"b"), (5, b"c")]);
    // A position inside of a gap is as good as any.
    assert_eq!(some(&log, &partition, 3, 1).await[0].offset, Offset(5));
    let limit = ReadLimit { bytes: 1, wait: Duration::from_millis(300) };
    assert_eq!(log.read(&partition, Offset(6), limit).await.unwrap(), []);
    assert_eq!(log.append(&partition, vec![record(0)]).await.unwrap(), Offset(7));
    assert_eq!(some(&log, &partition, 6, 1).await[0].offset, Offset(7));
}

#[tokio::test]
async fn foreign_messages_are_records_without_what_they_lack() {
    let brokers = brokers().await;
    let (log, topic) = with_topic(&brokers, 1).await;
    let partition = Partition::new(topic.clone(), 0);
    blocking(move || {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("compression.type", "gzip")
            .create()
            .unwrap();
        let send = |message: BaseRecord<'_, str, [u8]>| {
            producer.send(message.partition(0)).map_err(|(error, _)| error).unwrap();
        };
        send(BaseRecord::to(topic.as_str()).key("key").timestamp(1_800_000_000_123));
        let headers = OwnedHeaders::new().insert(Header { key: "null", value: None::<&[u8]> });
        send(BaseRecord::to(topic.as_str()).payload(&b"x"[..]).headers(headers).timestamp(1_800_000_000_124));
        producer.flush(Duration::from_secs(30)).unwrap();
    })
    .await;
    let seen: Vec<_> = some(&log, &partition, 0, 2).await.into_iter().map(|it| it.record).collect();
    let bare = Record { timestamp_micros: 1_800_000_000_123_000, ..Record::default() };
    let with_header = Record {
        headers: vec![("null".to_owned(), bytes::Bytes::new())],
        timestamp_micros: 1_800_000_000_124_000,
        payload: "x".into(),
    };
    assert_eq!(seen, [bare, with_header]);
}

#[tokio::test]
async fn the_largest_record_travels() {
    let (log, topic) = with_topic(&brokers().await, 1).await;
    let partition = Partition::new(topic, 0);
    let payload: Vec<_> = (0..PAYLOAD_BYTES_MAX).map(|n| (n % 251) as u8).collect();
    let headers = vec![("h".to_owned(), vec![1; 60 << 10].into())];
    let large = Record { headers, payload: payload.into(), ..record(1) };
    let records = vec![record(0), large.clone(), record(2)];
    assert_eq!(log.append(&partition, records).await.unwrap(), Offset(0));
    let seen = some(&log, &partition, 0, 3).await;
    assert!(seen[1].record == large, "the large one is as it was");
    assert_eq!(seen[2].record, record(2));
}

#[tokio::test]
async fn a_read_that_is_given_up_takes_nothing_with_it() {
    let (log, topic) = with_topic(&brokers().await, 1).await;
    let partition = Partition::new(topic, 0);
    append_each(&log, &partition, 0..1).await;
    assert_eq!(some(&log, &partition, 0, 1).await.len(), 1);
    for n in 1..40 {
        let (waiting, append) = (read(&log, &partition, n), log.append(&partition, vec![record(n)]));
        // Whichever is first: the read is given up when the append is through,
        // perhaps with the record in its hands.
        tokio::pin!(append);
        let appended = tokio::select! {
            appended = &mut append => appended,
            seen = waiting => {
                assert_eq!(seen.unwrap()[0].record, record(n));
                append.await
            }
        };
        assert_eq!(appended.unwrap(), Offset(n));
        assert_eq!(some(&log, &partition, n, 1).await[0], stored(n));
    }
}

#[tokio::test]
async fn lag_tools_are_told_how_far_rows_are_stored() {
    let brokers = brokers().await;
    let (log, topic) = with_topic(&brokers, 1).await;
    let partition = Partition::new(topic.clone(), 0);
    append_each(&log, &partition, 0..5).await;
    log.trim(&partition, Offset(3)).await.unwrap();
    let told = move || {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &brokers)
            .set("group.id", "weir-ingest")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition(topic.as_str(), 0);
        let told = consumer.committed_offsets(list, Duration::from_secs(10)).unwrap();
        told.find_partition(topic.as_str(), 0).unwrap().offset()
    };
    let begun = Instant::now();
    while blocking(told.clone()).await != RdOffset::Offset(3) {
        assert!(begun.elapsed() < Duration::from_secs(60), "the group was not told");
    }
    assert_eq!(read_all(&log, &partition, 0).await.len(), 5, "nothing is deleted");
}

fn stored(n: u64) -> StoredRecord {
    StoredRecord { offset: Offset(n), record: record(n) }
}

/// At least so many records from `from` on; a broker that is away is waited
/// for.
async fn some(log: &KafkaLog, partition: &Partition, from: u64, count: usize) -> Vec<StoredRecord> {
    let mut all: Vec<StoredRecord> = Vec::new();
    while all.len() < count {
        let next = all.last().map_or(from, |last| last.offset.0 + 1);
        match read(log, partition, next).await {
            Ok(seen) => all.extend(seen),
            Err(error) => assert!(error.is_retryable(), "{error:?}"),
        }
    }
    all
}

//! Somebody else who writes to Weir's topics: a Collector, a newer Weir, a
//! broken one.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};

const PATIENCE: Duration = Duration::from_secs(30);

/// A message as it lies in a topic.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) payload: Vec<u8>,
}

impl Found {
    /// The first value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Writes one message and waits until the broker has it.
pub(crate) fn produce(brokers: &str, topic: &str, partition: i32, headers: &[(&str, &str)], payload: &[u8]) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("acks", "all")
        .create()
        .expect("a producer");
    let mut all = OwnedHeaders::new();
    for (key, value) in headers {
        all = all.insert(Header { key, value: Some(*value) });
    }
    let record = BaseRecord::<(), [u8]>::to(topic).partition(partition).headers(all).payload(payload);
    assert!(producer.send(record).is_ok(), "the message is taken");
    producer.flush(PATIENCE).expect("the broker has it");
}

/// Makes a topic larger, as an operator does.
pub(crate) fn add_partitions(brokers: &str, topic: &str, partitions: usize) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().expect("an administrator");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let grown = [NewPartitions::new(topic, partitions)];
    let answer = runtime.block_on(admin.create_partitions(&grown, &AdminOptions::new()));
    assert!(answer.as_ref().is_ok_and(|answer| answer[0].is_ok()), "{answer:?}");
}

/// Deletes a topic, if it is there, and makes one of the same name.
pub(crate) fn recreate_topic(brokers: &str, topic: &str, partitions: i32) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().expect("an administrator");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let gone = runtime.block_on(admin.delete_topics(&[topic], &AdminOptions::new()));
    assert!(gone.is_ok(), "{gone:?}");
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    // As Weir makes them.
    let new = new.set("max.message.bytes", "34603008");
    super::eventually("the topic is there again", || {
        match runtime.block_on(admin.create_topics([&new], &AdminOptions::new())) {
            Ok(made) if made[0].is_ok() => Ok(()),
            made => Err(format!("{made:?}")),
        }
    });
}

/// Deletes everything that a partition holds now, as retention does. Answers
/// with the offset that it begins with then.
pub(crate) fn delete_records(brokers: &str, topic: &str, partition: i32) -> u64 {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", brokers).create().expect("a consumer");
    let (_, end) = consumer.fetch_watermarks(topic, partition, PATIENCE).expect("the broker answers");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(end)).expect("an offset");
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create().expect("an administrator");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(admin.delete_records(&list, &AdminOptions::new())).expect("they are deleted");
    u64::try_from(end).expect("an offset")
}

/// The names of all topics.
pub(crate) fn topics(brokers: &str) -> Vec<String> {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", brokers).create().expect("a consumer");
    let metadata = consumer.fetch_metadata(None, PATIENCE).expect("the brokers answer");
    metadata.topics().iter().map(|topic| topic.name().to_owned()).collect()
}

/// Everything in partition 0 of a topic.
pub(crate) fn messages(brokers: &str, topic: &str) -> Vec<Found> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "test")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a consumer");
    let Ok((start, end)) = consumer.fetch_watermarks(topic, 0, PATIENCE) else { return Vec::new() };
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Beginning).expect("an offset");
    consumer.assign(&list).expect("assigned");
    let mut found = Vec::new();
    while (found.len() as i64) < end - start {
        let message = consumer.poll(PATIENCE).expect("a message comes").expect("no error");
        let headers = message.headers().map_or_else(Vec::new, |headers| {
            let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
            headers.iter().map(|header| (header.key.to_owned(), text(header.value))).collect()
        });
        found.push(Found { headers, payload: message.payload().unwrap_or_default().to_vec() });
    }
    found
}

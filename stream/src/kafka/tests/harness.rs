//! What the tests share: the broker, and logs on it.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use weir_runtime::{Clock, Handles};

use crate::kafka::server::{KafkaOptions, KafkaServer};
use crate::kafka::{KafkaConfig, KafkaLog, TopicSpec};
use crate::{Append, Offset, Partition, ReadError, ReadLimit, Record, StoredRecord, Subscribe, Topic};

/// Long enough for whatever must come.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The broker of this process. It is never dropped; the server's watch ends it
/// with the process.
fn shared() -> &'static KafkaServer {
    static SERVER: OnceLock<KafkaServer> = OnceLock::new();
    SERVER.get_or_init(|| KafkaServer::start(KafkaOptions::default()))
}

/// Where the shared broker is.
pub(super) async fn brokers() -> String {
    blocking(|| shared().brokers()).await
}

/// A broker of the test's own.
pub(super) async fn own(options: KafkaOptions) -> Arc<KafkaServer> {
    blocking(|| Arc::new(KafkaServer::start(options))).await
}

/// Runs what blocks where blocking is allowed.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("the work ends")
}

/// A topic that no other test uses.
pub(super) fn topic() -> Topic {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    Topic::new(&format!("weir-{}.logs", NEXT.fetch_add(1, Ordering::Relaxed))).expect("a topic's name")
}

/// A configuration for these brokers.
pub(super) fn config(brokers: &str) -> KafkaConfig {
    KafkaConfig { brokers: brokers.to_owned(), ..KafkaConfig::default() }
}

/// A log with this configuration.
pub(super) fn open(config: KafkaConfig) -> KafkaLog {
    KafkaLog::open(config, &Handles::new("test")).expect("the log opens")
}

/// A log with a new topic.
pub(super) async fn with_topic(brokers: &str, partitions: u32) -> (KafkaLog, Topic) {
    let (log, topic) = (open(config(brokers)), topic());
    log.ensure_topics(&[TopicSpec { topic: topic.clone(), partitions }]).await.expect("the topic is created");
    (log, topic)
}

/// An operator's tool.
pub(super) fn admin(brokers: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", brokers).create().expect("an admin client")
}

/// A record of now: brokers forget the sequence numbers of what looks older
/// than a day.
pub(super) fn record(n: u64) -> Record {
    static NOW: LazyLock<i64> = LazyLock::new(|| Clock::system().now_micros() / 1_000 * 1_000);
    Record {
        headers: vec![("number".to_owned(), n.to_string().into())],
        timestamp_micros: *NOW,
        payload: format!("record {n}").into(),
    }
}

/// The number of a record made by [`record`].
pub(super) fn number(stored: &StoredRecord) -> u64 {
    let text = std::str::from_utf8(&stored.record.headers[0].1).expect("a number");
    text.parse().expect("a number")
}

/// One append for each record, so that each is a batch of its own.
pub(super) async fn append_each(log: &KafkaLog, partition: &Partition, numbers: std::ops::Range<u64>) {
    for n in numbers {
        log.append(partition, vec![record(n)]).await.expect("append");
    }
}

/// One read that waits for something.
pub(super) async fn read(
    log: &KafkaLog,
    partition: &Partition,
    from: u64,
) -> Result<Vec<StoredRecord>, ReadError> {
    log.read(partition, Offset(from), ReadLimit { bytes: 1 << 20, wait: Duration::from_secs(5) }).await
}

/// Everything from `from` to the end, as it is now.
pub(super) async fn read_all(log: &KafkaLog, partition: &Partition, from: u64) -> Vec<StoredRecord> {
    let end = log.watermarks(partition).await.expect("watermarks").end.0;
    let (mut all, mut next) = (Vec::new(), from);
    while next < end {
        let some = read(log, partition, next).await.expect("read");
        next = some.last().expect("something comes").offset.0 + 1;
        all.extend(some);
    }
    all
}

/// Fails when it takes longer than anything may.
pub(super) async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("{what} hangs"))
}

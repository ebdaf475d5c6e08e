//! Brokers that die, stand still, or are not there.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use weir_runtime::{ByteSize, Shutdown, Tasks};

use super::harness::{
    PATIENCE, append_each, blocking, config, number, open, own, read, read_all, record, soon, with_topic,
};
use crate::kafka::server::KafkaOptions;
use crate::kafka::{KafkaConfig, KafkaLog, TopicSpec};
use crate::{Append, Offset, Partition, ReadLimit, Record, Subscribe};

/// Records of one append.
const RECORDS: u64 = 3;

/// What an appender was told.
#[derive(Default)]
struct Told {
    /// First number and first offset of what was acknowledged.
    stored: Vec<(u64, u64)>,
    /// First numbers of appends whose outcome nobody knows.
    unknown: BTreeSet<u64>,
}

/// Appends one after the other and repeats what failed, as an agent does.
async fn append_on(log: KafkaLog, partition: Partition, told: Arc<Mutex<Told>>, shutdown: Shutdown) {
    let mut first = 0;
    while !shutdown.has_begun() {
        let records = (first..first + RECORDS).map(record).collect();
        match log.append(&partition, records).await {
            Ok(offset) => {
                told.lock().unwrap().stored.push((first, offset.0));
                first += RECORDS;
            }
            Err(error) => {
                assert!(error.is_retryable(), "{error}");
                if error.is_unknown() {
                    told.lock().unwrap().unknown.insert(first);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn until(told: &Mutex<Told>, more: usize) {
    let wanted = told.lock().unwrap().stored.len() + more;
    let begun = Instant::now();
    while told.lock().unwrap().stored.len() < wanted {
        assert!(begun.elapsed() < PATIENCE, "appends do not go on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_again_and_again_loses_and_doubles_nothing_acknowledged() {
    let server = own(KafkaOptions::default()).await;
    let (log, topic) = with_topic(&server.brokers(), 1).await;
    let partition = Partition::new(topic, 0);
    let (told, shutdown) = (Arc::new(Mutex::new(Told::default())), Shutdown::new());
    let tasks = Tasks::new("test", shutdown.clone());
    let appender = append_on(log.clone(), partition.clone(), told.clone(), shutdown.clone());
    tasks.spawn("appender", async {
        appender.await;
        Ok(())
    });
    for _ in 0..3 {
        until(&told, 50).await;
        let killed = server.clone();
        blocking(move || {
            killed.kill();
            killed.restart();
        })
        .await;
    }
    until(&told, 50).await;
    shutdown.begin();
    assert!(tasks.join(PATIENCE).await.is_empty(), "the appender hangs");
    assert_eq!(tasks.failure(), None);

    let read = read_all(&log, &partition, 0).await;
    let told = told.lock().unwrap();
    for (first, offset) in &told.stored {
        for n in 0..RECORDS {
            let at = usize::try_from(offset + n).unwrap();
            assert_eq!(read[at].record, record(first + n), "acknowledged at {at}");
        }
    }
    // Each number once and in order, but where an unknown append was repeated.
    let mut expected = 0;
    for number in read.iter().map(number) {
        if number < expected {
            let append = number - number % RECORDS;
            assert!(told.unknown.contains(&append), "{number} is there twice");
        }
        assert!(number <= expected, "{expected} is missing before {number}");
        expected = number + 1;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_stands_still_is_waited_for_in_bounded_memory() {
    let server = own(KafkaOptions::default()).await;
    let topic = super::harness::topic();
    let small = ByteSize(64 << 10);
    let log = open(KafkaConfig { message_bytes: small, send_bytes: small, ..config(&server.brokers()) });
    log.ensure_topics(&[TopicSpec { topic: topic.clone(), partitions: 1 }]).await.expect("topic");
    let partition = Partition::new(topic, 0);
    append_each(&log, &partition, 0..1).await;
    assert_eq!(read(&log, &partition, 0).await.expect("read").len(), 1);

    server.pause();
    // Sixteen times what may be queued: the rest waits or is turned away.
    let tasks = Tasks::new("test", Shutdown::new());
    for n in 1..=64 {
        let (log, partition) = (log.clone(), partition.clone());
        tasks.spawn("append", async move {
            let record = Record { payload: vec![0; 16 << 10].into(), ..record(n) };
            while let Err(error) = log.append(&partition, vec![record.clone()]).await {
                assert!(error.is_retryable() && !error.is_unknown(), "{error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Ok(())
        });
    }
    let begun = Instant::now();
    let limit = ReadLimit { bytes: 1 << 20, wait: Duration::from_secs(1) };
    if let Ok(records) = log.read(&partition, Offset(1), limit).await {
        assert!(records.is_empty(), "{records:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "a read took {:?}", begun.elapsed());
    tokio::time::sleep(Duration::from_secs(12)).await;
    server.resume();
    assert!(tasks.join(PATIENCE).await.is_empty(), "appends hang");
    assert_eq!(tasks.failure(), None);
    let numbers: Vec<_> = read_all(&log, &partition, 0).await.iter().map(number).collect();
    assert_eq!(numbers.len(), 65, "each is there once");
    assert_eq!(numbers.into_iter().collect::<BTreeSet<_>>().len(), 65);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_broker_everything_is_told_and_nothing_hangs_until_it_is_back() {
    let server = own(KafkaOptions::default()).await;
    let (_, topic) = with_topic(&server.brokers(), 1).await;
    let partition = Partition::new(topic.clone(), 0);
    server.kill();
    let log = open(config(&server.brokers()));
    for _ in 0..2 {
        let append = soon("append", log.append(&partition, vec![record(0)])).await;
        let error = append.expect_err("no broker");
        assert!(error.is_retryable() && !error.is_unknown(), "{error}");
        assert!(error.to_string().contains(&server.brokers()), "{error}");
        let error = soon("read", read(&log, &partition, 0)).await.expect_err("no broker");
        assert!(error.is_retryable(), "{error}");
        let error = soon("watermarks", log.watermarks(&partition)).await.expect_err("no broker");
        assert!(error.is_retryable(), "{error}");
        let error =
            soon("topics", log.ensure_topics(&[TopicSpec { topic: topic.clone(), partitions: 1 }])).await;
        assert!(error.as_ref().is_err_and(super::super::KafkaError::is_retryable), "{error:?}");
    }
    let back = server.clone();
    blocking(move || back.restart()).await;
    let begun = Instant::now();
    while let Err(error) = log.append(&partition, vec![record(0)]).await {
        assert!(error.is_retryable() && begun.elapsed() < PATIENCE, "{error}");
    }
    let records = loop {
        match read(&log, &partition, 0).await {
            Ok(records) => break records,
            Err(error) => assert!(error.is_retryable() && begun.elapsed() < PATIENCE, "{error}"),
        }
    };
    assert_eq!(number(&records[0]), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_goes_on_where_it_was_when_the_broker_is_back() {
    let server = own(KafkaOptions::default()).await;
    let (log, topic) = with_topic(&server.brokers(), 1).await;
    let partition = Partition::new(topic, 0);
    append_each(&log, &partition, 0..2).await;
    assert_eq!(read_all(&log, &partition, 0).await.len(), 2);
    server.kill();
    if let Ok(records) = soon("read", read(&log, &partition, 2)).await {
        assert!(records.is_empty(), "{records:?}");
    }
    let error = soon("read", read(&log, &partition, 2)).await.expect_err("it is known by now");
    assert!(error.is_retryable(), "{error}");
    let back = server.clone();
    blocking(move || back.restart()).await;
    let append = async {
        while let Err(error) = log.append(&partition, vec![record(2)]).await {
            assert!(error.is_retryable(), "{error}");
        }
    };
    let reader = async {
        loop {
            match read(&log, &partition, 2).await {
                Ok(records) if records.is_empty() => {}
                Ok(records) => break records,
                Err(error) => assert!(error.is_retryable(), "{error}"),
            }
        }
    };
    let ((), records) = soon("the return", async { tokio::join!(append, reader) }).await;
    assert_eq!(records.iter().map(number).collect::<Vec<_>>(), [2]);
}

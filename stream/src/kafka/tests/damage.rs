//! Batches that are damaged on the broker's disk.

use std::fs;

use super::harness::{append_each, blocking, number, own, read, read_all, record, with_topic};
use crate::kafka::server::KafkaOptions;
use crate::{Append, Offset, Partition, ReadError};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_batch_is_a_named_loss_and_reading_goes_on_behind_it() {
    let server = own(KafkaOptions::default()).await;
    let (log, topic) = with_topic(&server.brokers(), 1).await;
    let partition = Partition::new(topic.clone(), 0);
    append_each(&log, &partition, 0..1).await;
    log.append(&partition, (1..4).map(record).collect()).await.expect("three in one batch");
    append_each(&log, &partition, 4..6).await;
    // At the same offsets, whether librdkafka made one batch of the three or
    // several: the damage is in the first and the last.
    damage(&server, &topic, &[b"record 1", b"record 3", b"record 5"]).await;

    let (fresh, _) = with_topic(&server.brokers(), 1).await;
    let first = read(&fresh, &partition, 0).await.expect("what is whole is read");
    assert_eq!(first.iter().map(number).collect::<Vec<_>>(), [0]);
    let (mut next, mut whole, mut lost) = (1, Vec::new(), Vec::new());
    while next < 6 {
        match read(&fresh, &partition, next).await {
            Ok(records) => {
                whole.extend(records.iter().map(number));
                next = records.last().expect("something comes").offset.0 + 1;
            }
            Err(ReadError::Corrupt { from, next: behind, .. }) => {
                assert_eq!(from, Offset(next));
                lost.extend(from.0..behind.0);
                next = behind.0;
            }
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
    }
    assert!([1, 3, 5].iter().all(|n| lost.contains(n)), "lost: {lost:?}");
    assert!(whole.contains(&4), "whole: {whole:?}");
    whole.extend(lost);
    whole.sort_unstable();
    assert_eq!(whole, [1, 2, 3, 4, 5], "each offset is whole or lost");
    assert_eq!(fresh.append(&partition, vec![record(6)]).await.expect("append"), Offset(6));
    assert_eq!(read_all(&fresh, &partition, 6).await.len(), 1);
}

/// Flips a bit of each text in the stopped broker's segment.
async fn damage(
    server: &std::sync::Arc<crate::kafka::server::KafkaServer>,
    topic: &crate::Topic,
    texts: &[&[u8]],
) {
    let stopped = server.clone();
    blocking(move || stopped.stop()).await;
    let segment = server.dir().join(format!("data/{topic}-0/00000000000000000000.log"));
    let mut bytes = fs::read(&segment).expect("the segment");
    for text in texts {
        let at = bytes.windows(text.len()).position(|some| some == *text).expect("the record is there");
        bytes[at] ^= 1;
    }
    fs::write(&segment, bytes).expect("is damaged");
    let restarted = server.clone();
    blocking(move || restarted.restart()).await;
}

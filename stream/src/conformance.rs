//! What every implementation of [`Append`] and [`Subscribe`] must do, as a
//! suite that each of them runs.
//!
//! For tests only, behind the feature `conformance`. A case that fails panics,
//! with the case's name in the message.

use std::any::Any;
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use weir_runtime::{Shutdown, Tasks};

use crate::{
    Append, AppendError, Offset, Partition, ReadError, ReadLimit, Record, StoredRecord, Subscribe, Topic,
};

/// How many partitions a subject's topic must have.
pub const PARTITIONS: u32 = 3;

/// Long enough for whatever must come; no case waits for it when it passes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A log under test.
pub struct Subject {
    /// Its producing side.
    pub append: Arc<dyn Append>,
    /// Its consuming side.
    pub subscribe: Arc<dyn Subscribe>,
    /// An empty topic with [`PARTITIONS`] partitions.
    pub topic: Topic,
    /// What must live as long as the log: a directory, a server.
    pub keep: Box<dyn Any + Send>,
}

/// Runs every case, each with a subject of its own.
///
/// # Panics
/// When a promise is not kept.
pub async fn suite<F: Future<Output = Subject>>(make: impl Fn() -> F) {
    order_and_contiguous_offsets(&make().await).await;
    partitions_are_independent(&make().await).await;
    what_is_appended_is_read(&make().await).await;
    reading_begins_anywhere(&make().await).await;
    a_limit_brings_at_least_one_record(&make().await).await;
    watermarks_follow(&make().await).await;
    the_end_is_waited_at_and_not_passed(&make().await).await;
    a_waiting_read_wakes(&make().await).await;
    trimmed_records_are_readable_or_named(&make().await).await;
    missing_partitions_are_named(&make().await).await;
    a_record_that_is_too_large_is_refused(&make().await).await;
    concurrent_appends_get_ranges_of_their_own(&make().await).await;
}

async fn order_and_contiguous_offsets(subject: &Subject) {
    let partition = subject.partition(0);
    let mut next = 0;
    for count in [1, 3, 1, 20] {
        let records = (next..next + count).map(numbered).collect();
        assert_eq!(subject.append_all(&partition, records).await, Offset(next), "order: first offset");
        next += count;
    }
    let read = subject.read_to(&partition, 0, next).await;
    assert_eq!(read, stored(0..next), "order: what is read");
}

async fn partitions_are_independent(subject: &Subject) {
    for index in 0..PARTITIONS {
        let count = u64::from(index) + 1;
        let records = (0..count).map(|n| numbered(100 * u64::from(index) + n)).collect();
        assert_eq!(
            subject.append_all(&subject.partition(index), records).await,
            Offset(0),
            "partitions: first"
        );
    }
    for index in 0..PARTITIONS {
        let count = u64::from(index) + 1;
        let read = subject.read_to(&subject.partition(index), 0, count).await;
        let payloads: Vec<_> = read.into_iter().map(|stored| stored.record).collect();
        let expected: Vec<_> = (0..count).map(|n| numbered(100 * u64::from(index) + n)).collect();
        assert_eq!(payloads, expected, "partitions: partition {index}");
    }
    assert_eq!(subject.append.partitions(&subject.topic).await.expect("counted"), PARTITIONS);
    assert_eq!(subject.subscribe.partitions(&subject.topic).await.expect("counted"), PARTITIONS);
}

async fn what_is_appended_is_read(subject: &Subject) {
    let header = |name: &str, value: &'static [u8]| (name.to_owned(), Bytes::from_static(value));
    let large: Vec<u8> = (0..900_000u32).map(|n| (n % 251) as u8).collect();
    let records = vec![
        Record { timestamp_micros: 1_700_000_000_000_000, ..Record::default() },
        Record {
            headers: vec![
                header("a", b"1"),
                header("empty", b""),
                header("a", b"\xff\x00"),
                header("ü", b"2"),
            ],
            timestamp_micros: 1_700_000_000_001_000,
            payload: Bytes::from_static(b"\x00payload\xff"),
        },
        Record { headers: Vec::new(), timestamp_micros: 0, payload: large.into() },
    ];
    let partition = subject.partition(0);
    subject.append_all(&partition, records.clone()).await;
    let read = subject.read_to(&partition, 0, 3).await;
    let read: Vec<_> = read.into_iter().map(|stored| stored.record).collect();
    assert!(read == records, "round trip: headers, empty and large payloads");
}

async fn reading_begins_anywhere(subject: &Subject) {
    let partition = subject.partition(0);
    subject.append_all(&partition, (0..50).map(numbered).collect()).await;
    for from in [49, 0, 25, 24, 26, 25] {
        let read = subject.read_to(&partition, from, 50).await;
        assert_eq!(read, stored(from..50), "from the middle: {from}");
    }
}

async fn a_limit_brings_at_least_one_record(subject: &Subject) {
    let partition = subject.partition(0);
    let payload = |n: u8| Record { payload: vec![n; 10_000].into(), ..Record::default() };
    subject.append_all(&partition, (0..20).map(payload).collect()).await;
    for (bytes, most) in [(0, 1), (1, 1), (10_001, 2), (50_000, 5)] {
        let limit = ReadLimit { bytes, wait: PATIENCE };
        let read = subject.subscribe.read(&partition, Offset(3), limit).await.expect("limit: read");
        assert!((1..=most).contains(&read.len()), "limit: {bytes} bytes brought {} records", read.len());
        assert_eq!(read[0].offset, Offset(3), "limit: the first record");
    }
}

async fn watermarks_follow(subject: &Subject) {
    let partition = subject.partition(1);
    let watermarks = async || subject.subscribe.watermarks(&partition).await.expect("watermarks");
    let empty = watermarks().await;
    assert_eq!((empty.start, empty.end), (Offset(0), Offset(0)), "watermarks: empty");
    subject.append_all(&partition, (0..7).map(numbered).collect()).await;
    let filled = watermarks().await;
    assert_eq!((filled.start, filled.end), (Offset(0), Offset(7)), "watermarks: after an answer");
    assert_eq!(
        subject.append_all(&partition, vec![numbered(7)]).await,
        filled.end,
        "watermarks: next offset"
    );
}

async fn the_end_is_waited_at_and_not_passed(subject: &Subject) {
    let partition = subject.partition(0);
    subject.append_all(&partition, (0..3).map(numbered).collect()).await;
    let limit = ReadLimit { bytes: 1 << 20, wait: Duration::ZERO };
    let at_end = subject.subscribe.read(&partition, Offset(3), limit).await.expect("end: at the end");
    assert_eq!(at_end, [], "end: nothing is there yet");
    match subject.subscribe.read(&partition, Offset(5), limit).await {
        Err(ReadError::AboveEnd { from, end, .. }) => assert_eq!((from, end), (Offset(5), Offset(3))),
        other => panic!("end: beyond it came {other:?}"),
    }
}

async fn a_waiting_read_wakes(subject: &Subject) {
    let partition = subject.partition(0);
    subject.append_all(&partition, vec![numbered(0)]).await;
    let limit = ReadLimit { bytes: 1 << 20, wait: PATIENCE };
    let append = async {
        // The read has begun to wait, or will find it at once: both must do.
        tokio::task::yield_now().await;
        subject.append_all(&partition, vec![numbered(1)]).await
    };
    let (read, appended) = tokio::join!(subject.subscribe.read(&partition, Offset(1), limit), append);
    assert_eq!(appended, Offset(1), "wait: append");
    assert_eq!(read.expect("wait: read"), stored(1..2), "wait: what came");
}

async fn trimmed_records_are_readable_or_named(subject: &Subject) {
    let partition = subject.partition(0);
    let payload = |n: u8| Record { payload: vec![n; 2_000].into(), ..Record::default() };
    for n in 0..30 {
        subject.append_all(&partition, vec![payload(n)]).await;
    }
    subject.subscribe.trim(&partition, Offset(20)).await.expect("trim");
    let watermarks = subject.subscribe.watermarks(&partition).await.expect("trim: watermarks");
    assert!(watermarks.start <= Offset(20), "trim: only what lies below may go");
    assert_eq!(watermarks.end, Offset(30), "trim: the end stays");
    let limit = ReadLimit { bytes: 1, wait: PATIENCE };
    match subject.subscribe.read(&partition, Offset(0), limit).await {
        Ok(records) => assert_eq!(records[0].offset, Offset(0), "trim: still readable"),
        Err(ReadError::BelowStart { from, start, .. }) => {
            assert_eq!(from, Offset(0), "trim: what was asked for");
            assert!(start > Offset(0) && start <= Offset(20), "trim: starts at {start}");
        }
        Err(error) => panic!("trim: below the start came {error}"),
    }
    let kept = subject.read_to(&partition, 20, 30).await;
    let payloads: Vec<_> = kept.into_iter().map(|stored| stored.record).collect();
    assert!(payloads == (20..30).map(payload).collect::<Vec<_>>(), "trim: the rest stays");
    assert_eq!(subject.append_all(&partition, vec![payload(30)]).await, Offset(30), "trim: offsets go on");
}

async fn missing_partitions_are_named(subject: &Subject) {
    let missing = subject.partition(PARTITIONS);
    let append = subject.append.append(&missing, vec![numbered(0)]).await;
    assert!(matches!(append, Err(AppendError::NoPartition(p)) if p == missing), "missing: append");
    let limit = ReadLimit { bytes: 1, wait: Duration::ZERO };
    let read = subject.subscribe.read(&missing, Offset(0), limit).await;
    assert!(matches!(read, Err(ReadError::NoPartition(p)) if p == missing), "missing: read");
    let watermarks = subject.subscribe.watermarks(&missing).await;
    assert!(matches!(watermarks, Err(ReadError::NoPartition(p)) if p == missing), "missing: watermarks");
    let topic = Topic::new("no-such-topic").expect("a topic's name");
    assert!(subject.append.partitions(&topic).await.is_err(), "missing: topic of an append");
    assert!(subject.subscribe.partitions(&topic).await.is_err(), "missing: topic of a read");
}

async fn a_record_that_is_too_large_is_refused(subject: &Subject) {
    let partition = subject.partition(0);
    let payload = Bytes::from(vec![0; crate::limit::PAYLOAD_BYTES_MAX + 1]);
    let large = Record { payload, ..Record::default() };
    let refused = subject.append.append(&partition, vec![numbered(0), large]).await;
    assert!(matches!(refused, Err(AppendError::TooLarge { .. })), "too large: {refused:?}");
    let first = subject.append_all(&partition, vec![numbered(0)]).await;
    assert_eq!(first, Offset(0), "too large: nothing of the append was stored");
}

async fn concurrent_appends_get_ranges_of_their_own(subject: &Subject) {
    const APPENDERS: u64 = 8;
    const APPENDS: u64 = 10;
    const RECORDS: u64 = 3;
    let partition = subject.partition(0);
    let tasks = Tasks::new("conformance", Shutdown::new());
    let (sender, mut receiver) = mpsc::unbounded_channel();
    for appender in 0..APPENDERS {
        let (append, partition, sender) = (subject.append.clone(), partition.clone(), sender.clone());
        tasks.spawn("append", async move {
            for number in 0..APPENDS {
                let first = (appender * APPENDS + number) * RECORDS;
                let records = (first..first + RECORDS).map(numbered).collect();
                let offset = append.append(&partition, records).await?;
                sender.send((appender, first, offset.0))?;
            }
            Ok(())
        });
    }
    drop(sender);
    let mut expected = vec![None; usize::try_from(APPENDERS * APPENDS * RECORDS).expect("few")];
    let mut last_of = std::collections::BTreeMap::new();
    while let Some((appender, first, offset)) = receiver.recv().await {
        let earlier = last_of.insert(appender, offset);
        assert!(earlier.is_none_or(|earlier| earlier < offset), "concurrent: one appender's order");
        for n in 0..RECORDS {
            let place = &mut expected[usize::try_from(offset + n).expect("few")];
            assert_eq!(place.replace(first + n), None, "concurrent: offset {} twice", offset + n);
        }
    }
    assert_eq!(tasks.failure(), None, "concurrent: appends");
    let numbers: Vec<_> = expected.into_iter().map(|n| n.expect("concurrent: a hole")).collect();
    assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), numbers.len());
    let read = subject.read_to(&partition, 0, numbers.len() as u64).await;
    let expected: Vec<_> = (0..).zip(&numbers).map(|(offset, n)| stored_at(offset, numbered(*n))).collect();
    assert_eq!(read, expected, "concurrent: what is read");
}

// ===== impl Subject =====

impl Subject {
    fn partition(&self, index: u32) -> Partition {
        Partition::new(self.topic.clone(), index)
    }

    async fn append_all(&self, partition: &Partition, records: Vec<Record>) -> Offset {
        self.append.append(partition, records).await.expect("append")
    }

    /// Reads `[from, to)`, as many reads as it takes.
    async fn read_to(&self, partition: &Partition, from: u64, to: u64) -> Vec<StoredRecord> {
        let limit = ReadLimit { bytes: 1 << 20, wait: PATIENCE };
        let mut all = Vec::new();
        while from + (all.len() as u64) < to {
            let next = Offset(from + all.len() as u64);
            let read = self.subscribe.read(partition, next, limit).await.expect("read");
            assert!(!read.is_empty(), "nothing came at {next}");
            all.extend(read);
        }
        all
    }
}

fn numbered(n: u64) -> Record {
    Record {
        headers: vec![("number".into(), n.to_string().into())],
        timestamp_micros: 1_700_000_000_000_000 + i64::try_from(n).expect("few") * 1_000,
        payload: format!("record {n}").into(),
    }
}

fn stored_at(offset: u64, record: Record) -> StoredRecord {
    StoredRecord { offset: Offset(offset), record }
}

fn stored(offsets: std::ops::Range<u64>) -> Vec<StoredRecord> {
    offsets.map(|n| stored_at(n, numbered(n))).collect()
}

//! Opening, filling up, failing, closing.

use std::path::Path;

use tempfile::TempDir;
use weir_runtime::Handles;

use super::harness::{
    DIR, NOW, append, config, open, open_as, other_process, partition, place, read_all, record, run, topic,
};
use crate::disk::files::Files;
use crate::disk::files::simulated::{Fault, SimulatedFiles, Unsynced};
use crate::disk::{DiskConfig, DiskLog, OpenError};
use crate::{Append, AppendError, Offset, ReadError, Subscribe, Topic};

#[test]
fn a_second_writer_is_refused_until_the_first_is_closed() {
    let dir = TempDir::new().unwrap();
    let config = DiskConfig { dir: dir.path().to_owned(), ..DiskConfig::default() };
    let handles = Handles::new("test");
    let first = DiskLog::open(config.clone(), &handles).unwrap();
    let error = DiskLog::open(config.clone(), &handles).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
    assert!(error.to_string().contains(dir.path().to_str().unwrap()), "{error}");
    run(first.close());
    let second = DiskLog::open(config.clone(), &handles).unwrap();
    drop(second);
    DiskLog::open(config, &handles).unwrap();
}

#[test]
fn a_closed_log_takes_nothing_and_is_still_read() {
    let files = SimulatedFiles::new();
    let log = open(&files).unwrap();
    let reader = log.reader();
    run(async {
        append(&log, vec![record(0, 10)]).await.unwrap();
        log.close().await;
        assert!(matches!(append(&log, vec![record(1, 10)]).await, Err(AppendError::Closed)));
        assert_eq!(read_all(&reader).await.records.len(), 1);
    });
    assert!(matches!(log.ensure_topic(&topic(), 9), Err(OpenError::Closed)));
}

#[test]
fn topics_grow_and_never_shrink() {
    let files = SimulatedFiles::new();
    let log = open(&files).unwrap();
    let count = |log: &DiskLog| run(log.partitions(&topic())).unwrap();
    log.ensure_topic(&topic(), 3).unwrap();
    log.ensure_topic(&topic(), 2).unwrap();
    assert_eq!(count(&log), 3);
    drop(log);
    // Opened again, what lies there is open without being asked for.
    assert_eq!(count(&open(&files).unwrap()), 3);
    let lock = Topic::new("lock").unwrap();
    let log = open(&files).unwrap();
    assert!(matches!(log.ensure_topic(&lock, 1), Err(OpenError::ReservedTopic(_))));
}

#[test]
fn appends_that_wait_together_share_a_sync() {
    let files = SimulatedFiles::new();
    let log = open(&files).unwrap();
    run(async {
        let before = files.syncs();
        files.hold_syncs(true);
        let first = append(&log, vec![record(0, 10)]);
        let others = async {
            wait_for(|| has_written(&files, 1)).await;
            let more = (1..6).map(|n| append(&log, vec![record(n, 10)]));
            let release = async {
                files.hold_syncs(false);
                Ok(Offset(99))
            };
            // All are queued before the first sync is let go.
            join_all(more.map(boxed).chain([boxed(release)]).collect()).await
        };
        let (first, others) = tokio::join!(first, others);
        assert_eq!(first.unwrap(), Offset(0));
        let others: Vec<_> = others.into_iter().map(|answer| answer.unwrap().0).collect();
        assert_eq!(others, [1, 2, 3, 4, 5, 99]);
        assert_eq!(files.syncs() - before, 2, "one for the first, one for all others");
    });
}

#[test]
fn a_reader_that_keeps_up_takes_nothing_of_the_disk() {
    let files = SimulatedFiles::new();
    let tail_bytes = weir_runtime::ByteSize(5_000);
    let log = open_as(&files, DiskConfig { tail_bytes, ..config() }).unwrap();
    let reader = log.reader();
    run(async {
        let before = files.read_bytes();
        for n in 0..50 {
            append(&log, vec![record(n, 300)]).await.unwrap();
            let read = reader.read(&partition(), Offset(n), NOW).await.unwrap();
            assert_eq!(read[0].record, record(n, 300));
        }
        assert_eq!(files.read_bytes(), before);
        // Further behind than the tail reaches, it does, and sees the same.
        for n in 0..50 {
            let limit = crate::ReadLimit { bytes: 1, ..NOW };
            let read = reader.read(&partition(), Offset(n), limit).await.unwrap();
            assert_eq!((read.len(), &read[0].record), (1, &record(n, 300)));
        }
        assert!(files.read_bytes() > before);
    });
}

#[test]
fn nobody_sees_a_record_before_it_is_durable() {
    let files = SimulatedFiles::new();
    let log = open(&files).unwrap();
    let readers = [log.reader(), other_process(&files)];
    run(async {
        files.hold_syncs(true);
        let looks = async {
            wait_for(|| has_written(&files, 1)).await;
            for reader in &readers {
                assert_eq!(reader.read(&partition(), Offset(0), NOW).await.unwrap(), []);
                assert_eq!(reader.watermarks(&partition()).await.unwrap().end, Offset(0));
            }
            files.hold_syncs(false);
        };
        let (appended, ()) = tokio::join!(append(&log, vec![record(0, 10)]), looks);
        appended.unwrap();
        for reader in &readers {
            assert_eq!(reader.read(&partition(), Offset(0), NOW).await.unwrap().len(), 1);
        }
    });
}

#[test]
fn a_full_disk_refuses_and_leaves_no_trace() {
    let files = SimulatedFiles::new();
    let log = open(&files).unwrap();
    run(async {
        append(&log, vec![record(0, 10)]).await.unwrap();
        let before = files.content(&place().segment(0)).unwrap();
        // Space for a part of the frame only.
        files.leave_space(Some(20));
        let error = append(&log, vec![record(1, 100)]).await.unwrap_err();
        assert!(matches!(error, AppendError::Full { .. }) && error.is_retryable(), "{error:?}");
        assert_eq!(files.content(&place().segment(0)).unwrap(), before);
        // Not even with a power cut: the cut is durable.
        let after_cut = files.copy();
        after_cut.cut_power(Unsynced::Random(1));
        assert_eq!(after_cut.content(&place().segment(0)).unwrap(), before);
        // Rotation meets the full disk too, and is made good later.
        append(&log, vec![record(1, 800)]).await.unwrap_err();
        append(&log, vec![record(1, 1)]).await.unwrap_err();
        files.leave_space(None);
        assert_eq!(append(&log, vec![record(1, 10)]).await.unwrap(), Offset(1));
        let contents = read_all(&log.reader()).await;
        assert_eq!(contents.records.into_values().collect::<Vec<_>>(), [record(0, 10), record(1, 10)]);
        assert_eq!(contents.lost, []);
    });
    assert!(files.fired()[&Fault::NoSpace] >= 3);
}

#[test]
fn a_failed_write_or_sync_closes_the_partition_until_it_is_opened_again() {
    for (fault, what) in
        [(Fault::SyncError, "sync"), (Fault::WriteError, "write"), (Fault::TornWrite, "write")]
    {
        let files = SimulatedFiles::new();
        let log = open(&files).unwrap();
        log.ensure_topic(&topic(), 2).unwrap();
        run(async {
            append(&log, vec![record(0, 10)]).await.unwrap();
            files.fail_next(fault);
            for _ in 0..2 {
                let error = append(&log, vec![record(1, 10)]).await.unwrap_err();
                assert!(error.is_unknown() && !error.is_retryable(), "{fault:?}: {error:?}");
                assert!(error.to_string().contains(what), "{fault:?}: {error}");
            }
            assert_eq!(files.fired()[&fault], 1);
            // Others go on, and so does reading.
            let other = crate::Partition::new(topic(), 1);
            assert_eq!(log.append(&other, vec![record(7, 10)]).await.unwrap(), Offset(0));
            assert_eq!(read_all(&log.reader()).await.records.len(), 1);
            drop(log);
            let log = open(&files).unwrap();
            assert_eq!(append(&log, vec![record(2, 10)]).await.unwrap(), Offset(1), "{fault:?}");
            assert_eq!(read_all(&log.reader()).await.records.len(), 2);
        });
    }
}

#[test]
fn what_a_failed_sync_left_in_the_cache_is_written_before_it_counts() {
    let files = SimulatedFiles::new();
    let log = open(&files).unwrap();
    run(async {
        append(&log, vec![record(0, 10)]).await.unwrap();
        files.fail_next(Fault::SyncError);
        files.fail_next(Fault::CutError);
        append(&log, vec![record(1, 10)]).await.unwrap_err();
        assert_eq!(files.fired().len(), 2);
        drop(log);
        // The frame is sound as long as the machine runs.
        let log = open(&files).unwrap();
        let before = read_all(&log.reader()).await;
        assert_eq!(before.records.len(), 2);
        drop(log);
        files.cut_power(Unsynced::Lost);
        assert_eq!(read_all(&open(&files).unwrap().reader()).await, before);
    });
}

#[test]
fn the_header_of_a_segment_whose_sync_failed_is_written_again() {
    let files = SimulatedFiles::new();
    let log = open(&files).unwrap();
    run(async {
        append(&log, vec![record(0, 300)]).await.unwrap();
        // That of the next segment, before anything is in it.
        files.fail_next(Fault::SyncError);
        append(&log, vec![record(1, 300)]).await.unwrap_err();
        drop(log);
        let log = open(&files).unwrap();
        append(&log, vec![record(1, 300)]).await.unwrap();
        drop(log);
        files.cut_power(Unsynced::Lost);
        let content = files.content(&place().segment(1)).unwrap();
        let header = crate::disk::segment::header(&partition(), 1);
        assert_eq!(content[..header.len()], header);
    });
}

#[test]
fn a_torn_tail_is_cut_off_once_and_counted() {
    let files = SimulatedFiles::new();
    let torn_tails = |files: &SimulatedFiles| {
        let handles = Handles::new("test");
        DiskLog::open_on(std::sync::Arc::new(files.clone()), super::harness::config(), &handles).unwrap();
        let text = handles.metrics.encode();
        let count = text.lines().find_map(|line| line.strip_prefix("weir_stream_torn_tails_total "));
        count.unwrap().parse::<u64>().unwrap()
    };
    run(append(&open(&files).unwrap(), vec![record(0, 10)])).unwrap();
    let whole = files.content(&place().segment(0)).unwrap();
    files.damage(&place().segment(0), |bytes| bytes.extend_from_slice(&whole[256..290]));
    assert_eq!(torn_tails(&files), 1);
    assert_eq!(files.content(&place().segment(0)).unwrap(), whole);
    assert_eq!(torn_tails(&files), 0);
}

#[test]
fn a_full_disk_that_cannot_be_cut_back_closes_the_partition() {
    for fault in [Fault::CutError, Fault::SyncError] {
        let files = SimulatedFiles::new();
        let log = open(&files).unwrap();
        run(async {
            append(&log, vec![record(0, 10)]).await.unwrap();
            files.fail_next(Fault::NoSpace);
            files.fail_next(fault);
            let error = append(&log, vec![record(1, 10)]).await.unwrap_err();
            assert!(matches!(error, AppendError::Poisoned { .. }), "{fault:?}: {error:?}");
            assert_eq!(files.fired()[&fault], 1);
        });
    }
}

#[test]
fn short_writes_are_carried_on() {
    let files = SimulatedFiles::new();
    let log = open(&files).unwrap();
    run(async {
        for n in 0..3 {
            files.fail_next(Fault::ShortWrite);
            // The large payload is a part of its own in the vectored write.
            append(&log, vec![record(n, 5_000), record(n, 0), record(n, 10)]).await.unwrap();
        }
        let contents = read_all(&log.reader()).await;
        assert_eq!(contents.records.len(), 9);
        assert_eq!(contents.records[&6], record(2, 5_000));
    });
    assert_eq!(files.fired()[&Fault::ShortWrite], 3);
}

#[test]
fn a_watermark_that_cannot_be_written_is_written_later() {
    let files = SimulatedFiles::new();
    let log = open(&files).unwrap();
    let reader = other_process(&files);
    run(async {
        append(&log, vec![record(0, 10)]).await.unwrap();
        files.hold_syncs(true);
        let fail = async {
            wait_for(|| has_written(&files, 2)).await;
            files.fail_next(Fault::WriteError);
            files.hold_syncs(false);
        };
        let (appended, ()) = tokio::join!(append(&log, vec![record(1, 10)]), fail);
        assert_eq!(appended.unwrap(), Offset(1));
        assert_eq!(files.fired()[&Fault::WriteError], 1);
        let read = reader.read(&partition(), Offset(1), super::harness::PATIENT).await.unwrap();
        assert_eq!(read.len(), 1);
    });
}

#[test]
fn foreign_and_later_segments_are_not_touched() {
    let files = SimulatedFiles::new();
    let log = open(&files).unwrap();
    log.ensure_topic(&topic(), 2).unwrap();
    run(append(&log, vec![record(0, 10)])).unwrap();
    drop(log);
    let other = crate::disk::place::Place::new(Path::new(DIR), &crate::Partition::new(topic(), 1));
    files.put(&place().segment(0), files.content(&other.segment(0)).unwrap());
    let error = open(&files).unwrap_err();
    assert!(matches!(&error, OpenError::Foreign { found, .. } if found.contains("t/1")), "{error:?}");
    run(async {
        let read = other_process(&files).read(&partition(), Offset(0), NOW).await;
        assert!(matches!(read, Err(ReadError::Corrupt { next: Offset(1), .. })), "{read:?}");
    });
    files.damage(&place().segment(0), |bytes| {
        bytes[8] = 3;
        let checksum = crc32c::crc32c(&bytes[..252]);
        bytes[252..256].copy_from_slice(&checksum.to_le_bytes());
    });
    let error = open(&files).unwrap_err();
    assert!(matches!(error, OpenError::Version { version: 3, .. }), "{error:?}");
    assert!(files.open(&place().segment(0)).is_ok());
}

#[test]
fn what_happened_is_counted() {
    let files = SimulatedFiles::new();
    let handles = Handles::new("test");
    let open = || DiskLog::open_on(std::sync::Arc::new(files.clone()), super::harness::config(), &handles);
    let log = open().unwrap();
    log.ensure_topic(&topic(), 1).unwrap();
    run(append(&log, vec![record(0, 10), record(1, 10)])).unwrap();
    files.fail_next(Fault::SyncError);
    run(append(&log, vec![record(2, 10)])).unwrap_err();
    let text = handles.metrics.encode();
    for line in [
        "weir_stream_appended_records_total 2",
        "weir_stream_appended_bytes_total 100",
        "weir_stream_syncs_total 1",
        "weir_stream_poisoned_total 1",
        "weir_stream_torn_tails_total 0",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

/// True when so many small records are in the first segment.
fn has_written(files: &SimulatedFiles, count: usize) -> bool {
    let header = crate::disk::segment::HEADER_BYTES;
    let frame = crate::disk::frame::frame_bytes(&record(0, 10));
    files.content(&place().segment(0)).is_some_and(|bytes| bytes.len() >= header + count * frame)
}

async fn wait_for(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

type Answer<'a> = std::pin::Pin<Box<dyn Future<Output = Result<Offset, AppendError>> + 'a>>;

pub(super) fn boxed<'a>(future: impl Future<Output = Result<Offset, AppendError>> + 'a) -> Answer<'a> {
    Box::pin(future)
}

/// Polls in order, so that appends are queued in order.
pub(super) async fn join_all(futures: Vec<Answer<'_>>) -> Vec<Result<Offset, AppendError>> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Some(future), None)).collect();
    std::future::poll_fn(move |context| {
        for (future, answer) in &mut futures {
            if let Some(pending) = future
                && let std::task::Poll::Ready(result) = pending.as_mut().poll(context)
            {
                (*future, *answer) = (None, Some(result));
            }
        }
        if futures.iter().all(|(_, answer)| answer.is_some()) {
            return std::task::Poll::Ready(
                futures.iter_mut().filter_map(|(_, answer)| answer.take()).collect(),
            );
        }
        std::task::Poll::Pending
    })
    .await
}

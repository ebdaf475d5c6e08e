//! The disk is full: what is there can be read, nothing more is taken, and
//! nobody needs to do anything once there is room.

use super::harness::{append, offsets, open, partition, place, read_all, record, run};
use crate::disk::files::simulated::{Fault, SimulatedFiles, Unsynced};
use crate::{AppendError, Offset, Subscribe};

#[test]
fn a_sync_that_finds_no_space_refuses_and_leaves_no_trace() {
    let files = SimulatedFiles::new();
    let log = open(&files).unwrap();
    run(async {
        append(&log, vec![record(0, 10)]).await.unwrap();
        files.fail_next(Fault::SyncNoSpace);
        let error = append(&log, vec![record(1, 10)]).await.unwrap_err();
        assert!(matches!(error, AppendError::Full { .. }) && error.is_retryable(), "{error:?}");
        // What was refused does not come back, and the next is taken.
        for unsynced in [Unsynced::Kept, Unsynced::Lost, Unsynced::Random(3)] {
            let after = files.copy();
            after.cut_power(unsynced);
            assert_eq!(read_all(&open(&after).unwrap().reader()).await.end, 1);
        }
        assert_eq!(append(&log, vec![record(2, 10)]).await.unwrap(), Offset(1));
        files.cut_power(Unsynced::Lost);
    });
    drop(log);
    let contents = run(read_all(&open(&files).unwrap().reader()));
    assert_eq!(contents.records.into_values().collect::<Vec<_>>(), [record(0, 10), record(2, 10)]);
    assert_eq!(files.fired()[&Fault::SyncNoSpace], 1);
}

#[test]
fn a_full_disk_does_not_keep_a_log_from_opening() {
    let mut in_rotation = 0;
    for space in [0, 1, 100, 255, 256, 300] {
        let files = SimulatedFiles::new();
        let log = open(&files).unwrap();
        run(async {
            for n in 0..2 {
                append(&log, vec![record(n, 160)]).await.unwrap();
            }
            files.leave_space(Some(space));
            // Its segment has no room for this: the next one is to be begun.
            append(&log, vec![record(2, 400)]).await.unwrap_err();
        });
        in_rotation += u64::from(place().bases(&files).unwrap().len() > 1);
        // Killed, and started again as often as somebody likes.
        let files = files.copy();
        drop(log);
        for _ in 0..3 {
            let log = open(&files).unwrap_or_else(|error| panic!("{space} bytes left: {error:?}"));
            run(async {
                assert_eq!(read_all(&log.reader()).await.records.len(), 2);
                let error = append(&log, vec![record(2, 400)]).await.unwrap_err();
                assert!(matches!(error, AppendError::Full { .. }), "{error:?}");
            });
        }
        let log = open(&files).unwrap();
        files.leave_space(None);
        run(async {
            assert_eq!(append(&log, vec![record(2, 400)]).await.unwrap(), Offset(2));
            assert_eq!(append(&log, vec![record(3, 10)]).await.unwrap(), Offset(3));
            let contents = read_all(&log.reader()).await;
            assert_eq!((contents.end, contents.lost), (4, vec![]));
        });
    }
    assert!(in_rotation > 3, "{in_rotation}");
}

#[test]
fn a_loss_on_a_full_disk_is_told_and_the_log_opens() {
    let files = SimulatedFiles::new();
    let log = open(&files).unwrap();
    run(async {
        for n in 0..2 {
            append(&log, vec![record(n, 100)]).await.unwrap();
        }
    });
    drop(log);
    files.damage(&place().segment(0), |bytes| bytes.truncate(300));
    files.leave_space(Some(0));
    for _ in 0..2 {
        let log = open(&files).unwrap();
        let contents = run(read_all(&log.reader()));
        assert_eq!((contents.end, offsets(&contents.lost)), (2, vec![0, 1]));
        run(append(&log, vec![record(2, 10)])).unwrap_err();
    }
    files.leave_space(None);
    let log = open(&files).unwrap();
    assert_eq!(run(append(&log, vec![record(2, 10)])).unwrap(), Offset(2));
}

#[test]
fn a_disk_that_cannot_be_read_is_no_loss() {
    let files = SimulatedFiles::new();
    let log = open(&files).unwrap();
    run(async {
        for n in 0..6 {
            append(&log, vec![record(n, 100)]).await.unwrap();
        }
        let before = read_all(&log.reader()).await;
        files.fail_next(Fault::ReadError);
        let error = log.reader().read(&partition(), Offset(4), super::harness::NOW).await.unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
        assert_eq!(read_all(&log.reader()).await, before);
        drop(log);
        // At opening it is not taken for the end of what is there.
        let mut failed = 0;
        for skipped in 0..6 {
            let files = files.copy();
            let whole = files.content(&place().segment(3)).unwrap();
            for _ in 0..skipped {
                files.pass_next(Fault::ReadError);
            }
            files.fail_next(Fault::ReadError);
            let fired = |files: &SimulatedFiles| files.fired().get(&Fault::ReadError).copied();
            let before_opening = fired(&files);
            let is_open = open(&files).is_ok();
            assert_eq!(is_open, fired(&files) == before_opening, "{skipped}");
            failed += u64::from(!is_open);
            assert_eq!(files.content(&place().segment(3)).unwrap(), whole);
            files.forget_faults();
            assert_eq!(read_all(&open(&files).unwrap().reader()).await, before, "{skipped}");
        }
        assert!(failed > 2, "{failed}");
    });
}

//! What stays of what is stored.

use std::sync::Arc;
use std::time::Duration;

use weir_runtime::{ByteSize, Clock, Handles, HumanDuration};

use super::harness::{append, config, other_process, partition, place, record, run, topic};
use crate::disk::files::Files;
use crate::disk::files::simulated::SimulatedFiles;
use crate::disk::{DiskConfig, DiskLog, Retention};
use crate::{Offset, Record, Subscribe};

const HOUR: i64 = 3_600_000_000;

/// Of three records each, appended an hour apart.
const SEGMENT_BYTES: u64 = 256 + 3 * (32 + 8 + 100);

/// A log of twelve records in segments of three, at 0, 3, 6 and 9, one an hour.
fn image() -> (SimulatedFiles, DiskLog) {
    let files = SimulatedFiles::new();
    let segment_bytes = ByteSize(SEGMENT_BYTES);
    let config = DiskConfig { segment_bytes, ..config() };
    let log = DiskLog::open_on(Arc::new(files.clone()), config, &Handles::new("test")).unwrap();
    log.ensure_topic(&topic(), 1).unwrap();
    run(async {
        for n in 0..12 {
            let record = Record { timestamp_micros: n * HOUR, ..record(0, 100) };
            append(&log, vec![record]).await.unwrap();
        }
    });
    assert_eq!(place().bases(&files).unwrap(), [0, 3, 6, 9]);
    (files, log)
}

/// What begins the oldest segment that is left.
fn start_after(files: &SimulatedFiles, before: u64, bytes: u64, age_hours: u64, now_hours: i64) -> u64 {
    let files = files.copy();
    let retention =
        Retention { bytes: ByteSize(bytes), age: HumanDuration(Duration::from_secs(3600 * age_hours)) };
    let reader = other_process(&files).keeping(retention, &Clock::manual(now_hours * HOUR));
    run(async {
        reader.trim(&partition(), Offset(before)).await.unwrap();
        // Whatever was deleted, it was the oldest.
        let bases = place().bases(&files).unwrap();
        assert!([0, 3, 6, 9].ends_with(&bases), "{bases:?}");
        bases[0]
    })
}

#[test]
fn without_limits_what_is_stored_goes() {
    let (files, _log) = image();
    for (before, start) in [(0, 0), (2, 0), (3, 3), (8, 6), (9, 9), (12, 9)] {
        assert_eq!(start_after(&files, before, 0, 0, 1000), start, "{before}");
    }
}

#[test]
fn so_many_bytes_are_kept_and_never_less_than_is_needed() {
    let (files, _log) = image();
    let check = |before, bytes, start| {
        assert_eq!(start_after(&files, before, bytes, 0, 1000), start, "{bytes} bytes, before {before}");
    };
    // A segment goes once those behind it hold as much.
    check(12, 1, 9);
    check(12, SEGMENT_BYTES, 9);
    check(12, SEGMENT_BYTES + 1, 6);
    check(12, 2 * SEGMENT_BYTES, 6);
    check(12, 3 * SEGMENT_BYTES, 3);
    check(12, 3 * SEGMENT_BYTES + 1, 0);
    check(5, 1, 3);
    check(2, 1, 0);
}

#[test]
fn so_long_it_is_kept_and_never_shorter_than_is_needed() {
    let (files, _log) = image();
    let check = |before, age, now, start| {
        assert_eq!(
            start_after(&files, before, 0, age, now),
            start,
            "{age} h, {now} o'clock, before {before}"
        );
    };
    // A segment is as old as the first record behind it.
    check(12, 5, 8, 0);
    check(12, 5, 9, 3);
    check(12, 5, 11, 3);
    check(12, 5, 12, 6);
    check(12, 5, 1000, 9);
    check(4, 5, 1000, 3);
    check(2, 5, 1000, 0);
    // A clock that went back keeps everything.
    check(12, 5, -1000, 0);
}

#[test]
fn of_two_limits_either_is_enough() {
    let (files, _log) = image();
    assert_eq!(start_after(&files, 12, 2 * SEGMENT_BYTES, 5, 9), 6);
    assert_eq!(start_after(&files, 12, 3 * SEGMENT_BYTES, 5, 12), 6);
    assert_eq!(start_after(&files, 4, 1, 1, 1000), 3);
}

#[test]
fn a_damaged_beginning_does_not_keep_a_segment_for_ever() {
    let (files, _log) = image();
    files.damage(&place().segment(3), |bytes| bytes[256] ^= 1);
    // The segment at 6 tells that what is before it is old.
    assert_eq!(start_after(&files, 12, 0, 5, 11), 0);
    assert_eq!(start_after(&files, 12, 0, 5, 12), 6);
    files.remove(&place().segment(6)).unwrap();
    assert_eq!(start_after(&files, 12, 0, 5, 1000), 9);
}

#[test]
fn the_writer_keeps_what_it_was_opened_with() {
    let files = SimulatedFiles::new();
    let retention = Retention { bytes: ByteSize(2 * SEGMENT_BYTES), ..Retention::default() };
    let config = DiskConfig { segment_bytes: ByteSize(SEGMENT_BYTES), retention, ..config() };
    let log = DiskLog::open_on(Arc::new(files.clone()), config, &Handles::new("test")).unwrap();
    log.ensure_topic(&topic(), 1).unwrap();
    run(async {
        for n in 0..30 {
            append(&log, vec![record(n % 10, 100)]).await.unwrap();
            log.reader().trim(&partition(), Offset(n + 1)).await.unwrap();
        }
        // It can be read again from there.
        let start = log.reader().watermarks(&partition()).await.unwrap().start;
        assert_eq!(start, Offset(24));
        let read = log.reader().read(&partition(), start, super::harness::NOW).await.unwrap();
        assert_eq!(read[0].record, record(4, 100));
    });
}

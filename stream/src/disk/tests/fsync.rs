//! When an append is answered, and what is left after that.

use std::collections::BTreeMap;

use super::harness::{Contents, append, config, offsets, open, open_as, place, read_all, record, run};
use super::life::{boxed, join_all};
use crate::disk::files::simulated::{Fault, SimulatedFiles, Unsynced};
use crate::disk::reserve::AHEAD;
use crate::disk::{DiskConfig, DiskLog, Fsync};
use crate::{Offset, Record};

fn open_with(files: &SimulatedFiles, fsync: Fsync) -> DiskLog {
    open_as(files, DiskConfig { fsync, ..config() }).unwrap()
}

async fn append_each(log: &DiskLog, numbers: std::ops::Range<u64>) {
    for n in numbers {
        assert_eq!(append(log, vec![record(n, 100)]).await.unwrap(), Offset(n));
    }
}

/// Every offset below `end` reads as it was written, or is told as lost.
fn check(contents: &Contents, end: u64) {
    let lost = offsets(&contents.lost);
    for offset in 0..end {
        match contents.records.get(&offset) {
            Some(found) => assert_eq!(*found, record(offset, 100)),
            None => assert!(lost.contains(&offset), "{offset} is missing and nobody says so"),
        }
    }
}

#[test]
fn always_means_a_sync_for_each() {
    for fsync in [Fsync::Group, Fsync::Always] {
        let files = SimulatedFiles::new();
        let log = open_with(&files, fsync);
        let before = files.syncs();
        run(async {
            files.hold_syncs(true);
            let appends = (0..6).map(|n| boxed(append(&log, vec![record(n, 10)])));
            let release = async {
                files.hold_syncs(false);
                Ok(Offset(99))
            };
            // All are queued before the first sync is let go.
            let answers = join_all(appends.chain([boxed(release)]).collect()).await;
            assert!(answers.iter().all(Result::is_ok));
        });
        let syncs = files.syncs() - before;
        match fsync {
            Fsync::Always => assert_eq!(syncs, 6),
            _ => assert!(syncs <= 2, "{syncs}"),
        }
    }
}

#[test]
fn never_syncs_nothing_but_reservations_and_whole_segments() {
    let files = SimulatedFiles::new();
    let log = open_with(&files, Fsync::Never);
    run(append_each(&log, 0..1));
    let before = files.syncs();
    run(append_each(&log, 1..3));
    assert_eq!(files.syncs(), before);
    // The next one begins a segment: what the old one holds is synced first.
    run(append_each(&log, 3..4));
    assert_eq!(place().bases(&files).unwrap(), [0, 3]);
    let cut = files.copy();
    cut.cut_power(Unsynced::Lost);
    let log = open(&cut).unwrap();
    let contents = run(read_all(&log.reader()));
    check(&contents, 4);
    assert!(offsets(&contents.lost).starts_with(&[3]), "{:?}", contents.lost);
}

#[test]
fn without_syncs_the_end_of_the_process_costs_nothing() {
    let files = SimulatedFiles::new();
    let log = open_with(&files, Fsync::Never);
    run(append_each(&log, 0..8));
    // Not closed: what a killed process leaves.
    let files_after = files.copy();
    files_after.kill();
    for fsync in [Fsync::Never, Fsync::Group] {
        let log = open_with(&files_after, fsync);
        run(async {
            let contents = read_all(&log.reader()).await;
            assert_eq!((contents.end, contents.lost.len()), (8, 0), "{fsync:?}");
            check(&contents, 8);
        });
    }
    // Opened with syncs, what the other one left in the cache is on disk.
    files_after.cut_power(Unsynced::Lost);
    let contents = run(read_all(&open(&files_after).unwrap().reader()));
    assert_eq!((contents.end, contents.lost.len()), (8, 0));
}

#[test]
fn without_syncs_a_sync_by_the_system_that_failed_is_made_good() {
    let files = SimulatedFiles::new();
    let log = open_with(&files, Fsync::Never);
    run(append_each(&log, 0..2));
    let files = files.copy();
    drop(log);
    files.kill();
    // The system could not write it, and calls it clean.
    let path = place().segment(0);
    files.fail_next(Fault::SyncError);
    crate::disk::files::Files::open_for_write(&files, &path).unwrap().sync_data().unwrap_err();
    drop(open_with(&files, Fsync::Group));
    files.cut_power(Unsynced::Lost);
    let contents = run(read_all(&open(&files).unwrap().reader()));
    assert_eq!((contents.end, contents.lost.len()), (2, 0));
}

#[test]
fn without_syncs_a_log_that_was_closed_survives_a_power_cut() {
    let files = SimulatedFiles::new();
    let log = open_with(&files, Fsync::Never);
    run(append_each(&log, 0..8));
    drop(log);
    assert_eq!(files.content(&place().reservation()), None);
    files.cut_power(Unsynced::Lost);
    let contents = run(read_all(&open_with(&files, Fsync::Never).reader()));
    assert_eq!((contents.end, contents.lost.len()), (8, 0));
    check(&contents, 8);
}

#[test]
fn without_syncs_a_power_cut_is_told_and_no_offset_is_given_twice() {
    let (mut losses, mut number) = (0, 0);
    for seed in 0..200 {
        let mut files = SimulatedFiles::new();
        let mut given = BTreeMap::new();
        for life in 0..4 {
            let log = open_with(&files, Fsync::Never);
            let contents = run(read_all(&log.reader()));
            losses += contents.lost.len();
            check_given(&contents, &given);
            run(async {
                for _ in 0..(seed + life) % 9 {
                    number += 1;
                    let offset = append(&log, vec![record(number, 100)]).await.unwrap();
                    assert_eq!(given.insert(offset.0, record(number, 100)), None, "given twice: {offset}");
                }
            });
            // What a machine that fails leaves, without the log being closed.
            files = files.copy();
            files.cut_power(Unsynced::Random(seed * 7 + life));
        }
    }
    assert!(losses > 50, "{losses}");
}

/// What was given away is there or told as lost, and not much more is told.
fn check_given(contents: &Contents, given: &BTreeMap<u64, Record>) {
    let next = given.last_key_value().map_or(0, |(last, _)| last + 1);
    assert!(contents.end >= next, "it ends at {} below {next}", contents.end);
    let unused = offsets(&contents.lost).into_iter().filter(|offset| !given.contains_key(offset)).count();
    assert!(unused as u64 <= 4 * AHEAD, "{unused} offsets are told that were never given");
    for (offset, sent) in given {
        let is_lost = contents.lost.iter().any(|range| range.contains(offset));
        assert!(is_lost || contents.records.get(offset) == Some(sent), "offset {offset}");
    }
}

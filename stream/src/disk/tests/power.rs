//! The power goes, or the process is killed, at every step of a life; what was
//! acknowledged is there.

use super::harness::{Contents, append, open, other_process, partition, read_all, record, run};
use crate::disk::DiskLog;
use crate::disk::files::simulated::{Fault, SimulatedFiles, Unsynced};
use crate::{Offset, Record, Subscribe};

/// What a writer knows when the power goes.
#[derive(Debug, Default)]
struct Known {
    acknowledged: Vec<Record>,
    /// Sent without an answer.
    unknown: Vec<Record>,
    /// Trimmed, perhaps.
    trimmed: u64,
}

/// Two lives of a writer: segments begin, records of one and of many, trims,
/// a restart.
async fn live(files: &SimulatedFiles) -> Known {
    let mut known = Known::default();
    for life in 0..2 {
        let Ok(log) = open(files) else { return known };
        for n in 0..6u64 {
            let number = life * 100 + n;
            let records: Vec<_> = (0..=n % 3).map(|part| record(number, 60 * part as usize + 20)).collect();
            match append(&log, records.clone()).await {
                Ok(first) => {
                    assert_eq!(first.0, known.acknowledged.len() as u64);
                    known.acknowledged.extend(records);
                }
                Err(_) => {
                    known.unknown = records;
                    return known;
                }
            }
        }
        known.trimmed = 5 * (life + 1);
        if log.reader().trim(&partition(), Offset(known.trimmed)).await.is_err() {
            return known;
        }
    }
    known
}

fn check(known: &Known, contents: &Contents, context: &str) {
    assert_eq!(contents.lost, [], "{context}");
    assert!(contents.start <= known.trimmed, "{context}: {contents:?}");
    let end = known.acknowledged.len() as u64;
    assert!(contents.end >= end, "{context}: ends at {} below {end}", contents.end);
    let sent: Vec<_> = known.acknowledged.iter().chain(&known.unknown).collect();
    assert!(contents.end <= sent.len() as u64, "{context}: more than was sent");
    for offset in contents.start..contents.end {
        assert_eq!(&contents.records[&offset], sent[offset as usize], "{context}: offset {offset}");
    }
}

/// How a life ends.
#[derive(Clone, Copy, Debug)]
enum Death {
    PowerCut(Unsynced),
    /// The process alone; what it wrote is in the system's cache.
    Kill,
}

#[test]
fn every_acknowledged_record_survives_death_at_any_step() {
    let whole = SimulatedFiles::new();
    let known = run(live(&whole));
    assert_eq!(known.acknowledged.len(), 24);
    let (mut died_at_steps, mut unknown_kept, mut unknown_lost) = (0, 0, 0);
    for step in 0..whole.steps() {
        let power_cuts = [Unsynced::Lost, Unsynced::Kept, Unsynced::Random(step), Unsynced::Random(!step)];
        for death in power_cuts.map(Death::PowerCut).into_iter().chain([Death::Kill]) {
            let context = format!("step {step}, {death:?}");
            let files = SimulatedFiles::new();
            files.cut_power_at(step);
            let known = run(live(&files));
            died_at_steps += u64::from(files.is_dead());
            match death {
                Death::PowerCut(unsynced) => files.cut_power(unsynced),
                Death::Kill => files.kill(),
            }
            run(async {
                // Before its writer is back, a reader may lag and nothing else.
                if let Ok(watermarks) = other_process(&files).watermarks(&partition()).await {
                    let sent = known.acknowledged.len() + known.unknown.len();
                    assert!(watermarks.end.0 <= sent as u64, "{context}");
                    let lagging = read_all(&other_process(&files)).await;
                    check(&Known { acknowledged: Vec::new(), ..all_unknown(&known) }, &lagging, &context);
                }
                let log = open(&files).unwrap_or_else(|error| panic!("{context}: {error:?}"));
                for reader in [log.reader(), other_process(&files)] {
                    check(&known, &read_all(&reader).await, &context);
                }
                let end = read_all(&log.reader()).await.end;
                if !known.unknown.is_empty() {
                    match end > known.acknowledged.len() as u64 {
                        true => unknown_kept += 1,
                        false => unknown_lost += 1,
                    }
                }
                assert_eq!(append(&log, vec![record(7, 7)]).await.unwrap(), Offset(end), "{context}");
                // What has been read once is durable.
                let before = read_all(&log.reader()).await;
                drop(log);
                files.cut_power(Unsynced::Lost);
                assert_eq!(read_all(&open(&files).unwrap().reader()).await, before, "{context}");
            });
        }
    }
    assert_eq!(died_at_steps, 5 * whole.steps(), "every death came true");
    assert!(unknown_kept > 10 && unknown_lost > 10, "{unknown_kept} kept, {unknown_lost} lost");
}

/// For a reader that may lag: nothing must be there, all that was sent may be.
fn all_unknown(known: &Known) -> Known {
    let sent = known.acknowledged.iter().chain(&known.unknown).cloned().collect();
    Known { acknowledged: Vec::new(), unknown: sent, trimmed: known.trimmed }
}

#[test]
fn after_a_power_cut_an_old_watermark_makes_readers_lag_and_nothing_else() {
    let files = SimulatedFiles::new();
    run(async {
        let log = open(&files).unwrap();
        for n in 0..3 {
            append(&log, vec![record(n, 10)]).await.unwrap();
        }
        drop(log);
        files.cut_power(Unsynced::Lost);
        let reader = other_process(&files);
        // The watermark was last synced when the log was opened.
        assert_eq!(reader.watermarks(&partition()).await.unwrap().end, Offset(0));
        // The reader had been further: this is not the end of the log.
        let read = reader.read(&partition(), Offset(2), super::harness::NOW).await.unwrap();
        assert_eq!(read, []);
        let log = open(&files).unwrap();
        let read = reader.read(&partition(), Offset(2), super::harness::NOW).await.unwrap();
        assert_eq!(read[0].record, record(2, 10));
        drop(log);
    });
}

/// A trim whose sync of the directory fails, after some that do not.
async fn trim_in_vain(files: &SimulatedFiles, log: &DiskLog, before: u64, syncs: usize) {
    for _ in 0..syncs {
        files.pass_next(Fault::SyncDirError);
    }
    files.fail_next(Fault::SyncDirError);
    let _ = log.reader().trim(&partition(), Offset(before)).await;
    files.forget_faults();
}

#[test]
fn an_unfinished_segment_is_durable_before_those_below_it_are_deleted() {
    for syncs in 0..2 {
        let files = SimulatedFiles::new();
        let log = open(&files).unwrap();
        run(async {
            append(&log, vec![record(0, 300)]).await.unwrap();
            // The next segment is begun, and there is no room for its header.
            files.leave_space(Some(0));
            append(&log, vec![record(1, 300)]).await.unwrap_err();
            files.leave_space(None);
            trim_in_vain(&files, &log, 1, syncs).await;
            for seed in 0..50 {
                let files = files.copy();
                files.cut_power(Unsynced::Random(seed));
                let end = read_all(&open(&files).unwrap().reader()).await.end;
                assert_eq!(end, 1, "seed {seed}, {syncs} syncs");
            }
        });
    }
}

#[test]
fn a_deletion_that_may_come_back_leaves_no_hole() {
    for syncs in [0, 1, 10] {
        let files = SimulatedFiles::new();
        let log = open(&files).unwrap();
        run(async {
            for n in 0..9 {
                append(&log, vec![record(n, 100)]).await.unwrap();
            }
            trim_in_vain(&files, &log, 3, syncs.min(1)).await;
            trim_in_vain(&files, &log, 6, syncs).await;
            for seed in 0..50 {
                let files = files.copy();
                files.cut_power(Unsynced::Random(seed));
                let lost = read_all(&open(&files).unwrap().reader()).await.lost;
                assert_eq!(lost, [], "seed {seed}, {syncs} syncs");
            }
        });
    }
}

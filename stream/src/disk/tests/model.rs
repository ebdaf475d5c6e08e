//! Random lives of a log against a list of records: appends alone and together,
//! trims, restarts, power cuts, full disks and faults of every kind.

use std::collections::BTreeMap;
use std::sync::Mutex;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::harness::{Contents, append, open, other_process, partition, read_all, record, run};
use super::life::{boxed, join_all};
use crate::disk::DiskLog;
use crate::disk::files::simulated::{Fault, SimulatedFiles, Unsynced};
use crate::{AppendError, Offset, Record, Subscribe};

#[derive(Clone, Debug)]
enum Step {
    /// Appends one after the other's answer, each of records of these sizes.
    Append(Vec<usize>),
    /// So many appends of one record at once.
    AppendTogether(Vec<usize>),
    /// Trims to so many hundredths of what is acknowledged.
    Trim(u64),
    Restart,
    PowerCut(Unsynced),
    /// The next operations of these kinds fail.
    Fail(Vec<Fault>),
    /// Leaves so much space.
    Space(Option<u64>),
}

fn any_step() -> impl Strategy<Value = Step> {
    let size = prop_oneof![8 => 0..300usize, 1 => 4_000..6_000usize];
    let sizes = |most| prop::collection::vec(size.clone(), 1..most);
    let unsynced =
        prop_oneof![Just(Unsynced::Lost), Just(Unsynced::Kept), any::<u64>().prop_map(Unsynced::Random)];
    let fault = prop::sample::select(vec![
        Fault::ShortWrite,
        Fault::TornWrite,
        Fault::WriteError,
        Fault::NoSpace,
        Fault::SyncError,
        Fault::SyncDirError,
        Fault::CreateError,
        Fault::CutError,
        Fault::RemoveError,
    ]);
    prop_oneof![
        8 => sizes(4).prop_map(Step::Append),
        4 => sizes(6).prop_map(Step::AppendTogether),
        2 => (0..=100u64).prop_map(Step::Trim),
        2 => Just(Step::Restart),
        2 => unsynced.prop_map(Step::PowerCut),
        4 => prop::collection::vec(fault, 1..4).prop_map(Step::Fail),
        1 => prop::option::of(0..2_000u64).prop_map(Step::Space),
    ]
}

/// The log, and what must be in it.
struct Life {
    files: SimulatedFiles,
    log: Option<DiskLog>,
    acknowledged: Vec<Record>,
    /// Sent before the partition failed, without an answer.
    unknown: Vec<Record>,
    /// Everything below may be gone.
    trimmed: u64,
    is_poisoned: bool,
    sent: u64,
}

/// What the lives saw, so that no kind of trouble is only imagined.
#[derive(Debug, Default)]
struct Seen {
    fired: BTreeMap<Fault, u64>,
    full: u64,
    poisoned: u64,
    unknown_kept: u64,
    unknown_lost: u64,
    failed_opens: u64,
    trimmed: u64,
}

impl Life {
    fn new() -> Self {
        let files = SimulatedFiles::new();
        let log = Some(open(&files).unwrap());
        Self {
            files,
            log,
            acknowledged: Vec::new(),
            unknown: Vec::new(),
            trimmed: 0,
            is_poisoned: false,
            sent: 0,
        }
    }

    fn log(&self) -> &DiskLog {
        self.log.as_ref().unwrap()
    }

    async fn step(&mut self, step: &Step, seen: &mut Seen) {
        match step {
            Step::Append(sizes) => {
                let records: Vec<_> = sizes.iter().map(|size| self.next_record(*size)).collect();
                let answer = append(self.log(), records.clone()).await;
                self.answered(vec![(records, answer)], seen);
            }
            Step::AppendTogether(sizes) => {
                let records: Vec<_> = sizes.iter().map(|size| vec![self.next_record(*size)]).collect();
                let appends = records.iter().map(|records| boxed(append(self.log(), records.clone())));
                let answers = join_all(appends.collect()).await;
                self.answered(records.into_iter().zip(answers).collect(), seen);
            }
            Step::Trim(hundredths) => {
                let before = self.acknowledged.len() as u64 * hundredths / 100;
                self.trimmed = self.trimmed.max(before);
                // It may fail, and may then have deleted some.
                let _ = self.log().reader().trim(&partition(), Offset(before)).await;
            }
            Step::Restart => {
                self.log = None;
                self.open_again(seen).await;
            }
            Step::PowerCut(unsynced) => {
                self.log = None;
                self.files.cut_power(*unsynced);
                self.check_before_opening().await;
                self.open_again(seen).await;
            }
            Step::Fail(faults) => {
                self.files.forget_faults();
                for fault in faults {
                    self.files.fail_next(*fault);
                }
            }
            Step::Space(bytes) => self.files.leave_space(*bytes),
        }
        self.check_running(seen).await;
    }

    fn next_record(&mut self, size: usize) -> Record {
        self.sent += 1;
        record(self.sent, size)
    }

    fn answered(&mut self, answers: Vec<(Vec<Record>, Result<Offset, AppendError>)>, seen: &mut Seen) {
        let mut unknown = Vec::new();
        for (records, answer) in answers {
            match answer {
                Ok(first) => {
                    assert_eq!(first.0, self.acknowledged.len() as u64, "offsets follow without a gap");
                    assert!(unknown.is_empty() && !self.is_poisoned, "an answer after a failure");
                    self.acknowledged.extend(records);
                }
                Err(AppendError::Full { .. }) => seen.full += 1,
                Err(AppendError::Poisoned { .. }) => unknown.extend(records),
                Err(error) => panic!("{error:?}"),
            }
        }
        if !unknown.is_empty() && !self.is_poisoned {
            seen.poisoned += 1;
            self.is_poisoned = true;
            self.unknown = unknown;
        }
    }

    async fn open_again(&mut self, seen: &mut Seen) {
        let log = match open(&self.files) {
            Ok(log) => log,
            Err(_) => {
                seen.failed_opens += 1;
                self.files.forget_faults();
                self.files.leave_space(None);
                open(&self.files).expect("nothing stands in the way")
            }
        };
        let contents = read_all(&log.reader()).await;
        self.log = Some(log);
        self.is_poisoned = false;
        let unknown = std::mem::take(&mut self.unknown);
        let kept =
            contents.end.checked_sub(self.acknowledged.len() as u64).expect("the end went back") as usize;
        match kept {
            _ if unknown.is_empty() => assert_eq!(kept, 0, "records that nobody sent"),
            0 => seen.unknown_lost += 1,
            _ => seen.unknown_kept += 1,
        }
        self.acknowledged.extend_from_slice(&unknown[..kept]);
        self.check(&contents);
    }

    /// What is read from a running log, by both kinds of readers.
    async fn check_running(&self, seen: &mut Seen) {
        let contents = read_all(&self.log().reader()).await;
        assert_eq!(contents.end, self.acknowledged.len() as u64);
        self.check(&contents);
        assert_eq!(read_all(&other_process(&self.files)).await, contents);
        seen.trimmed = seen.trimmed.max(contents.start);
    }

    fn check(&self, contents: &Contents) {
        assert_eq!(contents.lost, []);
        assert!(contents.start <= self.trimmed, "trimmed to {} instead of {}", contents.start, self.trimmed);
        for offset in contents.start..contents.end {
            assert_eq!(contents.records[&offset], self.acknowledged[offset as usize], "offset {offset}");
        }
    }

    /// After a power cut and before the writer is back, readers may lag.
    async fn check_before_opening(&self) {
        let contents = read_all(&other_process(&self.files)).await;
        assert_eq!(contents.lost, []);
        assert!(contents.end <= self.acknowledged.len() as u64, "not all of this is known to be durable");
        self.check(&contents);
    }
}

#[test]
fn a_life_full_of_trouble_loses_nothing() {
    let seen = Mutex::new(Seen::default());
    let mut runner = TestRunner::new(Config::with_cases(300));
    let steps = prop::collection::vec(any_step(), 1..50);
    runner
        .run(&steps, |steps| {
            let mut seen = seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let mut life = Life::new();
            run(async {
                for step in &steps {
                    life.step(step, &mut seen).await;
                }
                life.step(&Step::Restart, &mut seen).await;
            });
            for (fault, count) in life.files.fired() {
                *seen.fired.entry(fault).or_default() += count;
            }
            Ok(())
        })
        .unwrap();
    let seen = seen.into_inner().unwrap();
    assert_eq!(seen.fired.len(), 9, "every fault came true: {seen:?}");
    let counts =
        [seen.full, seen.poisoned, seen.unknown_kept, seen.unknown_lost, seen.failed_opens, seen.trimmed];
    assert!(counts.iter().all(|count| *count > 0), "{seen:?}");
}

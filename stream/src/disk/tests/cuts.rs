//! Power cuts by the thousand: random lives of a log, in each of which the power
//! goes again and again, while it is written, trimmed, or being opened after the
//! cut before.
//!
//! `cargo xtask power` runs 100,000 of them.

use std::ops::AddAssign;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use weir_runtime::ByteSize;

use super::harness::{Contents, append, config, open_as, other_process, partition, read_all, record, run};
use super::life::{boxed, join_all};
use crate::disk::files::simulated::lives::{CUTS_PER_LIFE, Cuts, Lived, live_all};
use crate::disk::files::simulated::{Fault, SimulatedFiles};
use crate::disk::{DiskConfig, DiskLog, Fsync};
use crate::{AppendError, Offset, Record, Subscribe};

/// Of the ordinary test.
const CUTS: u64 = 3_000;

/// What was seen, over all lives.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    cuts: Cuts,
    /// Cuts while a log was being opened.
    cuts_at_opening: u64,
    kills: u64,
    poisoned: u64,
    full: u64,
    trims: u64,
    acknowledged: u64,
    /// Acknowledged records that were read after a cut, each as often as it was.
    read: u64,
    unanswered_kept: u64,
    unanswered_lost: u64,
}

impl AddAssign for Seen {
    fn add_assign(&mut self, other: Self) {
        let Self {
            cuts,
            cuts_at_opening,
            kills,
            poisoned,
            full,
            trims,
            acknowledged,
            read,
            unanswered_kept,
            unanswered_lost,
        } = other;
        self.cuts += cuts;
        self.cuts_at_opening += cuts_at_opening;
        self.kills += kills;
        self.poisoned += poisoned;
        self.full += full;
        self.trims += trims;
        self.acknowledged += acknowledged;
        self.read += read;
        self.unanswered_kept += unanswered_kept;
        self.unanswered_lost += unanswered_lost;
    }
}

/// The log, and what must be in it.
struct Life {
    files: SimulatedFiles,
    config: DiskConfig,
    random: SmallRng,
    acknowledged: Vec<Record>,
    /// Sent in this order behind them, without an answer.
    unanswered: Vec<Record>,
    trimmed: u64,
    sent: u64,
    seen: Seen,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let fsync = if random.random_bool(0.8) { Fsync::Group } else { Fsync::Always };
        let config = DiskConfig {
            segment_bytes: ByteSize(random.random_range(400..3_000)),
            tail_bytes: ByteSize(if random.random() { 0 } else { 2_000 }),
            fsync,
            ..config()
        };
        let (files, seen) = (SimulatedFiles::new(), Seen::default());
        Self {
            files,
            config,
            random,
            acknowledged: Vec::new(),
            unanswered: Vec::new(),
            trimmed: 0,
            sent: 0,
            seen,
        }
    }

    /// Lives until the power has gone so often, and once more without.
    async fn live(mut self, cuts: u64) -> Seen {
        while self.seen.cuts.count < cuts {
            self.files.cut_power_at(self.random.random_range(0..100));
            while !self.files.is_dead() {
                self.work().await;
            }
            self.cut_power();
        }
        let log = self.open().expect("nothing stands in the way");
        self.look(&log).await;
        self.seen
    }

    /// A process: opens the log and writes to it, until the power goes or
    /// something else does.
    async fn work(&mut self) {
        let Some(log) = self.open() else {
            self.seen.cuts_at_opening += 1;
            return;
        };
        self.look(&log).await;
        while !self.files.is_dead() {
            match self.random.random_range(0..100) {
                0..60 => self.append(&log).await,
                60..75 => self.trim(&log).await,
                75..80 => return drop(log),
                80..85 => {
                    // What it leaves is in the system's cache.
                    self.seen.kills += 1;
                    drop(log);
                    self.files.forget_faults();
                    return;
                }
                85..90 => self.files.leave_space(Some(self.random.random_range(0..600))),
                _ => {
                    let fault = self.any_fault();
                    self.files.fail_next(fault);
                }
            }
            if !self.unanswered.is_empty() {
                // It takes no more: the process ends, and another one comes.
                self.files.forget_faults();
                return;
            }
        }
    }

    fn any_fault(&mut self) -> Fault {
        const FAULTS: [Fault; 9] = [
            Fault::ShortWrite,
            Fault::TornWrite,
            Fault::WriteError,
            Fault::NoSpace,
            Fault::SyncError,
            Fault::SyncNoSpace,
            Fault::SyncDirError,
            Fault::CreateError,
            Fault::CutError,
        ];
        FAULTS[self.random.random_range(0..FAULTS.len())]
    }

    /// None when the power is out.
    fn open(&mut self) -> Option<DiskLog> {
        loop {
            match open_as(&self.files, self.config.clone()) {
                Ok(log) => return Some(log),
                Err(_) if self.files.is_dead() => return None,
                Err(error) => {
                    // A process that cannot start; somebody sees to the disk.
                    assert!(!self.files.fired().is_empty(), "{error:?}");
                    self.files.forget_faults();
                    self.files.leave_space(None);
                }
            }
        }
    }

    async fn append(&mut self, log: &DiskLog) {
        let requests: Vec<Vec<Record>> = (0..self.random.random_range(1..5))
            .map(|_| (0..self.random.random_range(1..4)).map(|_| self.next_record()).collect())
            .collect();
        let appends = requests.iter().map(|records| boxed(append(log, records.clone())));
        let answers = join_all(appends.collect()).await;
        for (records, answer) in requests.into_iter().zip(answers) {
            match answer {
                Ok(first) => {
                    assert_eq!(first.0, self.acknowledged.len() as u64, "offsets follow without a gap");
                    assert!(self.unanswered.is_empty(), "an answer after a failure");
                    self.seen.acknowledged += records.len() as u64;
                    self.acknowledged.extend(records);
                }
                Err(AppendError::Full { .. }) => self.seen.full += 1,
                Err(AppendError::Poisoned { .. }) => {
                    self.seen.poisoned += 1;
                    self.unanswered.extend(records);
                }
                Err(error) => panic!("{error:?}"),
            }
        }
    }

    fn next_record(&mut self) -> Record {
        self.sent += 1;
        let bytes = match self.random.random_range(0..20) {
            0 => self.random.random_range(4_000..5_000),
            _ => self.random.random_range(0..300),
        };
        record(self.sent, bytes)
    }

    async fn trim(&mut self, log: &DiskLog) {
        let before = self.random.random_range(self.trimmed..=self.acknowledged.len() as u64);
        self.trimmed = before;
        self.seen.trims += 1;
        // It may fail, and may then have deleted some.
        let _ = log.reader().trim(&partition(), Offset(before)).await;
    }

    /// Everything that was acknowledged is there, unless it was trimmed; of what
    /// was not, the first records may be.
    async fn look(&mut self, log: &DiskLog) {
        let contents = read_all(&log.reader()).await;
        let acknowledged = self.acknowledged.len() as u64;
        let kept = contents.end.checked_sub(acknowledged).expect("it ends below what was acknowledged");
        let unanswered = std::mem::take(&mut self.unanswered);
        assert!(kept <= unanswered.len() as u64, "{kept} records that nobody sent");
        self.seen.unanswered_kept += kept;
        self.seen.unanswered_lost += unanswered.len() as u64 - kept;
        self.acknowledged.extend(unanswered.into_iter().take(kept as usize));
        self.check(&contents);
        assert_eq!(read_all(&other_process(&self.files)).await, contents);
        self.seen.read += contents.records.len() as u64;
    }

    fn check(&self, contents: &Contents) {
        assert_eq!(contents.lost, [], "nothing is lost");
        assert!(contents.start <= self.trimmed, "trimmed to {}", contents.start);
        for offset in contents.start..contents.end {
            assert_eq!(contents.records[&offset], self.acknowledged[offset as usize], "offset {offset}");
        }
    }

    fn cut_power(&mut self) {
        self.seen.cuts.cut(&self.files, self.random.random());
        self.files.leave_space(None);
    }
}

#[test]
fn power_cuts() {
    let Lived { seen, cuts, seeds } = live_all(CUTS, |seed| run(Life::new(seed).live(CUTS_PER_LIFE)));
    println!("seeds {seeds:?}, 0 acknowledged lost: {seen:#?}");
    // A run in which nothing was at stake proves nothing.
    assert!(seen.cuts.count >= cuts);
    for at_least in [
        seen.cuts.with_bytes * 4,
        seen.cuts.with_names * 20,
        seen.cuts_at_opening * 20,
        seen.unanswered_lost * 10,
        seen.unanswered_kept * 40,
    ] {
        assert!(at_least >= cuts || cuts < 1_000, "{seen:?}");
    }
    assert!(seen.read > 10 * cuts, "{seen:?}");
}

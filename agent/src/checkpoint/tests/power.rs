//! Power cuts under a checkpoint: everything whose writing returned is restored,
//! and it always opens.

use std::collections::BTreeMap;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use weir_stream::disk::files::simulated::{Fault, SimulatedFiles, Unsynced, asked_for};

use super::*;

/// Of the ordinary test.
const CUTS: u64 = 1_000;

const CUTS_PER_LIFE: u64 = 10;

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    cuts: u64,
    cuts_with_bytes: u64,
    cuts_with_names: u64,
    written: u64,
    rewritten: u64,
    failed: u64,
    unanswered_kept: u64,
}

/// A checkpoint, and what must be in it.
struct Life {
    files: SimulatedFiles,
    random: SmallRng,
    /// Per file how far it is acknowledged.
    known: BTreeMap<u64, u64>,
    /// Who the agent is, once that was told.
    head: Option<Head>,
    /// Given to a write that failed, in this order.
    unknown: Vec<(u64, u64)>,
    next: u64,
    seen: Seen,
}

impl Life {
    fn new(seed: u64) -> Self {
        let files = SimulatedFiles::new();
        files.create_dir(Path::new("/state")).expect("created");
        files.sync_dir(Path::new("/")).expect("synced");
        Self {
            files,
            random: SmallRng::seed_from_u64(seed),
            known: BTreeMap::new(),
            head: None,
            unknown: Vec::new(),
            next: 0,
            seen: Seen::default(),
        }
    }

    fn live(mut self) -> Seen {
        while self.seen.cuts < CUTS_PER_LIFE {
            self.files.cut_power_at(self.random.random_range(0..40));
            while !self.files.is_dead() {
                self.process();
                self.files.forget_faults();
            }
            let before = self.files.dropped();
            self.files.cut_power(Unsynced::Random(self.random.random()));
            let after = self.files.dropped();
            self.seen.cuts += 1;
            self.seen.cuts_with_bytes += u64::from(after.bytes > before.bytes);
            self.seen.cuts_with_names += u64::from(after.names > before.names);
        }
        self.open().expect("nothing stands in the way");
        self.seen
    }

    /// Opens, writes some, and is killed, or fails.
    fn process(&mut self) {
        let Some(mut checkpoint) = self.open() else { return };
        for _ in 0..self.random.random_range(0..8) {
            if self.random.random_bool(0.1) {
                let faults = [Fault::SyncError, Fault::TornWrite, Fault::ShortWrite, Fault::NoSpace];
                self.files.fail_next(faults[self.random.random_range(0..faults.len())]);
            }
            let changes: Vec<(u64, u64)> = (0..self.random.random_range(1..4))
                .map(|_| {
                    self.next += 1;
                    (self.random.random_range(0..5), self.next)
                })
                .collect();
            let is_rewrite = self.random.random_bool(0.15);
            let written = if is_rewrite {
                let mut all = self.known.clone();
                all.extend(changes.iter().copied());
                checkpoint.rewrite(all.into_iter().map(|(key, to)| write(vec![entry(key, to)], vec![], None)))
            } else {
                let lines = changes.iter().map(|(key, to)| write(vec![entry(*key, *to)], vec![], None));
                checkpoint.append(lines)
            };
            match written {
                Ok(()) => {
                    self.seen.written += 1;
                    self.seen.rewritten += u64::from(is_rewrite);
                    self.known.extend(changes);
                }
                Err(_) => {
                    self.seen.failed += 1;
                    self.unknown = changes;
                    return;
                }
            }
        }
    }

    /// What is restored is what was written; of a write that failed, the first
    /// lines. None when the power is out.
    fn open(&mut self) -> Option<Checkpoint> {
        let lock = tempfile::tempfile().expect("a file");
        let opened = Checkpoint::open_on(Arc::new(self.files.clone()), Path::new("/state"), lock, 4);
        let (checkpoint, restored) = match opened {
            Ok(opened) => opened,
            Err(_) if self.files.is_dead() => return None,
            Err(error) => panic!("{error:?}"),
        };
        match self.head {
            Some(head) => assert_eq!(checkpoint.head(), head, "it is another agent"),
            None => self.head = Some(checkpoint.head()),
        }
        let found: BTreeMap<u64, u64> =
            restored.files.iter().map(|entry| (entry.key.0, entry.streams[0].acknowledged)).collect();
        let unknown = std::mem::take(&mut self.unknown);
        let prefixes = (0..=unknown.len()).map(|taken| {
            let mut state = self.known.clone();
            state.extend(unknown[..taken].iter().copied());
            (taken, state)
        });
        let Some((taken, state)) = prefixes.into_iter().find(|(_, state)| *state == found) else {
            panic!("{found:?} was restored of {:?} and perhaps {unknown:?}", self.known);
        };
        self.seen.unanswered_kept += taken as u64;
        self.known = state;
        Some(checkpoint)
    }
}

#[test]
fn power_cuts_under_a_checkpoint() {
    let (cuts, first) = asked_for(CUTS);
    let mut seen = Seen::default();
    for seed in first..first + cuts.div_ceil(CUTS_PER_LIFE) {
        let life = std::panic::AssertUnwindSafe(|| Life::new(seed).live());
        let Ok(of_life) = std::panic::catch_unwind(life) else {
            panic!("WEIR_POWER_SEED={seed} WEIR_POWER_CUTS={CUTS_PER_LIFE} shows it again");
        };
        seen.cuts += of_life.cuts;
        seen.cuts_with_bytes += of_life.cuts_with_bytes;
        seen.cuts_with_names += of_life.cuts_with_names;
        seen.written += of_life.written;
        seen.rewritten += of_life.rewritten;
        seen.failed += of_life.failed;
        seen.unanswered_kept += of_life.unanswered_kept;
    }
    println!("seeds from {first}, 0 acknowledged lost: {seen:#?}");
    if cuts >= CUTS {
        let often =
            [seen.cuts_with_bytes * 10, seen.cuts_with_names * 20, seen.failed * 4, seen.rewritten * 5];
        assert!(often.iter().all(|often| *often >= cuts), "{seen:?}");
        assert!(seen.unanswered_kept > cuts / 50, "{seen:?}");
    }
}

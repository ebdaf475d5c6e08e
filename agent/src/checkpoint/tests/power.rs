//! Power cuts under a checkpoint: everything whose writing returned is restored,
//! and it always opens.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use weir_stream::disk::files::simulated::lives::{CUTS_PER_LIFE, Cuts, Lived, live_all};
use weir_stream::disk::files::simulated::{Fault, SimulatedFiles};

use super::*;

/// Of the ordinary test.
const CUTS: u64 = 1_000;

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    cuts: Cuts,
    written: u64,
    rewritten: u64,
    failed: u64,
    unanswered_kept: u64,
}

impl AddAssign for Seen {
    fn add_assign(&mut self, other: Self) {
        let Self { cuts, written, rewritten, failed, unanswered_kept } = other;
        self.cuts += cuts;
        self.written += written;
        self.rewritten += rewritten;
        self.failed += failed;
        self.unanswered_kept += unanswered_kept;
    }
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
        while self.seen.cuts.count < CUTS_PER_LIFE {
            self.files.cut_power_at(self.random.random_range(0..40));
            while !self.files.is_dead() {
                self.process();
                self.files.forget_faults();
            }
            self.seen.cuts.cut(&self.files, self.random.random());
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
    let Lived { seen, cuts, seeds } = live_all(CUTS, |seed| Life::new(seed).live());
    println!("seeds {seeds:?}, 0 acknowledged lost: {seen:#?}");
    // A run in which nothing was at stake proves nothing.
    if cuts >= CUTS {
        let often =
            [seen.cuts.with_bytes * 10, seen.cuts.with_names * 20, seen.failed * 4, seen.rewritten * 5];
        assert!(often.iter().all(|often| *often >= cuts), "{seen:?}");
        assert!(seen.unanswered_kept > cuts / 50, "{seen:?}");
    }
}

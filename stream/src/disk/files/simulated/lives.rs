//! Lives by the thousand, in each of which the power goes again and again: what the
//! tests of all that is kept on a disk have in common.

use std::ops::{AddAssign, Range};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::{SimulatedFiles, Unsynced};

/// How often the power goes in one life.
pub const CUTS_PER_LIFE: u64 = 10;

/// Power cuts, and what they took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cuts {
    /// How many.
    pub count: u64,
    /// Those that took bytes that were written and not synced.
    pub with_bytes: u64,
    /// Those that took names, or gave them back.
    pub with_names: u64,
    /// Bytes that were taken.
    pub bytes: u64,
}

impl Cuts {
    /// Cuts the power. Of what is not synced the seed chooses what is left.
    pub fn cut(&mut self, files: &SimulatedFiles, seed: u64) {
        let before = files.dropped();
        files.cut_power(Unsynced::Random(seed));
        let after = files.dropped();
        self.count += 1;
        self.with_bytes += u64::from(after.bytes > before.bytes);
        self.with_names += u64::from(after.names > before.names);
        self.bytes += after.bytes - before.bytes;
    }
}

impl AddAssign for Cuts {
    fn add_assign(&mut self, other: Self) {
        let Self { count, with_bytes, with_names, bytes } = other;
        self.count += count;
        self.with_bytes += with_bytes;
        self.with_names += with_names;
        self.bytes += bytes;
    }
}

/// Lives that were lived.
#[derive(Debug)]
pub struct Lived<S> {
    /// What was seen in them, added up.
    pub seen: S,
    /// How many cuts were asked for.
    pub cuts: u64,
    /// Their seeds.
    pub seeds: Range<u64>,
}

/// Lives as many lives as have `cuts` power cuts, each by its seed, on all cores.
/// `WEIR_POWER_CUTS` asks for another number of cuts, `WEIR_POWER_SEED` for another
/// first life.
///
/// A life that panics is told with how to see it again.
pub fn live_all<S: AddAssign + Default + Send>(cuts: u64, life: impl Fn(u64) -> S + Sync) -> Lived<S> {
    let (cuts, first) = (asked_for("WEIR_POWER_CUTS", cuts), asked_for("WEIR_POWER_SEED", 1));
    let end = first + cuts.div_ceil(CUTS_PER_LIFE);
    let (next, seen) = (AtomicU64::new(first), Mutex::new(S::default()));
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return;
        }
        match catch_unwind(AssertUnwindSafe(|| life(seed))) {
            Ok(of_life) => *seen.lock().unwrap_or_else(PoisonError::into_inner) += of_life,
            Err(_) => panic!("WEIR_POWER_SEED={seed} WEIR_POWER_CUTS={CUTS_PER_LIFE} shows it again"),
        }
    };
    thread::scope(|scope| {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker.join().expect("a life without loss");
        }
    });
    let seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
    Lived { seen, cuts, seeds: first..end }
}

fn asked_for(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

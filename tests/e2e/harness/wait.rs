//! Conditions instead of sleeps, and seeds that are printed.

use std::time::{Duration, Instant};

/// Longest wait for anything; a slow machine needs most of it, a broken
/// product all of it.
const PATIENCE: Duration = Duration::from_secs(90);

/// Calls `probe` until it gives a value, or panics with its last complaint.
pub(crate) fn eventually<T>(what: &str, mut probe: impl FnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    loop {
        match probe() {
            Ok(value) => return value,
            Err(complaint) if started.elapsed() > PATIENCE => {
                panic!("{what}: not within {PATIENCE:?}: {complaint}")
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// The seed of a random test: drawn anew each run, fixed by `WEIR_SEED`, and
/// always printed.
pub(crate) fn seed(test: &str) -> u64 {
    let seed = match std::env::var("WEIR_SEED") {
        Ok(text) => text.parse().expect("WEIR_SEED is a number"),
        Err(_) => rand::random(),
    };
    println!("{test}: WEIR_SEED={seed}");
    seed
}

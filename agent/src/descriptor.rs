//! How many files may be held open, and how many are.
//!
//! A descriptor held is what saves the lines of a file that is renamed or
//! deleted before it was read. A process may have so many (`RLIMIT_NOFILE`);
//! three quarters of that are for files, the rest, 64 at least, is for sockets,
//! spools, the event log and whatever else lives in the process. Beyond it, files at rest
//! give theirs up, see `reader/hold.rs`.

use std::fs::File;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More is never asked for: a kernel's table for each process grows with it.
const PROCESS_MAX: u64 = 1 << 20;

/// Fewer are never lived with: this many files are read at a time.
const LIMIT_MIN: usize = 16;

/// What everything else in the process has at least.
const OTHERS_MIN: u64 = 64;

/// The descriptors of files that are read.
#[derive(Debug)]
pub(crate) struct Descriptors {
    held: Arc<AtomicUsize>,
    limit: usize,
}

/// An open file that counts until it is dropped.
#[derive(Debug)]
pub(crate) struct Descriptor {
    file: File,
    held: Arc<AtomicUsize>,
}

/// How many descriptors files may have in this process. Raises what the
/// process may open as far as it is allowed to.
pub(crate) fn allowance() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(PROCESS_MAX, |maximum| maximum.min(PROCESS_MAX));
    let mut allowed = current.unwrap_or(PROCESS_MAX);
    if allowed < wanted {
        match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum }) {
            Ok(()) => allowed = wanted,
            Err(error) => {
                tracing::warn!(%error, allowed, wanted, "the limit of open files cannot be raised");
            }
        }
    }
    share(allowed.min(PROCESS_MAX))
}

fn share(allowed: u64) -> usize {
    let others = (allowed / 4).max(OTHERS_MIN);
    usize::try_from(allowed.saturating_sub(others)).unwrap_or(usize::MAX).max(LIMIT_MIN)
}

impl Descriptors {
    /// At most so many at a time.
    pub(crate) fn new(limit: usize) -> Self {
        Self { held: Arc::default(), limit: limit.max(LIMIT_MIN) }
    }

    /// Counts an opened file as held.
    pub(crate) fn hold(&self, file: File) -> Descriptor {
        self.held.fetch_add(1, Ordering::Relaxed);
        Descriptor { file, held: Arc::clone(&self.held) }
    }

    /// How many are held.
    pub(crate) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// How many may be.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// From now on at most so many.
    pub(crate) fn set_limit(&mut self, limit: usize) {
        self.limit = limit.max(LIMIT_MIN);
    }

    /// The kernel gives no more than there are now: others in the process, or
    /// on the host, have the rest.
    pub(crate) fn exhausted(&mut self) {
        self.limit = (self.held() / 8 * 7).clamp(LIMIT_MIN, self.limit);
    }
}

impl Default for Descriptors {
    /// Without a limit.
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

impl Deref for Descriptor {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        self.held.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_counts_until_it_is_dropped() {
        let mut descriptors = Descriptors::new(100);
        let file = || tempfile::tempfile().expect("a temporary file");
        let held: Vec<_> = (0..40).map(|_| descriptors.hold(file())).collect();
        assert_eq!((descriptors.held(), descriptors.limit()), (40, 100));
        descriptors.exhausted();
        assert_eq!(descriptors.limit(), 35);
        drop(held);
        descriptors.exhausted();
        assert_eq!((descriptors.held(), descriptors.limit()), (0, LIMIT_MIN));
    }

    #[test]
    fn a_quarter_of_what_the_process_may_open_is_left_to_others() {
        assert_eq!((share(1024), share(65_536), share(96), share(4)), (768, 49_152, 32, LIMIT_MIN));
        let limit = allowance();
        assert!(limit <= share(PROCESS_MAX), "{limit}");
        assert_eq!(limit, allowance(), "it was raised the first time");
    }
}

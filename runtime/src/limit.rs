//! Hard limits that a process puts on itself.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use thiserror::Error;

/// A limit the kernel did not accept.
#[derive(Debug, Error)]
pub enum LimitError {
    /// The memory limit.
    #[error("cannot limit the memory of this process to {bytes} bytes")]
    Memory {
        /// What was asked for.
        bytes: u64,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The number of open files.
    #[error("cannot raise the number of open files")]
    OpenFiles(#[source] std::io::Error),
}

/// Raises the number of files and connections this process may hold open to
/// what the system allows it. The usual 1,024 is a relic of `select(2)` and
/// too few for a node with many containers.
pub fn raise_open_files() -> Result<(), LimitError> {
    let held = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: held.maximum, maximum: held.maximum };
    setrlimit(Resource::Nofile, wanted).map_err(|error| LimitError::OpenFiles(error.into()))
}

/// Limits the private memory of this process for the rest of its life: an
/// allocation past it fails, which ends a Rust process, and nobody else's.
///
/// It counts mapped, not touched, memory: heap, thread stacks and private
/// anonymous maps, but not the program and its files. So it stops a runaway
/// query before the kernel's out-of-memory killer picks another process; set
/// it well above what the process is meant to use. A limit that is already
/// lower stays.
pub fn memory(bytes: u64) -> Result<(), LimitError> {
    let held = getrlimit(Resource::Data);
    let lowest = |limit: Option<u64>| Some(limit.map_or(bytes, |limit| limit.min(bytes)));
    let wanted = Rlimit { current: lowest(held.current), maximum: lowest(held.maximum) };
    setrlimit(Resource::Data, wanted).map_err(|error| LimitError::Memory { bytes, source: error.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child::tests::again;

    #[test]
    fn the_soft_limit_of_open_files_meets_the_hard_one() {
        raise_open_files().expect("raised");
        let held = getrlimit(Resource::Nofile);
        assert_eq!(held.current, held.maximum);
    }

    #[test]
    fn an_allocation_past_the_limit_fails_and_one_below_does_not() {
        const LIMIT: u64 = 512 << 20;
        // The limit holds for the whole process, so it gets one of its own.
        if again::is_child() {
            let reserve = |mib: usize| Vec::<u8>::new().try_reserve_exact(mib << 20).is_ok();
            assert!(reserve(1024), "allocates before");
            memory(LIMIT).expect("limited");
            assert!(!reserve(1024), "refused after");
            assert!(reserve(16), "still works below");
            memory(2 * LIMIT).expect("a wider limit is accepted");
            assert!(!reserve(768), "and changes nothing");
            return;
        }
        let status =
            again::command("limit::tests::an_allocation_past_the_limit_fails_and_one_below_does_not")
                .status()
                .expect("started");
        assert!(status.success());
    }
}

//! Signals: who sent them matters, and how a command died does, too.

use std::io;

use rustix::process::{Pid, Resource, Rlimit, Signal, getpid, kill_process, setrlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::emulate_default_handler;
use signal_hook::low_level::siginfo::Cause;

/// A signal that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    number: i32,
    /// The kernel sent it, as a terminal's Ctrl-C is sent: to everybody who
    /// runs there, the command included.
    is_from_terminal: bool,
}

impl Heard {
    /// What a command may be told to do.
    pub(crate) const ALL: [i32; 7] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH];

    /// What asks a filter to end.
    pub(crate) const ENDING: [i32; 2] = [SIGINT, SIGTERM];

    /// From now on these signals do not end the process, but are told. Those
    /// that were ignored, as `nohup` sets it up, stay so, for the command, too.
    ///
    /// # Errors
    /// There is no handler, or no thread.
    pub(crate) fn hear(numbers: &[i32], mut tell: impl FnMut(Self) + Send + 'static) -> io::Result<()> {
        let ignored = ignored(&std::fs::read_to_string("/proc/self/status").unwrap_or_default());
        let heard = numbers.iter().filter(|number| ignored & bit(**number) == 0);
        let mut signals = SignalsInfo::<WithOrigin>::new(heard)?;
        let hearing = std::thread::Builder::new().name("signals".to_owned());
        hearing.spawn(move || {
            for origin in &mut signals {
                let is_from_terminal = origin.cause == Cause::Kernel;
                tell(Self { number: origin.signal, is_from_terminal });
            }
        })?;
        Ok(())
    }

    /// Passes it on to the command, unless that has it already.
    pub(crate) fn forward(self, to: Pid) {
        if self.is_from_terminal {
            return;
        }
        if let Some(signal) = Signal::from_named_raw(self.number) {
            // Nobody is there any more: its end is heard of elsewhere.
            let _ = kill_process(to, signal);
        }
    }

    /// True when it asks a process to end.
    pub(crate) fn asks_to_end(self) -> bool {
        matches!(self.number, SIGINT | SIGTERM | SIGQUIT | SIGHUP)
    }
}

/// Dies as the command died, so that whoever waits sees the same. Returns only
/// where that is impossible, as for the first process of a container.
pub(crate) fn die_of(signal: i32) {
    // One memory image is enough, and that of the command is the one of use.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let _ = emulate_default_handler(signal);
    if let Some(signal) = Signal::from_named_raw(signal) {
        let _ = kill_process(getpid(), signal);
    }
}

/// The signals that `/proc/PID/status` says are ignored, a bit each.
fn ignored(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn bit(number: i32) -> u64 {
    u32::try_from(number - 1).ok().and_then(|shift| 1_u64.checked_shl(shift)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_ignored_is_read_from_proc() {
        let status = "Name:\tweir\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored(status), bit(SIGHUP) | bit(13));
        assert_eq!((ignored(""), ignored("SigIgn:\tx")), (0, 0));
    }
}

//! The faults that really happened: what, when, and how soon Weir was live again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::probe::Seen;

/// Longest until something that is written after a fault is to be seen.
pub(crate) const LIVE: Duration = Duration::from_secs(30);

/// One that is over.
#[derive(Clone, Debug)]
struct Fault {
    kind: String,
    /// When whoever was killed was started again, or whoever was held let go.
    over: Instant,
    /// Commits that were counted until then.
    commits: u64,
}

/// All of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    /// One is over just now.
    pub(crate) fn over(&mut self, kind: &str, commits: u64) {
        self.0.push(Fault { kind: kind.to_owned(), over: Instant::now(), commits });
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// How many there were of each kind.
    pub(crate) fn kinds(&self) -> BTreeMap<String, u64> {
        let mut kinds = BTreeMap::new();
        for fault in &self.0 {
            *kinds.entry(fault.kind.clone()).or_default() += 1;
        }
        kinds
    }

    /// How many were of kinds that begin so.
    pub(crate) fn of_kind(&self, beginning: &str) -> u64 {
        self.0.iter().filter(|fault| fault.kind.starts_with(beginning)).count() as u64
    }

    /// When each was over.
    pub(crate) fn times(&self) -> Vec<Instant> {
        self.0.iter().map(|fault| fault.over).collect()
    }

    /// When the last one was over.
    pub(crate) fn last(&self) -> Option<Instant> {
        self.0.last().map(|fault| fault.over)
    }

    /// Between how many of them, one after the other, something was committed.
    pub(crate) fn with_commits_between(&self) -> u64 {
        let pairs = self.0.iter().zip(self.0.iter().skip(1));
        pairs.filter(|(one, next)| next.commits > one.commits).count() as u64
    }

    /// The slowest recovery of each kind, and the faults after which there was none.
    /// Where one came before Weir had recovered from another, both are recovered from
    /// when the first is, and the time is counted from the last of them.
    pub(crate) fn recoveries(&self, seen: &Seen) -> (BTreeMap<String, Duration>, Vec<String>) {
        let (mut slowest, mut dead) = (BTreeMap::new(), Vec::new());
        for (number, fault) in self.0.iter().enumerate() {
            match seen.live_after(fault.over) {
                Some(took) => {
                    let took = self.since_last(fault.over + took);
                    let of_kind = slowest.entry(fault.kind.clone()).or_insert(Duration::ZERO);
                    *of_kind = took.max(*of_kind);
                    if took > LIVE {
                        dead.push(format!("{} ({number}): live again after {took:.1?}", fault.kind));
                    }
                }
                None => dead.push(format!("{} ({number}): never live again", fault.kind)),
            }
        }
        (slowest, dead)
    }

    /// How long before a moment the last fault was over.
    fn since_last(&self, moment: Instant) -> Duration {
        let before = self.0.iter().rev().find(|fault| fault.over <= moment);
        before.map_or(Duration::ZERO, |fault| moment.saturating_duration_since(fault.over))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_without_a_commit_between_them_are_told_apart() {
        let mut faults = Faults::default();
        for (kind, commits) in [("kill a", 1), ("kill b", 1), ("kill a", 4), ("kill a", 5)] {
            faults.over(kind, commits);
        }
        assert_eq!((faults.count(), faults.with_commits_between()), (4, 2));
        assert_eq!(faults.kinds(), [("kill a".to_owned(), 3), ("kill b".to_owned(), 1)].into());
    }

    #[test]
    fn the_time_of_recovery_is_counted_from_the_last_fault_before_it() {
        let start = Instant::now();
        let fault =
            |seconds| Fault { kind: "kill".into(), over: start + Duration::from_secs(seconds), commits: 0 };
        let faults = Faults([10, 20, 50].map(fault).to_vec());
        let check = |moment: u64, since: u64| {
            let found = faults.since_last(start + Duration::from_secs(moment));
            assert_eq!(found, Duration::from_secs(since), "{moment}");
        };
        check(15, 5);
        check(49, 29);
        check(50, 0);
        check(90, 40);
    }

    #[test]
    fn a_fault_after_which_nothing_lived_is_named() {
        let mut faults = Faults::default();
        faults.over("kill", 0);
        let (_, dead) = faults.recoveries(&Seen::default());
        assert_eq!(dead, ["kill (0): never live again"]);
    }
}

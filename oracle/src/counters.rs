//! What the processes count of themselves, added up over all their lives: a
//! killed process takes its counters along, so they are read all the time. What
//! was counted between the last reading and a kill is missing: a lower bound.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::http;
use crate::worker::Worker;

const INTERVAL: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(2);

/// Appends that a disk log refused for want of room.
pub(crate) const FULL: &str = "weir_stream_full_total";
/// Flushes that were published.
pub(crate) const COMMITS: &str = "weir_ingest_flushes_total";
/// Partitions that an ingester had and another took.
pub(crate) const TERMS_LOST: &str = "weir_ingest_terms_lost_total";
/// Partitions that were given to another.
pub(crate) const HANDOVERS: &str = "weir_ingest_handovers_total";
/// Partitions in an ingester's hands; a gauge.
pub(crate) const PARTITIONS: &str = "weir_ingest_partitions";

const KNOWN: [&str; 5] = [FULL, COMMITS, TERMS_LOST, HANDOVERS, PARTITIONS];

/// Who runs, and what each life of a node counted. Cloning shares.
#[derive(Clone, Default)]
pub(crate) struct Board(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    running: BTreeMap<String, (SocketAddr, u64)>,
    counted: BTreeMap<(String, u64), BTreeMap<&'static str, u64>>,
}

impl Board {
    /// A node runs here, in this life.
    pub(crate) fn runs(&self, name: &str, at: (SocketAddr, u64)) {
        self.state().running.insert(name.to_owned(), at);
    }

    /// It does not run any more.
    pub(crate) fn gone(&self, name: &str) {
        self.state().running.remove(name);
    }

    /// A counter over all nodes and lives.
    pub(crate) fn sum(&self, counter: &str) -> u64 {
        self.state().counted.values().filter_map(|of| of.get(counter)).sum()
    }

    /// What a node's present life last said.
    pub(crate) fn now(&self, name: &str, counter: &str) -> Option<u64> {
        let state = self.state();
        let (_, generation) = state.running.get(name)?;
        state.counted.get(&(name.to_owned(), *generation))?.get(counter).copied()
    }

    /// Reads the counters of one node right now.
    pub(crate) fn read(&self, name: &str) {
        let found = self.state().running.get(name).copied();
        if let Some((address, generation)) = found {
            self.read_life(name, address, generation);
        }
    }

    /// Reads all nodes' counters until told to end.
    pub(crate) fn follow(&self) -> Worker {
        let board = self.clone();
        Worker::start("counters", move |stop| {
            while !stop.wait(INTERVAL) {
                let running = board.state().running.clone();
                for (name, (address, generation)) in running {
                    board.read_life(&name, address, generation);
                }
            }
        })
    }

    fn read_life(&self, name: &str, address: SocketAddr, generation: u64) {
        let Ok(answer) = http::request(address, ("GET", "/metrics"), &[], b"", PATIENCE) else { return };
        if !answer.is_success() {
            return;
        }
        let mut state = self.state();
        // The port is the node's: the answer may be from its next life.
        if state.running.get(name).is_none_or(|(_, now)| *now != generation) {
            return;
        }
        let counted = state.counted.entry((name.to_owned(), generation)).or_default();
        counted.extend(values(&answer.text()));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The counters that matter, of OpenMetrics text.
fn values(text: &str) -> Vec<(&'static str, u64)> {
    let value = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        let known = KNOWN.iter().find(|known| **known == name)?;
        Some((*known, value.trim().parse().ok()?))
    };
    text.lines().filter_map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_and_others_are_not() {
        let text = "# TYPE x counter\nweir_ingest_flushes_total 12\nweir_ingest_flushes_total_x 3\n\
                    weir_ingest_stored_rows_total{table=\"logs\"} 5\nweir_ingest_partitions 3\n# EOF\n";
        assert_eq!(values(text), [(COMMITS, 12), (PARTITIONS, 3)]);
    }

    #[test]
    fn lives_add_up() {
        let board = Board::default();
        for (generation, count) in [(1, 5), (2, 7)] {
            board.state().counted.entry(("a".into(), generation)).or_default().insert(COMMITS, count);
        }
        let at = (SocketAddr::from(([127, 0, 0, 1], 1)), 2);
        board.runs("a", at);
        assert_eq!((board.sum(COMMITS), board.now("a", COMMITS)), (12, Some(7)));
        assert_eq!((board.sum(TERMS_LOST), board.now("b", COMMITS)), (0, None));
    }
}

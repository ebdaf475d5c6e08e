//! The traces that were sent against those that are stored.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::demo::Sold;
use crate::http::Client;

/// How long after the last span all of them must be there.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(300);

/// How the traces compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Traces {
    /// Traces of which every span was sent.
    pub emitted: u64,
    /// Those that are stored with each of their spans once.
    pub complete: u64,
    /// Those that are not, or were not sent whole.
    pub incomplete: u64,
}

impl Traces {
    /// Waits until all are there, or for as long as is fair.
    pub(super) async fn reach(client: &Client, sold: &Sold) -> Result<Self> {
        let question = "SELECT trace_id, count(*), count(DISTINCT span_id) FROM spans GROUP BY trace_id";
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut stored = BTreeMap::new();
            for row in client.rows(question).await? {
                let count = |column: usize| row[column].as_u64().context("a count is a number");
                let trace = row[0].as_str().context("an id is text")?;
                stored.insert(trace.to_owned(), (count(1)?, count(2)?));
            }
            let traces = Self::compare(&sold.traces, &stored, sold.unsent);
            if traces.is_clean() || Instant::now() > deadline {
                return Ok(traces);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn compare(sent: &BTreeMap<String, u64>, stored: &BTreeMap<String, (u64, u64)>, unsent: u64) -> Self {
        let is_complete = |(trace, spans): &(&String, &u64)| stored.get(*trace) == Some(&(**spans, **spans));
        let complete = sent.iter().filter(is_complete).count() as u64;
        let emitted = sent.len() as u64;
        Self { emitted, complete, incomplete: (emitted - complete).max(unsent) }
    }

    /// The one of the two that is further from clean.
    pub(super) fn or_worse(self, other: Self) -> Self {
        if self.is_clean() { other } else { self }
    }

    /// There were some, and all are there.
    pub(super) fn is_clean(self) -> bool {
        self.complete > 0 && self.incomplete == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_complete_with_each_span_once() {
        let sent = BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 1), ("c".to_owned(), 3)]);
        let check = |stored: &[(&str, u64, u64)], unsent: u64, expected: (u64, u64)| {
            let stored = stored.iter().map(|(id, rows, spans)| ((*id).to_owned(), (*rows, *spans))).collect();
            let traces = Traces::compare(&sent, &stored, unsent);
            assert_eq!((traces.complete, traces.incomplete), expected, "{stored:?}");
            assert_eq!(traces.is_clean(), expected.1 == 0);
        };
        check(&[("a", 2, 2), ("b", 1, 1), ("c", 3, 3)], 0, (3, 0));
        check(&[("a", 2, 2), ("b", 1, 1), ("c", 2, 2)], 0, (2, 1));
        check(&[("a", 3, 2), ("b", 1, 1), ("c", 3, 3)], 0, (2, 1));
        check(&[("a", 2, 2), ("b", 1, 1), ("c", 3, 3)], 1, (3, 1));
        check(&[], 0, (0, 3));
        assert!(!Traces::compare(&BTreeMap::new(), &BTreeMap::new(), 0).is_clean(), "nothing proves nothing");
    }
}

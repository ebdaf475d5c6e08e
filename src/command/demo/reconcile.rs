//! What was written against what is stored, asked over the public port.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::demo::Emitted;
use crate::http::Client;

/// How long after the last line everything must be queryable.
const PATIENCE: Duration = Duration::from_secs(30);

/// A count that did not change for this long is final.
const SETTLED_AFTER: Duration = Duration::from_millis(500);

/// The lines of all rows and each one's own number, which is a field of a
/// structured line and a word of any other: a stack trace is one row of many
/// lines.
const COUNTS: &str = "\
    SELECT count(*), count(DISTINCT coalesce(field, regexp_match(line, 'seq=([a-z]+-[0-9]+)')[1])) \
    FROM (SELECT attributes['seq'] AS field, \
          unnest(string_to_array(CAST(line AS VARCHAR), chr(10))) AS line FROM log_lines)";

/// How the counts compare.
#[derive(Debug)]
pub(super) struct Verdict {
    /// Lines written.
    pub emitted: u64,
    /// Lines found in rows.
    pub stored: u64,
    /// Lines that are in no row.
    pub lost: u64,
    /// Lines found beyond the first time.
    pub duplicated: u64,
}

impl Verdict {
    /// Waits until all that was written is there, or for as long as is fair,
    /// then counts.
    pub(super) async fn reach(client: &Client, emitted: &Emitted, probes: u64) -> Result<Self> {
        let emitted = emitted.lines + probes;
        let deadline = Instant::now() + PATIENCE;
        let mut last = None;
        loop {
            let rows = client.rows(COUNTS).await?;
            let count = |column: usize| rows[0][column].as_u64().context("a count is a number");
            let (stored, distinct) = (count(0)?, count(1)?);
            let verdict = Self {
                emitted,
                stored,
                lost: emitted.saturating_sub(distinct),
                duplicated: stored.saturating_sub(distinct),
            };
            // A row that comes twice may come late: the count must stand still.
            let is_settled = verdict.lost == 0 && last == Some((stored, distinct));
            if is_settled || Instant::now() > deadline {
                return Ok(verdict);
            }
            last = Some((stored, distinct));
            tokio::time::sleep(SETTLED_AFTER).await;
        }
    }

    /// The one of the two that is further from clean.
    pub(super) fn or_worse(self, other: Self) -> Self {
        if self.is_clean() { other } else { self }
    }

    /// Nothing lost, nothing twice, nothing that was never written.
    pub(super) fn is_clean(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.stored == self.emitted
    }
}

//! How much may pass: the generic cell rate algorithm, for lines and for bytes
//! at once.
//!
//! A meter holds one time for each: when what has passed would all have been
//! due, had it come evenly. It may lie ahead of the present by the burst, and
//! no further. So in any window of `t` there pass at most `burst + t` of the
//! rate, and a meter is 24 bytes.

use weir_runtime::ByteSize;

use super::RateLimit;
use crate::tail::Moment;

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// A limit, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    lines_per_second: Option<u64>,
    bytes_per_second: Option<u64>,
    /// Nanoseconds.
    burst: i64,
}

/// What a record uses up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) lines: u64,
    pub(crate) bytes: u64,
}

/// What has passed. Times are in nanoseconds since the agent started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    lines_due: i64,
    bytes_due: i64,
    /// The present as the records tell it, which never goes back.
    now: i64,
}

impl Default for Meter {
    fn default() -> Self {
        Self { lines_due: i64::MIN, bytes_due: i64::MIN, now: i64::MIN }
    }
}

impl Rate {
    /// What a limit means; the error says what is wrong with it.
    pub(crate) fn new(limit: &RateLimit) -> Result<Self, &'static str> {
        let bytes_per_second = limit.bytes_per_second.map(|ByteSize(bytes)| bytes);
        if limit.lines_per_second.is_none() && bytes_per_second.is_none() {
            return Err("a limit has lines_per_second, bytes_per_second or both: write one, or leave it out");
        }
        if limit.lines_per_second == Some(0) || bytes_per_second == Some(0) {
            return Err(
                "a rate of 0 lets nothing pass: write 1 or more, or leave the files out of agent.tail",
            );
        }
        let burst = i64::try_from(limit.burst.0.as_nanos()).unwrap_or(i64::MAX);
        let has_room = |rate: Option<u64>| rate.is_none_or(|rate| cost(1, rate) <= burst);
        if !has_room(limit.lines_per_second) || !has_room(bytes_per_second) {
            return Err("burst is too short for a single line to pass: write 1s or more");
        }
        Ok(Self { lines_per_second: limit.lines_per_second, bytes_per_second, burst })
    }

    /// The rate, for people.
    pub(crate) fn describe(&self) -> String {
        let lines = self.lines_per_second.map(|lines| format!("{lines} lines/s"));
        let bytes = self.bytes_per_second.map(|bytes| format!("{bytes} bytes/s"));
        lines.into_iter().chain(bytes).collect::<Vec<_>>().join(" and ")
    }
}

impl Meter {
    /// Whether a record that was written `at` may pass.
    pub(crate) fn has_room(&mut self, rate: &Rate, record: Cost, at: i64) -> bool {
        self.now = self.now.max(at);
        let fits = |due: i64, units: u64, rate_units: Option<u64>| {
            let next = |units_per_second| due.max(self.now).saturating_add(cost(units, units_per_second));
            rate_units
                .is_none_or(|units_per_second| next(units_per_second).saturating_sub(self.now) <= rate.burst)
        };
        fits(self.lines_due, record.lines, rate.lines_per_second)
            && fits(self.bytes_due, record.bytes, rate.bytes_per_second)
    }

    /// It passes.
    pub(crate) fn charge(&mut self, rate: &Rate, record: Cost) {
        let now = self.now;
        let charged = |due: i64, units: u64, rate_units: Option<u64>| {
            rate_units.map_or(due, |rate_units| due.max(now).saturating_add(cost(units, rate_units)))
        };
        self.lines_due = charged(self.lines_due, record.lines, rate.lines_per_second);
        self.bytes_due = charged(self.bytes_due, record.bytes, rate.bytes_per_second);
    }

    /// True when it holds nothing that a new one would not.
    pub(crate) fn is_full(&self, now: std::time::Duration) -> bool {
        let now = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
        self.lines_due.max(self.bytes_due) <= now
    }
}

/// The time that `units` take at a rate, rounded up: never too much passes.
fn cost(units: u64, units_per_second: u64) -> i64 {
    let nanos = (u128::from(units) * u128::from(SECOND)).div_ceil(u128::from(units_per_second.max(1)));
    i64::try_from(nanos).unwrap_or(i64::MAX)
}

/// When a record was written, since the agent started: as its framing says,
/// but never in the future; now, where it does not say. So what was written
/// while no agent ran is not taken for a burst when it is read.
pub(crate) fn written_at(timestamp_nanos: Option<i64>, now: Moment) -> i64 {
    let present = i64::try_from(now.steady.as_nanos()).unwrap_or(i64::MAX);
    let Some(written) = timestamp_nanos else { return present };
    let ago = now.wall.saturating_mul(1_000).saturating_sub(written);
    present.saturating_sub(ago.max(0))
}

//! How soon is what is written to be seen? A line twenty times a second, and
//! somebody who asks for the newest all the time, and holds each answer to what it
//! says of itself: nothing twice, no hole, and nothing missing of what was written
//! before `complete_until`. Whom it names is judged at the end ([`crate::naming`]).

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use crate::event::Style;
use crate::ledger::{Fate, Feed, Ledger, Table};
use crate::naming::Naming;
use crate::query::Query;
use crate::worker::Worker;

const TICK: Duration = Duration::from_millis(50);
const PAUSE: Duration = Duration::from_millis(150);

const SERVICE: &str = "probe";

/// The newest probes that are there. A minute's worth is asked for; older ones are
/// the judge's.
const QUESTION: &str = "SELECT min(CAST(split_part(body, '.', 3) AS BIGINT)) AS first, \
    max(CAST(split_part(body, '.', 3) AS BIGINT)) AS last, count(*) AS count \
    FROM logs WHERE service_name = 'probe' AND timestamp > now() - INTERVAL '1 minute'";

/// As long as the question asks for, and a little less: events have the time at which
/// they were read.
const WINDOW_MICROS: i64 = 59_000_000;

/// The writer and the asker.
pub(crate) struct Probe {
    writer: Worker,
    asker: Worker,
    seen: Seen,
}

/// What was written and seen, for whoever waits. Cloning shares.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// When each probe had been written: by a clock for durations, and by the
    /// clock that answers speak of, in microseconds.
    written: Vec<(Instant, i64)>,
    /// When somebody saw which probe for the first time.
    sightings: Vec<Sighting>,
    namings: Vec<Naming>,
    answers: u64,
    unanswered: u64,
    wrong: Vec<String>,
}

/// At some moment, everything up to something that was written earlier was there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sighting {
    pub(crate) at: Instant,
    /// When that was written.
    pub(crate) newest: Instant,
}

/// What the asker saw over the whole run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observed {
    /// Answers that were judged.
    pub(crate) answers: u64,
    /// Questions without one.
    pub(crate) unanswered: u64,
    /// Answers that did not keep what they said.
    pub(crate) wrong: Vec<String>,
    /// In the order of time.
    pub(crate) sightings: Vec<Sighting>,
    /// Whom answers named, and how old they were.
    pub(crate) namings: Vec<Naming>,
}

impl Probe {
    /// Starts both.
    ///
    /// # Errors
    /// The file cannot be made.
    pub(crate) fn start(ledger: &Ledger, input: &Path, query: Query) -> Result<Self> {
        let feed = ledger.open(SERVICE, SERVICE, Table::Lines, Style::Plain);
        let mut file = std::fs::File::create(input.join(format!("{SERVICE}.log")))?;
        let seen = Seen::default();
        let written = seen.clone();
        let writer = Worker::start("probe", move |stop| {
            while !stop.wait(TICK) {
                write(&feed, &mut file);
                written.state().written.push((Instant::now(), now_micros()));
            }
        });
        let told = seen.clone();
        let asker = Worker::start("asker", move |stop| {
            while !stop.wait(PAUSE) {
                told.ask(query);
            }
        });
        Ok(Self { writer, asker, seen })
    }

    /// For whoever waits.
    pub(crate) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Ends both.
    pub(crate) fn finish(self) -> Observed {
        self.writer.finish();
        self.asker.finish();
        let mut state = self.seen.state();
        Observed {
            answers: state.answers,
            unanswered: state.unanswered,
            wrong: state.wrong.clone(),
            sightings: state.sightings.clone(),
            namings: std::mem::take(&mut state.namings),
        }
    }
}

fn write(feed: &Feed, file: &mut std::fs::File) {
    use std::io::Write;
    let numbers = feed.issue(1);
    let text = feed.text(numbers.start) + "\n";
    file.write_all(text.as_bytes()).expect("the oracle's own files take bytes");
    feed.settle(numbers, Fate::Owed);
}

impl Seen {
    /// How long after a moment something was to be seen that was written after it.
    pub(crate) fn live_after(&self, moment: Instant) -> Option<Duration> {
        live_after(&self.state().sightings, moment)
    }

    fn ask(&self, query: Query) {
        let asked = Instant::now();
        let answer = query.ask(QUESTION);
        let at = Instant::now();
        let mut state = self.state();
        let Ok(answer) = answer else {
            state.unanswered += 1;
            return;
        };
        state.answers += 1;
        let number = |column: usize| answer.rows.first().and_then(|row| row.get(column)?.as_u64());
        let seen = number(0).zip(number(1)).zip(number(2)).map(|((first, last), count)| (first, last, count));
        let mut own = None;
        // Before its lane has said anything, nobody knows of it.
        let window = if state.sightings.is_empty() { i64::MAX } else { now_micros() - WINDOW_MICROS };
        match newest(&state.written, seen, answer.complete_until, window) {
            Ok(newest) => {
                own = newest;
                state.sightings.extend(newest.map(|newest| Sighting { at, newest }));
            }
            Err(error) => state.wrong.push(format!("{error:#}")),
        }
        // It may be older than what was asked for.
        let newest = own.or_else(|| state.sightings.last().map(|sighting| sighting.newest));
        state.namings.push(Naming { asked, newest, names: answer.held_by });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When the newest probe of an answer was written, if the answer is right: `seen`
/// is its first and last number and how many there are; what was written before
/// `window_micros` was not asked for.
fn newest(
    written: &[(Instant, i64)],
    seen: Option<(u64, u64, u64)>,
    complete_until: Option<i64>,
    window_micros: i64,
) -> Result<Option<Instant>> {
    let complete = complete_until.map_or(0, |until| written.partition_point(|(_, micros)| *micros < until));
    let Some((first, last, count)) = seen else {
        let newest = complete.checked_sub(1).and_then(|last| written.get(last));
        if newest.is_some_and(|(_, micros)| *micros >= window_micros) {
            bail!("no probe, and {complete} were written before the answer says it is complete");
        }
        return Ok(None);
    };
    if last.checked_sub(first).context("an order")? + 1 != count {
        bail!("{count} probes from {first} to {last}");
    }
    // The writer may not have noted the last one yet.
    let at = usize::try_from(last)?.min(written.len().saturating_sub(1));
    if at + 1 < complete {
        bail!(
            "the newest probe is {last}, and {complete} were written before the answer says it is complete"
        );
    }
    Ok(written.get(at).map(|(at, _)| *at))
}

fn live_after(sightings: &[Sighting], moment: Instant) -> Option<Duration> {
    let first = sightings.iter().find(|sighting| sighting.newest >= moment)?;
    Some(first.at.saturating_duration_since(moment))
}

fn now_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_says_too_much_is_seen() {
        let start = Instant::now();
        let written: Vec<_> = (0..10).map(|n| (start + Duration::from_secs(n), n as i64 * 100)).collect();
        let check = |seen: (u64, u64, u64), until: Option<i64>, is_right: bool| {
            assert_eq!(newest(&written, Some(seen), until, 0).is_ok(), is_right, "{seen:?} {until:?}");
        };
        check((0, 5, 6), None, true);
        check((2, 5, 4), Some(501), true);
        check((2, 5, 4), Some(601), false);
        check((0, 5, 5), None, false);
        check((0, 5, 7), None, false);
        check((0, 10, 11), Some(2000), true);
        let none = |until, window| newest(&written, None, until, window);
        assert_eq!(none(None, 0).expect("right"), None);
        assert_eq!(none(Some(600), 501).expect("right"), None);
        assert!(none(Some(600), 500).is_err());
        assert_eq!(
            newest(&written, Some((0, 5, 6)), None, 0).expect("right"),
            Some(start + Duration::from_secs(5))
        );
    }

    #[test]
    fn live_is_what_was_written_after_the_fault() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let sightings = [(1, 0), (2, 1), (9, 2), (10, 8)]
            .map(|(seen, written)| Sighting { at: at(seen), newest: at(written) });
        assert_eq!(live_after(&sightings, at(0)), Some(Duration::from_secs(1)));
        assert_eq!(live_after(&sightings, at(3)), Some(Duration::from_secs(7)));
        assert_eq!(live_after(&sightings, at(9)), None);
    }
}

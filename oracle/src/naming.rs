//! Who an answer says holds it back (`held_by`), held to what is known of the run: a
//! lane or a partition that there is, one that was silent, and somebody wherever an
//! answer lacks what was written long ago. Pure, as the judge of rows is.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::probe::Sighting;

/// Weir names a lane that it has not heard of for so long.
const SILENT: Duration = Duration::from_secs(60);

/// How much later than it was written something is heard of, at most, while everybody
/// is alive.
const FRESH: Duration = Duration::from_secs(5);

/// From the first answer until every partition has been read to its end.
const START: Duration = Duration::from_secs(10);

/// Words told of findings.
const EXAMPLES: usize = 5;

/// What a scenario does to answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Holds {
    /// Nothing that must be seen.
    #[default]
    Unsaid,
    /// Neither ingesters nor the event log are away: no partition is named, once all have
    /// been read to their ends.
    Agents,
    /// Ingesters are away, and nobody else: their partitions are named, soon.
    Partitions,
    /// The event log or an agent is away for minutes: lanes are named.
    Lanes,
}

impl Holds {
    /// An answer that lacks what was written so long before names somebody.
    const fn late(self) -> Duration {
        match self {
            Self::Partitions => Duration::from_secs(10),
            // It is silent first; then somebody has to ask.
            Self::Unsaid | Self::Agents | Self::Lanes => Duration::from_secs(75),
        }
    }
}

/// An answer that names somebody, or should have.
#[derive(Clone, Debug)]
pub(crate) struct Naming {
    /// When it was asked for.
    pub(crate) asked: Instant,
    /// When the newest was written that is in it; where it holds none of the last minute,
    /// that anybody has seen.
    pub(crate) newest: Option<Instant>,
    pub(crate) names: Vec<String>,
}

/// What answers are held to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Truth<'a> {
    pub(crate) holds: Holds,
    /// Every lane, as `AGENT TOPIC/PARTITION`.
    pub(crate) lanes: &'a BTreeSet<String>,
    /// Partitions of a topic, at the end.
    pub(crate) partitions: u64,
    /// In the order of time.
    pub(crate) sightings: &'a [Sighting],
    /// When faults were over.
    pub(crate) over: &'a [Instant],
    /// From then on so long, Weir may be catching up.
    pub(crate) live: Duration,
}

impl Truth<'_> {
    /// True if somebody serves every partition.
    fn is_served(&self, asked: Instant) -> bool {
        let begun = self.sightings.first().map(|of| of.at + START);
        self.holds == Holds::Agents && begun.is_some_and(|begun| asked > begun)
    }
}

/// What answers that named somebody said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    /// Answers that named a lane.
    pub(crate) lanes: u64,
    /// Answers that named a partition.
    pub(crate) partitions: u64,
    /// What is wrong, in words.
    pub(crate) wrong: Vec<String>,
}

/// Holds the answers of a run to the truth.
pub(crate) fn judge(answers: &[Naming], truth: Truth<'_>) -> Named {
    let mut named = Named::default();
    for answer in answers {
        let (partitions, lanes): (Vec<_>, Vec<_>) =
            answer.names.iter().partition(|name| is_partition(name, truth.partitions));
        named.partitions += u64::from(!partitions.is_empty());
        if let Some(name) = partitions.first().filter(|_| truth.is_served(answer.asked)) {
            named.wrong.push(format!("{name:?} holds an answer, and nothing happens to ingesters"));
        }
        named.lanes += u64::from(!lanes.is_empty());
        for lane in lanes {
            if !truth.lanes.contains(lane) {
                named.wrong.push(format!("{lane:?} holds an answer, and there is no such lane or partition"));
            } else if let Some(seen) = heard(answer.asked, truth.sightings) {
                let ago = answer.asked.saturating_duration_since(seen);
                named
                    .wrong
                    .push(format!("{lane:?} holds an answer as silent, and was heard {ago:.1?} before"));
            }
        }
        if answer.names.is_empty() && lacks_old(answer, truth) {
            let late = truth.holds.late();
            named.wrong.push(format!("an answer lacks what was written {late:?} before, and names nobody"));
        }
    }
    let missing = match truth.holds {
        Holds::Partitions => named.partitions == 0,
        Holds::Lanes => named.lanes == 0,
        Holds::Unsaid | Holds::Agents => false,
    };
    named.wrong.truncate(EXAMPLES);
    if missing {
        named.wrong.push(format!("too few to mean anything: no answer names {:?}", truth.holds));
    }
    named
}

/// `TOPIC/NUMBER: WHY`.
fn is_partition(name: &str, partitions: u64) -> bool {
    let parsed = name.split_once(": ").and_then(|(partition, why)| {
        let (topic, number) = partition.rsplit_once('/')?;
        Some((topic, number.parse::<u64>().ok()?, why))
    });
    parsed.is_some_and(|(topic, number, why)| topic == "weir.logs" && number < partitions && !why.is_empty())
}

/// A moment at which everybody was alive, so recent that no lane can have been silent
/// for long enough, and so long ago that all lanes have been heard since.
fn heard(asked: Instant, sightings: &[Sighting]) -> Option<Instant> {
    let ago = |of: &Sighting| asked.saturating_duration_since(of.at);
    let is_alive = |of: &&Sighting| of.at.saturating_duration_since(of.newest) < FRESH;
    let first = sightings.partition_point(|of| ago(of) >= SILENT - FRESH);
    let recent = sightings.get(first..).unwrap_or_default();
    recent.iter().take_while(|of| ago(of) >= SILENT / 2).find(is_alive).map(|of| of.at)
}

fn lacks_old(answer: &Naming, truth: Truth<'_>) -> bool {
    let Some(newest) = answer.newest else { return false };
    let is_catching_up = truth.over.iter().any(|over| {
        // Told a moment after it was over.
        let since = answer.asked.checked_duration_since(*over).unwrap_or_default();
        *over <= answer.asked && since < truth.live
    });
    answer.asked.saturating_duration_since(newest) > truth.holds.late() && !is_catching_up
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANE: &str = "01A weir.logs/1";
    const PARTITION: &str = "weir.logs/3: no ingester serves its newest rows";

    struct Run {
        start: Instant,
        holds: Holds,
        /// When something was seen, and when that was written, in seconds.
        seen: Vec<(u64, u64)>,
        over: Vec<u64>,
    }

    impl Run {
        fn new(holds: Holds, seen: &[(u64, u64)], over: &[u64]) -> Self {
            Self { start: Instant::now(), holds, seen: seen.to_vec(), over: over.to_vec() }
        }

        fn at(&self, seconds: u64) -> Instant {
            self.start + Duration::from_secs(seconds)
        }

        /// Answers as when they were asked for, the newest they have, and names.
        fn judge(&self, answers: &[(u64, u64, &[&str])]) -> Named {
            let sighting =
                |(at, newest): &(u64, u64)| Sighting { at: self.at(*at), newest: self.at(*newest) };
            let sightings: Vec<_> = self.seen.iter().map(sighting).collect();
            let over: Vec<_> = self.over.iter().map(|at| self.at(*at)).collect();
            let lanes = BTreeSet::from([LANE.to_owned()]);
            let naming = |(asked, newest, names): &(u64, u64, &[&str])| Naming {
                asked: self.at(*asked),
                newest: Some(self.at(*newest)),
                names: names.iter().map(|name| (*name).to_owned()).collect(),
            };
            let answers: Vec<_> = answers.iter().map(naming).collect();
            let live = Duration::from_secs(30);
            let (holds, sightings, over) = (self.holds, &sightings[..], &over[..]);
            judge(&answers, Truth { holds, lanes: &lanes, partitions: 4, sightings, over, live })
        }
    }

    #[test]
    fn only_what_there_is_can_be_named() {
        let run = Run::new(Holds::Unsaid, &[], &[]);
        let check = |name: &str, is_right: bool| {
            assert_eq!(run.judge(&[(100, 0, &[name])]).wrong.is_empty(), is_right, "{name}");
        };
        check(LANE, true);
        check(PARTITION, true);
        check("01B weir.logs/1", false);
        check("01A weir.logs/2", false);
        check("weir.logs/4: no ingester serves its newest rows", false);
        check("weir.spans/1: no ingester serves its newest rows", false);
        check("weir.logs/1: ", false);
        check("", false);
    }

    #[test]
    fn a_lane_that_was_heard_is_not_silent() {
        let check = |seen: (u64, u64), is_right: bool| {
            let run = Run::new(Holds::Unsaid, &[seen], &[]);
            assert_eq!(run.judge(&[(100, 30, &[LANE])]).wrong.is_empty(), is_right, "{seen:?}");
        };
        // Heard forty seconds before, and fifty.
        check((60, 58), false);
        check((50, 50), false);
        // Long ago, just now, and late.
        check((30, 30), true);
        check((90, 90), true);
        check((60, 30), true);
    }

    #[test]
    fn where_nothing_happens_to_ingesters_no_partition_is_named() {
        let check = |holds, asked: u64, names: &[&str], is_right: bool| {
            let named = Run::new(holds, &[(5, 5)], &[]).judge(&[(asked, 5, names)]);
            assert_eq!(named.wrong.is_empty(), is_right, "{holds:?} {asked} {names:?}");
        };
        check(Holds::Agents, 15, &[PARTITION], true);
        check(Holds::Agents, 16, &[PARTITION], false);
        check(Holds::Agents, 16, &[LANE], true);
        check(Holds::Unsaid, 16, &[PARTITION], true);
    }

    #[test]
    fn whoever_holds_an_old_answer_is_named() {
        let check = |holds, answer: (u64, u64, &[&str]), is_right: bool| {
            let run = Run::new(holds, &[], &[200]);
            let any: &[(u64, u64, &[&str])] = &[(1, 0, &[LANE]), (1, 0, &[PARTITION]), answer];
            assert_eq!(run.judge(any).wrong.is_empty(), is_right, "{holds:?} {answer:?}");
        };
        check(Holds::Unsaid, (100, 90, &[]), true);
        check(Holds::Unsaid, (100, 30, &[]), true);
        check(Holds::Unsaid, (100, 20, &[]), false);
        check(Holds::Unsaid, (100, 20, &[LANE]), true);
        check(Holds::Partitions, (100, 95, &[]), true);
        check(Holds::Partitions, (100, 85, &[]), false);
        check(Holds::Partitions, (100, 85, &[PARTITION]), true);
        // Kafka has come back, and what gathered is being read.
        check(Holds::Lanes, (220, 20, &[]), true);
        check(Holds::Lanes, (231, 20, &[]), false);
        check(Holds::Lanes, (199, 20, &[]), false);
    }

    #[test]
    fn an_answer_that_never_names_anybody_is_seen() {
        let check = |holds, names: &[&str], is_right: bool| {
            let named = Run::new(holds, &[], &[]).judge(&[(5, 0, names)]);
            assert_eq!(named.wrong.is_empty(), is_right, "{holds:?} {names:?}");
        };
        check(Holds::Unsaid, &[], true);
        check(Holds::Partitions, &[], false);
        check(Holds::Partitions, &[LANE], false);
        check(Holds::Partitions, &[PARTITION], true);
        check(Holds::Lanes, &[PARTITION], false);
        check(Holds::Lanes, &[LANE], true);
    }
}

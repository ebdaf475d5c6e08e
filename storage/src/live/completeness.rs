//! Until when an answer is complete, and who holds it back.
//!
//! An answer holds, of each partition, what is stored and what was pinned. So
//! it is as complete as the lanes of each partition say as of the last offset
//! that it holds: the lanes of the live range where that reaches further, the
//! catalog's where it does not, or where nobody serves the partition.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use weir_proto::model::Signal;

use super::{LiveRange, PinnedRows};
use crate::catalog::{LaneState, LaneStatus, LogPartition, Snapshot, TimeRange};

/// What every answer says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completeness {
    /// Everything written before this time is in the answer; microseconds.
    /// None: nothing can be said.
    pub complete_until_micros: Option<i64>,
    /// Who holds it back beyond what is usual: lanes not heard of for too long,
    /// as `agent topic/partition`, and partitions whose newest rows could not
    /// be had, with the reason. They hold `complete_until_micros` where they
    /// were last known to be.
    pub held_by: Vec<String>,
    /// Lanes that were given up, as `agent topic/partition`, with the time
    /// since which what they wrote may be missing; microseconds.
    pub incomplete_since: Vec<(String, i64)>,
    /// Partitions with producers that do not say how far they are: for these
    /// `complete_until_micros` is an estimate.
    pub estimated_by: Vec<String>,
    /// Some lane is or was known.
    knows_lanes: bool,
}

/// What an answer is made of.
#[derive(Clone, Copy, Debug)]
pub struct Parts<'a> {
    /// Live rows, pinned before the snapshot was read.
    pub pinned: &'a PinnedRows,
    /// The catalog's snapshot, of any table.
    pub snapshot: &'a Snapshot,
    /// The span of event time that was asked for.
    pub window: TimeRange,
}

impl Completeness {
    /// Judges the answer to a question about these signals. A lane that is
    /// silent for longer than `silent_after` still counts: what it has not sent
    /// may have been written.
    pub fn of(parts: Parts<'_>, signals: &[Signal], now_micros: i64, silent_after: Duration) -> Self {
        let patience = i64::try_from(silent_after.as_micros()).unwrap_or(i64::MAX);
        let mut judged = Self::default();
        let mut live = Until::default();
        let mut gone: Option<i64> = None;
        for (partition, held) in partitions(parts, signals) {
            if let Some(why) = held.missing {
                judged.held_by.push(format!("{partition}: {why}"));
                // Whoever writes there may never have been heard of.
                if !held.lanes.iter().any(|lane| lane.status == LaneStatus::Live) {
                    live.hold(None);
                }
            }
            let mut is_estimated = false;
            judged.knows_lanes |= !held.lanes.is_empty();
            for lane in held.lanes {
                let name = || format!("{} {}", lane.agent, lane.partition);
                match lane.status {
                    LaneStatus::Live => {
                        live.hold(lane.mark_micros);
                        is_estimated |= lane.is_estimated;
                        if now_micros.saturating_sub(lane.heard_micros) > patience {
                            judged.held_by.push(name());
                        }
                    }
                    LaneStatus::Goodbye => gone = gone.max(lane.mark_micros),
                    LaneStatus::Retired => {
                        gone = gone.max(lane.mark_micros);
                        let since = lane.mark_micros.unwrap_or(0);
                        if parts.window.max_micros >= since {
                            judged.incomplete_since.push((name(), since));
                        }
                    }
                }
            }
            if is_estimated {
                judged.estimated_by.push(partition.to_string());
            }
        }
        // With nobody left, nothing is known beyond what the last one said.
        let until = live.reached(gone);
        judged.complete_until_micros = until.map(|until| until.min(now_micros));
        judged
    }
}

impl Completeness {
    /// Of an answer to two questions at once: as complete as the less complete
    /// of the two. About a signal of which no lane is known, nothing can be
    /// said, and it has nothing to hold back either.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.complete_until_micros = match (self.complete_until_micros, other.complete_until_micros) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (Some(one), None) if other.is_silent() => Some(one),
            (None, Some(two)) if self.is_silent() => Some(two),
            _ => None,
        };
        self.knows_lanes |= other.knows_lanes;
        self.held_by.extend(other.held_by);
        self.incomplete_since.extend(other.incomplete_since);
        self.estimated_by.extend(other.estimated_by);
        self
    }

    fn is_silent(&self) -> bool {
        !self.knows_lanes && self.held_by.is_empty()
    }
}

/// The least of what holds an answer back.
#[derive(Default)]
struct Until {
    is_held: bool,
    is_unknown: bool,
    least: i64,
}

impl Until {
    fn hold(&mut self, mark_micros: Option<i64>) {
        match mark_micros {
            None => self.is_unknown = true,
            Some(mark) if self.is_held => self.least = self.least.min(mark),
            Some(mark) => self.least = mark,
        }
        self.is_held |= mark_micros.is_some();
    }

    fn reached(&self, otherwise: Option<i64>) -> Option<i64> {
        match self {
            Self { is_unknown: true, .. } => None,
            Self { is_held: true, least, .. } => Some(*least),
            Self { .. } => otherwise,
        }
    }
}

/// What an answer holds of a partition.
#[derive(Default)]
struct Held<'a> {
    lanes: Vec<&'a LaneState>,
    missing: Option<&'static str>,
}

fn partitions<'a>(parts: Parts<'a>, signals: &[Signal]) -> BTreeMap<&'a LogPartition, Held<'a>> {
    let Parts { pinned, snapshot, .. } = parts;
    let ranges: BTreeMap<&LogPartition, &LiveRange> =
        pinned.ranges.iter().map(|range| (&range.partition, range)).collect();
    let stored = snapshot.next_offsets.keys().chain(snapshot.lanes.iter().map(|lane| &lane.partition));
    let known: BTreeSet<&LogPartition> = stored.chain(ranges.keys().copied()).chain(&pinned.leased).collect();
    let is_asked = |partition: &&LogPartition| {
        Signal::of_topic(&partition.topic).is_some_and(|signal| signals.contains(&signal))
    };
    let held = |partition: &'a LogPartition| {
        let of_partition =
            |lanes: &'a [LaneState]| lanes.iter().filter(|lane| lane.partition == *partition).collect();
        let (reaches, missing) = match ranges.get(partition) {
            None => (false, Some("no ingester serves its newest rows")),
            Some(range) if !range.is_caught_up => {
                (range.next >= snapshot.next_offset(partition), Some("its newest rows are being read"))
            }
            Some(range) => (range.next >= snapshot.next_offset(partition), None),
        };
        let lanes = if reaches { of_partition(&pinned.lanes) } else { of_partition(&snapshot.lanes) };
        (partition, Held { lanes, missing })
    };
    known.into_iter().filter(is_asked).map(held).collect()
}

#[cfg(test)]
mod tests {
    use weir_proto::model::AgentId;

    use super::*;

    const SECOND: i64 = 1_000_000;

    fn partition(topic: &str, number: u32) -> LogPartition {
        LogPartition { topic: topic.to_owned(), partition: number }
    }

    fn lane(agent: u128, partition_number: u32, mark: i64, heard: i64) -> LaneState {
        LaneState {
            agent: AgentId::from_u128(agent),
            partition: partition("weir.logs", partition_number),
            mark_micros: Some(mark * SECOND),
            heard_micros: heard * SECOND,
            status: LaneStatus::Live,
            is_estimated: false,
        }
    }

    fn range(number: u32, floor: u64, next: u64) -> LiveRange {
        LiveRange { partition: partition("weir.logs", number), epoch: 1, floor, next, is_caught_up: true }
    }

    fn snapshot(next_offsets: &[(u32, u64)], lanes: Vec<LaneState>) -> Snapshot {
        let next_offsets =
            next_offsets.iter().map(|(number, next)| (partition("weir.logs", *number), *next)).collect();
        Snapshot { next_offsets, lanes, ..Snapshot::default() }
    }

    fn judge(pinned: &PinnedRows, snapshot: &Snapshot) -> Completeness {
        let parts = Parts { pinned, snapshot, window: TimeRange::ALL };
        Completeness::of(parts, &[Signal::Logs], 100 * SECOND, Duration::from_secs(60))
    }

    fn until(judged: &Completeness) -> Option<i64> {
        judged.complete_until_micros.map(|micros| micros / SECOND)
    }

    #[test]
    fn the_slowest_lane_decides_and_a_silent_one_is_named() {
        let check = |lanes: &[LaneState], expected: Option<i64>, held: &[&str]| {
            let pinned =
                PinnedRows { ranges: vec![range(3, 0, 9)], lanes: lanes.to_vec(), ..PinnedRows::default() };
            let judged = judge(&pinned, &snapshot(&[(3, 5)], Vec::new()));
            assert_eq!(until(&judged), expected, "{lanes:?}");
            assert_eq!(judged.held_by, held, "{lanes:?}");
        };
        let silent = "00000000000000000000000002 weir.logs/3";
        check(&[], None, &[]);
        check(&[lane(1, 3, 99, 100)], Some(99), &[]);
        check(&[lane(1, 3, 99, 100), lane(2, 3, 40, 40)], Some(40), &[]);
        check(&[lane(1, 3, 99, 100), lane(2, 3, 39, 39)], Some(39), &[silent]);
        // A clock that runs ahead is not silence, and not the future either.
        check(&[lane(1, 3, 150, 150)], Some(100), &[]);
        // Silent, and yet not the one that decides.
        check(&[lane(1, 3, 10, 100), lane(2, 3, 30, 30)], Some(10), &[silent]);
        // A lane that never said how far it is.
        check(&[LaneState { mark_micros: None, ..lane(1, 3, 0, 100) }, lane(2, 3, 99, 100)], None, &[]);
    }

    #[test]
    fn a_partition_that_nobody_serves_is_complete_as_far_as_it_is_stored() {
        let served = PinnedRows {
            ranges: vec![range(0, 4, 9)],
            lanes: vec![lane(1, 0, 99, 100)],
            ..PinnedRows::default()
        };
        let stored = snapshot(&[(0, 5), (1, 7)], vec![lane(1, 0, 80, 80), lane(2, 1, 60, 60)]);
        let judged = judge(&served, &stored);
        assert_eq!(until(&judged), Some(60));
        assert_eq!(judged.held_by, ["weir.logs/1: no ingester serves its newest rows"]);
        // Leased, and nothing of it is known at all.
        let leased = PinnedRows { leased: vec![partition("weir.logs", 2)], ..served };
        assert_eq!(until(&judge(&leased, &stored)), None);
    }

    #[test]
    fn the_lanes_of_whoever_reaches_further_count() {
        let pinned = PinnedRows {
            ranges: vec![range(0, 4, 9)],
            lanes: vec![lane(1, 0, 70, 100)],
            ..PinnedRows::default()
        };
        // Somebody else has stored more than was pinned.
        let judged = judge(&pinned, &snapshot(&[(0, 12)], vec![lane(1, 0, 90, 100)]));
        assert_eq!(until(&judged), Some(90));
        let judged = judge(&pinned, &snapshot(&[(0, 9)], vec![lane(1, 0, 65, 100)]));
        assert_eq!(until(&judged), Some(70));
    }

    #[test]
    fn a_partition_that_is_being_caught_up_is_named() {
        let behind = LiveRange { is_caught_up: false, ..range(0, 4, 6) };
        let pinned = PinnedRows {
            ranges: vec![behind.clone()],
            lanes: vec![lane(1, 0, 50, 100)],
            ..PinnedRows::default()
        };
        let judged = judge(&pinned, &snapshot(&[(0, 4)], Vec::new()));
        assert_eq!(until(&judged), Some(50));
        assert_eq!(judged.held_by, ["weir.logs/0: its newest rows are being read"]);
        // Lanes may exist of which nobody has heard yet.
        let pinned = PinnedRows { ranges: vec![behind], ..PinnedRows::default() };
        assert_eq!(until(&judge(&pinned, &snapshot(&[(0, 4)], Vec::new()))), None);
    }

    #[test]
    fn who_is_gone_does_not_hold_an_answer_and_who_was_given_up_is_named() {
        let with = |status, lane: LaneState| LaneState { status, ..lane };
        let check = |lanes: Vec<LaneState>, expected: Option<i64>, since: &[i64]| {
            let pinned = PinnedRows { ranges: vec![range(0, 0, 9)], lanes, ..PinnedRows::default() };
            let judged = judge(&pinned, &snapshot(&[], Vec::new()));
            assert_eq!(until(&judged), expected, "{pinned:?}");
            assert_eq!(judged.incomplete_since.iter().map(|(_, at)| at / SECOND).collect::<Vec<_>>(), since);
            assert_eq!(judged.held_by, [""; 0]);
        };
        let (goodbye, retired) = (LaneStatus::Goodbye, LaneStatus::Retired);
        check(vec![lane(1, 0, 99, 100), with(goodbye, lane(2, 0, 10, 10))], Some(99), &[]);
        check(vec![lane(1, 0, 99, 100), with(retired, lane(2, 0, 10, 10))], Some(99), &[10]);
        // With no live lane it does not advance.
        check(vec![with(goodbye, lane(1, 0, 20, 20)), with(retired, lane(2, 0, 10, 10))], Some(20), &[10]);
    }

    #[test]
    fn other_signals_hold_nothing_back_and_estimates_are_named() {
        let mut spans = lane(2, 1, 5, 100);
        spans.partition = partition("weir.spans", 1);
        spans.is_estimated = true;
        let ranges = vec![range(0, 0, 9), LiveRange { partition: spans.partition.clone(), ..range(0, 0, 9) }];
        let pinned = PinnedRows { ranges, lanes: vec![lane(1, 0, 99, 100), spans], ..PinnedRows::default() };
        let none = snapshot(&[], Vec::new());
        assert_eq!(until(&judge(&pinned, &none)), Some(99));
        let parts = Parts { pinned: &pinned, snapshot: &none, window: TimeRange::ALL };
        let judged = Completeness::of(parts, &Signal::ALL, 100 * SECOND, Duration::from_secs(60));
        assert_eq!((until(&judged), judged.estimated_by), (Some(5), vec!["weir.spans/1".to_owned()]));
    }
}

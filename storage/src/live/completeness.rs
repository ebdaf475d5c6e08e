//! Until when an answer is complete, and who holds it back.

use std::time::Duration;

use crate::catalog::LaneState;

/// What every answer says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completeness {
    /// Everything written before this time is in the answer; microseconds.
    /// None: no lane is known, so nothing can be said.
    pub complete_until_micros: Option<i64>,
    /// The lanes not heard of for too long, as `agent topic/partition`. They
    /// hold `complete_until_micros` where their last mark was.
    pub held_by: Vec<String>,
}

impl Completeness {
    /// The least of all lanes' marks. A lane that is silent for longer than
    /// `silent_after` still counts: what it has not sent may have been written.
    pub fn of(lanes: &[LaneState], now_micros: i64, silent_after: Duration) -> Self {
        let patience = i64::try_from(silent_after.as_micros()).unwrap_or(i64::MAX);
        let silent = |lane: &&LaneState| now_micros.saturating_sub(lane.heard_micros) > patience;
        let name = |lane: &LaneState| format!("{} {}", lane.agent, lane.partition);
        Self {
            complete_until_micros: lanes.iter().map(|lane| lane.mark_micros).min().flatten(),
            held_by: lanes.iter().filter(silent).map(name).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use weir_proto::model::AgentId;

    use super::*;
    use crate::catalog::{LaneStatus, LogPartition};

    const SECOND: i64 = 1_000_000;

    #[test]
    fn the_slowest_lane_decides_and_a_silent_one_is_named() {
        let lane = |agent, mark, heard| LaneState {
            agent: AgentId::from_u128(agent),
            partition: LogPartition { topic: "weir.logs".to_owned(), partition: 3 },
            mark_micros: Some(mark * SECOND),
            heard_micros: heard * SECOND,
            status: LaneStatus::Live,
            is_estimated: false,
        };
        let check = |lanes: &[LaneState], until: Option<i64>, held: &[&str]| {
            let completeness = Completeness::of(lanes, 100 * SECOND, Duration::from_secs(60));
            assert_eq!(completeness.complete_until_micros, until.map(|at| at * SECOND), "{lanes:?}");
            assert_eq!(completeness.held_by, held, "{lanes:?}");
        };
        let silent = "00000000000000000000000002 weir.logs/3";
        check(&[], None, &[]);
        check(&[lane(1, 99, 100)], Some(99), &[]);
        check(&[lane(1, 99, 100), lane(2, 40, 40)], Some(40), &[]);
        check(&[lane(1, 99, 100), lane(2, 39, 39)], Some(39), &[silent]);
        // A clock that runs ahead is not silence.
        check(&[lane(1, 150, 150)], Some(150), &[]);
        // Silent, and yet not the one that decides.
        check(&[lane(1, 10, 100), lane(2, 30, 30)], Some(10), &[silent]);
    }
}

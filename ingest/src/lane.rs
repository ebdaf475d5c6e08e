//! What is known of a partition's lanes: how far each is complete, and whether
//! it is still there.
//!
//! Pure. All times are microseconds of this ingester's clock. Agents' clocks
//! differ from it, so a mark is brought to ours where that can be known, and is
//! never later than now.
//!
//! A lane that falls silent is not gone: the log may have been out of its reach
//! or of ours. It retires only after a long silence in which the log was read
//! up to its end, time and again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use weir_proto::model::AgentId;
use weir_storage::catalog::{LaneState, LaneStatus, LogPartition};

/// Between two looks at the log's end that are further apart than this, nobody
/// can say that the log was readable.
const LISTENING_GAP_MICROS: i64 = 5_000_000;

/// What a message says of its lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LaneNews {
    pub(crate) agent: AgentId,
    pub(crate) mark_micros: Option<i64>,
    pub(crate) heard_micros: i64,
    pub(crate) is_goodbye: bool,
    pub(crate) is_estimated: bool,
}

impl LaneNews {
    /// What an agent's message says. `sent_micros` is the agent's clock when it
    /// sent it: a message may have lain in the log for long. A clock that is
    /// seen to run ahead takes its mark along, so the mark is set back by as
    /// much.
    pub(crate) fn of_agent(
        agent: AgentId,
        mark_micros: Option<i64>,
        is_goodbye: bool,
        sent_micros: i64,
        now_micros: i64,
    ) -> Self {
        let ahead = sent_micros.saturating_sub(now_micros).max(0);
        Self {
            agent,
            mark_micros: mark_micros.map(|mark| mark.saturating_sub(ahead).min(now_micros)),
            heard_micros: sent_micros.min(now_micros),
            is_goodbye,
            is_estimated: false,
        }
    }

    /// A message of a producer that gives no marks: what it sends next is taken
    /// for no older than this.
    pub(crate) fn of_foreigner(agent: AgentId, sent_micros: i64, now_micros: i64) -> Self {
        let sent_micros = sent_micros.min(now_micros);
        Self {
            agent,
            mark_micros: Some(sent_micros),
            heard_micros: sent_micros,
            is_goodbye: false,
            is_estimated: true,
        }
    }
}

/// A partition's lanes as of one of its offsets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lanes(BTreeMap<AgentId, LaneState>);

impl Lanes {
    pub(crate) fn new(stored: &[LaneState]) -> Self {
        Self(stored.iter().map(|lane| (lane.agent, lane.clone())).collect())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &LaneState> {
        self.0.values()
    }

    /// A lane speaks, and is live again if it was not. What it said before no
    /// longer counts, even if it was later: an agent that finds older text
    /// unread takes its word back. An estimate does not go back: what was read
    /// then was read.
    pub(crate) fn hear(&mut self, news: &LaneNews, partition: &LogPartition) {
        let lane = self.0.entry(news.agent).or_insert_with(|| LaneState {
            partition: partition.clone(),
            agent: news.agent,
            mark_micros: None,
            heard_micros: news.heard_micros,
            status: LaneStatus::Live,
            is_estimated: news.is_estimated,
        });
        lane.mark_micros = match news.mark_micros {
            Some(mark) if news.is_estimated => Some(mark).max(lane.mark_micros),
            mark => mark.or(lane.mark_micros),
        };
        lane.heard_micros = news.heard_micros.max(lane.heard_micros);
        lane.status = if news.is_goodbye { LaneStatus::Goodbye } else { LaneStatus::Live };
        lane.is_estimated = news.is_estimated;
    }

    /// True while a lane is retired: an operator may dismiss it.
    pub(crate) fn has_retired(&self) -> bool {
        self.0.values().any(|lane| lane.status == LaneStatus::Retired)
    }

    /// Forgets retired lanes that the catalog had, as `stored` says, and that
    /// are no longer `kept` there: an operator dismissed them.
    pub(crate) fn forget_dismissed(&mut self, stored: &Self, kept: &BTreeSet<AgentId>) {
        let is_retired = |lanes: &Self, agent: &AgentId| {
            lanes.0.get(agent).is_some_and(|lane| lane.status == LaneStatus::Retired)
        };
        let dismissed: Vec<_> = self
            .0
            .keys()
            .filter(|agent| is_retired(self, agent) && is_retired(stored, agent) && !kept.contains(agent))
            .copied()
            .collect();
        for agent in dismissed {
            tracing::info!(%agent, "a lane was dismissed");
            self.0.remove(&agent);
        }
    }

    /// The lanes that are not as in `stored`.
    pub(crate) fn changed_since(&self, stored: &Self) -> Vec<LaneState> {
        let is_new = |lane: &&LaneState| stored.0.get(&lane.agent) != Some(*lane);
        self.0.values().filter(is_new).cloned().collect()
    }
}

/// For how long a partition has been listened to, and which of its lanes were
/// silent all that time.
#[derive(Debug)]
pub(crate) struct Listener {
    retires_after_micros: i64,
    /// How long the log has been read up to its end, in sum.
    listened_micros: i64,
    /// When it was last.
    caught_up_micros: Option<i64>,
    /// [`Self::listened_micros`] when each lane was last heard. Zero for those
    /// of earlier terms.
    heard: HashMap<AgentId, i64>,
}

impl Listener {
    pub(crate) fn new(retires_after: Duration) -> Self {
        Self {
            retires_after_micros: i64::try_from(retires_after.as_micros()).unwrap_or(i64::MAX),
            listened_micros: 0,
            caught_up_micros: None,
            heard: HashMap::new(),
        }
    }

    /// True once the log was read up to where it ended, unless it was halted
    /// since.
    pub(crate) fn has_caught_up(&self) -> bool {
        self.caught_up_micros.is_some()
    }

    /// What comes next is not read for now: there may be lanes of which nobody
    /// has heard.
    pub(crate) fn halted(&mut self) {
        self.caught_up_micros = None;
    }

    /// A message came. One that follows the log's former end came after we were
    /// there, whatever its sender's clock says.
    pub(crate) fn hear(&mut self, news: &mut LaneNews) {
        self.heard.insert(news.agent, self.listened_micros);
        if let Some(caught_up) = self.caught_up_micros {
            news.heard_micros = news.heard_micros.max(caught_up);
        }
    }

    /// The log had been read up to its end when it was `at_micros`. Marks lanes
    /// of producers that give no marks, retires those that are silent for too
    /// long. An estimated lane misses nothing when it ends, so it just ends.
    pub(crate) fn caught_up(&mut self, at_micros: i64, lanes: &mut Lanes) {
        if let Some(before) = self.caught_up_micros {
            let since = at_micros.saturating_sub(before);
            if (0..=LISTENING_GAP_MICROS).contains(&since) {
                self.listened_micros += since;
            }
        }
        self.caught_up_micros = Some(at_micros);
        for lane in lanes.0.values_mut().filter(|lane| lane.status == LaneStatus::Live) {
            let heard = self.heard.get(&lane.agent).copied().unwrap_or(0);
            let is_silent = self.listened_micros - heard >= self.retires_after_micros;
            match (lane.is_estimated, is_silent) {
                (false, true) => lane.status = LaneStatus::Retired,
                (true, true) => lane.status = LaneStatus::Goodbye,
                (true, false) => {
                    lane.mark_micros = lane.mark_micros.max(Some(at_micros));
                    lane.heard_micros = lane.heard_micros.max(at_micros);
                }
                (false, false) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;

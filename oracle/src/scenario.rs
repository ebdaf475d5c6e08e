//! What can happen to a running Weir. One module for each scenario; another one is
//! a module with a [`Scenario`], and a line in [`ALL`].

mod broker_away;
mod disk_full;
mod failpoints;
mod kill_agent;
mod kill_all;
mod kill_broker;
mod kill_ingest;
mod kill_node;
mod over_limit;
mod ownership_storm;
mod poison;
mod postgres_kill;
mod power_cut;
mod pressure;
mod store_faults;
mod truncate;
mod zombie;

use std::time::Duration;

use anyhow::Result;

use crate::arguments::Options;
use crate::cluster::Shape;
use crate::load::Plan;
use crate::naming::Holds;
use crate::run::Run;

/// Every scenario.
pub(crate) const ALL: &[&dyn Scenario] = &[
    &kill_ingest::KillIngest,
    &kill_agent::KillAgent,
    &kill_all::KillAll,
    &kill_broker::KillBroker,
    &postgres_kill::PostgresKill,
    &kill_node::KillNode,
    &power_cut::PowerCut,
    &power_cut::AgentPowerCut,
    &zombie::Zombie,
    &ownership_storm::OwnershipStorm,
    &broker_away::BrokerAway,
    &poison::Poison,
    &truncate::Truncate,
    &over_limit::OverLimit,
    &pressure::Pressure,
    &disk_full::DiskFull,
    &store_faults::StoreFaults,
    &failpoints::Failpoints(Shape::Split),
    &failpoints::Failpoints(Shape::All),
    &failpoints::KeptCopies,
];

/// What happens to a running Weir, and what must have happened for its verdict to
/// mean anything.
pub(crate) trait Scenario: Sync {
    /// What it is called on the command line.
    fn name(&self) -> &'static str;

    /// What it does, in a line.
    fn about(&self) -> &'static str;

    /// How many faults, where nobody says.
    fn faults(&self) -> u64 {
        10
    }

    /// How many where it is to be brief.
    fn brief(&self) -> u64 {
        4
    }

    /// Whether it is among the brief runs for every change.
    fn is_for_every_change(&self) -> bool {
        true
    }

    /// What runs, and under what load.
    fn setup(&self, _options: &Options) -> Setup {
        Setup::default()
    }

    /// What must be there before the first process starts.
    ///
    /// # Errors
    /// The scenario cannot run here: why.
    fn prepare(&self, _run: &mut Run) -> Result<()> {
        Ok(())
    }

    /// Lets [`Run::asked`] faults happen, and tells each to the run.
    ///
    /// # Errors
    /// Something that no fault explains. What was issued is judged all the same.
    fn inject(&self, run: &mut Run) -> Result<()>;

    /// What it holds Weir to beyond the books: what is wrong, in words.
    ///
    /// # Errors
    /// It cannot be found out.
    fn judge(&self, _run: &mut Run) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// What runs, and under what load.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) shape: Shape,
    /// The nodes that are started, by name: the role is the name up to `-`.
    pub(crate) nodes: Vec<&'static str>,
    /// Settings of every node.
    pub(crate) settings: Vec<(&'static str, String)>,
    pub(crate) plan: Plan,
    pub(crate) needs: Needs,
}

/// What must have happened beside the faults.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Needs {
    /// Commits between one fault and the next, in a quarter of all cases.
    pub(crate) commits: bool,
    /// At least as many rotations as faults.
    pub(crate) rotations: bool,
    /// Lines and stack traces that were cut by time and went on.
    pub(crate) cuts: bool,
    /// Something was sent again.
    pub(crate) resends: bool,
    /// Something is lost for real: some, and as many as are told.
    pub(crate) losses: bool,
    /// Somebody is named who holds answers back.
    pub(crate) holds: Holds,
}

/// How long ingesters lease partitions.
const LEASE: Duration = Duration::from_secs(2);

impl Default for Setup {
    /// An agent, two ingesters and a query service; short times, so that many
    /// commits, moves and cuts fall between the faults.
    fn default() -> Self {
        let settings = [
            ("WEIR_INGEST_FLUSH_INTERVAL", "400ms"),
            ("WEIR_INGEST_LEASE", &format!("{}s", LEASE.as_secs())),
            ("WEIR_AGENT_LINE_TIMEOUT", "60ms"),
            ("WEIR_AGENT_MULTILINE_TIMEOUT", "150ms"),
        ];
        Self {
            shape: Shape::Split,
            nodes: vec!["ingest-1", "ingest-2", "query", "agent"],
            settings: settings.map(|(name, value)| (name, value.to_owned())).to_vec(),
            plan: Plan::default(),
            needs: Needs { commits: true, ..Needs::default() },
        }
    }
}

impl Setup {
    /// As usual, with faults of ingesters alone: answers name their partitions.
    fn of_ingesters() -> Self {
        let needs = Needs { commits: true, holds: Holds::Partitions, ..Needs::default() };
        Self { needs, ..Self::default() }
    }
}

/// The scenario of a name.
pub(crate) fn of(name: &str) -> Option<&'static dyn Scenario> {
    ALL.iter().find(|scenario| scenario.name() == name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_has_a_name_of_its_own() {
        for scenario in ALL {
            let found = of(scenario.name()).expect("it is found");
            assert_eq!(found.about(), scenario.about());
        }
        assert!(of("nothing").is_none());
    }
}

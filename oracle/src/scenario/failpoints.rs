//! Processes that fail at named places: before and after each step that something
//! durable depends on. Which ones, the seed says, or `--env NODE:FAILPOINTS=...`. They
//! need a binary with the feature `failpoints`. Each says on its standard error when it
//! did, and who ended is started again.

mod kept;
mod places;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;

use self::places::{AGENT, INGEST, Place, REVOKE, SEGMENTS};
use super::{Needs, Scenario, Setup};
use crate::arguments::Options;
use crate::cluster::{Shape, Variable};
use crate::run::Run;

pub(super) use self::kept::KeptCopies;

/// Nothing happens at a place that nobody passes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Places of a process that fail at a time, and for how long.
const PLACES: usize = 3;
const TURN: Duration = Duration::from_secs(6);

/// Over Kafka and Postgres, or in one process over a disk log and SQLite.
pub(super) struct Failpoints(pub(super) Shape);

impl Scenario for Failpoints {
    fn name(&self) -> &'static str {
        match self.0 {
            Shape::Split => "failpoints",
            Shape::All => "failpoints-one",
        }
    }

    fn about(&self) -> &'static str {
        match self.0 {
            Shape::Split => {
                "ends, panics, stalls and errors before and after each step of agent and ingesters, or what --env NODE:FAILPOINTS=... says"
            }
            Shape::All => "the same in `weir all`, on the disk log and SQLite",
        }
    }

    fn faults(&self) -> u64 {
        40
    }

    fn brief(&self) -> u64 {
        6
    }

    fn setup(&self, _options: &Options) -> Setup {
        let mut setup = Setup { shape: self.0, ..Setup::default() };
        if self.0 == Shape::All {
            setup.nodes = vec!["all"];
            // Segments that are begun and removed all the time.
            setup.settings.push(("WEIR_LOG_SEGMENT_BYTES", "64KiB".to_owned()));
            setup.needs = Needs { commits: true, ..Needs::default() };
        }
        setup
    }

    fn prepare(&self, run: &mut Run) -> Result<()> {
        run.is_told_to_fail = true;
        Ok(())
    }

    fn inject(&self, run: &mut Run) -> Result<()> {
        let roles: &[(&str, &[&[Place]])] = match self.0 {
            _ if run.options.environment.iter().any(Variable::tells_to_fail) => &[],
            Shape::Split => {
                &[("agent", &[AGENT]), ("ingest-1", &[INGEST, REVOKE]), ("ingest-2", &[INGEST, REVOKE])]
            }
            Shape::All => &[("all", &[AGENT, INGEST, SEGMENTS])],
        };
        let mut decks: Vec<_> = roles.iter().map(|(node, lists)| (*node, Deck::new(lists))).collect();
        let (mut told, mut last) = (Told::default(), Instant::now());
        while run.is_to_go_on() {
            for (node, deck) in &mut decks {
                let plan = deck.plan(PLACES, &mut run.random);
                restart(run, node, Some(plan))?;
            }
            let begun = Instant::now();
            while run.is_to_go_on() && begun.elapsed() < TURN {
                run.sleep_ms(100..200);
                if told.count(run)? > 0 {
                    last = Instant::now();
                }
                if last.elapsed() > PATIENCE {
                    bail!("no place has failed for {PATIENCE:?}");
                }
            }
        }
        // What they left is to be put right.
        for name in run.cluster.names("") {
            restart(run, &name, None)?;
        }
        Ok(())
    }
}

/// What failpoints have told, so that what is new is a fault.
#[derive(Default)]
struct Told(BTreeMap<String, u64>);

impl Told {
    /// Counts what failed since it was looked last, and starts again who ended.
    fn count(&mut self, run: &mut Run) -> Result<u64> {
        let mut said = BTreeMap::<_, u64>::new();
        for line in run.cluster.said("failpoint ") {
            *said.entry(line).or_default() += 1;
        }
        run.mind()?;
        let mut new = 0;
        for (what, count) in &said {
            for _ in self.0.get(what).copied().unwrap_or(0)..*count {
                run.over(what);
                new += 1;
            }
        }
        self.0 = said;
        Ok(new)
    }
}

/// Kills a node, and starts it with these failpoints.
fn restart(run: &mut Run, node: &str, plan: Option<String>) -> Result<()> {
    run.cluster.node(node)?.unset("FAILPOINTS");
    if let Some(plan) = plan {
        eprintln!("{node}: {plan}");
        run.cluster.node(node)?.set("FAILPOINTS", plan);
    }
    run.kill(node)?;
    run.launch(node)
}

/// Every action at every place of a process, in a random order, and then again.
struct Deck {
    all: Vec<(&'static Place, &'static str)>,
    left: Vec<(&'static Place, &'static str)>,
}

impl Deck {
    fn new(lists: &[&'static [Place]]) -> Self {
        let places = lists.iter().copied().flatten();
        let all = places.flat_map(|place| place.actions.iter().map(move |action| (place, *action))).collect();
        Self { all, left: Vec::new() }
    }

    /// What fails next, and how often.
    fn plan(&mut self, places: usize, random: &mut SmallRng) -> String {
        let mut parts = Vec::new();
        for _ in 0..places {
            if self.left.is_empty() {
                self.left.clone_from(&self.all);
                self.left.shuffle(random);
            }
            let Some((place, action)) = self.left.pop() else { break };
            parts.push(format!("{}={action}%{}", place.name, place.passes * random.random_range(1..=2)));
            parts.extend(place.lure.map(str::to_owned));
        }
        parts.join(";")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_seed_says_what_fails() {
        let drawn = |seed| Deck::new(&[INGEST]).plan(PLACES, &mut SmallRng::seed_from_u64(seed));
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
        assert_eq!(drawn(1).split(';').count(), PLACES);
    }

    #[test]
    fn everything_fails_in_turn() {
        let mut deck = Deck::new(&[INGEST, REVOKE]);
        let (all, mut random) = (deck.all.len(), SmallRng::seed_from_u64(1));
        let plans: Vec<_> = (0..all.div_ceil(PLACES)).map(|_| deck.plan(PLACES, &mut random)).collect();
        let parts = plans.iter().flat_map(|plan| plan.split(';')).filter_map(|part| part.split('%').next());
        assert!(parts.collect::<BTreeSet<_>>().len() >= all, "{plans:?}");
    }
}

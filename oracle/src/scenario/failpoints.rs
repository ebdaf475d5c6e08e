//! Processes that fail at named places: before and after each step that something
//! durable depends on. Which ones, the seed says, or `--env NODE:FAILPOINTS=...`. They
//! need a binary with the feature `failpoints`. Each says on its standard error when it
//! did, and who ended is started again.

mod kept;
mod places;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;

use self::places::{AGENT, INGEST, Lure, Place, REVOKE, SEGMENTS};
use super::{LEASE, Needs, Scenario, Setup};
use crate::arguments::Options;
use crate::cluster::{Shape, Variable};
use crate::run::Run;

pub(super) use self::kept::KeptCopies;

/// Nothing happens at a place that nobody passes.
const PATIENCE: Duration = Duration::from_secs(60);

const VARIABLE: &str = "FAILPOINTS";

/// How long is waited for a process to fail at a place.
const TURN: Duration = Duration::from_secs(12);

/// How often.
const TRIES: u32 = 4;

/// How long it then goes on, at least.
const AFTERMATH: Duration = Duration::from_millis(700);

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
        // Segments that are begun and removed all the time.
        setup.settings.push(("WEIR_AGENT_RECEIVE_SPOOL_BYTES", "512KiB".to_owned()));
        if self.0 == Shape::All {
            setup.nodes = vec!["all"];
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
        let roles: &[(&[&str], &[&[Place]])] = match self.0 {
            _ if run.options.environment.iter().any(Variable::tells_to_fail) => &[],
            Shape::Split => {
                &[(&["agent"], &[AGENT, SEGMENTS]), (&["ingest-1", "ingest-2"], &[INGEST, REVOKE])]
            }
            Shape::All => &[(&["all"], &[AGENT, INGEST, SEGMENTS])],
        };
        let mut turns = Vec::new();
        for (nodes, lists) in roles {
            let deck = Rc::new(RefCell::new(Deck::new(lists)));
            for node in *nodes {
                turns.push((*node, deck.clone(), Turn::begin(run, node, &mut deck.borrow_mut())?));
            }
        }
        let (mut told, mut last) = (Told::default(), Instant::now());
        while run.is_to_go_on() {
            run.sleep_ms(50..100);
            let new = told.hear(run)?;
            if !new.is_empty() {
                last = Instant::now();
            }
            if last.elapsed() > PATIENCE {
                bail!("no place has failed for {PATIENCE:?}");
            }
            if turns.is_empty() {
                new.iter().for_each(|(_, line)| run.over(line));
            }
            for (node, deck, turn) in &mut turns {
                let met = new.iter().find(|(of, line)| of == node && turn.is_met_by(line));
                if let (Some((_, line)), None) = (met, turn.met) {
                    run.over(line);
                    turn.met = Some(Instant::now());
                    // Who is started again need not end again: it is to make up for it.
                    run.cluster.node(node)?.unset(VARIABLE);
                }
                match turn.met {
                    // Whoever failed must go on: nobody helps before something that was
                    // written since is to be seen.
                    Some(met) if met.elapsed() < AFTERMATH || !run.is_live_since(met)? => continue,
                    Some(_) => {}
                    None if turn.since.elapsed() < TURN => continue,
                    None => {
                        if let Some(wrong) = deck.borrow_mut().miss(turn) {
                            run.wrong(wrong);
                        }
                    }
                }
                *turn = Turn::begin(run, node, &mut deck.borrow_mut())?;
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
struct Told(BTreeMap<String, usize>);

impl Told {
    /// What failed since it was looked last, as nodes and what they said. Starts again
    /// who ended.
    fn hear(&mut self, run: &mut Run) -> Result<Vec<(String, String)>> {
        let mut new = Vec::new();
        for node in run.cluster.names("") {
            let said = run.cluster.node(&node)?.said("failpoint ");
            let told = self.0.entry(node.clone()).or_default();
            for line in said.iter().skip(*told) {
                new.push((node.clone(), line.clone()));
            }
            *told = said.len();
        }
        run.mind()?;
        Ok(new)
    }
}

/// Kills a node, and starts it with these failpoints.
fn restart(run: &mut Run, node: &str, plan: Option<String>) -> Result<()> {
    run.cluster.node(node)?.unset(VARIABLE);
    if let Some(plan) = plan {
        eprintln!("{node}: {plan}");
        run.cluster.node(node)?.set(VARIABLE, plan);
    }
    run.kill(node)?;
    run.launch(node)
}

/// A process has failed at a place, or is about to.
struct Turn {
    place: &'static Place,
    action: &'static str,
    since: Instant,
    /// When it first failed there.
    met: Option<Instant>,
}

impl Turn {
    fn begin(run: &mut Run, node: &str, deck: &mut Deck) -> Result<Self> {
        let (place, action) = deck.draw(&mut run.random);
        let plan = plan(place, action, &mut run.random);
        restart(run, node, Some(plan))?;
        if let Lure::Newcomer = place.lure {
            let other = if node == "ingest-1" { "ingest-2" } else { "ingest-1" };
            run.kill(other)?;
            std::thread::sleep(2 * LEASE);
            run.launch(other)?;
        }
        Ok(Self { place, action, since: Instant::now(), met: None })
    }

    fn is_met_by(&self, line: &str) -> bool {
        line.starts_with(&format!("failpoint {}: ", self.place.name))
    }
}

/// Every action at every place of a role, in a random order, and then again.
struct Deck {
    places: Vec<&'static Place>,
    left: VecDeque<(&'static Place, &'static str)>,
    missed: BTreeMap<(&'static str, &'static str), u32>,
}

impl Deck {
    fn new(lists: &[&'static [Place]]) -> Self {
        Self {
            places: lists.iter().copied().flatten().collect(),
            left: VecDeque::new(),
            missed: BTreeMap::new(),
        }
    }

    fn draw(&mut self, random: &mut SmallRng) -> (&'static Place, &'static str) {
        loop {
            if let Some(drawn) = self.left.pop_front() {
                return drawn;
            }
            let each =
                self.places.iter().flat_map(|place| place.actions.iter().map(|action| (*place, *action)));
            let mut all: Vec<_> = each.collect();
            all.shuffle(random);
            self.left.extend(all);
        }
    }

    /// Nobody came by in time: another try, later. What is wrong, after several.
    fn miss(&mut self, turn: &Turn) -> Option<String> {
        let misses = self.missed.entry((turn.place.name, turn.action)).or_default();
        *misses += 1;
        if *misses < TRIES {
            self.left.push_back((turn.place, turn.action));
            return None;
        }
        Some(format!("nobody came by {} in {TRIES} times {TURN:?}", turn.place.name))
    }
}

/// As `FAILPOINTS` says it.
fn plan(place: &Place, action: &str, random: &mut SmallRng) -> String {
    let plan = format!("{}={action}%{}", place.name, place.passes * random.random_range(1..=2));
    match place.lure {
        Lure::Failpoint(lure) => format!("{plan};{lure}"),
        Lure::Load | Lure::Newcomer => plan,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;

    use super::*;

    fn drawn(seed: u64, count: usize) -> Vec<String> {
        let (mut deck, mut random) = (Deck::new(&[INGEST, REVOKE]), SmallRng::seed_from_u64(seed));
        (0..count)
            .map(|_| deck.draw(&mut random))
            .map(|(place, action)| format!("{} {action}", place.name))
            .collect()
    }

    #[test]
    fn a_seed_says_what_fails() {
        assert_eq!(drawn(1, 5), drawn(1, 5));
        assert_ne!(drawn(1, 5), drawn(2, 5));
    }

    #[test]
    fn everything_fails_in_turn() {
        let each = INGEST.iter().chain(REVOKE).map(|place| place.actions.len()).sum();
        assert_eq!(drawn(1, each).iter().collect::<BTreeSet<_>>().len(), each);
        assert_eq!(drawn(1, each + 1).len(), each + 1);
    }
}

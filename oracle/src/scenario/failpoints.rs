//! Processes that fail at named places: before and after each step that something
//! durable depends on. Which ones, the seed says, or `--env NODE:FAILPOINTS=...`. They
//! need a binary with the feature `failpoints`. Each says on its standard error when it
//! did, and who ended is started again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;

use super::Scenario;
use crate::run::Run;

/// Nothing happens at a place that nobody passes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a process can stall, end, or let its step fail.
struct Point {
    name: &'static str,
    /// How often it is passed between two faults, at least: so often that something
    /// is done for good meanwhile, or who ends there ends there for ever.
    passes: u64,
    actions: &'static [&'static str],
}

const STALL: &str = "stall:300ms";

/// Between two steps.
const fn between(name: &'static str, passes: u64) -> Point {
    Point { name, passes, actions: &["exit", "exit", STALL] }
}

/// A step that can fail.
const fn step(name: &'static str, passes: u64) -> Point {
    Point { name, passes, actions: &["exit", "error", "error", STALL] }
}

/// Passed too often before anything is done for good.
const fn pause(name: &'static str, passes: u64) -> Point {
    Point { name, passes, actions: &[STALL] }
}

const AGENT: [Point; 14] = [
    step("agent.read.before", 400),
    between("agent.append.before", 60),
    between("agent.append.after", 60),
    step("agent.checkpoint.append.sync.before", 10),
    between("agent.checkpoint.append.sync.after", 10),
    between("agent.spool.append.before", 60),
    between("agent.spool.append.after", 60),
    between("agent.forward.before", 60),
    between("agent.forward.after", 60),
    between("agent.spool.trim.before", 3),
    step("log.write.before", 60),
    step("log.sync.before", 60),
    between("log.sync.after", 60),
    pause("log.segment.sync_directory.before", 1),
];

const INGEST: [Point; 14] = [
    between("ingest.put.before", 5),
    between("ingest.put.after", 5),
    step("storage.put.write.before", 5),
    step("storage.put.sync.before", 5),
    step("storage.put.sync_directory.before", 5),
    between("ingest.publish.before", 5),
    step("storage.begin.after", 5),
    step("storage.commit.before", 5),
    step("storage.commit.after", 5),
    between("ingest.publish.after", 5),
    between("ingest.trim.before", 5),
    between("ingest.revoke.before", 1),
    between("ingest.release.before", 1),
    pause("ingest.decode.before", 50),
];

/// Places of a role that fail at a time.
const PLACES: usize = 4;

pub(super) struct Failpoints;

impl Scenario for Failpoints {
    fn name(&self) -> &'static str {
        "failpoints"
    }

    fn about(&self) -> &'static str {
        "ends, stalls and errors before and after each step of agent and ingesters, or what --env NODE:FAILPOINTS=... says"
    }

    fn faults(&self) -> u64 {
        20
    }

    fn brief(&self) -> u64 {
        6
    }

    fn prepare(&self, run: &mut Run) -> Result<()> {
        if run.is_told_to_fail {
            return Ok(());
        }
        run.is_told_to_fail = true;
        for (node, points) in [("agent", AGENT.as_slice()), ("ingest-1", &INGEST), ("ingest-2", &INGEST)] {
            let plan = plan(points, &mut run.random);
            eprintln!("{node}: {plan}");
            run.cluster.add(node)?.set("FAILPOINTS", plan);
        }
        Ok(())
    }

    fn inject(&self, run: &mut Run) -> Result<()> {
        let (mut told, mut last) = (BTreeMap::<String, u64>::new(), Instant::now());
        while run.is_to_go_on() {
            run.sleep_ms(100..200);
            let mut said = BTreeMap::<_, u64>::new();
            for line in run.cluster.said("failpoint ") {
                *said.entry(line).or_default() += 1;
            }
            run.mind()?;
            for (what, count) in &said {
                for _ in told.get(what).copied().unwrap_or(0)..*count {
                    run.over(what);
                    last = Instant::now();
                }
            }
            told = said;
            if last.elapsed() > PATIENCE {
                bail!("no place has failed for {PATIENCE:?}");
            }
        }
        // What they left is to be put right.
        for name in run.cluster.names("") {
            run.cluster.node(&name)?.unset("FAILPOINTS");
            run.kill(&name)?;
            run.launch(&name)?;
        }
        Ok(())
    }
}

/// Some of the places, each with an action and how often it is taken.
fn plan(points: &[Point], random: &mut SmallRng) -> String {
    let chosen: Vec<_> = points.choose_multiple(random, PLACES).collect();
    let one = |point: &Point| {
        let action = point.actions[random.random_range(0..point.actions.len())];
        format!("{}={action}%{}", point.name, point.passes * random.random_range(1..=4))
    };
    chosen.into_iter().map(one).collect::<Vec<_>>().join(";")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use rand::SeedableRng;

    use super::*;

    fn sources(folder: &Path, found: &mut String) {
        let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
        for path in entries.collect::<Vec<PathBuf>>() {
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push_str(&fs::read_to_string(path).expect("text"));
            }
        }
    }

    #[test]
    fn every_place_is_one_that_somebody_passes() {
        let mut text = String::new();
        for folder in ["agent", "ingest", "storage", "stream"] {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder).join("src");
            sources(&root, &mut text);
        }
        for point in AGENT.iter().chain(&INGEST) {
            assert!(text.contains(&format!("reach(\"{}\")", point.name)), "{}", point.name);
        }
    }

    #[test]
    fn a_seed_says_what_fails() {
        let drawn = |seed| plan(&INGEST, &mut SmallRng::seed_from_u64(seed));
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
        assert_eq!(drawn(1).split(';').count(), PLACES);
    }
}

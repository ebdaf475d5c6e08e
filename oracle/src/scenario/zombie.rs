//! An ingester stands still until its partitions are another's, and wakes with rows
//! that it must not commit.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rand::Rng;

use super::{Scenario, Setup};
use crate::arguments::Options;
use crate::cluster;
use crate::counters::{PARTITIONS, TERMS_LOST};
use crate::run::Run;

/// Many times as long as leases last.
const PATIENCE: Duration = Duration::from_secs(30);

/// What one ingester has that has everything.
const ALL: u64 = cluster::PARTITIONS * cluster::TOPICS;

pub(super) struct Zombie;

impl Scenario for Zombie {
    fn name(&self) -> &'static str {
        "zombie"
    }

    fn about(&self) -> &'static str {
        "SIGSTOP of an ingester until its partitions have moved; it wakes and must be refused"
    }

    fn brief(&self) -> u64 {
        3
    }

    fn setup(&self, _options: &Options) -> Setup {
        Setup::of_ingesters()
    }

    fn inject(&self, run: &mut Run) -> Result<()> {
        while run.is_to_go_on() {
            let [zombie, other] =
                if run.random.random_bool(0.5) { ["ingest-1", "ingest-2"] } else { ["ingest-2", "ingest-1"] };
            wait_until_shared(run, [zombie, other])?;
            let lost = run.board.now(zombie, TERMS_LOST).unwrap_or(0);
            // Anywhere in its round of reading and committing.
            run.sleep_ms(0..500);
            run.cluster.node(zombie)?.pause();
            let moved = wait_for(run, other, PARTITIONS, ALL);
            run.sleep_ms(0..1000);
            run.cluster.node(zombie)?.resume();
            moved?;
            // Only one that was refused was a zombie.
            if wait_for(run, zombie, TERMS_LOST, lost + 1).is_ok() {
                run.over("zombie refused");
            }
            run.recover()?;
        }
        Ok(())
    }
}

/// Waits until each partition is one's, and both have some. While they move, both
/// may count the same one.
fn wait_until_shared(run: &mut Run, nodes: [&str; 2]) -> Result<()> {
    let begun = Instant::now();
    loop {
        let counts = nodes.map(|node| {
            run.board.read(node);
            run.board.now(node, PARTITIONS).unwrap_or(0)
        });
        if counts.iter().all(|count| *count > 0) && counts.iter().sum::<u64>() == ALL {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            bail!("{nodes:?} have {counts:?} partitions of {ALL} after {PATIENCE:?}");
        }
        run.sleep_ms(50..100);
        run.mind()?;
    }
}

/// Waits until a node counts so many.
fn wait_for(run: &mut Run, node: &str, counter: &str, at_least: u64) -> Result<()> {
    let begun = Instant::now();
    loop {
        run.board.read(node);
        match run.board.now(node, counter) {
            Some(count) if count >= at_least => return Ok(()),
            count if begun.elapsed() > PATIENCE => {
                bail!("{node} has {count:?} of {at_least} {counter} after {PATIENCE:?}")
            }
            _ => run.sleep_ms(50..100),
        }
        run.mind()?;
    }
}

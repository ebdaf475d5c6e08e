//! Ingesters come, go, die and stand still, and topics grow.

use anyhow::Result;
use rand::Rng;
use rand::seq::IndexedRandom;

use super::{Scenario, Setup};
use crate::arguments::Options;
use crate::run::Run;

/// The most at a time.
const INGESTERS: usize = 4;

/// How large `weir.logs` may grow: partitions cannot be taken away again.
const PARTITIONS: std::ops::RangeInclusive<u32> = 5..=8;

pub(super) struct OwnershipStorm;

impl Scenario for OwnershipStorm {
    fn name(&self) -> &'static str {
        "ownership-storm"
    }

    fn about(&self) -> &'static str {
        "ingesters added, ended, killed and paused; partitions added"
    }

    fn brief(&self) -> u64 {
        6
    }

    fn faults(&self) -> u64 {
        20
    }

    fn setup(&self, _options: &Options) -> Setup {
        Setup::of_ingesters()
    }

    fn inject(&self, run: &mut Run) -> Result<()> {
        let (mut partitions, mut next) = (PARTITIONS, 3);
        while run.is_to_go_on() {
            let present = run.cluster.names("ingest");
            let Some(one) = present.choose(&mut run.random).cloned() else { break };
            match run.random.random_range(0..100) {
                0..30 if present.len() < INGESTERS => {
                    run.launch(&format!("ingest-{next}"))?;
                    next += 1;
                    run.over("add ingester");
                }
                0..45 if present.len() > 1 => {
                    // One that has just begun does not hear yet.
                    run.cluster.node(&one)?.wait_until_ready()?;
                    run.cluster.node(&one)?.terminate()?;
                    run.cluster.remove(&one);
                    run.over("end ingester");
                }
                0..60 if present.len() > 1 => {
                    run.kill(&one)?;
                    run.cluster.remove(&one);
                    run.over("kill ingester for good");
                }
                0..75 => {
                    run.kill(&one)?;
                    run.launch(&one)?;
                    run.over("kill ingester");
                }
                75..80 => {
                    let Some(count) = partitions.next() else { continue };
                    run.cluster.add_partitions("weir.logs", count)?;
                    run.over("add partition");
                }
                _ => {
                    run.cluster.node(&one)?.pause();
                    // Shorter and longer than leases last.
                    run.sleep_ms(200..5000);
                    run.cluster.node(&one)?.resume();
                    run.over("pause ingester");
                }
            }
            run.sometimes_recover()?;
        }
        Ok(())
    }

    fn judge(&self, run: &mut Run) -> Result<Vec<String>> {
        let kinds = ["add partition", "add ingester", "end ingester", "kill ingester for good"];
        Ok(kinds.iter().filter_map(|kind| run.lacks(kind)).collect())
    }
}

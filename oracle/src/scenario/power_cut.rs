//! The power is cut: what was not synced is gone. Of `weir all`: from the event log,
//! the spools, the checkpoint, the catalog and the tables' files; of an agent beside
//! Kafka: from its spools and its checkpoint. What the agent reads lies on another
//! disk.

use std::fs;

use anyhow::{Context, Result};
use rand::Rng;

use super::{Needs, Scenario, Setup};
use crate::arguments::Options;
use crate::cluster::Shape;
use crate::naming::Holds;
use crate::power::Power;
use crate::run::Run;

const NEEDS: Needs = Needs {
    commits: true,
    rotations: false,
    cuts: false,
    resends: true,
    losses: false,
    holds: Holds::Unsaid,
};

/// Of `weir all`.
pub(super) struct PowerCut;

/// Of an agent.
pub(super) struct AgentPowerCut;

impl Scenario for PowerCut {
    fn name(&self) -> &'static str {
        "power-cut"
    }

    fn about(&self) -> &'static str {
        "kill -9 of `weir all`, and all that it had not synced is gone, or some of it; needs a C compiler"
    }

    fn setup(&self, _options: &Options) -> Setup {
        let mut setup = Setup { shape: Shape::All, nodes: vec!["all"], needs: NEEDS, ..Setup::default() };
        // Many segments begin between two cuts, and each copy of one is small. What
        // trims them syncs their directory, too: not all the time.
        setup.settings.push(("WEIR_LOG_SEGMENT_BYTES", "16KiB".to_owned()));
        setup.settings.push(("WEIR_INGEST_FLUSH_INTERVAL", "1s".to_owned()));
        setup
    }

    fn prepare(&self, run: &mut Run) -> Result<()> {
        put_on_a_disk(run, "all")
    }

    fn inject(&self, run: &mut Run) -> Result<()> {
        while run.is_to_go_on() {
            if cut(run, "all")? {
                run.over("power cut");
            }
            run.sometimes_recover()?;
        }
        Ok(())
    }
}

impl Scenario for AgentPowerCut {
    fn name(&self) -> &'static str {
        "power-cut-agent"
    }

    fn about(&self) -> &'static str {
        "the same of an agent beside Kafka, which sometimes stands still meanwhile: spools and checkpoint"
    }

    fn setup(&self, _options: &Options) -> Setup {
        Setup { needs: NEEDS, ..Setup::default() }
    }

    fn prepare(&self, run: &mut Run) -> Result<()> {
        put_on_a_disk(run, "agent")
    }

    fn inject(&self, run: &mut Run) -> Result<()> {
        while run.is_to_go_on() {
            // What is pushed stays in the spools then.
            let is_held = run.random.random_bool(0.5);
            if is_held {
                run.cluster.kafka()?.pause();
                run.sleep_ms(100..1500);
            }
            let was_alive = cut(run, "agent");
            if is_held {
                run.cluster.kafka()?.resume();
            }
            if was_alive? {
                run.over(if is_held { "power cut while Kafka stands still" } else { "power cut" });
            }
            run.sometimes_recover()?;
        }
        Ok(())
    }
}

/// The node's data, and the tables' files if they are its own, lie where the power can
/// be cut.
fn put_on_a_disk(run: &mut Run, name: &str) -> Result<()> {
    let disk = run.cluster.dir().join("disk");
    for part in ["data", "objects"] {
        fs::create_dir_all(disk.join(part))?;
    }
    let power = Power::new(&disk).context("a directory whose power can be cut")?;
    let node = run.cluster.add(name)?;
    node.keep_data_in(disk.join("data"));
    if node.role() == "all" {
        node.set("WEIR_OBJECTS", disk.join("objects"));
    }
    for (name, value) in power.environment() {
        node.set(name, value);
    }
    run.power = Some(power);
    Ok(())
}

/// True if it ran.
fn cut(run: &mut Run, name: &str) -> Result<bool> {
    let was_alive = run.kill(name)?;
    run.power.as_ref().context("it was prepared")?.cut(&mut run.random)?;
    run.launch(name)?;
    Ok(was_alive)
}

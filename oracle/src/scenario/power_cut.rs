//! The power of `weir all` is cut: what was not synced is gone, from the event log,
//! the spools, the checkpoint, the catalog and the tables' files. What the agent reads
//! lies on another disk.

use std::fs;

use anyhow::{Context, Result};

use super::{Needs, Scenario, Setup};
use crate::arguments::Options;
use crate::cluster::Shape;
use crate::power::Power;
use crate::run::Run;

pub(super) struct PowerCut;

impl Scenario for PowerCut {
    fn name(&self) -> &'static str {
        "power-cut"
    }

    fn about(&self) -> &'static str {
        "kill -9 of `weir all`, and all that it had not synced is gone, or some of it; needs a C compiler"
    }

    fn setup(&self, _options: &Options) -> Setup {
        let needs = Needs { commits: true, rotations: false, cuts: false, resends: true };
        let mut setup = Setup { shape: Shape::All, nodes: vec!["all"], needs, ..Setup::default() };
        // Many segments begin between two cuts, and each copy of one is small. What
        // trims them syncs their directory, too: not all the time.
        setup.settings.push(("WEIR_LOG_SEGMENT_BYTES", "16KiB".to_owned()));
        setup.settings.push(("WEIR_INGEST_FLUSH_INTERVAL", "1s".to_owned()));
        setup
    }

    fn prepare(&self, run: &mut Run) -> Result<()> {
        let disk = run.cluster.dir().join("disk");
        for part in ["data", "objects"] {
            fs::create_dir_all(disk.join(part))?;
        }
        let power = Power::new(&disk).context("a directory whose power can be cut")?;
        let node = run.cluster.add("all")?;
        node.keep_data_in(disk.join("data"));
        node.set("WEIR_OBJECTS", disk.join("objects"));
        for (name, value) in power.environment() {
            node.set(name, value);
        }
        run.power = Some(power);
        Ok(())
    }

    fn inject(&self, run: &mut Run) -> Result<()> {
        while run.is_to_go_on() {
            let was_alive = run.kill("all")?;
            run.power.as_ref().context("it was prepared")?.cut(&mut run.random)?;
            run.launch("all")?;
            if was_alive {
                run.over("power cut");
            }
            run.sometimes_recover()?;
        }
        Ok(())
    }
}

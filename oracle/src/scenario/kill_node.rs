//! `weir all` is killed: every role at one moment, over the disk log and SQLite.

use anyhow::Result;

use super::{Needs, Scenario, Setup};
use crate::arguments::Options;
use crate::cluster::Shape;
use crate::run::Run;

pub(super) struct KillNode;

impl Scenario for KillNode {
    fn name(&self) -> &'static str {
        "kill-node"
    }

    fn about(&self) -> &'static str {
        "kill -9 of `weir all`: one process, the disk log, SQLite"
    }

    fn brief(&self) -> u64 {
        16
    }

    fn setup(&self, _options: &Options) -> Setup {
        let needs = Needs { commits: true, cuts: true, resends: true, ..Needs::default() };
        Setup { shape: Shape::All, nodes: vec!["all"], needs, ..Setup::default() }
    }

    fn inject(&self, run: &mut Run) -> Result<()> {
        while run.is_to_go_on() {
            let was_alive = run.kill("all")?;
            run.sleep_ms(0..200);
            run.launch("all")?;
            if was_alive {
                run.over("kill weir all");
            }
            run.sometimes_recover()?;
        }
        Ok(())
    }
}

//! Files bring many times what `agent.limits` lets pass: lines are dropped, and each
//! must be told, through kills. Here losses are real, and what is said of them is held
//! to what is missing.

use anyhow::Result;

use super::{Needs, Scenario, Setup};
use crate::arguments::Options;
use crate::cluster::Shape;
use crate::load::Plan;
use crate::run::Run;

/// After a restart up to 1 MiB of each file passes without a limit. This is long enough
/// for more than that.
const BREATH_MS: std::ops::Range<u64> = 3500..6000;

pub(super) struct OverLimit;

impl Scenario for OverLimit {
    fn name(&self) -> &'static str {
        "over-limit"
    }

    fn about(&self) -> &'static str {
        "files that bring ten times what may pass, and kill -9 of `weir all`: as many are missing as are told"
    }

    fn brief(&self) -> u64 {
        3
    }

    fn setup(&self, _options: &Options) -> Setup {
        let needs = Needs { commits: true, losses: true, ..Needs::default() };
        let plan = Plan {
            files: 2,
            file_rate: 4000,
            containers: 0,
            docker: 0,
            otlp: 1,
            ships: 0,
            ..Plan::default()
        };
        let mut setup = Setup { shape: Shape::All, nodes: vec!["all"], needs, plan, ..Setup::default() };
        setup.settings.push(("WEIR_AGENT_LIMITS_POD", "{ lines_per_second: 400, burst: 1s }".to_owned()));
        // A line that is cut in two would be two that are dropped, and one that is missing.
        setup.settings.push(("WEIR_AGENT_LINE_TIMEOUT", "10s".to_owned()));
        setup
    }

    fn inject(&self, run: &mut Run) -> Result<()> {
        while run.is_to_go_on() {
            run.sleep_ms(BREATH_MS);
            let was_alive = run.kill("all")?;
            run.sleep_ms(0..200);
            run.launch("all")?;
            if was_alive {
                run.over("kill weir all");
            }
            run.recover()?;
        }
        run.sleep_ms(BREATH_MS);
        Ok(())
    }
}

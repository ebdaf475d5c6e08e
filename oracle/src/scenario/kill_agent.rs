//! The agent is killed while its files are written and rotated: in the middle of
//! lines, between the first half of a stack trace and its late rest, between what
//! the event log has and what the checkpoint says.

use anyhow::Result;
use rand::Rng;

use super::{Needs, Scenario, Setup};
use crate::arguments::Options;
use crate::load::Plan;
use crate::naming::Holds;
use crate::run::Run;

pub(super) struct KillAgent;

impl Scenario for KillAgent {
    fn name(&self) -> &'static str {
        "kill-agent"
    }

    fn about(&self) -> &'static str {
        "kill -9 of the agent under rotation, in halves of lines and of stack traces"
    }

    fn setup(&self, _options: &Options) -> Setup {
        Setup {
            plan: Plan { containers: 2, rotation: 0.02, ..Plan::default() },
            needs: Needs {
                commits: true,
                rotations: true,
                cuts: true,
                resends: true,
                holds: Holds::Agents,
                ..Needs::default()
            },
            ..Setup::default()
        }
    }

    fn inject(&self, run: &mut Run) -> Result<()> {
        while run.is_to_go_on() {
            let is_half = run.random.random_bool(0.4) && find_half(run);
            // What it has sent then has no answer yet.
            let is_unanswered = run.random.random_bool(0.3);
            if is_unanswered {
                run.cluster.kafka()?.pause();
                run.sleep_ms(20..300);
            }
            let was_alive = run.kill("agent")?;
            if is_unanswered {
                run.cluster.kafka()?.resume();
            }
            // Now and then long enough for files to be rotated that nobody saw.
            let away = if run.random.random_bool(0.2) { 500..2500 } else { 0..200 };
            run.sleep_ms(away);
            run.launch("agent")?;
            if was_alive {
                run.over(match (is_half, is_unanswered) {
                    (_, true) => "kill agent while Kafka stands still",
                    (true, false) => "kill agent in half a stack trace",
                    (false, false) => "kill agent",
                });
            }
            run.sometimes_recover()?;
        }
        Ok(())
    }

    fn judge(&self, run: &mut Run) -> Result<Vec<String>> {
        let kinds = ["kill agent in half a stack trace", "kill agent while Kafka stands still"];
        Ok(kinds.iter().filter_map(|kind| run.lacks(kind)).collect())
    }
}

/// Waits for a stack trace whose first half has been sent for lack of the rest; true
/// if there is one. A silence may end before it was long enough: the next may not.
fn find_half(run: &mut Run) -> bool {
    for _ in 0..20 {
        if run.halves.is_any() {
            run.sleep_ms(160..260);
            if run.halves.is_any() {
                return true;
            }
        }
        run.sleep_ms(5..20);
    }
    false
}

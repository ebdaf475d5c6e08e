//! The real Kafka is killed, or stands still.

use anyhow::Result;
use rand::Rng;

use super::{Needs, Scenario, Setup};
use crate::arguments::Options;
use crate::run::Run;

pub(super) struct KillBroker;

impl Scenario for KillBroker {
    fn name(&self) -> &'static str {
        "kill-broker"
    }

    fn about(&self) -> &'static str {
        "kill -9 of the real Kafka, and SIGSTOP for some seconds"
    }

    fn brief(&self) -> u64 {
        2
    }

    fn setup(&self, _options: &Options) -> Setup {
        // Whatever was sent again, Kafka itself knows by its number and keeps once.
        let needs = Needs { commits: true, ..Needs::default() };
        Setup { needs, ..Setup::default() }
    }

    fn inject(&self, run: &mut Run) -> Result<()> {
        while run.is_to_go_on() {
            if run.random.random_bool(0.6) {
                run.cluster.kafka()?.kill();
                run.sleep_ms(0..1500);
                run.cluster.kafka()?.restart();
                run.over("kill Kafka");
            } else {
                run.cluster.kafka()?.pause();
                run.sleep_ms(300..4000);
                run.cluster.kafka()?.resume();
                run.over("pause Kafka");
            }
            run.sometimes_recover()?;
        }
        Ok(())
    }
}

//! Everything is killed at one moment: every role, and sometimes Kafka and Postgres.

use anyhow::Result;
use rand::Rng;
use rand::seq::SliceRandom;

use super::{Needs, Scenario, Setup};
use crate::arguments::Options;
use crate::run::Run;

pub(super) struct KillAll;

impl Scenario for KillAll {
    fn name(&self) -> &'static str {
        "kill-all"
    }

    fn about(&self) -> &'static str {
        "kill -9 of every role at once, in half of all cases with Kafka, in half with Postgres"
    }

    fn brief(&self) -> u64 {
        2
    }

    fn setup(&self, _options: &Options) -> Setup {
        let needs = Needs { commits: true, rotations: true, resends: true, ..Needs::default() };
        Setup { needs, ..Setup::default() }
    }

    fn inject(&self, run: &mut Run) -> Result<()> {
        while run.is_to_go_on() {
            let mut names = run.cluster.names("");
            names.shuffle(&mut run.random);
            let (with_kafka, with_postgres) = (run.random.random_bool(0.5), run.random.random_bool(0.5));
            if with_kafka {
                run.cluster.kafka()?.kill();
            }
            for name in &names {
                run.kill(name)?;
            }
            if with_postgres {
                run.cluster.postgres()?.restart()?;
            }
            if with_kafka {
                run.cluster.kafka()?.restart();
            }
            names.shuffle(&mut run.random);
            for name in &names {
                run.launch(name)?;
                run.sleep_ms(0..50);
            }
            run.over(match (with_kafka, with_postgres) {
                (false, false) => "kill every role",
                (true, false) => "kill every role and Kafka",
                (false, true) => "kill every role and Postgres",
                (true, true) => "kill every role, Kafka and Postgres",
            });
            run.sometimes_recover()?;
        }
        Ok(())
    }
}

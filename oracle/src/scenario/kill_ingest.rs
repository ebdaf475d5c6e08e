//! An ingester of two is killed, at any moment, and started again.

use anyhow::Result;
use rand::Rng;

use super::{Scenario, Setup};
use crate::arguments::Options;
use crate::run::Run;

pub(super) struct KillIngest;

impl Scenario for KillIngest {
    fn name(&self) -> &'static str {
        "kill-ingest"
    }

    fn about(&self) -> &'static str {
        "kill -9 of an ingester of two, sometimes of both, at random moments"
    }

    fn brief(&self) -> u64 {
        8
    }

    fn setup(&self, _options: &Options) -> Setup {
        Setup::of_ingesters()
    }

    fn inject(&self, run: &mut Run) -> Result<()> {
        while run.is_to_go_on() {
            let one = ["ingest-1", "ingest-2"][run.random.random_range(0..2)];
            let both: &[&str] = if run.random.random_bool(0.2) { &["ingest-1", "ingest-2"] } else { &[one] };
            let killed = both.iter().map(|name| run.kill(name)).collect::<Result<Vec<_>>>()?;
            run.sleep_ms(0..200);
            for name in both {
                run.launch(name)?;
            }
            killed.iter().filter(|was_alive| **was_alive).for_each(|_| run.over("kill ingest"));
            run.sometimes_recover()?;
        }
        Ok(())
    }
}

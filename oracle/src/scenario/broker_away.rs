//! Kafka is away for minutes: longer than the five after which a client's defaults
//! drop what they hold.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Needs, Scenario, Setup};
use crate::arguments::Options;
use crate::load::Plan;
use crate::run::Run;

pub(super) struct BrokerAway;

impl Scenario for BrokerAway {
    fn name(&self) -> &'static str {
        "broker-away"
    }

    fn about(&self) -> &'static str {
        "Kafka is ended for 6 minutes (--minutes, --brief), comes back, and everything is sent"
    }

    fn faults(&self) -> u64 {
        1
    }

    fn brief(&self) -> u64 {
        1
    }

    fn setup(&self, _options: &Options) -> Setup {
        // What gathers meanwhile must be caught up within the time in which Weir
        // is to be live again: a probe is behind all that its file's lane waits for.
        let plan = Plan { file_rate: 60, otlp: 1, ..Plan::default() };
        let needs = Needs { rotations: true, ..Needs::default() };
        Setup { plan, needs, ..Setup::default() }
    }

    fn inject(&self, run: &mut Run) -> Result<()> {
        let away_s = run.options.away_s.unwrap_or(if run.options.is_brief { 10 } else { 6 * 60 });
        while run.is_to_go_on() {
            run.cluster.kafka()?.stop();
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(away_s) {
                run.sleep_ms(200..400);
                run.mind()?;
            }
            run.cluster.kafka()?.restart();
            run.over("Kafka away");
            run.recover()?;
        }
        Ok(())
    }
}

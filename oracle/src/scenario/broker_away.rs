//! Kafka is away for minutes: longer than the five after which a client's defaults
//! drop what they hold.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Needs, Scenario, Setup};
use crate::arguments::Options;
use crate::load::Plan;
use crate::naming::Holds;
use crate::run::Run;

/// Unless it is asked for otherwise.
const AWAY_S: u64 = 6 * 60;

/// Long enough that its lanes are silent, and named.
const BRIEF_S: u64 = 70;

/// What a process may have had: what gathers is on disk.
const MEMORY_MIB: u64 = 400;

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

    fn setup(&self, options: &Options) -> Setup {
        // What gathers meanwhile must be caught up within the time in which Weir
        // is to be live again: a probe is behind all that its file's lane waits for.
        let load = Plan::default();
        let tick = load.tick * u32::try_from(away_s(options).div_ceil(AWAY_S)).unwrap_or(u32::MAX);
        let plan = Plan { file_rate: 60, otlp: 1, tick, ..load };
        let holds = if away_s(options) >= BRIEF_S { Holds::Lanes } else { Holds::Unsaid };
        let needs = Needs { rotations: true, holds, ..Needs::default() };
        Setup { plan, needs, ..Setup::default() }
    }

    fn inject(&self, run: &mut Run) -> Result<()> {
        let away_s = away_s(&run.options);
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

    fn judge(&self, run: &mut Run) -> Result<Vec<String>> {
        let over = run.memory_mib.iter().filter(|(_, mib)| **mib > MEMORY_MIB);
        Ok(over.map(|(name, mib)| format!("{name} has had {mib} MiB of memory, over {MEMORY_MIB}")).collect())
    }
}

fn away_s(options: &Options) -> u64 {
    options.away_s.unwrap_or(if options.is_brief { BRIEF_S } else { AWAY_S })
}

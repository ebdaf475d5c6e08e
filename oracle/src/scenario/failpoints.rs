//! Processes that fail at named places, as `--env NODE:FAILPOINTS=...` tells them to:
//! they need a binary that was built with the feature `failpoints`. Each says on its
//! standard error when it did, and who ended is started again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::Scenario;
use crate::run::Run;

/// Nothing happens at a place that nobody passes.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Failpoints;

impl Scenario for Failpoints {
    fn name(&self) -> &'static str {
        "failpoints"
    }

    fn about(&self) -> &'static str {
        "what --env NODE:FAILPOINTS=... says, of a binary with the feature `failpoints`"
    }

    fn inject(&self, run: &mut Run) -> Result<()> {
        if run.options.environment.iter().all(|variable| variable.name != "FAILPOINTS") {
            bail!("say what is to fail: --env ingest:FAILPOINTS='ingest.commit.after=exit%10'");
        }
        let (mut told, mut last) = (BTreeMap::<String, u64>::new(), Instant::now());
        while run.is_to_go_on() {
            run.sleep_ms(100..200);
            let mut said = BTreeMap::<_, u64>::new();
            for line in run.cluster.said("failpoint ") {
                *said.entry(line).or_default() += 1;
            }
            run.mind()?;
            for (what, count) in &said {
                for _ in told.get(what).copied().unwrap_or(0)..*count {
                    run.over(what);
                    last = Instant::now();
                }
            }
            told = said;
            if last.elapsed() > PATIENCE {
                bail!("no place has failed for {PATIENCE:?}");
            }
        }
        Ok(())
    }
}

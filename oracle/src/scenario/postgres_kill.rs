//! Postgres is killed around commits: before one, in it, and when it is done and
//! nobody was told.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rand::Rng;

use super::{Needs, Scenario, Setup};
use crate::arguments::Options;
use crate::counters::COMMITS;
use crate::run::Run;

/// Until somebody commits.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct PostgresKill;

impl Scenario for PostgresKill {
    fn name(&self) -> &'static str {
        "postgres-kill"
    }

    fn about(&self) -> &'static str {
        "kill -9 of all processes of the real Postgres around commits"
    }

    fn setup(&self, _options: &Options) -> Setup {
        let needs = Needs { commits: true, ..Needs::default() };
        let mut setup = Setup { needs, ..Setup::default() };
        // Commits all the time.
        setup.settings.push(("WEIR_INGEST_FLUSH_INTERVAL", "100ms".to_owned()));
        setup
    }

    fn inject(&self, run: &mut Run) -> Result<()> {
        while run.is_to_go_on() {
            wait_for_a_commit(run)?;
            run.sleep_ms(0..150);
            run.cluster.postgres()?.kill();
            // Now and then for longer than leases last.
            let away = if run.random.random_bool(0.2) { 2000..5000 } else { 0..500 };
            run.sleep_ms(away);
            run.cluster.postgres()?.restart()?;
            run.over("kill Postgres");
            run.sometimes_recover()?;
        }
        Ok(())
    }
}

fn wait_for_a_commit(run: &mut Run) -> Result<()> {
    let (before, begun) = (run.board.sum(COMMITS), Instant::now());
    while run.board.sum(COMMITS) == before {
        if begun.elapsed() > PATIENCE {
            bail!("nobody commits for {PATIENCE:?}");
        }
        for name in run.cluster.names("ingest") {
            run.board.read(&name);
        }
        run.mind()?;
    }
    Ok(())
}

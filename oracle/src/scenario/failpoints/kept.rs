//! Kafka stands still until the agent has copied what is unread of files that are
//! deleted; then it fails around the removal of those copies.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};

use super::places::KEPT;
use super::{Deck, Told, Turn, restart};
use crate::arguments::Options;
use crate::load::Plan;
use crate::run::Run;
use crate::scenario::{Needs, Scenario, Setup};

/// A file that was renamed so long ago is one that the agent has open.
const OLD: Duration = Duration::from_secs(2);

/// So many, that each failpoint is met.
const COPIES_MIN: usize = 4;

/// The agent copies a file that nobody writes to for half a minute, once the log has
/// taken nothing for five seconds.
const PATIENCE: Duration = Duration::from_secs(60);

pub(in crate::scenario) struct KeptCopies;

impl Scenario for KeptCopies {
    fn name(&self) -> &'static str {
        "kept-copies"
    }

    fn about(&self) -> &'static str {
        "rotated files are deleted while Kafka stands still; the agent fails around the removal of its copies"
    }

    fn faults(&self) -> u64 {
        12
    }

    fn brief(&self) -> u64 {
        1
    }

    /// Kafka stands still for longer than its session with itself lasts. On a busy host
    /// ingesters were seen not to come back from that: a fault that is not mended yet.
    fn is_for_every_change(&self) -> bool {
        false
    }

    fn setup(&self, _options: &Options) -> Setup {
        let plan = Plan { file_rate: 60, otlp: 1, rotation: 0.04, ..Plan::default() };
        Setup { plan, needs: Needs { rotations: true, ..Needs::default() }, ..Setup::default() }
    }

    fn prepare(&self, run: &mut Run) -> Result<()> {
        run.is_told_to_fail = true;
        Ok(())
    }

    fn inject(&self, run: &mut Run) -> Result<()> {
        let (mut deck, mut told) = (Deck::new(&[KEPT]), Told::default());
        while run.is_to_go_on() {
            Turn::begin(run, "agent", &mut deck)?;
            run.see()?;
            run.cluster.kafka()?.pause();
            let kept = delete_and_wait(run);
            run.cluster.kafka()?.resume();
            eprintln!("{} files were deleted and copied", kept?);
            let begun = Instant::now();
            let line = loop {
                if let Some((_, line)) = told.hear(run)?.pop() {
                    break line;
                }
                if begun.elapsed() > PATIENCE {
                    bail!("{PATIENCE:?} after Kafka went on the failpoint was not met");
                }
                run.sleep_ms(50..100);
            };
            run.over(&line);
            run.recover()?;
            while copies(&kept_in(run)?)? > 0 {
                told.hear(run)?;
                if begun.elapsed() > PATIENCE {
                    bail!("{PATIENCE:?} after Kafka went on there are copies left");
                }
                run.sleep_ms(50..100);
            }
        }
        restart(run, "agent", None)
    }
}

fn kept_in(run: &mut Run) -> Result<PathBuf> {
    Ok(run.cluster.node("agent")?.data().join("agent/kept"))
}

/// Deletes what was rotated, and waits until there are as many copies.
fn delete_and_wait(run: &mut Run) -> Result<usize> {
    let begun = Instant::now();
    let mut deleted = 0;
    while deleted < COPIES_MIN {
        run.sleep_ms(4000..6000);
        for entry in fs::read_dir(run.cluster.input())? {
            let entry = entry?;
            let is_rotated = !entry.file_name().to_string_lossy().ends_with(".log");
            let metadata = entry.metadata()?;
            let age = SystemTime::now().duration_since(metadata.modified()?).unwrap_or_default();
            if is_rotated && age > OLD {
                // What was written since Kafka stands still is not acknowledged.
                deleted += usize::from(age < begun.elapsed());
                fs::remove_file(entry.path())?;
            }
        }
    }
    let kept = kept_in(run)?;
    while copies(&kept)? < deleted {
        if begun.elapsed() > PATIENCE {
            bail!("{deleted} files with unread lines were deleted, and {} copies are kept", copies(&kept)?);
        }
        run.sleep_ms(200..300);
        run.mind()?;
    }
    Ok(deleted)
}

fn copies(kept: &Path) -> Result<usize> {
    if !kept.exists() {
        return Ok(0);
    }
    let names = fs::read_dir(kept)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names: Vec<String> = names.collect::<Result<_>>().context("the agent's copies")?;
    Ok(names.iter().filter(|name| name.parse::<u64>().is_ok()).count())
}

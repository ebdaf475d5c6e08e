//! The disk of `weir all` is full again and again: event log, spools, checkpoint and
//! catalog. Only the tables' files lie elsewhere.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rand::Rng;

use super::{Needs, Scenario, Setup};
use crate::arguments::Options;
use crate::cluster::Shape;
use crate::counters::FULL;
use crate::mount::Mount;
use crate::run::Run;

/// The disk's size.
const DISK: &str = "256m";

/// Until something is appended.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct DiskFull;

impl Scenario for DiskFull {
    fn name(&self) -> &'static str {
        "disk-full"
    }

    fn about(&self) -> &'static str {
        "the disk of `weir all` is full for seconds, sometimes with a kill -9; needs root, for a tmpfs"
    }

    fn brief(&self) -> u64 {
        3
    }

    fn faults(&self) -> u64 {
        5
    }

    fn setup(&self, _options: &Options) -> Setup {
        let needs = Needs { commits: true, ..Needs::default() };
        Setup { shape: Shape::All, nodes: vec!["all"], needs, ..Setup::default() }
    }

    fn prepare(&self, run: &mut Run) -> Result<()> {
        let disk = run.cluster.dir().join("disk");
        run.mounts.push(Mount::tmpfs(&disk, DISK).context("blocked: this needs a mount")?);
        run.cluster.add("all")?.keep_data_in(disk.join("data"));
        Ok(())
    }

    fn inject(&self, run: &mut Run) -> Result<()> {
        let ballast = run.cluster.dir().join("disk/ballast");
        while run.is_to_go_on() {
            run.board.read("all");
            let before = run.board.now("all", FULL).unwrap_or(0);
            fill(&ballast)?;
            wait_until_met(run, before)?;
            run.sleep_ms(0..2500);
            if run.random.random_bool(0.3) {
                // What it appends meanwhile took what was left.
                run.kill("all")?;
                run.sleep_ms(0..200);
                run.launch("all")?;
                run.sleep_ms(500..2000);
            }
            std::fs::remove_file(&ballast)?;
            run.over("disk full");
            run.mind()?;
            run.sometimes_recover()?;
        }
        Ok(())
    }
}

/// Waits until Weir has been told that there is no room.
fn wait_until_met(run: &mut Run, before: u64) -> Result<()> {
    let begun = Instant::now();
    while run.board.now("all", FULL).is_none_or(|count| count <= before) {
        if begun.elapsed() > PATIENCE {
            bail!("the disk is full, and {PATIENCE:?} later the event log has not met it");
        }
        run.sleep_ms(50..100);
        run.board.read("all");
        run.mind()?;
    }
    Ok(())
}

/// Takes all there is.
fn fill(path: &Path) -> Result<()> {
    let mut file = File::create(path)?;
    // The last bytes in small pieces: a full disk has no room for a byte.
    for size in [1 << 20, 4096, 1] {
        let piece = vec![0; size];
        loop {
            match file.write(&piece) {
                Ok(0) => bail!("a disk that takes nothing"),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

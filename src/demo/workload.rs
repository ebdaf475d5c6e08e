//! Writes chatter into container logs, at a steady rate.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use rand::SeedableRng;
use rand::rngs::SmallRng;
use weir_runtime::{Clock, Handles};

use super::chatter::{Chatter, Printed, SERVICES};
use super::container::{ContainerLog, Emitted, pod};

/// How often lines are written.
const TICK: Duration = Duration::from_millis(10);

/// Services that chatter.
#[derive(Debug)]
pub struct Workload {
    emitted: Arc<Mutex<Emitted>>,
    handles: Handles,
}

impl Workload {
    /// Starts printing below `root`, one pod per service, `rate` lines a second
    /// over all of them.
    pub fn start(root: &Path, seed: u64, rate: u32, parent: &Handles) -> Result<Self> {
        // Not the seed itself: the shop names its pods by that.
        let mut random = SmallRng::seed_from_u64(seed.wrapping_add(1));
        let mut logs = Vec::new();
        for service in SERVICES {
            logs.push(ContainerLog::open(root.join(pod(service, &mut random)).join(service).join("0.log"))?);
        }
        let handles = parent.child("chatter");
        let emitted: Arc<Mutex<Emitted>> = Arc::default();
        let (shutdown, clock, counted) = (handles.shutdown.clone(), handles.clock.clone(), emitted.clone());
        let mut chatter = Chatter::new(seed);
        handles.tasks.spawn("print", async move {
            let mut due = 0.0;
            let mut ticks = tokio::time::interval(TICK);
            let mut printed = Vec::new();
            while !shutdown.has_begun() {
                ticks.tick().await;
                due += f64::from(rate) * TICK.as_secs_f64();
                while due >= 1.0 {
                    chatter.print(clock.now_micros(), &mut printed);
                    due -= printed.len() as f64;
                    let wrote = write(&mut logs, &printed, &clock)?;
                    printed.clear();
                    let mut sum = counted.lock().unwrap_or_else(PoisonError::into_inner);
                    *sum += wrote;
                }
            }
            Ok(())
        });
        Ok(Self { emitted, handles })
    }

    /// What was written so far.
    pub fn emitted(&self) -> Emitted {
        *self.emitted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the printing and says what was written.
    pub async fn stop(self) -> Result<Emitted> {
        self.handles.shutdown.begin();
        self.handles.tasks.join(Duration::from_secs(5)).await;
        if let Some(failure) = self.handles.tasks.failure() {
            bail!("the workload failed: {failure}");
        }
        Ok(self.emitted())
    }
}

fn write(logs: &mut [ContainerLog], printed: &[Printed], clock: &Clock) -> std::io::Result<Emitted> {
    let mut wrote = Emitted::default();
    for line in printed {
        wrote += logs[line.service].write(line.stream, &line.text, clock.now_micros())?;
    }
    Ok(wrote)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn what_is_counted_is_what_lies_in_the_files() {
        let dir = tempfile::tempdir().unwrap();
        let handles = Handles::new("test");
        let workload = Workload::start(dir.path(), 7, 20_000, &handles).unwrap();
        while workload.emitted().rotations < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let emitted = workload.stop().await.unwrap();
        let (mut lines, mut bytes) = (0, 0);
        for pod in fs::read_dir(dir.path()).unwrap() {
            for container in fs::read_dir(pod.unwrap().path()).unwrap() {
                for file in fs::read_dir(container.unwrap().path()).unwrap() {
                    let text = fs::read_to_string(file.unwrap().path()).unwrap();
                    bytes += text.len() as u64;
                    // A runtime's line is `TIME STREAM TAG TEXT`; parts of one have the tag P.
                    let is_end = |line: &&str| line.split(' ').nth(2) == Some("F");
                    lines += text.lines().filter(is_end).count() as u64;
                }
            }
        }
        assert_eq!((emitted.lines, emitted.bytes), (lines, bytes));
    }
}

//! How long a line takes from its `write` to an answer: one probe line at a
//! time, asked for over the public port until it is there.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use weir_runtime::Handles;

use crate::demo::cri_time;
use crate::http::Client;

/// Pause between two questions, and between an answer and the next probe.
const PAUSE: Duration = Duration::from_millis(10);
const BETWEEN: Duration = Duration::from_millis(100);

/// How long questions may fail.
const PATIENCE: Duration = Duration::from_secs(10);

/// Writes probe lines and watches them arrive.
#[derive(Debug)]
pub(super) struct Probe {
    seen: Arc<Mutex<Seen>>,
    handles: Handles,
}

/// What the probe has measured.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Probe lines written.
    pub written: u64,
    /// For each that was found, how long it took.
    pub took: Vec<Duration>,
}

impl Seen {
    /// The nth percentile in milliseconds; none when nothing was measured.
    pub(super) fn percentile(&self, nth: usize) -> Option<u64> {
        let mut took = self.took.clone();
        took.sort_unstable();
        let index = (took.len() * nth).div_ceil(100).saturating_sub(1);
        took.get(index).map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
    }
}

impl Probe {
    /// Starts probing through a container log of its own below `pods`.
    pub(super) fn start(pods: &Path, client: Client, parent: &Handles) -> Result<Self> {
        let dir = pods.join("weir_probe-0_00000000-0000-0000-0000-000000000000").join("probe");
        std::fs::create_dir_all(&dir)?;
        let mut file = OpenOptions::new().append(true).create(true).open(dir.join("0.log"))?;
        let handles = parent.child("probe");
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let (shutdown, clock, found) = (handles.shutdown.clone(), handles.clock.clone(), seen.clone());
        handles.tasks.spawn("probe", async move {
            while !shutdown.has_begun() {
                let number = {
                    let mut seen = found.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.written += 1;
                    seen.written
                };
                let since = clock.now_micros() - 60_000_000;
                let time = cri_time(clock.now_micros());
                file.write_all(format!("{time} stdout F probe seq=probe-{number}\n").as_bytes())?;
                let written = Instant::now();
                let question = format!(
                    "SELECT count(*) FROM logs WHERE service_name = 'probe' \
                     AND timestamp >= to_timestamp_micros({since}) AND body = 'probe seq=probe-{number}'"
                );
                loop {
                    match client.rows(&question).await {
                        Ok(rows) if rows[0][0] == 1 => {
                            found.lock().unwrap_or_else(PoisonError::into_inner).took.push(written.elapsed());
                            break;
                        }
                        // Who is asked may be starting anew; not for long.
                        Err(error) if written.elapsed() > PATIENCE => {
                            return Err(error.context("the probe's question").into());
                        }
                        Ok(_) | Err(_) => {}
                    }
                    if shutdown.has_begun() {
                        break;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                tokio::time::sleep(BETWEEN).await;
            }
            Ok(())
        });
        Ok(Self { seen, handles })
    }

    /// Ends the probing and says what was seen.
    pub(super) async fn stop(self) -> Result<Seen> {
        self.handles.shutdown.begin();
        self.handles.tasks.join(Duration::from_secs(5)).await;
        if let Some(failure) = self.handles.tasks.failure() {
            bail!("the probe failed: {failure}");
        }
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(seen)
    }
}

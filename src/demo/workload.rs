//! Writes what the shop prints into container logs, at a steady rate, and
//! rotates them.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use weir_runtime::{Clock, Handles};

use super::cri_time;
use super::shop::{Printed, SERVICES, Shop, Stream};

/// A log is renamed at this size; small, so that a short demo rotates too.
const ROTATE_BYTES: u64 = 512 * 1024;

/// Renamed logs that are kept. Who reads a log has them all open long before.
const KEPT: usize = 20;

/// A container runtime splits lines at its buffer's size.
const PART_BYTES: usize = 16 * 1024;

/// How often lines are written.
const TICK: Duration = Duration::from_millis(10);

/// A running shop.
#[derive(Debug)]
pub struct Workload {
    emitted: Arc<Mutex<Emitted>>,
    handles: Handles,
}

/// What was written so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Emitted {
    /// Lines, each with a number of its own.
    pub lines: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Files renamed.
    pub rotations: u64,
}

impl Workload {
    /// Starts printing below `root`, one pod per service, `rate` lines a second
    /// over all of them.
    pub fn start(root: &Path, seed: u64, rate: u32, parent: &Handles) -> Result<Self> {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut logs = Vec::new();
        for service in SERVICES {
            let pod = format!("shop_{service}-{:08x}_{}", random.random::<u32>(), uid(&mut random));
            logs.push(ContainerLog::open(root.join(pod).join(service).join("0.log"))?);
        }
        let handles = parent.child("shop");
        let emitted: Arc<Mutex<Emitted>> = Arc::default();
        let (shutdown, clock, counted) = (handles.shutdown.clone(), handles.clock.clone(), emitted.clone());
        let mut shop = Shop::new(seed);
        handles.tasks.spawn("print", async move {
            let mut due = 0.0;
            let mut ticks = tokio::time::interval(TICK);
            let mut printed = Vec::new();
            while !shutdown.has_begun() {
                ticks.tick().await;
                due += f64::from(rate) * TICK.as_secs_f64();
                while due >= 1.0 {
                    shop.print(clock.now_micros(), &mut printed);
                    due -= printed.len() as f64;
                    let wrote = write(&mut logs, &printed, &clock)?;
                    printed.clear();
                    let mut sum = counted.lock().unwrap_or_else(PoisonError::into_inner);
                    sum.lines += wrote.lines;
                    sum.bytes += wrote.bytes;
                    sum.rotations += wrote.rotations;
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
        let log = &mut logs[line.service];
        wrote.bytes += log.write(line, clock.now_micros())?;
        wrote.lines += 1;
        if log.bytes >= ROTATE_BYTES {
            log.rotate(clock.now_micros())?;
            wrote.rotations += 1;
        }
    }
    Ok(wrote)
}

/// One container's log, as a runtime writes it.
#[derive(Debug)]
struct ContainerLog {
    path: PathBuf,
    file: File,
    bytes: u64,
    rotated: VecDeque<PathBuf>,
}

impl ContainerLog {
    fn open(path: PathBuf) -> Result<Self> {
        let dir = path.parent().context("a log lies in a directory")?;
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let file = create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { path, file, bytes: 0, rotated: VecDeque::new() })
    }

    fn write(&mut self, line: &Printed, now_micros: i64) -> std::io::Result<u64> {
        let time = cri_time(now_micros);
        let stream = match line.stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        let mut text = Vec::with_capacity(line.text.len() + 64);
        let mut parts = line.text.as_bytes().chunks(PART_BYTES).peekable();
        while let Some(part) = parts.next() {
            let tag = if parts.peek().is_some() { 'P' } else { 'F' };
            write!(text, "{time} {stream} {tag} ")?;
            text.extend_from_slice(part);
            text.push(b'\n');
        }
        self.file.write_all(&text)?;
        self.bytes += text.len() as u64;
        Ok(text.len() as u64)
    }

    /// Renames the log and begins the next; the oldest renamed ones go, as a
    /// node's kubelet lets them go.
    fn rotate(&mut self, now_micros: i64) -> std::io::Result<()> {
        let time: String = cri_time(now_micros).chars().filter(char::is_ascii_digit).collect();
        let mut renamed = self.path.as_os_str().to_owned();
        renamed.push(format!(".{}-{}", &time[..8], &time[8..]));
        fs::rename(&self.path, &renamed)?;
        self.file = create(&self.path)?;
        self.bytes = 0;
        self.rotated.push_back(renamed.into());
        while self.rotated.len() > KEPT {
            if let Some(oldest) = self.rotated.pop_front() {
                fs::remove_file(oldest)?;
            }
        }
        Ok(())
    }
}

fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().append(true).create_new(true).open(path)
}

fn uid(random: &mut SmallRng) -> String {
    let hex = format!("{:032x}", random.random::<u128>());
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
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

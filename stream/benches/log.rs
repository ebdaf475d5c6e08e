//! The figures of `cargo xtask bench log`: what the disk log costs and how soon
//! it answers, on the disk below `TMPDIR`. CPU is that of the whole process, all
//! threads, and the bench's own share with it.
//!
//! `cargo bench -p weir-stream --no-default-features --bench log -- [NAME...]
//! [--json]`; `WEIR_BENCH_MB` sets how much is appended for each speed (default
//! 2000), `WEIR_BENCH_SECONDS` how long answers are timed (default 15),
//! `WEIR_BENCH_FSYNC` when they are given (default `group`).

#[path = "../../benches/figure.rs"]
mod figure;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use figure::{Figure, Wanted};
use tempfile::TempDir;
use tokio::task::JoinSet;
use weir_runtime::{ByteSize, Handles};
use weir_stream::disk::{DiskConfig, DiskLog, Fsync};
use weir_stream::{Append, Offset, Partition, ReadLimit, Record, Subscribe, Topic};

const MB_PER_CPU_SECOND: &str = "MB/s per CPU second";

const FIGURES: [Figure; 8] = [
    Figure { name: "append_batches", unit: MB_PER_CPU_SECOND, goal: 300.0, more: true },
    Figure { name: "append_small", unit: MB_PER_CPU_SECOND, goal: 300.0, more: true },
    Figure { name: "ack_p50", unit: "ms, 20,000 appends/s", goal: 100.0, more: false },
    Figure { name: "ack_p99", unit: "ms, 20,000 appends/s", goal: 100.0, more: false },
    Figure { name: "ack_cpu", unit: "% of a core meanwhile", goal: 100.0, more: false },
    Figure { name: "bare_fsync_p50", unit: "ms, 4 KiB without Weir", goal: 100.0, more: false },
    Figure { name: "bare_fsync_p99", unit: "ms, 4 KiB without Weir", goal: 100.0, more: false },
    Figure { name: "tail_disk_reads", unit: "MB a reader took of files", goal: 1.0, more: false },
];

/// A batch as agents close it, and what is far below; and how many of them wait
/// together: some MB.
const BATCH_BYTES: usize = 512 << 10;
const BATCHES_WAITING: usize = 16;
const SMALL_BYTES: usize = 4 << 10;
const SMALL_WAITING: usize = 512;

/// An event, as its own record with its own answer: the worst case.
const EVENT_BYTES: usize = 250;
const EVENTS_PER_MILLISECOND: usize = 20;

fn main() -> Result<()> {
    let Some(wanted) = Wanted::from_arguments(&FIGURES)? else { return Ok(()) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        for (name, bytes, waiting) in
            [("append_batches", BATCH_BYTES, BATCHES_WAITING), ("append_small", SMALL_BYTES, SMALL_WAITING)]
        {
            if wanted.has(name) {
                wanted.report(name, append(bytes, waiting).await?);
            }
        }
        if wanted.has_any(["bare_fsync_p50", "bare_fsync_p99"].into_iter()) {
            let millis = bare_fsync()?;
            wanted.report("bare_fsync_p50", at(&millis, 0.5));
            wanted.report("bare_fsync_p99", at(&millis, 0.99));
        }
        if wanted.has_any(["ack_p50", "ack_p99", "ack_cpu"].into_iter()) {
            let (millis, cpu) = answers().await?;
            wanted.report("ack_p50", at(&millis, 0.5));
            wanted.report("ack_p99", at(&millis, 0.99));
            wanted.report("ack_cpu", cpu);
        }
        if wanted.has("tail_disk_reads") {
            wanted.report("tail_disk_reads", tail().await?);
        }
        Ok(())
    })
}

/// A log of one partition on the disk.
struct Subject {
    log: Arc<DiskLog>,
    partition: Partition,
    _dir: TempDir,
}

impl Subject {
    fn new() -> Result<Self> {
        let dir = TempDir::new()?;
        let fsync = match std::env::var("WEIR_BENCH_FSYNC").as_deref() {
            Ok("always") => Fsync::Always,
            Ok("never") => Fsync::Never,
            Ok("group") | Err(_) => Fsync::Group,
            Ok(other) => bail!("WEIR_BENCH_FSYNC is {other}: use group, always or never"),
        };
        let queue_bytes = ByteSize::mib(64);
        let config = DiskConfig { dir: dir.path().join("log"), fsync, queue_bytes, ..DiskConfig::default() };
        let log = DiskLog::open(config, &Handles::new("bench"))?;
        let topic = Topic::new("weir.logs")?;
        log.ensure_topic(&topic, 1)?;
        Ok(Self { log: Arc::new(log), partition: Partition::new(topic, 0), _dir: dir })
    }
}

/// A record of so many bytes, as a batch has them: some headers.
fn record(bytes: usize) -> Record {
    let mut state = 1_u64;
    let payload: Bytes = (0..bytes)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u8
        })
        .collect();
    let headers = vec![("codec".to_owned(), Bytes::from_static(b"lz4")), ("mark".to_owned(), Bytes::new())];
    Record { headers, timestamp_micros: 1_767_225_600_000_000, payload }
}

/// MB per CPU second, while so many appends wait at a time. How fast the disk is
/// does not count.
async fn append(bytes: usize, waiting: usize) -> Result<f64> {
    let subject = Subject::new()?;
    let count = number("WEIR_BENCH_MB", 2000)? * 1_000_000 / bytes;
    let left = Arc::new(AtomicUsize::new(count));
    let record = record(bytes);
    let cpu = cpu_seconds()?;
    let mut appends = JoinSet::new();
    for _ in 0..waiting {
        let (log, partition) = (subject.log.clone(), subject.partition.clone());
        let (left, record) = (left.clone(), record.clone());
        appends.spawn(async move {
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
            {
                log.append(&partition, vec![record.clone()]).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = appends.join_next().await {
        ended??;
    }
    let cpu = cpu_seconds()? - cpu;
    let end = subject.log.reader().watermarks(&subject.partition).await?.end;
    if end != Offset(count as u64) {
        bail!("{end} records of {count} are there");
    }
    Ok((count * bytes) as f64 / 1e6 / cpu)
}

/// Milliseconds from when an event was due to its answer, sorted; and the share
/// of a core that it took. Who is due is sent, whatever became of those before.
async fn answers() -> Result<(Vec<f64>, f64)> {
    let subject = Subject::new()?;
    let record = record(EVENT_BYTES);
    let ticks = number("WEIR_BENCH_SECONDS", 15)? * 1000;
    let mut millis = Vec::with_capacity(ticks * EVENTS_PER_MILLISECOND);
    let mut appends = JoinSet::new();
    let (begun, cpu) = (Instant::now(), cpu_seconds()?);
    for tick in 0..ticks {
        let due = begun + Duration::from_millis(tick as u64);
        tokio::time::sleep_until(due.into()).await;
        for _ in 0..EVENTS_PER_MILLISECOND {
            let (log, partition, record) = (subject.log.clone(), subject.partition.clone(), record.clone());
            appends.spawn(async move {
                log.append(&partition, vec![record]).await?;
                anyhow::Ok(due.elapsed().as_secs_f64() * 1e3)
            });
        }
        while let Some(ended) = appends.try_join_next() {
            millis.push(ended??);
        }
    }
    while let Some(ended) = appends.join_next().await {
        millis.push(ended??);
    }
    let share = (cpu_seconds()? - cpu) / begun.elapsed().as_secs_f64() * 100.0;
    millis.sort_by(f64::total_cmp);
    Ok((millis, share))
}

/// What a sync of the disk takes by itself.
fn bare_fsync() -> Result<Vec<f64>> {
    let dir = TempDir::new()?;
    let file = File::create(dir.path().join("file"))?;
    let block = [7; 4096];
    let mut millis = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
        file.write_all_at(&block, (millis.len() * block.len()) as u64)?;
        let before = Instant::now();
        file.sync_data()?;
        millis.push(before.elapsed().as_secs_f64() * 1e3);
    }
    millis.sort_by(f64::total_cmp);
    Ok(millis)
}

/// MB that a reader in the process takes of the disk or of what the system keeps
/// of it, while batches are appended and it keeps up.
async fn tail() -> Result<f64> {
    let subject = Subject::new()?;
    let count = number("WEIR_BENCH_MB", 2000)? * 1_000_000 / BATCH_BYTES / 4;
    let record = record(BATCH_BYTES);
    let before = read_bytes()?;
    let reader = subject.log.reader();
    let append = async {
        for _ in 0..count {
            subject.log.append(&subject.partition, vec![record.clone(); 2]).await?;
        }
        anyhow::Ok(())
    };
    let read = async {
        let (mut next, limit) = (Offset(0), ReadLimit { bytes: 4 << 20, wait: Duration::from_secs(10) });
        while next.0 < 2 * count as u64 {
            let read = reader.read(&subject.partition, next, limit).await?;
            next = read.last().context("nothing came")?.offset.next();
        }
        anyhow::Ok(())
    };
    tokio::try_join!(append, read)?;
    Ok((read_bytes()? - before) / 1e6)
}

fn at(sorted: &[f64], share: f64) -> f64 {
    let index = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

fn number(name: &str, default: usize) -> Result<usize> {
    std::env::var(name).map_or(Ok(default), |text| text.parse().with_context(|| format!("{name} is {text}")))
}

/// User and system time of this process so far. Source: proc(5), fields 14 and 15
/// of `stat`, in ticks of 10 ms.
fn cpu_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').context("a process state")?;
    let ticks: f64 = fields.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<f64>().ok()).sum();
    Ok(ticks / 100.0)
}

/// What this process asked of files. Source: proc(5), `rchar` of `io`.
fn read_bytes() -> Result<f64> {
    let io = fs::read_to_string("/proc/self/io")?;
    let line = io.lines().find_map(|line| line.strip_prefix("rchar: ")).context("no rchar")?;
    Ok(line.trim().parse()?)
}

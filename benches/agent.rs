//! The figures of `cargo xtask bench agent`: what the agent costs on a node,
//! against a real Kafka, librdkafka's mock of one (the ceiling: a broker that
//! costs nothing) and the disk log. CPU is that of the agent's process alone,
//! all threads. Every run checks that all lines were acknowledged before its
//! time counts.
//!
//! `cargo bench --no-default-features --features agent --bench agent --
//! [NAME...] [--json]`; `WEIR_BENCH_MB` sets how much is caught up (default
//! 1000), `WEIR_BENCH_FILES` how many "many files" are (default 100,000).

mod figure;
#[path = "agent/lines.rs"]
mod lines;
mod running;

use std::cell::OnceCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use figure::{Figure, Wanted};
use lines::{Framing, Lines};
use rdkafka::mocking::MockCluster;
use running::Running;
use weir_stream::kafka::server::{KafkaOptions, KafkaServer};

const MB_PER_CPU_SECOND: &str = "MB/s per CPU second";

const FIGURES: [Figure; 12] = [
    Figure { name: "one_file_kafka", unit: MB_PER_CPU_SECOND, goal: 300.0, more: true },
    Figure { name: "thousand_files_kafka", unit: MB_PER_CPU_SECOND, goal: 300.0, more: true },
    Figure { name: "one_file_mock", unit: MB_PER_CPU_SECOND, goal: 300.0, more: true },
    Figure { name: "one_file_disk", unit: MB_PER_CPU_SECOND, goal: 300.0, more: true },
    Figure { name: "one_cri_file_kafka", unit: MB_PER_CPU_SECOND, goal: 300.0, more: true },
    Figure { name: "catch_up_rss", unit: "MiB", goal: 64.0, more: false },
    Figure { name: "steady_cpu", unit: "% of a core at 10 MB/s", goal: 3.0, more: false },
    Figure { name: "steady_rss", unit: "MiB at 10 MB/s", goal: 24.0, more: false },
    Figure { name: "idle_rss", unit: "MiB, 110 pods", goal: 12.0, more: false },
    Figure { name: "idle_wakeups", unit: "a second, 110 pods", goal: 5.0, more: false },
    Figure { name: "many_files_start", unit: "s", goal: 20.0, more: false },
    Figure { name: "many_files_rss", unit: "MiB", goal: 400.0, more: false },
];

fn main() -> Result<()> {
    let Some(wanted) = Wanted::from_arguments(&FIGURES)? else { return Ok(()) };
    let broker = Broker::default();
    for (name, log, files, framing) in [
        ("one_file_kafka", EventLog::Kafka, 1, Framing::Plain),
        ("thousand_files_kafka", EventLog::Kafka, 1000, Framing::Plain),
        ("one_file_mock", EventLog::Mock, 1, Framing::Plain),
        ("one_file_disk", EventLog::Disk, 1, Framing::Plain),
        ("one_cri_file_kafka", EventLog::Kafka, 1, Framing::Cri),
    ] {
        if wanted.has(name) || (name == "one_file_kafka" && wanted.has("catch_up_rss")) {
            let (speed, peak) = catch_up(&broker, log, files, framing)?;
            wanted.report(name, speed);
            if name == "one_file_kafka" {
                wanted.report("catch_up_rss", peak);
            }
        }
    }
    if wanted.has_any(["steady_cpu", "steady_rss"].into_iter()) {
        steady(&wanted, &broker)?;
    }
    if wanted.has_any(["idle_rss", "idle_wakeups"].into_iter()) {
        idle(&wanted, &broker)?;
    }
    if wanted.has_any(["many_files_start", "many_files_rss"].into_iter()) {
        many_files(&wanted, &broker)?;
    }
    Ok(())
}

/// Where the agent sends to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EventLog {
    Kafka,
    Mock,
    Disk,
}

/// The brokers, each started when it is first needed.
#[derive(Default)]
struct Broker {
    kafka: OnceCell<KafkaServer>,
}

/// An agent, and what must live as long as it.
struct Agent<'a> {
    running: Running,
    _mock: Option<MockCluster<'a, rdkafka::producer::DefaultProducerContext>>,
}

impl Broker {
    /// Starts an agent on the files of a directory.
    fn agent(&self, log: EventLog, dir: &Path) -> Result<Agent<'static>> {
        let mock = match log {
            EventLog::Mock => Some(MockCluster::new(1)?),
            EventLog::Kafka | EventLog::Disk => None,
        };
        let brokers = match &mock {
            Some(mock) => {
                // It creates none when asked to.
                for topic in ["weir.logs", "weir.spans", "weir.metrics", "weir.dead-letter"] {
                    mock.create_topic(topic, 1, 1)?;
                }
                mock.bootstrap_servers()
            }
            None if log == EventLog::Kafka => {
                self.kafka.get_or_init(|| KafkaServer::start(KafkaOptions::default())).brokers()
            }
            None => String::new(),
        };
        let environment = [("WEIR_LOG_KAFKA_BROKERS", brokers.as_str())];
        let environment = if brokers.is_empty() { &[][..] } else { &environment[..] };
        let tail = dir.join("in/**/*.log");
        let tail = tail.to_str().context("a temporary path is text")?;
        let running = Running::start("agent", &dir.join("data"), &["--tail", tail], environment)?;
        Ok(Agent { running, _mock: mock })
    }
}

/// Reads what is there and ends when all of it is acknowledged; answers with
/// MB/s per CPU second and the peak of the memory.
fn catch_up(broker: &Broker, log: EventLog, files: usize, framing: Framing) -> Result<(f64, f64)> {
    let megabytes: u64 = std::env::var("WEIR_BENCH_MB").map_or(Ok(1000), |text| text.parse())?;
    let dir = tempfile::tempdir()?;
    let mut lines = Lines::new(framing);
    let written = lines.write_files(&paths(dir.path(), files)?, megabytes * 1_000_000)?;
    let agent = broker.agent(log, dir.path())?;
    wait_until_sent(&agent.running, written.lines)?;
    let speed = written.bytes as f64 / 1e6 / agent.running.cpu_seconds()?;
    let peak = agent.running.peak_rss_mib()?;
    agent.running.stop()?;
    Ok((speed, peak))
}

/// 10 MB/s for half a minute, into one file.
fn steady(wanted: &Wanted, broker: &Broker) -> Result<()> {
    const BYTES_PER_SECOND: u64 = 10_000_000;
    const TICKS: u64 = 50;
    let dir = tempfile::tempdir()?;
    let mut lines = Lines::new(Framing::Plain);
    let mut file = fs::File::create(paths(dir.path(), 1)?.first().context("a file")?)?;
    let agent = broker.agent(EventLog::Kafka, dir.path())?;
    let mut sent = 0;
    let mut run = |seconds: u64, sent: &mut u64| -> Result<()> {
        let started = Instant::now();
        for tick in 0..seconds * TICKS {
            *sent += lines.append(&mut file, BYTES_PER_SECOND / TICKS)?.lines;
            let due = started + Duration::from_millis(1000 / TICKS) * u32::try_from(tick + 1)?;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        Ok(())
    };
    run(5, &mut sent)?;
    let before = agent.running.cpu_seconds()?;
    run(30, &mut sent)?;
    let used = agent.running.cpu_seconds()? - before;
    wait_until_sent(&agent.running, sent)?;
    wanted.report("steady_cpu", used / 30.0 * 100.0);
    wanted.report("steady_rss", agent.running.peak_rss_mib()?);
    agent.running.stop()
}

/// 110 pods that say nothing, as Kubernetes allows on a node.
fn idle(wanted: &Wanted, broker: &Broker) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut paths = Vec::new();
    for pod in 0..110 {
        let container =
            dir.path().join(format!("in/shop_pod-{pod}_{pod:08x}-0000-4000-8000-000000000000/app"));
        fs::create_dir_all(&container)?;
        paths.push(container.join("0.log"));
    }
    let mut lines = Lines::new(Framing::Cri);
    let written = lines.write_files(&paths, 110 * 2_500)?;
    let agent = broker.agent(EventLog::Kafka, dir.path())?;
    wait_until_sent(&agent.running, written.lines)?;
    std::thread::sleep(Duration::from_secs(10));
    let before = wakeups(&agent.running)?;
    std::thread::sleep(Duration::from_secs(30));
    let woken = wakeups(&agent.running)? - before;
    wanted.report("idle_rss", rss_mib(&agent.running)?);
    wanted.report("idle_wakeups", woken as f64 / 30.0);
    agent.running.stop()
}

/// A directory of very many files with a few lines each.
fn many_files(wanted: &Wanted, broker: &Broker) -> Result<()> {
    let files: usize = std::env::var("WEIR_BENCH_FILES").map_or(Ok(100_000), |text| text.parse())?;
    let dir = tempfile::tempdir()?;
    let mut lines = Lines::new(Framing::Plain);
    let written = lines.write_files(&paths(dir.path(), files)?, files as u64 * 1000)?;
    let started = Instant::now();
    let agent = broker.agent(EventLog::Kafka, dir.path())?;
    wait_until_sent(&agent.running, written.lines)?;
    wanted.report("many_files_start", started.elapsed().as_secs_f64());
    wanted.report("many_files_rss", agent.running.peak_rss_mib()?);
    agent.running.stop()
}

/// The paths of so many files, a thousand in a directory.
fn paths(dir: &Path, files: usize) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::with_capacity(files);
    for file in 0..files {
        let dir = dir.join(format!("in/{}", file / 1000));
        if file % 1000 == 0 {
            fs::create_dir_all(&dir)?;
        }
        paths.push(dir.join(format!("{file}.log")));
    }
    Ok(paths)
}

/// Exactly the lines that were written are acknowledged: fewer are waited for,
/// more are an error.
fn wait_until_sent(agent: &Running, lines: u64) -> Result<()> {
    agent.wait_for_metric("weir_agent_lines_total", lines)?;
    agent.wait_for_metric_pair("weir_agent_batches_total", "weir_agent_batches_acknowledged_total")?;
    match agent.metric("weir_agent_lines_total")? {
        sent if sent == lines => Ok(()),
        sent => bail!("{lines} lines were written, {sent} were sent"),
    }
}

/// How often the threads went to sleep of their own will, which is how often
/// something woke them. Source: proc(5), `voluntary_ctxt_switches`.
fn wakeups(agent: &Running) -> Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{}/task", agent.child.id()))? {
        let status = fs::read_to_string(task?.path().join("status"))?;
        sum += field(&status, "voluntary_ctxt_switches:")?;
    }
    Ok(sum)
}

fn rss_mib(agent: &Running) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.child.id()))?;
    Ok(field(&status, "VmRSS:")? as f64 / 1024.0)
}

/// A number of a `status` file.
fn field(status: &str, name: &str) -> Result<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name)).context("a field of the status")?;
    Ok(value.trim().trim_end_matches("kB").trim().parse()?)
}

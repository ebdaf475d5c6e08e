//! The figures of `cargo xtask bench`: the real binary on a seeded corpus, CPU
//! seconds first. Every run checks that all lines arrived before its time
//! counts.
//!
//! `cargo bench --bench pipeline -- [NAME...] [--json]`; `WEIR_BENCH_MB` sets
//! the corpus' size (default 256).

mod receive;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use weir::http::Client;

/// A figure: what is measured, in which unit, and what is to be reached.
struct Figure {
    name: &'static str,
    unit: &'static str,
    goal: f64,
    /// True when more is better.
    more: bool,
}

const FIGURES: [Figure; 12] = [
    Figure { name: "agent_file_to_log", unit: "MB/s per CPU second", goal: 300.0, more: true },
    Figure { name: "agent_rss", unit: "MiB", goal: 24.0, more: false },
    Figure { name: "ingest", unit: "MB/s per CPU second", goal: 100.0, more: true },
    Figure { name: "ingest_rss", unit: "MiB", goal: 512.0, more: false },
    Figure { name: "bytes_per_event", unit: "B", goal: 39.0, more: false },
    Figure { name: "needle_query", unit: "ms", goal: 6.0, more: false },
    Figure { name: "newest_100", unit: "ms", goal: 8.0, more: false },
    Figure { name: "receive_spans", unit: "spans per CPU second", goal: 200_000.0, more: true },
    Figure { name: "receive_rss", unit: "MiB", goal: 64.0, more: false },
    Figure { name: "ingest_spans", unit: "spans per CPU second", goal: 200_000.0, more: true },
    Figure { name: "freshness_p50", unit: "ms", goal: 200.0, more: false },
    Figure { name: "freshness_p99", unit: "ms", goal: 800.0, more: false },
];

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.iter().any(|argument| argument == "--list") {
        for figure in &FIGURES {
            say(&format!("{:<20} {} (goal {})", figure.name, figure.unit, figure.goal));
        }
        return Ok(());
    }
    let json = arguments.iter().any(|argument| argument == "--json");
    let wanted: Vec<_> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let is_wanted =
        |name: &str| wanted.is_empty() || wanted.iter().any(|wish| name.starts_with(wish.as_str()));
    if !FIGURES.iter().any(|figure| is_wanted(figure.name)) {
        bail!("no such figure: --list names them");
    }
    let report = |name: &str, value: f64| {
        let figure = FIGURES.iter().find(|figure| figure.name == name).expect("a listed figure");
        if !is_wanted(name) {
            return;
        }
        let met = if figure.more { value >= figure.goal } else { value <= figure.goal };
        let value = (value * 10.0).round() / 10.0;
        if json {
            let line =
                json!({"name": name, "value": value, "unit": figure.unit, "goal": figure.goal, "met": met});
            say(&line.to_string());
        } else {
            let mark = if met { "met" } else { "short" };
            say(&format!("{name:<20} {value:>9} {:<20} goal {:>5}  {mark}", figure.unit, figure.goal));
        }
    };

    let pipeline = FIGURES.iter().take(7).any(|figure| is_wanted(figure.name));
    if pipeline {
        run_pipeline(&report)?;
    }
    if ["receive_spans", "receive_rss", "ingest_spans"].into_iter().any(is_wanted) {
        receive::run(&report, 1000)?;
    }
    if is_wanted("freshness_p50") || is_wanted("freshness_p99") {
        run_freshness(&report)?;
    }
    Ok(())
}

/// Agent, then ingest, then questions, each alone on the same corpus.
fn run_pipeline(report: &dyn Fn(&str, f64)) -> Result<()> {
    let megabytes: u64 = std::env::var("WEIR_BENCH_MB").map_or(Ok(256), |text| text.parse())?;
    let dir = tempfile::tempdir()?;
    fs::create_dir(dir.path().join("in"))?;
    let corpus = dir.path().join("in/corpus.log");
    let lines = weir::demo::corpus::write(&corpus, megabytes * 1_000_000, 1)?;
    let bytes = fs::metadata(&corpus)?.len() as f64;
    let data = dir.path().join("data");

    let agent = Running::start("agent", &data, &["--tail", path(&corpus)], &[])?;
    agent.wait_for_metric("weir_agent_lines_total", lines)?;
    agent.wait_for_metric_pair("weir_agent_batches_total", "weir_agent_batches_acknowledged_total")?;
    report("agent_file_to_log", bytes / 1e6 / agent.cpu_seconds()?);
    report("agent_rss", agent.peak_rss_mib()?);
    agent.stop()?;

    let ingest = Running::start("ingest", &data, &[], &[("WEIR_INGEST_FLUSH_INTERVAL", "5s")])?;
    ingest.wait_for_stored_rows(&data, "logs", lines)?;
    report("ingest", bytes / 1e6 / ingest.cpu_seconds()?);
    report("ingest_rss", ingest.peak_rss_mib()?);
    report("bytes_per_event", directory_bytes(&data.join("objects"))? as f64 / lines as f64);

    let query = Running::start("query", &data, &[], &[])?;
    query.wait_until_ready()?;
    let count = query.rows("SELECT count(*) FROM logs")?;
    if count[0][0] != lines {
        bail!("{} rows are stored, {lines} were written", count[0][0]);
    }
    let needles: Vec<String> = (1..=9).map(|n| format!("{:010}", lines * n / 10)).collect();
    report(
        "needle_query",
        query.median_ms(needles.iter().map(|n| format!("/api/v1/logs?query=seq:{n}")), 1)?,
    );
    report("newest_100", query.median_ms((0..9).map(|_| "/api/v1/logs?limit=100".to_owned()), 100)?);
    query.stop()?;
    ingest.stop()
}

/// The demo's own probe, at a rate of thousands of lines a second.
fn run_freshness(report: &dyn Fn(&str, f64)) -> Result<()> {
    let output = Command::new(env!("CARGO_BIN_EXE_weir"))
        .env_remove("WEIR_BENCH_MB")
        .args(["demo", "--for", "20s", "--json", "--rate", "10000", "--listen", "127.0.0.1:0"])
        .output()?;
    if !output.status.success() {
        bail!("the demo failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let answer: Value = serde_json::from_slice(&output.stdout)?;
    for (name, key) in [("freshness_p50", "p50"), ("freshness_p99", "p99")] {
        report(name, answer["freshness_ms"][key].as_f64().context("nothing was measured")?);
    }
    Ok(())
}

/// A node under measurement.
struct Running {
    child: Child,
    client: Client,
    runtime: tokio::runtime::Runtime,
}

impl Running {
    fn start(role: &str, data: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Self> {
        let address = data.join("run").join(format!("{role}.addr"));
        let _ = fs::remove_file(&address);
        let child = Command::new(env!("CARGO_BIN_EXE_weir"))
            .env_remove("WEIR_BENCH_MB")
            .arg(role)
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(arguments)
            .envs(environment.iter().copied())
            .env("WEIR_LOG", "warn")
            .stdin(Stdio::null())
            .spawn()?;
        let address = wait_for(|| Ok(fs::read_to_string(&address).ok().filter(|text| !text.is_empty())))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { child, client: Client::new(&format!("http://{address}"))?, runtime })
    }

    fn client(&self) -> Client {
        self.client.clone()
    }

    fn wait_until_ready(&self) -> Result<()> {
        wait_for(|| {
            let answer = self.runtime.block_on(self.client.get("/readyz", "application/json"))?;
            Ok(answer.status.is_success().then_some(()))
        })
    }

    fn metric(&self, name: &str) -> Result<u64> {
        let text = self.runtime.block_on(self.client.get("/metrics", "text/plain"))?.text();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.with_context(|| format!("no metric {name}"))
    }

    fn wait_for_metric(&self, name: &str, value: u64) -> Result<()> {
        wait_for(|| Ok((self.metric(name)? >= value).then_some(())))
    }

    fn wait_for_metric_zero(&self, name: &str) -> Result<()> {
        wait_for(|| Ok((self.metric(name)? == 0).then_some(())))
    }

    fn wait_for_metric_pair(&self, started: &str, ended: &str) -> Result<()> {
        wait_for(|| Ok((self.metric(started)? == self.metric(ended)?).then_some(())))
    }

    /// Asks the catalog, not the node: its CPU time is what is measured.
    fn wait_for_stored_rows(&self, data: &Path, table: &str, rows: u64) -> Result<()> {
        use weir_storage::catalog::{Catalog, SqliteCatalog, TimeRange};
        let tenant = weir_proto::model::TenantId::default();
        wait_for(|| {
            let stored = self.runtime.block_on(async {
                let catalog = SqliteCatalog::open_read_only(&data.join("catalog.db")).await?;
                let snapshot = catalog.snapshot(&tenant, table, TimeRange::ALL).await?;
                anyhow::Ok(snapshot.files.iter().map(|file| file.rows).sum::<u64>())
            });
            std::thread::sleep(Duration::from_millis(200));
            Ok((stored? >= rows).then_some(()))
        })
    }

    fn rows(&self, query: &str) -> Result<Vec<Vec<Value>>> {
        self.runtime.block_on(self.client.rows(query))
    }

    /// The median time of searches, each of which must find this many lines,
    /// after one that warms up.
    fn median_ms(&self, paths: impl Iterator<Item = String>, found: usize) -> Result<f64> {
        let mut took = Vec::new();
        for (turn, path) in paths.enumerate() {
            for _ in 0..if turn == 0 { 2 } else { 1 } {
                let started = Instant::now();
                let answer = self.runtime.block_on(self.client.get(&path, "application/json"))?;
                let elapsed = started.elapsed();
                let logs = answer.json()?["logs"].as_array().map_or(0, Vec::len);
                if logs != found {
                    bail!("{path}: {logs} lines instead of {found}: {}", answer.text());
                }
                took.push(elapsed.as_secs_f64() * 1e3);
            }
        }
        took.remove(0);
        took.sort_by(f64::total_cmp);
        Ok(took[took.len() / 2])
    }

    /// User and system time of the process so far. Source: proc(5), fields 14
    /// and 15 of `stat`, in ticks of 10 ms.
    fn cpu_seconds(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = stat.rsplit_once(')').context("a process state")?;
        let ticks: f64 =
            fields.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<f64>().ok()).sum();
        Ok(ticks / 100.0)
    }

    fn peak_rss_mib(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib / 1024.0)
    }

    fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.child.id())?;
        let pid = rustix::process::Pid::from_raw(pid).context("a process id")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn wait_for<T>(mut probe: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + Duration::from_secs(600);
    loop {
        if let Some(value) = probe()? {
            return Ok(value);
        }
        if Instant::now() > deadline {
            bail!("nothing within ten minutes");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn directory_bytes(dir: &Path) -> Result<u64> {
    let mut sum = 0;
    let mut open: Vec<PathBuf> = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let about = entry.metadata()?;
            if about.is_dir() {
                open.push(entry.path());
            } else {
                sum += about.len();
            }
        }
    }
    Ok(sum)
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a temporary path is text")
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

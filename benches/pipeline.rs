//! The figures of `cargo xtask bench`: the real binary on a seeded corpus, CPU
//! seconds first. Every run checks that all lines arrived before its time
//! counts.
//!
//! `cargo bench --bench pipeline -- [NAME...] [--json]`; `WEIR_BENCH_MB` sets
//! the corpus' size (default 256).

mod figure;
mod receive;
mod running;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use figure::{Figure, Wanted};
use running::{Running, wait_for};
use serde_json::Value;
use weir::http::Client;

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
    let Some(wanted) = Wanted::from_arguments(&FIGURES)? else { return Ok(()) };
    let report = |name: &str, value: f64| wanted.report(name, value);
    if wanted.has_any(FIGURES.iter().take(7).map(|figure| figure.name)) {
        run_pipeline(&report)?;
    }
    if wanted.has_any(["receive_spans", "receive_rss", "ingest_spans"].into_iter()) {
        receive::run(&report, 1000)?;
    }
    if wanted.has_any(["freshness_p50", "freshness_p99"].into_iter()) {
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

/// What is asked of nodes that this measurement alone starts.
impl Running {
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    pub(crate) fn wait_until_ready(&self) -> Result<()> {
        wait_for(|| {
            let answer = self.runtime.block_on(self.client.get("/readyz", "application/json"))?;
            Ok(answer.status.is_success().then_some(()))
        })
    }

    pub(crate) fn wait_for_metric_zero(&self, name: &str) -> Result<()> {
        wait_for(|| Ok((self.metric(name)? == 0).then_some(())))
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

//! `weir demo`: every role on a temporary directory, a simulated shop as the
//! workload, an operator who is told of its failures, and with `--for` the
//! reconciliation of what was written, sent and told with what is there.

mod alerts;
mod freshness;
mod reconcile;
mod split;
mod traces;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::json;
use weir_runtime::telemetry;
use weir_runtime::{ByteSize, Handles, HumanDuration, signal};

use crate::cli::DemoArgs;
use crate::config::Config;
use crate::demo::{Shop, Workload, corpus};
use crate::http::Client;
use crate::node::{Node, Roles};

use self::alerts::Alerts;
use self::freshness::Probe;
use self::reconcile::Verdict;
use self::split::Split;
use self::traces::Traces;

/// Runs the demo for a time, or until told to stop.
pub fn demo(args: &DemoArgs) -> Result<ExitCode> {
    let run_for = args.run_for.as_deref().map(str::parse::<HumanDuration>).transpose().context("--for")?;
    if std::env::var_os("WEIR_LOG").is_some() {
        telemetry::init(telemetry::Format::Auto)?;
    }
    weir_runtime::limit::raise_open_files()?;
    super::block_on(async move {
        let dir = tempfile::Builder::new().prefix("weir-demo-").tempdir()?;
        let outcome = run(args, run_for.map(|duration| duration.0), dir.path()).await;
        match outcome {
            Ok(Outcome::Done) => super::DONE,
            Ok(Outcome::Unclean) => {
                let mut err = std::io::stderr().lock();
                writeln!(
                    err,
                    "weir: this is not how it should be, the directory is kept: {}",
                    dir.keep().display()
                )?;
                Ok(ExitCode::from(2))
            }
            Err(error) => {
                let kept = dir.keep();
                Err(error.context(format!("the demo failed, its directory is kept: {}", kept.display())))
            }
        }
    })
}

/// How the demo ended.
enum Outcome {
    Done,
    /// Something was lost or doubled, or nobody was told.
    Unclean,
}

async fn run(args: &DemoArgs, run_for: Option<Duration>, dir: &Path) -> Result<Outcome> {
    let pods = dir.join("pods");
    std::fs::create_dir(&pods)?;
    let mut config =
        Config { data: dir.join("data"), listen: free_address(&args.listen), ..Config::default() };
    config.agent.tail = vec![format!("{}/*/*/*.log", pods.display())];
    let started = Instant::now();
    let load = Handles::new("demo");
    let alerts = Alerts::prepare(dir, &mut config, &load).await?;
    let nodes = Nodes::start(args, dir, config).await?;
    let urls = nodes.urls();
    let clients = urls.iter().map(|url| Client::new(url)).collect::<Result<Vec<_>>>()?;
    for client in &clients {
        wait_until_ready(client).await?;
    }
    let client = clients.first().context("a node answers")?.clone();
    if !args.json {
        greet(&urls[0], dir, started.elapsed())?;
    }

    let agent = Client::new(&nodes.agent_url())?;
    let shop = Shop::start(&pods, &agent, args.seed, run_for.is_some(), &load).await?;
    let workload = Workload::start(&pods, args.seed, args.rate, &load)?;
    let probe = Probe::start(&pods, client.clone(), &load)?;
    let told = signal::terminated()?;
    tokio::select! {
        name = told => tracing::info!(signal = name, "told to stop"),
        () = sleep_or_forever(run_for) => {}
        () = nodes.until_told() => {}
        () = show(&alerts, args.json) => {}
    }
    let seen = probe.stop().await?;
    let mut emitted = workload.stop().await?;
    let sold = shop.stop().await?;
    emitted += sold.printed;
    let Some(_) = run_for else {
        nodes.stop(true).await?;
        return Ok(Outcome::Done);
    };

    // Whoever is asked, the answer is the same: the worst of them counts.
    let mut verdict = Verdict::reach(&client, &emitted, seen.written).await?;
    let mut traces = Traces::reach(&client, &sold).await?;
    for other in &clients[1..] {
        verdict = verdict.or_worse(Verdict::reach(other, &emitted, seen.written).await?);
        traces = traces.or_worse(Traces::reach(other, &sold).await?);
    }
    let told = alerts.delivered().await;
    let is_clean = verdict.is_clean() && traces.is_clean() && told.is_clean();
    let wall_s = started.elapsed().as_secs_f64();
    nodes.stop(is_clean).await?;
    let report = json!({
        "logs": {
            "emitted": verdict.emitted,
            "stored": verdict.stored,
            "lost": verdict.lost,
            "duplicated": verdict.duplicated,
        },
        "traces": {
            "emitted": traces.emitted,
            "complete": traces.complete,
            "incomplete": traces.incomplete,
        },
        "traces_complete": traces.complete,
        "alerts": {"webhooks": told.webhooks, "mails": told.mails},
        "alerts_delivered": told.total(),
        "breaker_opened": sold.breaker_opened,
        "freshness_ms": {"p50": seen.percentile(50), "p99": seen.percentile(99)},
        "wall_s": (wall_s * 10.0).round() / 10.0,
    });
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{report}")?;
    } else {
        writeln!(out, "{report:#}")?;
    }
    Ok(if is_clean { Outcome::Done } else { Outcome::Unclean })
}

/// What the demo runs.
enum Nodes {
    /// Every role in this process.
    One(Box<Node>),
    /// Each role as a process of its own.
    Split(Split),
}

impl Nodes {
    async fn start(args: &DemoArgs, dir: &Path, config: Config) -> Result<Self> {
        if args.split {
            let (Some(kafka), Some(postgres)) = (&args.kafka, &args.postgres) else {
                bail!("--split needs --kafka HOST:PORT and --postgres URL");
            };
            return Ok(Self::Split(Split::start(dir, kafka, postgres, &config).await?));
        }
        Ok(Self::One(Box::new(Node::start(config, Roles::ALL).await?)))
    }

    fn urls(&self) -> Vec<String> {
        match self {
            Self::One(node) => vec![format!("http://{}", node.address())],
            Self::Split(split) => split.urls(),
        }
    }

    /// Where spans and metrics are sent.
    fn agent_url(&self) -> String {
        match self {
            Self::One(node) => format!("http://{}", node.address()),
            Self::Split(split) => split.agent_url(),
        }
    }

    async fn until_told(&self) {
        match self {
            Self::One(node) => node.until_told().await,
            Self::Split(split) => split.until_failed().await,
        }
    }

    async fn stop(self, removes: bool) -> Result<()> {
        match self {
            Self::One(node) => node.stop().await,
            Self::Split(split) => split.stop(removes).await,
        }
    }
}

fn greet(url: &str, dir: &Path, took: Duration) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "Weir is ready after {} ms: {url}", took.as_millis())?;
    writeln!(
        out,
        "A shop of seven services calls, prints and fails; its containers' logs lie below {}",
        dir.display()
    )?;
    writeln!(out, "Its operator's mails are kept in {}", dir.join("mail").display())?;
    writeln!(out, "\nOpen the page, or try, in another terminal:\n")?;
    let sql = "SELECT service_name, severity_text, count(*) AS n FROM logs GROUP BY 1, 2 ORDER BY n DESC";
    writeln!(out, "  curl -s {url}/api/v1/sql -d \"{sql}\" -H 'Accept: text/csv'")?;
    writeln!(out, "  curl -s '{url}/api/v1/logs?query=severity%3E%3Derror&limit=5'")?;
    writeln!(
        out,
        "  curl -s {url}/api/v1/sql -d 'SELECT * FROM weir.gaps' -H 'Accept: application/x-ndjson'"
    )?;
    writeln!(out, "\nCtrl-C stops everything and removes the directory.")?;
    Ok(())
}

/// Shows alerts as the operator gets them; never ends.
async fn show(alerts: &Alerts, is_json: bool) {
    let mut shown = None;
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let last = alerts.last();
        if !is_json && last != shown {
            if let Some(line) = &last {
                // A terminal that is gone is no reason to stop.
                let _ = writeln!(std::io::stdout(), "the operator is told: {line}");
            }
            shown = last;
        }
    }
}

/// The wished address, or a free port on its host when it is taken.
fn free_address(wished: &str) -> String {
    match std::net::TcpListener::bind(wished) {
        Ok(_) => wished.to_owned(),
        Err(_) => "127.0.0.1:0".to_owned(),
    }
}

async fn wait_until_ready(client: &Client) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = client.get("/readyz", "application/json").await?;
        if answer.status.is_success() {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("not ready after 30 s: {}", answer.text());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn sleep_or_forever(run_for: Option<Duration>) {
    match run_for {
        Some(duration) => tokio::time::sleep(duration).await,
        None => std::future::pending().await,
    }
}

/// Writes a seeded corpus for measurements.
pub fn corpus(file: &Path, size: &str, seed: u64) -> Result<ExitCode> {
    let size: ByteSize = size.parse().context("--size")?;
    let written =
        corpus::write(file, size.0, seed).with_context(|| format!("cannot write {}", file.display()))?;
    writeln!(std::io::stdout(), "{written}")?;
    super::DONE
}

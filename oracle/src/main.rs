//! Issues events that say who they are, over every input of a running Weir; lets
//! faults happen; and counts, through the port that everybody asks, what became of
//! each event. `cargo xtask oracle --list` names what can happen.
//!
//! ```text
//! load (files, pushes, pipes) --> agent --> Kafka --> ingest --> tables
//!   |                               ^         ^         ^           |
//!   | what is owed               faults, by a seed                  | rows
//!   v                                                               v
//! ledger ---------------------------------------------------------> judge --> report
//! ```
//!
//! It knows nothing of Weir's insides: processes, signals, HTTP, files.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks on a terminal")]

mod arguments;
mod cluster;
mod counters;
mod event;
mod fault;
mod http;
mod judge;
mod ledger;
mod load;
mod mount;
mod node;
mod port;
mod postgres;
mod probe;
mod query;
mod report;
mod run;
mod scenario;
mod stranger;
mod total;
mod watch;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::Value;

use arguments::{Command, Options, USAGE};

fn main() -> ExitCode {
    let outcome = match arguments::parse(std::env::args().skip(1)) {
        Ok(Command::List) => {
            for scenario in scenario::ALL {
                println!("{:16} {}", scenario.name(), scenario.about());
            }
            Ok(true)
        }
        Ok(Command::Help) => {
            println!("{USAGE}");
            Ok(true)
        }
        Ok(Command::Run(options)) => play(&options),
        Err(wrong) => Err(anyhow::anyhow!("{wrong}\n\n{USAGE}")),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            // Not a verdict: it could not be found out.
            ExitCode::from(2)
        }
    }
}

/// True if the verdict is good.
fn play(options: &Options) -> Result<bool> {
    let scenario = scenario::of(&options.scenario)
        .with_context(|| format!("there is no scenario {:?}; --list names them", options.scenario))?;
    let binary = std::env::var_os("WEIR_ORACLE_BINARY").map(PathBuf::from);
    let binary = binary.context("WEIR_ORACLE_BINARY is to name the binary under test")?;
    let binary = binary.canonicalize().with_context(|| format!("there is no {}", binary.display()))?;
    let dir = tempfile::Builder::new().prefix(&format!("weir-oracle-{}-", scenario.name())).tempdir()?;
    // Postgres reads its directory as another user.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(dir.path(), open)?;
    eprintln!("{}: seed {}, in {}", scenario.name(), options.seed, dir.path().display());
    let (path, mut dir) = (dir.path().to_owned(), Some(dir));
    let played = run::run(scenario, options, &path, &binary);
    let is_pass = played.as_ref().is_ok_and(report::Report::is_pass);
    if options.keep || !is_pass {
        eprintln!("kept for inspection: {}", path.display());
        dir.take().map(tempfile::TempDir::keep);
    }
    let mut result = played?.json();
    result["host_load"] = host_load();
    if let Some(total) = &options.total {
        let sums = total::add(total, &result)?;
        result["total"] = sums;
    }
    tell(&result, options.json);
    Ok(is_pass)
}

/// Who else used the processors in the last minute: a slow recovery may be theirs.
fn host_load() -> Value {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse::<f64>().ok()).into()
}

fn tell(result: &Value, as_json: bool) {
    if as_json {
        println!("{result}");
        return;
    }
    for (name, value) in result.as_object().into_iter().flatten() {
        println!("{name:28} {value}");
    }
}

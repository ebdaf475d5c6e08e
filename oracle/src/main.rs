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
mod audit;
mod cluster;
mod counters;
mod event;
mod fault;
mod http;
mod judge;
mod ledger;
mod load;
mod mount;
mod naming;
mod node;
mod planted;
mod play;
mod port;
mod postgres;
mod power;
mod probe;
mod query;
mod report;
mod run;
mod scenario;
mod series;
mod stranger;
mod subset;
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
            list();
            Ok(true)
        }
        Ok(Command::Help) => {
            println!("{USAGE}");
            Ok(true)
        }
        Ok(Command::Run(options)) => play(&options),
        Ok(Command::Planted { names, seeds, json }) => {
            binary().and_then(|binary| planted::search(&names, &seeds, json, &binary))
        }
        Ok(Command::Subset { json }) => binary().and_then(|binary| subset::run(json, &binary)),
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
    let (report, mut result) = play::once(scenario, options, &binary()?)?;
    if let Some(total) = &options.total {
        let sums = total::add(total, &result)?;
        result["total"] = sums;
    }
    tell(&result, options.json);
    Ok(report.is_pass())
}

/// The binary under test.
fn binary() -> Result<PathBuf> {
    let binary = std::env::var_os("WEIR_ORACLE_BINARY").map(PathBuf::from);
    let binary = binary.context("WEIR_ORACLE_BINARY is to name the binary under test")?;
    binary.canonicalize().with_context(|| format!("there is no {}", binary.display()))
}

fn list() {
    for scenario in scenario::ALL {
        println!("{:16} {}", scenario.name(), scenario.about());
    }
    println!("\nbugs that can be planted, and what finds them:");
    for planted in &planted::ALL {
        println!("{:26} {}", planted.bug, planted.scenario);
    }
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

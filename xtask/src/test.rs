//! Everything that must hold before a change is handed in, in one command. A
//! step that cannot run is named in the summary: a check that was skipped in
//! silence is worse than none.

mod agent_only;
mod command;
mod deny;
mod lock;

use std::time::{Duration, Instant};

use command::run_cargo;

/// How much is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Every step.
    Everything,
    /// The steps that find most mistakes.
    Fast,
}

/// One thing that is checked.
struct Step {
    name: &'static str,
    is_fast: bool,
    run: fn() -> Result<Outcome, String>,
}

/// How a step ended that did not fail.
enum Outcome {
    Passed,
    /// It passed, with something to know.
    PassedBut(String),
    /// It could not be done here, and why.
    NotDone(String),
}

const STEPS: [Step; 9] = [
    Step { name: "format", is_fast: true, run: || run_cargo(&["fmt", "--all", "--check"]) },
    Step {
        name: "clippy",
        is_fast: true,
        run: || run_cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    },
    Step { name: "agent-only build", is_fast: false, run: agent_only::check },
    Step { name: "licences, bans, sources", is_fast: false, run: deny::policy },
    Step { name: "advisories", is_fast: false, run: deny::advisories },
    Step { name: "one version each", is_fast: true, run: lock::check },
    Step { name: "tests", is_fast: true, run: || run_cargo(&["test", "--workspace"]) },
    Step { name: "oracle", is_fast: false, run: oracle },
    Step { name: "documentation", is_fast: false, run: documentation },
];

/// Runs the steps until one fails.
pub(crate) fn run(extent: Extent) -> Result<(), String> {
    let mut summary = Vec::new();
    let mut failed = None;
    for step in &STEPS {
        if failed.is_some() {
            summary.push(format!("not run  {}", step.name));
            continue;
        }
        if extent == Extent::Fast && !step.is_fast {
            summary.push(format!("LEFT OUT {} (--fast)", step.name));
            continue;
        }
        println!("\n==> {}", step.name);
        let started = Instant::now();
        let outcome = (step.run)();
        let took = seconds(started.elapsed());
        println!("    {} took {took}", step.name);
        summary.push(match outcome {
            Ok(Outcome::Passed) => format!("ok       {} {took}", step.name),
            Ok(Outcome::PassedBut(note)) => format!("ok       {} {took}: {note}", step.name),
            Ok(Outcome::NotDone(reason)) => format!("NOT DONE {}: {reason}", step.name),
            Err(reason) => {
                failed = Some(step.name);
                format!("FAILED   {} {took}: {reason}", step.name)
            }
        });
    }
    println!("\n==> summary\n{}", summary.join("\n"));
    match failed {
        None => Ok(()),
        Some(name) => Err(format!("\nthe step {name:?} failed, its output is above")),
    }
}

/// Every scenario and every planted bug once, briefly: what the tests have built is
/// broken by a seed.
fn oracle() -> Result<Outcome, String> {
    crate::oracle::run(&["--ci"]).map(|()| Outcome::Passed)
}

fn documentation() -> Result<Outcome, String> {
    let mut cargo = crate::place::cargo();
    cargo.args(["doc", "--no-deps", "--workspace"]).env("RUSTDOCFLAGS", "-D warnings");
    command::run(&mut cargo)
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

//! The project's own commands: `cargo xtask test`, `cargo xtask bench`, `cargo xtask oracle`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks on a terminal")]

mod bench;
mod oracle;
mod place;
mod power;
mod test;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask test [--fast]                 check everything; --fast leaves the slow steps out, by name
cargo xtask reference                     write docs/configuration.md from the code
cargo xtask bench [NAME]... [--json]      measure; --json prints one object per figure
cargo xtask bench agent [NAME]...         the same of the agent alone, as built for nodes
cargo xtask bench log [NAME]...           the same of the disk log alone
cargo xtask bench --list                  the figures, their units and goals
cargo xtask oracle --scenario NAME [--seed S] [--faults N] [--json] [--total FILE]
                                          break a running Weir and count every event; --help says more
cargo xtask oracle --planted NAME|all [--seeds S,S,...] [--json]
                                          plant bugs in it, and see whether the oracle finds them
cargo xtask oracle --ci                   every scenario and every planted bug once, briefly
cargo xtask oracle --list                 what can happen to it
cargo xtask power [--cuts N] [--seed S]   power cuts on a simulated disk: 100,000 under the event log, a fifth of
                                          that under the spool and under the checkpoint";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["test"] => test::run(test::Extent::Everything),
        ["test", "--fast"] => test::run(test::Extent::Fast),
        ["reference"] => reference(),
        ["bench", rest @ ..] => bench::run(rest),
        ["oracle", rest @ ..] => oracle::run(rest),
        ["power", rest @ ..] => power::run(rest),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => Err(format!("usage:\n{USAGE}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// The page is written by the test that holds it to the code.
fn reference() -> Result<(), String> {
    let mut cargo = place::cargo();
    cargo.args(["test", "--workspace", "the_reference_is_what_the_code_says"]);
    let status = cargo.env("WEIR_WRITE_REFERENCE", "1").status().map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("the page could not be written: {status}")) }
}

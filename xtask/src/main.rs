//! The project's own commands: `cargo xtask test`, `cargo xtask bench`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks on a terminal")]

mod bench;
mod place;
mod test;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask test [--fast]                 check everything; --fast leaves the slow steps out, by name
cargo xtask bench [NAME]... [--json]      measure; --json prints one object per figure
cargo xtask bench --list                  the figures, their units and goals";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["test"] => test::run(test::Extent::Everything),
        ["test", "--fast"] => test::run(test::Extent::Fast),
        ["bench", rest @ ..] => bench::run(rest),
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

//! Commands whose output goes straight to the terminal.

use std::process::Command;

use super::Outcome;
use crate::place;

/// Runs cargo with the arguments.
pub(super) fn run_cargo(arguments: &[&str]) -> Result<Outcome, String> {
    run(place::cargo().args(arguments))
}

/// Runs a command; it passes if it ends with success.
pub(super) fn run(command: &mut Command) -> Result<Outcome, String> {
    let shown = shown(command);
    println!("    {shown}");
    match command.status() {
        Ok(status) if status.success() => Ok(Outcome::Passed),
        Ok(status) => Err(format!("{shown}: {status}")),
        Err(error) => Err(format!("cannot run {shown}: {error}")),
    }
}

/// Runs a command and returns what it printed.
pub(super) fn output(command: &mut Command) -> Result<String, String> {
    let shown = shown(command);
    println!("    {shown}");
    let output = command.output().map_err(|error| format!("cannot run {shown}: {error}"))?;
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
        return Err(format!("{shown}: {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    let words = std::iter::once(name).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

//! Faults that are injected into a running Weir, and what became of every event.
//! The scenarios and what they count live in `oracle/`; this builds both programs
//! and gives them one spelling.

use std::path::PathBuf;
use std::process::Command;

use crate::place;

/// Builds what is needed and hands the arguments on. `WEIR_ORACLE_BINARY` names
/// another binary under test.
pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    let programs = build()?;
    let binary = std::env::var_os("WEIR_ORACLE_BINARY").map_or_else(|| programs.join("weir"), PathBuf::from);
    let mut oracle = Command::new(programs.join("weir-oracle"));
    oracle.args(arguments).current_dir(place::root()).env("WEIR_ORACLE_BINARY", binary);
    match oracle.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the oracle says no: {status}")),
        Err(error) => Err(format!("cannot run the oracle: {error}")),
    }
}

/// Both programs as tests have them, with failpoints and what can be planted, and where
/// they are.
fn build() -> Result<PathBuf, String> {
    let mut cargo = place::cargo();
    cargo.args(["test", "--quiet", "--workspace", "--no-run"]);
    let status = cargo.status().map_err(|error| format!("cannot run cargo test: {error}"))?;
    if !status.success() {
        return Err(format!("weir could not be built: {status}"));
    }
    // Beside this program, which the same cargo has built.
    let here = std::env::current_exe().map_err(|error| format!("where am I? {error}"))?;
    Ok(here.parent().map(PathBuf::from).unwrap_or_default())
}

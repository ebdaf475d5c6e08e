//! Faults that are injected into a running Weir, and what became of every event.
//! The scenarios and what they count live in `oracle/`; this builds both programs
//! and gives them one spelling.

use crate::place;

/// Builds the binary under test, unless `WEIR_ORACLE_BINARY` names one, and hands
/// the arguments on.
pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    let binary = match std::env::var_os("WEIR_ORACLE_BINARY") {
        Some(binary) => binary.into(),
        None if arguments.contains(&"--scenario") => build()?,
        None => std::path::PathBuf::new(),
    };
    let mut cargo = place::cargo();
    cargo.args(["run", "--quiet", "--package", "weir-oracle", "--"]).args(arguments);
    match cargo.env("WEIR_ORACLE_BINARY", binary).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the oracle says no: {status}")),
        Err(error) => Err(format!("cannot run the oracle: {error}")),
    }
}

/// `weir` as it is built for development, and where it is.
fn build() -> Result<std::path::PathBuf, String> {
    let mut cargo = place::cargo();
    cargo.args(["build", "--quiet", "--package", "weir", "--bin", "weir"]);
    let status = cargo.status().map_err(|error| format!("cannot run cargo build: {error}"))?;
    if !status.success() {
        return Err(format!("weir could not be built: {status}"));
    }
    // Beside this program, which the same cargo has built.
    let here = std::env::current_exe().map_err(|error| format!("where am I? {error}"))?;
    Ok(here.with_file_name("weir"))
}

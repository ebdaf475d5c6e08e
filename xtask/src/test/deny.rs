//! Licences, bans, sources and known vulnerabilities, by cargo-deny and
//! `deny.toml`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Outcome;
use super::command::run;
use crate::place;

/// Fixed, so that a new release of the tool does not break an old commit.
const VERSION: &str = "0.20.2";

pub(super) fn policy() -> Result<Outcome, String> {
    run(deny()?.args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))
}

/// The database of advisories comes over the network. Without it, an older
/// copy is used; without that, the summary says that nothing was checked.
pub(super) fn advisories() -> Result<Outcome, String> {
    if let Err(reason) = run(deny()?.args(["fetch", "db"])) {
        if !has_database() {
            return Ok(Outcome::NotDone(format!(
                "ADVISORIES WERE NOT CHECKED, the database cannot be fetched and there is no copy of it ({reason})"
            )));
        }
        run(deny()?.args(["--offline", "check", "advisories"]))?;
        return Ok(Outcome::PassedBut(
            "against an OLD COPY of the database, a new one cannot be fetched".to_owned(),
        ));
    }
    run(deny()?.args(["--offline", "check", "advisories"]))
}

/// cargo-deny, installed if it is missing.
fn deny() -> Result<Command, String> {
    let tools = place::cache().join("tools");
    let ours = tools.join("bin").join("cargo-deny");
    if !ours.exists() {
        if let Some(theirs) = in_path("cargo-deny") {
            return Ok(at(&theirs));
        }
        println!("    cargo-deny is missing and is built now, once");
        let build = ["install", "--locked", "cargo-deny", "--version", VERSION, "--root"];
        // In a directory of its own: its flags must not touch our build.
        let target = place::cache().join("deny-target");
        run(place::cargo().args(build).arg(&tools).env("CARGO_TARGET_DIR", &target))?;
        // Not needed any more, and large; a leftover does no harm.
        let _ = std::fs::remove_dir_all(target);
    }
    Ok(at(&ours))
}

fn at(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(place::root());
    command
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.is_file())
}

/// True if cargo-deny has fetched a database at some time.
fn has_database() -> bool {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo").into_os_string());
    let cargo: Option<OsString> = std::env::var_os("CARGO_HOME").or_else(home);
    let Some(cargo) = cargo else { return false };
    let entries = std::fs::read_dir(PathBuf::from(cargo).join("advisory-dbs"));
    entries.is_ok_and(|entries| entries.flatten().any(|entry| entry.path().is_dir()))
}

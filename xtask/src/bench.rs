//! Measurements. The figures, their goals and how each is taken live in
//! `benches/pipeline.rs`, `benches/agent.rs` and `stream/benches/log.rs`; this gives
//! them one spelling.

use std::path::PathBuf;
use std::process::Stdio;

use crate::place;

/// Without a query engine.
const NODE: [&str; 3] = ["--no-default-features", "--features", "agent"];

/// Hands the arguments on: `agent` or `log` for its bench, names of figures, `--json`,
/// `--list`.
pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    if let Some(unknown) = arguments.iter().find(|argument| is_unknown(argument)) {
        return Err(format!("unknown option {unknown}: use --json or --list"));
    }
    let mut cargo = place::cargo();
    cargo.args(["bench", "--quiet"]);
    match arguments {
        // By itself: it needs no Kafka, and no query engine.
        ["log", figures @ ..] => cargo
            .args(["--package", "weir-stream", "--no-default-features", "--bench", "log", "--"])
            .args(figures),
        ["agent", figures @ ..] => cargo
            .args(["--package", "weir"])
            .args(NODE)
            .args(["--bench", "agent", "--"])
            .args(figures)
            .env("WEIR_BENCH_BINARY", build_for_nodes()?),
        figures => cargo.args(["--package", "weir", "--bench", "pipeline", "--"]).args(figures),
    };
    match cargo.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the measurement failed: {status}")),
        Err(error) => Err(format!("cannot run cargo bench: {error}")),
    }
}

/// The agent as it is built for nodes: where the program is.
fn build_for_nodes() -> Result<PathBuf, String> {
    let built = place::cargo()
        .args(["build", "--quiet", "--package", "weir", "--profile", "node"])
        .args(NODE)
        .args(["--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output();
    let built = built.map_err(|error| format!("cannot run cargo build: {error}"))?;
    if !built.status.success() {
        return Err(format!("the build for nodes failed: {}", built.status));
    }
    let said = String::from_utf8_lossy(&built.stdout);
    let program = said.lines().filter_map(|line| line.split_once("\"executable\":\"")?.1.split_once('"'));
    let program = program.map(|(path, _)| PathBuf::from(path)).next_back();
    program.ok_or_else(|| "cargo does not say where the program is".to_owned())
}

fn is_unknown(argument: &str) -> bool {
    argument.starts_with('-') && !matches!(argument, "--json" | "--list")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_option_is_not_taken_for_a_figure() {
        let check = |argument, unknown| assert_eq!(is_unknown(argument), unknown, "{argument}");
        check("--json", false);
        check("--list", false);
        check("needle_query", false);
        check("--jsno", true);
    }
}

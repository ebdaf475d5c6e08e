//! Measurements. The figures, their goals and how each is taken live in
//! `benches/pipeline.rs` and `benches/agent.rs`; this gives them one spelling.

use crate::place;

/// Hands the arguments on: `agent` for its bench, names of figures, `--json`,
/// `--list`.
pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    if let Some(unknown) = arguments.iter().find(|argument| is_unknown(argument)) {
        return Err(format!("unknown option {unknown}: use --json or --list"));
    }
    let mut cargo = place::cargo();
    cargo.args(["bench", "--quiet", "--package", "weir"]);
    match arguments {
        // The build for nodes, without a query engine.
        ["agent", figures @ ..] => cargo
            .args(["--no-default-features", "--features", "agent", "--bench", "agent", "--"])
            .args(figures),
        figures => cargo.args(["--bench", "pipeline", "--"]).args(figures),
    };
    match cargo.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the measurement failed: {status}")),
        Err(error) => Err(format!("cannot run cargo bench: {error}")),
    }
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

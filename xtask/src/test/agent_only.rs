//! A node that only tails files must not carry a query engine.

use super::Outcome;
use super::command::{output, run};
use crate::place;

const AGENT: [&str; 5] = ["--package", "weir", "--no-default-features", "--features", "agent"];

/// What an agent has no use for, by the start of its name.
const FOREIGN: [&str; 2] = ["datafusion", "parquet"];

pub(super) fn check() -> Result<Outcome, String> {
    run(place::cargo().arg("check").args(AGENT))?;
    let tree =
        output(place::cargo().arg("tree").args(AGENT).args(["--edges", "normal", "--prefix", "none"]))?;
    match foreign(&tree).as_slice() {
        [] => Ok(Outcome::Passed),
        found => Err(format!("the agent-only build contains {}", found.join(", "))),
    }
}

/// The packages of a `cargo tree --prefix none` that do not belong.
fn foreign(tree: &str) -> Vec<&str> {
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    let mut found: Vec<_> =
        names.filter(|name| FOREIGN.iter().any(|foreign| name.starts_with(foreign))).collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_engine_in_the_tree_is_found() {
        assert_eq!(foreign("weir v0.1.0 (/x)\ntokio v1.54.1\nserde v1 (*)\n"), [""; 0]);
        let tree = "weir v0.1.0\nparquet v59.3.0\ndatafusion-common v55.2.0\nparquet v59.3.0 (*)\n";
        assert_eq!(foreign(tree), ["datafusion-common", "parquet"]);
    }
}

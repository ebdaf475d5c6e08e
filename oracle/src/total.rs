//! Runs add up: one file, a result on each line, so that counts grow over time.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// What is added up.
const COUNTS: [&str; 14] = [
    "faults",
    "issued",
    "acknowledged",
    "stored",
    "lost",
    "duplicated",
    "phantom",
    "altered",
    "out_of_order",
    "losses_reported",
    "duplicates_refused",
    "rotations",
    "commits",
    "handovers",
];

/// Appends a result and adds up all that the file has.
///
/// # Errors
/// The file cannot be written, or has something else in it.
pub(crate) fn add(path: &Path, result: &Value) -> Result<Value> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(format!("{result}\n").as_bytes())?;
    file.sync_all()?;
    let text = fs::read_to_string(path)?;
    let results = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>();
    Ok(sums(&results.with_context(|| format!("{} has a line that is no result", path.display()))?))
}

/// The sums of each scenario.
fn sums(results: &[Value]) -> Value {
    let mut scenarios: BTreeMap<&str, BTreeMap<&str, Value>> = BTreeMap::new();
    for result in results {
        let sums = scenarios.entry(result["scenario"].as_str().unwrap_or_default()).or_default();
        let mut raise = |name: &'static str, by: u64| {
            let sum = sums.entry(name).or_insert(json!(0));
            *sum = json!(sum.as_u64().unwrap_or(0) + by);
        };
        raise("runs", 1);
        raise("failed", u64::from(result["verdict"] != "pass"));
        for count in COUNTS {
            raise(count, result[count].as_u64().unwrap_or(0));
        }
        let slowest = sums.entry("slowest_recovery_s").or_insert(json!(0.0));
        let of_run = result["slowest_recovery_s"].as_f64().unwrap_or(0.0);
        *slowest = json!(slowest.as_f64().unwrap_or(0.0).max(of_run));
    }
    json!(scenarios)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_add_up_by_scenario() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("total.jsonl");
        let result = |scenario: &str, verdict: &str, lost: u64, slowest: f64| json!({"scenario": scenario, "verdict": verdict, "faults": 10, "lost": lost, "slowest_recovery_s": slowest});
        add(&path, &result("a", "pass", 0, 2.5)).expect("added");
        add(&path, &result("b", "pass", 0, 1.0)).expect("added");
        let sums = add(&path, &result("a", "fail", 3, 1.5)).expect("added");
        let found = ["runs", "failed", "faults", "lost"].map(|count| sums["a"][count].as_u64());
        assert_eq!(found, [Some(2), Some(1), Some(20), Some(3)]);
        assert_eq!((&sums["a"]["slowest_recovery_s"], &sums["b"]["faults"]), (&json!(2.5), &json!(10)));
        fs::write(&path, "no result\n").expect("written");
        assert!(add(&path, &result("a", "pass", 0, 0.0)).is_err());
    }
}

//! Power cuts on a simulated disk, under the event log, the receivers' spool and the
//! agent's checkpoint. What is cut and what is checked lives in their tests, which run
//! a few in each `cargo test`; this runs as many as one likes.

use crate::place;

/// Package, build, test, and the share of the cuts. The agent's dependencies take long
/// to optimise, and its disk is slow anyway.
const TESTS: [(&str, &[&str], &str, u64); 3] = [
    ("weir-stream", &["--release", "--no-default-features"], "disk::tests::cuts::power_cuts", 1),
    ("weir-agent", &[], "receive::tests::power::power_cuts_under_a_spool", 5),
    ("weir-agent", &[], "checkpoint::tests::power::power_cuts_under_a_checkpoint", 5),
];

/// Of the log; of each of the others a fifth.
const CUTS: u64 = 100_000;

pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    let (mut cuts, mut seed) = (CUTS, 1);
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let value = rest.next().and_then(|text| text.parse().ok());
        let value: u64 = value.ok_or_else(|| format!("{argument} needs a number"))?;
        match *argument {
            "--cuts" => cuts = value,
            "--seed" => seed = value,
            _ => return Err(format!("unknown option {argument}: use --cuts or --seed")),
        }
    }
    for (package, build, test, share) in TESTS {
        let mut cargo = place::cargo();
        cargo.args(["test", "--quiet", "--package", package, "--lib"]).args(build);
        cargo.args([test, "--", "--exact", "--nocapture"]);
        cargo
            .env("WEIR_POWER_CUTS", cuts.div_ceil(share).to_string())
            .env("WEIR_POWER_SEED", seed.to_string());
        match cargo.status() {
            Ok(status) if status.success() => {}
            Ok(status) => return Err(format!("{test}: {status}")),
            Err(error) => return Err(format!("cannot run cargo test: {error}")),
        }
    }
    Ok(())
}

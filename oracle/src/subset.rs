//! What is run for every change: each scenario once, short and by a seed, and each
//! planted bug.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::series::Series;
use crate::{planted, scenario};

/// The same for every run of it, so that what fails can be run again.
const SEED: u64 = 1;

/// Short, for there are many: a bug that is seen sooner is seen.
const PATIENCE: Duration = Duration::from_secs(8);

/// Runs it all. True if every scenario passed, and every bug was found.
///
/// # Errors
/// The table of bugs names no scenario.
pub(crate) fn run(as_json: bool, binary: &Path) -> Result<bool> {
    let mut series = Series::new(as_json, binary, PATIENCE);
    for scenario in scenario::ALL.iter().filter(|scenario| scenario.is_for_every_change()) {
        series.pass(*scenario, SEED, &[]);
    }
    for planted in &planted::ALL {
        // The scenario passes without the bug, and so it must with these settings.
        series.pass(planted.scenario()?, SEED, planted.settings);
        series.find(planted, SEED)?;
    }
    Ok(series.finish())
}

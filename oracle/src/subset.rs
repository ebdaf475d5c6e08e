//! What is run for every change: each scenario once, short and by a seed, and each
//! planted bug.

use std::path::Path;

use anyhow::Result;

use crate::planted::{self, Runs};
use crate::scenario;

/// The same for every run of it, so that what fails can be run again.
const SEED: u64 = 1;

/// Runs it all. True if every scenario passed, and every bug was found.
///
/// # Errors
/// None of its own: what could not be run is told as failed.
pub(crate) fn run(as_json: bool, binary: &Path) -> Result<bool> {
    let mut runs = Runs::default();
    for scenario in scenario::ALL {
        runs.pass(*scenario, SEED, &[], as_json, binary);
    }
    for planted in &planted::ALL {
        runs.find(planted, SEED, as_json, binary);
    }
    runs.tell(as_json);
    Ok(runs.failed.is_empty())
}

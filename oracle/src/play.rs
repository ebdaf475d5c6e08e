//! One run in a directory of its own, which is kept when it is worth a look.

use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use crate::arguments::Options;
use crate::report::Report;
use crate::run;
use crate::scenario::Scenario;

/// Runs it; the report, and the same as JSON.
///
/// # Errors
/// It could not be run: nothing is known then.
pub(crate) fn once(scenario: &dyn Scenario, options: &Options, binary: &Path) -> Result<(Report, Value)> {
    let dir = tempfile::Builder::new().prefix(&format!("weir-oracle-{}-", scenario.name())).tempdir()?;
    // Postgres reads its directory as another user.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(dir.path(), open)?;
    eprintln!("{}: seed {}, in {}", scenario.name(), options.seed, dir.path().display());
    let (path, mut dir) = (dir.path().to_owned(), Some(dir));
    let played = run::run(scenario, options, &path, binary);
    // A planted bug is expected to be found, and leaves nothing to look at.
    let is_expected = options.environment.iter().any(|variable| variable.name == "PLANTED_BUG");
    let is_as_expected = played.as_ref().is_ok_and(|report| report.is_pass() != is_expected);
    if options.keep || !is_as_expected {
        eprintln!("kept for inspection: {}", path.display());
        dir.take().map(tempfile::TempDir::keep);
    }
    let report = played?;
    let mut result = report.json();
    result["host_load"] = host_load();
    Ok((report, result))
}

/// Who else used the processors in the last minute: a slow recovery may be theirs.
fn host_load() -> Value {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse::<f64>().ok()).into()
}

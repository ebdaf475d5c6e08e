//! `weir validate FILE`: says what is wrong with it, or that nothing is.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use crate::config::Config;

/// Reads the file as a node would, without starting anything. The environment
/// is left out: the file is what is checked.
pub fn validate(file: &Path) -> Result<ExitCode> {
    let config: Config = weir_runtime::config::load(Some(file), std::iter::empty(), "WEIR_")?;
    config.check()?;
    crate::role::rules::check(&config)?;
    writeln!(std::io::stdout(), "{}: ok", file.display())?;
    super::DONE
}

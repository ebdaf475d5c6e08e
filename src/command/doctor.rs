//! `weir doctor`: what keeps Weir from working here.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;

use crate::cli::DoctorArgs;
use crate::config::Config;
use crate::doctor::{Allowed, examine};

/// Looks, and prints what was found. Fails when a check does.
pub fn doctor(args: &DoctorArgs) -> Result<ExitCode> {
    let config = Config::load(&args.node)?;
    let report = super::block_on(async { Ok(examine(&config, Allowed { probe: args.probe }).await) })?;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", report.json())?;
    } else {
        write!(out, "{}", report.text())?;
    }
    Ok(if report.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

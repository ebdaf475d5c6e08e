//! `weir check`: whether every file that the catalog names is there and whole.

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::CheckArgs;

/// Checks, says what it found, and ends with 1 if something is wrong.
#[cfg(any(feature = "ingest", feature = "query"))]
pub fn check(args: &CheckArgs) -> Result<ExitCode> {
    use std::io::Write;

    use weir_runtime::Clock;
    use weir_storage::check::{self, Depth, Found};

    use crate::role::stores;

    let config = super::config_with_catalog(&args.stores)?;
    let depth = if args.rows { Depth::Rows } else { Depth::Sizes };
    let now_micros = Clock::system().now_micros();
    let (found, removed): (Found, Option<u64>) = super::block_on(async {
        let objects = stores::objects(&config)?;
        let catalog = if args.remove_orphans {
            stores::catalog(&config).await?
        } else {
            stores::catalog_read_only(&config).await?
        };
        let found = check::check(&*catalog, &*objects, depth, now_micros).await?;
        let removed = if args.remove_orphans {
            Some(check::remove_orphans(&*catalog, &*objects, &found.orphans, now_micros).await?)
        } else {
            None
        };
        Ok((found, removed))
    })?;
    let mut out = std::io::stdout().lock();
    for problem in &found.problems {
        writeln!(out, "{}: {}", problem.path, problem.what)?;
    }
    let Found { files, rows, bytes, .. } = found;
    let looked = if args.rows { "every row read" } else { "names and sizes; --rows reads every row" };
    writeln!(out, "{files} files, {rows} rows, {bytes} bytes: {} wrong ({looked})", found.problems.len())?;
    let left: u64 = found.orphans.iter().map(|object| object.bytes).sum();
    let count = found.orphans.len();
    if let Some(removed) = removed {
        writeln!(out, "{removed} of {count} objects that no commit names were removed")?;
    } else if count > 0 {
        writeln!(
            out,
            "{count} objects of {left} bytes are named by no commit: --remove-orphans removes them"
        )?;
    }
    Ok(if found.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// This build has no catalog.
#[cfg(not(any(feature = "ingest", feature = "query")))]
pub fn check(_: &CheckArgs) -> Result<ExitCode> {
    anyhow::bail!("this build has no catalog: use one with all features")
}

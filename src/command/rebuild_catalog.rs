//! `weir rebuild-catalog`: a lost catalog is made again from the objects.

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::RebuildCatalogArgs;

/// Rebuilds, says what came of it, and ends with 1 if something could not be read.
#[cfg(any(feature = "ingest", feature = "query"))]
pub fn rebuild_catalog(args: &RebuildCatalogArgs) -> Result<ExitCode> {
    use std::io::Write;

    use anyhow::Context;
    use weir_runtime::Clock;
    use weir_storage::rebuild::{Rebuilt, rebuild};

    use crate::role::stores;

    let config = super::config_of(&args.stores)?;
    let now_micros = Clock::system().now_micros();
    let rebuilt: Rebuilt = super::block_on(async {
        let objects = stores::objects(&config)?;
        let catalog = stores::catalog(&config).await?;
        let rebuilt = rebuild(&*catalog, &*objects, now_micros).await;
        rebuilt.context("the catalog was not rebuilt, nothing was written")
    })?;
    let mut out = std::io::stdout().lock();
    let Rebuilt { files, rows, next_offsets, state_micros, unpublished, strangers, damaged } = rebuilt;
    writeln!(out, "{files} files with {rows} rows are in the catalog again")?;
    for (partition, next) in &next_offsets {
        writeln!(out, "{partition}: stored up to offset {next}, the rest comes from the event log")?;
    }
    match state_micros {
        Some(at) => {
            let minutes = now_micros.saturating_sub(at) / 60_000_000;
            writeln!(out, "losses and lanes are as of {minutes} minutes ago, when a state was kept last")?;
        }
        None => writeln!(out, "no state was found: losses, lanes and what sources are called start anew")?,
    }
    if !unpublished.is_empty() {
        let count = unpublished.len();
        writeln!(out, "{count} files were never published: `weir check --remove-orphans` removes them")?;
    }
    for path in &strangers {
        writeln!(out, "{path}: not an object of Weir, left alone")?;
    }
    for (path, why) in &damaged {
        writeln!(out, "{path}: {why}: what it held is missing")?;
    }
    Ok(if damaged.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// This build has no catalog.
#[cfg(not(any(feature = "ingest", feature = "query")))]
pub fn rebuild_catalog(_: &RebuildCatalogArgs) -> Result<ExitCode> {
    anyhow::bail!("this build has no catalog: use one with all features")
}

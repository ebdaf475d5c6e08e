//! `weir reset-offsets TOPIC`: an operator's word that a topic is another one
//! now, to be read from its start.

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::ResetOffsetsArgs;

/// Says which partitions are meant and how far they were read; with `--execute`
/// has them read from their start.
#[cfg(any(feature = "ingest", feature = "query"))]
pub fn reset_offsets(args: &ResetOffsetsArgs) -> Result<ExitCode> {
    use std::io::Write;

    use anyhow::bail;
    use weir_proto::model::TenantId;
    use weir_proto::schema::Table;
    use weir_runtime::Clock;
    use weir_storage::catalog::TimeRange;

    use crate::role::stores;

    let config = super::config_with_catalog(&args.stores)?;
    let wanted = (!args.partitions.is_empty()).then_some(args.partitions.as_slice());
    let offsets = super::block_on(async {
        if args.execute {
            let catalog = stores::catalog(&config).await?;
            return Ok(catalog.restart(&args.topic, wanted, Clock::system().now_micros()).await?);
        }
        let catalog = stores::catalog_read_only(&config).await?;
        // Offsets are all that a snapshot of no time holds, beside lanes.
        let snapshot = catalog.snapshot(&TenantId::default(), Table::Logs.name(), TimeRange::NEVER).await?;
        let is_meant = |number: u32| wanted.is_none_or(|wanted| wanted.contains(&number));
        let all = snapshot.next_offsets.into_iter();
        Ok(all.filter(|(it, _)| it.topic == args.topic && is_meant(it.partition)).collect())
    })?;
    if offsets.is_empty() {
        bail!("the catalog knows no such partition of {:?}: nothing of it was ever stored", args.topic);
    }
    let mut out = std::io::stdout().lock();
    for (partition, next) in &offsets {
        let verb = if args.execute { "is read" } else { "would be read" };
        writeln!(out, "{partition}: stored up to offset {next}, {verb} from its start")?;
    }
    if args.execute {
        writeln!(out, "what the former log held beyond these offsets is lost: weir.gaps says so")?;
    } else {
        writeln!(out, "nothing was changed: --execute does it")?;
    }
    super::DONE
}

/// This build has no catalog.
#[cfg(not(any(feature = "ingest", feature = "query")))]
pub fn reset_offsets(_: &ResetOffsetsArgs) -> Result<ExitCode> {
    anyhow::bail!("this build has no catalog: use one with all features")
}

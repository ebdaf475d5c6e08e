//! `weir dismiss`: an operator's word that nothing more will come of an agent
//! that has retired, or of a partition that the event log does not have any
//! more, so that no answer waits for it or names it.

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::DismissArgs;

/// Takes the agent's retired lanes, or the partition, out of the catalog.
#[cfg(any(feature = "ingest", feature = "query"))]
pub fn dismiss(args: &DismissArgs) -> Result<ExitCode> {
    use std::io::Write;

    use anyhow::{Context, bail};
    use weir_proto::model::AgentId;
    use weir_runtime::Clock;
    use weir_storage::catalog::LogPartition;

    let what = &args.what;
    if what.contains('/') {
        let partition: LogPartition = what.parse()?;
        let config = super::config_with_catalog(&args.stores)?;
        let was_known = super::block_on(async {
            let catalog = crate::role::stores::catalog(&config).await?;
            Ok(catalog.abandon(&partition, Clock::system().now_micros()).await?)
        })?;
        if !was_known {
            bail!("nothing is known of partition {partition}, and no answer waits for it");
        }
        writeln!(std::io::stdout(), "partition {partition} dismissed: no answer waits for it")?;
        return super::DONE;
    }
    let agent: AgentId = what.parse().with_context(|| {
        format!("{what:?} is no agent: take the one in `weir sql \"SELECT * FROM weir.lanes\"`")
    })?;
    let config = super::config_with_catalog(&args.stores)?;
    let dismissed = super::block_on(async {
        let catalog = crate::role::stores::catalog(&config).await?;
        Ok(catalog.dismiss(agent).await?)
    })?;
    if dismissed == 0 {
        bail!(
            "agent {agent} has no retired lane: one that is live or was expected back goes on being waited for"
        );
    }
    let lanes = if dismissed == 1 { "lane" } else { "lanes" };
    writeln!(std::io::stdout(), "agent {agent}: {dismissed} {lanes} dismissed, answers no longer name it")?;
    super::DONE
}

/// This build has no catalog.
#[cfg(not(any(feature = "ingest", feature = "query")))]
pub fn dismiss(_: &DismissArgs) -> Result<ExitCode> {
    anyhow::bail!("this build has no catalog: use one with all features")
}

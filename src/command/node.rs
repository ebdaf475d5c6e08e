//! `weir all`, `agent`, `ingest`, `query`, `alerting`, and the query worker.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use weir_runtime::{child, limit, telemetry};

use crate::cli::NodeArgs;
use crate::node::{Node, Roles};
use crate::reload::Reload;

/// Runs a node until it is told to end.
pub fn node(args: &NodeArgs, roles: Roles) -> Result<ExitCode> {
    telemetry::init(telemetry::Format::Auto)?;
    if !args.tail.is_empty() && !roles.tails() {
        bail!("--tail is for the agent: `weir agent` or `weir all`");
    }
    let (config, reload) = Reload::load(args)?;
    if roles.need_rules() {
        crate::role::rules::check(&config)?;
    }
    if args.exit_with_parent {
        child::exit_with_parent()?;
    }
    limit::raise_open_files()?;
    super::block_on(async move {
        let node = Node::start(config, roles).await?;
        tokio::select! {
            () = node.until_told() => {}
            () = reload.follow(&node) => {}
        }
        node.stop().await?;
        super::DONE
    })
}

/// Runs the query worker on the configuration that its parent wrote.
#[cfg(feature = "query")]
pub fn query_worker(config: &Path) -> Result<ExitCode> {
    use anyhow::Context;
    telemetry::init(telemetry::Format::Auto)?;
    let text = std::fs::read(config).with_context(|| format!("cannot read {}", config.display()))?;
    let config: crate::config::Config =
        serde_json::from_slice(&text).context("the worker's configuration is damaged")?;
    // Before the first thread starts: the limit is the process's.
    limit::memory(config.query.memory.0)?;
    super::block_on(async move {
        crate::role::worker::run(config).await?;
        super::DONE
    })
}

/// This build has no query role.
#[cfg(not(feature = "query"))]
pub fn query_worker(_: &Path) -> Result<ExitCode> {
    anyhow::bail!("this build has no query role")
}

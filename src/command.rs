//! What each command does. Thin: the work is in the roles.

mod aligned;
mod check;
mod dead_letter;
mod delivery;
#[cfg(feature = "demo")]
mod demo;
mod dismiss;
#[cfg(feature = "agent")]
mod doctor;
mod explain;
mod node;
mod rebuild_catalog;
#[cfg(feature = "agent")]
mod redact;
mod reset_offsets;
#[cfg(feature = "agent")]
mod run;
#[cfg(feature = "agent")]
mod ship;
mod sql;
mod tap;
mod top;
mod validate;

use std::process::ExitCode;

use anyhow::Result;

pub use check::check;
pub use dead_letter::dead_letter;
pub use delivery::delivery;
pub use dismiss::dismiss;
#[cfg(feature = "agent")]
pub use doctor::doctor;
pub use explain::explain;
pub use node::{node, query_worker};
pub use rebuild_catalog::rebuild_catalog;
#[cfg(feature = "agent")]
pub use redact::redact;
pub use reset_offsets::reset_offsets;
#[cfg(feature = "agent")]
pub use run::run;
#[cfg(feature = "agent")]
pub use ship::ship;
pub(crate) use sql::complaint;
pub use sql::sql;
pub use tap::tap;
pub use top::top;
#[cfg(feature = "agent")]
pub(crate) use top::{AGENT_STATUS, AGENTS_HERE};
pub use validate::validate;

pub use crate::node::Roles;

#[cfg(feature = "demo")]
pub use demo::{corpus, demo};

/// Runs a future on a runtime of its own, to its end.
fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("weir").build()?.block_on(future)
}

/// The configuration of a command that works on what a node keeps.
#[cfg(any(feature = "ingest", feature = "query"))]
fn config_of(stores: &crate::cli::StoresArgs) -> Result<crate::config::Config> {
    let mut config = crate::config::Config::read(stores.config.as_deref())?;
    if let Some(data) = &stores.data {
        data.clone_into(&mut config.data);
    }
    config.check()?;
    Ok(config)
}

/// The configuration of a command that needs a catalog, which must be there:
/// opening it would create one.
#[cfg(any(feature = "ingest", feature = "query"))]
fn config_with_catalog(stores: &crate::cli::StoresArgs) -> Result<crate::config::Config> {
    let config = config_of(stores)?;
    if config.catalog.is_empty() && !config.paths().catalog().exists() {
        anyhow::bail!(
            "there is no catalog at {}: name it with --config or --data",
            config.paths().catalog().display()
        );
    }
    Ok(config)
}

/// This build has no agent.
#[cfg(not(feature = "agent"))]
pub fn doctor(_: &crate::cli::DoctorArgs) -> Result<ExitCode> {
    anyhow::bail!("this build has no agent, to which `weir doctor` belongs")
}

/// This build has no agent.
#[cfg(not(feature = "agent"))]
pub fn ship(_: &crate::cli::ShipArgs) -> Result<ExitCode> {
    anyhow::bail!("this build has no agent, to which `weir ship` belongs")
}

/// This build has no agent.
#[cfg(not(feature = "agent"))]
pub fn run(_: &crate::cli::RunArgs) -> Result<ExitCode> {
    anyhow::bail!("this build has no agent, to which `weir run` belongs")
}

/// This build has no demo.
#[cfg(not(feature = "demo"))]
pub fn demo(_: &crate::cli::DemoArgs) -> Result<ExitCode> {
    anyhow::bail!("this build has no demo")
}

/// This build has no agent, whose rules it would show.
#[cfg(not(feature = "agent"))]
pub fn redact(_: &crate::cli::RedactArgs) -> Result<ExitCode> {
    anyhow::bail!("this build has no agent, whose rules `weir redact` applies")
}

/// The corpus belongs to the demo.
#[cfg(not(feature = "demo"))]
pub fn corpus(_: &std::path::Path, _: &str, _: u64) -> Result<ExitCode> {
    anyhow::bail!("this build has no demo, to which the corpus belongs")
}

/// Success, as an exit code.
const DONE: Result<ExitCode> = Ok(ExitCode::SUCCESS);

//! The whole life of a process: ordered start, mirrored stop.
//!
//! Start: port -> stores -> event log -> ingest -> query -> alerting -> agent -> ready.
//! Stop is the mirror: not ready -> agent -> alerting -> port -> query -> ingest -> event log. Each part
//! outlives what leans on it. None of the stopping is needed for safety: a
//! `kill -9` at any point loses nothing acknowledged.
//!
//! An agent whose event log is away at the start waits for it, alive.

mod deadline;
mod entrance;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use weir_runtime::admin::{self, Check};
use weir_runtime::server::{Listener, LocalAddress, Server};
use weir_runtime::{Handles, Metrics, create_durably, signal};

use crate::config::Config;
use crate::role;
use entrance::Entrance;

pub(crate) use deadline::Deadline;

/// Which roles a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roles {
    name: &'static str,
    agent: bool,
    ingest: bool,
    query: bool,
    alerting: bool,
    port: u16,
}

impl Roles {
    /// Every role.
    pub const ALL: Self =
        Self { agent: true, ingest: true, query: true, alerting: true, ..Self::none("all", 9700) };
    /// Only the agent.
    pub const AGENT: Self = Self { agent: true, ..Self::none("agent", 9701) };
    /// Only the ingester.
    pub const INGEST: Self = Self { ingest: true, ..Self::none("ingest", 9702) };
    /// Only the query service.
    pub const QUERY: Self = Self { query: true, ..Self::none("query", 9700) };
    /// Only alerting.
    pub const ALERTING: Self = Self { alerting: true, ..Self::none("alerting", 9703) };

    const fn none(name: &'static str, port: u16) -> Self {
        Self { name, agent: false, ingest: false, query: false, alerting: false, port }
    }

    /// Whether rules are evaluated or looked for.
    pub fn need_rules(self) -> bool {
        self.ingest || self.alerting
    }

    /// Whether files are tailed.
    pub fn tails(self) -> bool {
        self.agent
    }
}

/// A running process.
#[derive(Debug)]
pub struct Node {
    handles: Handles,
    ready: Arc<AtomicBool>,
    agent: Option<role::agent::Agent>,
    port: Handles,
    address: LocalAddress,
    query: Option<role::query::Query>,
    alerting: Option<role::alerting::Alerting>,
    ingest: Option<role::ingest::Ingest>,
    log: Option<role::log::Log>,
}

impl Node {
    /// Starts the roles in order. Nothing is touched before the port is ours.
    pub async fn start(mut config: Config, roles: Roles) -> Result<Self> {
        let handles = Handles::new("node");
        let listener = Listener::tcp(&config.listen_address(roles.port)?.to_string()).await?;
        if config.advertise.is_empty() {
            config.advertise = listener.local_addr().to_string();
        }
        let paths = config.paths();
        create_durably(&paths.run())
            .with_context(|| format!("cannot create the data directory {}", paths.data().display()))?;

        let port = handles.child("port");
        let address = listener.local_addr().clone();
        let mut entrance = Entrance::new(listener);
        let away = |why| entrance.wait(why, &port);
        let log = role::log::Log::open(&config, roles.agent, roles.ingest, &handles, away).await?;
        let ingest = match roles.ingest {
            true => Some(role::ingest::Ingest::start(&config, &log, handles.child("ingest")).await?),
            false => None,
        };
        let query = match roles.query {
            true => Some(role::query::Query::start(&config, &log, handles.child("query")).await?),
            false => None,
        };
        let alerting = match roles.alerting {
            true => {
                let own = roles.query.then_some(&address);
                Some(role::alerting::Alerting::start(&config, own, handles.child("alerting")).await?)
            }
            false => None,
        };
        let agent = match roles.agent {
            true => Some(role::agent::Agent::start(&config, &log, handles.child("agent")).await?),
            false => None,
        };

        let ready = Arc::new(AtomicBool::new(true));
        let mut checks = vec![running(&ready)];
        checks.extend(ingest.iter().map(role::ingest::Ingest::check));
        checks.extend(query.iter().map(role::query::Query::check));
        checks.extend(alerting.iter().map(role::alerting::Alerting::check));
        checks.extend(agent.iter().map(role::agent::Agent::check));
        let mut router = admin::router(checks, handles.metrics.clone());
        let parts = [
            query.as_ref().map(role::query::Query::router),
            alerting.as_ref().map(role::alerting::Alerting::router),
            agent.as_ref().map(role::agent::Agent::router),
            ingest.as_ref().map(role::ingest::Ingest::router),
        ];
        for part in parts.into_iter().flatten() {
            router = router.merge(part);
        }
        #[cfg(feature = "query")]
        if roles.query && !roles.alerting {
            router = router.merge(role::query::alerts_elsewhere(&config)?);
        }
        if roles.agent {
            serve_aliases(&config, &address, &router, &port).await;
        }
        entrance.open(router, &port);
        let address_file = paths.run().join(format!("{}.addr", roles.name));
        std::fs::write(&address_file, address.to_string())
            .with_context(|| format!("cannot write {}", address_file.display()))?;
        tracing::info!(roles = roles.name, %address, data = %paths.data().display(), "started");
        Ok(Self { handles, ready, agent, port, address, query, alerting, ingest, log: Some(log) })
    }

    /// Where it serves.
    pub fn address(&self) -> &LocalAddress {
        &self.address
    }

    /// Where its metrics are kept.
    pub fn metrics(&self) -> &Metrics {
        &self.handles.metrics
    }

    /// Goes on by another configuration, as far as the roles can.
    pub fn reconfigure(&self, config: &Config) -> Result<()> {
        self.agent.as_ref().map_or(Ok(()), |agent| agent.reconfigure(config))
    }

    /// Waits for a signal, or for a part that failed.
    pub async fn until_told(&self) {
        let failed = async {
            let parts = [
                Some(self.port.shutdown.clone()),
                self.agent.as_ref().map(role::agent::Agent::shutdown),
                self.query.as_ref().map(role::query::Query::shutdown),
                self.alerting.as_ref().map(role::alerting::Alerting::shutdown),
                self.ingest.as_ref().map(role::ingest::Ingest::shutdown),
            ];
            let parts: Vec<_> = parts.into_iter().flatten().collect();
            futures::future::select_all(parts.iter().map(|part| Box::pin(part.begun()))).await;
        };
        let signal = async {
            match signal::terminated() {
                Ok(told) => told.await,
                Err(error) => {
                    tracing::warn!(%error, "signals cannot be heard");
                    std::future::pending().await
                }
            }
        };
        tokio::select! {
            name = signal => tracing::info!(signal = name, "told to stop"),
            () = failed => {}
        }
    }

    /// Stops in the mirrored order, and reports a part that had failed.
    pub async fn stop(self) -> Result<()> {
        self.ready.store(false, Ordering::SeqCst);
        let (mut failures, deadline) = (Vec::new(), Deadline::begin());
        if let Some(agent) = self.agent {
            failures.extend(agent.stop(deadline).await);
        }
        if let Some(alerting) = self.alerting {
            failures.extend(alerting.stop(deadline).await);
        }
        failures.extend(stop_part("port", &self.port, deadline.left()).await);
        if let Some(query) = self.query {
            failures.extend(query.stop(deadline).await);
        }
        if let Some(ingest) = self.ingest {
            failures.extend(ingest.stop(deadline).await);
        }
        drop(self.log);
        failures.extend(stop_part("node", &self.handles, deadline.left()).await);
        match failures.first() {
            None => tracing::info!("stopped"),
            Some(first) => bail!("{first}"),
        }
        Ok(())
    }
}

/// Serves the same on the ports that clients try by themselves, where nobody
/// else has them.
async fn serve_aliases(config: &Config, address: &LocalAddress, router: &Router, port: &Handles) {
    let LocalAddress::Tcp(address) = address else { return };
    for alias in &config.aliases {
        let alias = SocketAddr::new(address.ip(), *alias);
        match Listener::tcp(&alias.to_string()).await {
            Ok(listener) => {
                Server::start(listener, router.clone(), port);
            }
            Err(error) => tracing::info!(%alias, %error, "this port is not served"),
        }
    }
}

/// Ends a part's tasks, names what is still pending, and answers with the
/// part's failure, if it had one.
pub(crate) async fn stop_part(name: &str, handles: &Handles, within: Duration) -> Option<String> {
    handles.shutdown.begin();
    let pending = handles.tasks.join(within).await;
    if !pending.is_empty() {
        tracing::warn!(part = name, ?pending, "still pending after {within:?}, ended");
    }
    handles.tasks.failure()
}

fn running(ready: &Arc<AtomicBool>) -> Check {
    let ready = ready.clone();
    Check::new("running", move || match ready.load(Ordering::SeqCst) {
        true => Ok(()),
        false => Err("stopping".to_owned()),
    })
}

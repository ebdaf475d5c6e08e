//! The ingester of this process, and the doors at which it gives out its live
//! rows: the node's port for other hosts, a socket for this one.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use weir_ingest::{DeadLetters, MemberIdentity};
use weir_runtime::admin::Check;
use weir_runtime::server::{Listener, Server};
use weir_runtime::{Handles, Shutdown};

use crate::config::Config;
use crate::role::log::Log;
use crate::role::{rules, stores};

/// A running ingester.
#[derive(Debug)]
pub struct Ingest {
    ingest: weir_ingest::Ingest,
    handles: Handles,
    socket: Handles,
}

impl Ingest {
    /// Opens the stores, starts ingesting, then serves the live rows.
    pub async fn start(config: &Config, log: &Log, handles: Handles) -> Result<Self> {
        let paths = config.paths();
        let listener = Listener::unix(&paths.ingest_socket()).await?;
        let catalog = stores::catalog(config).await?;
        let objects = stores::objects(config)?;
        let subscribe = log.subscribe.clone().context("ingest needs the event log open for reading")?;
        let dead_letters = match (&log.append, &log.dead_letters) {
            (Some(append), Some(topic)) => DeadLetters::topic(append.clone(), topic.clone()),
            _ => DeadLetters::directory(paths.dead_letters()),
        };
        let member = MemberIdentity::of_directory(&config.data, address(config)?);
        let rules = rules::log_rules(config)?;
        let (topics, config) = (log.topics.all(), config.ingest.clone());
        let started = weir_ingest::start(
            config,
            subscribe,
            topics,
            catalog,
            objects,
            dead_letters,
            rules,
            member,
            handles.clone(),
        );
        let ingest = started.await?;
        let socket = handles.child("live");
        Server::start(listener, ingest.live_router(), &socket);
        Ok(Self { ingest, handles, socket })
    }

    /// The live rows, for query services on other hosts.
    pub fn router(&self) -> Router {
        self.ingest.live_router()
    }

    /// Whether it can do its work.
    pub fn check(&self) -> Check {
        let health = self.ingest.health();
        Check::new("ingest", move || health.check())
    }

    /// Told when it has ended by itself, which only a failure makes it do.
    pub fn shutdown(&self) -> Shutdown {
        self.handles.shutdown.clone()
    }

    /// Flushes, commits, gives its leases back, ends.
    pub async fn stop(self, deadline: Duration) -> Option<String> {
        let live = crate::node::stop_part("live", &self.socket, deadline).await;
        self.ingest.stop(deadline).await;
        crate::node::stop_part("ingest", &self.handles, deadline).await.or(live)
    }
}

/// Where query services find the live rows. A catalog on this disk means that
/// they run on this host.
fn address(config: &Config) -> Result<String> {
    if config.catalog.is_empty() {
        let socket = std::path::absolute(config.paths().ingest_socket()).context("the data directory")?;
        return Ok(format!("unix:{}", socket.display()));
    }
    let anywhere = config.advertise.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_unspecified());
    if anywhere {
        bail!(
            "query services cannot reach this ingester at {}: set advertise to the HOST:PORT that they can",
            config.advertise
        );
    }
    Ok(format!("http://{}", config.advertise))
}

//! The ingester of this process, and the doors at which it gives out its live
//! rows: the node's port for other hosts, a socket for this one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, Result};
use axum::Router;
use tokio::net::UdpSocket;
use weir_ingest::{DeadLetters, MemberIdentity};
use weir_runtime::admin::Check;
use weir_runtime::server::{Listener, Server};
use weir_runtime::{Handles, Shutdown};

use crate::config::Config;
use crate::node::{Deadline, stop_part};
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
        let member = MemberIdentity::of_directory(&config.data, address(config).await?)
            .with_context(|| format!("the ingester's id in {}", config.data.display()))?;
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
    pub async fn stop(self, deadline: Deadline) -> Option<String> {
        let live = stop_part("live", &self.socket, deadline.left()).await;
        self.ingest.stop(deadline.left()).await;
        stop_part("ingest", &self.handles, deadline.left()).await.or(live)
    }
}

/// Where query services find the live rows. A catalog on this disk means that
/// they run on this host.
async fn address(config: &Config) -> Result<String> {
    if config.catalog.is_empty() {
        let socket = std::path::absolute(config.paths().ingest_socket()).context("the data directory")?;
        return Ok(format!("unix:{}", socket.display()));
    }
    match config.advertise.parse::<SocketAddr>() {
        Ok(listened) if listened.ip().is_unspecified() => {
            let own = toward(&config.log.kafka.brokers).await.with_context(|| {
                format!(
                    "query services cannot reach this ingester at {listened}: set advertise to the HOST:PORT that they can"
                )
            })?;
            Ok(format!("http://{}", SocketAddr::new(own, listened.port())))
        }
        _ => Ok(format!("http://{}", config.advertise)),
    }
}

/// The address with which this host reaches the first of the brokers: in a
/// container's or a cluster's network, where the other processes are, too.
async fn toward(brokers: &str) -> Result<IpAddr> {
    let first = brokers.split(',').next().unwrap_or_default().trim();
    let mut found = tokio::net::lookup_host(first).await.with_context(|| format!("looking up {first:?}"))?;
    let broker = found.next().with_context(|| format!("{first:?} has no address"))?;
    let any: IpAddr =
        if broker.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // Nothing is sent: connecting such a socket only chooses the way.
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(broker).await?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn addressed(listen: &str, catalog: &str, brokers: &str) -> Result<String, String> {
        let mut config =
            Config { advertise: listen.to_owned(), catalog: catalog.to_owned(), ..Config::default() };
        brokers.clone_into(&mut config.log.kafka.brokers);
        address(&config).await.map_err(|error| format!("{error:#}"))
    }

    #[tokio::test]
    async fn an_ingester_is_found_where_it_can_be_reached() {
        let found = addressed("10.0.0.5:9702", "postgres://db/weir", "").await;
        assert_eq!(found.as_deref(), Ok("http://10.0.0.5:9702"));
        let found = addressed("ingest-0.ingest:9702", "postgres://db/weir", "").await;
        assert_eq!(found.as_deref(), Ok("http://ingest-0.ingest:9702"));
        let found = addressed("0.0.0.0:9702", "postgres://db/weir", "127.0.0.1:9092,10.0.0.7:9092").await;
        assert_eq!(found.as_deref(), Ok("http://127.0.0.1:9702"));
        let found = addressed("0.0.0.0:9702", "postgres://db/weir", "").await;
        assert!(found.is_err_and(|error| error.contains("set advertise")));
        assert!(addressed("0.0.0.0:9702", "", "").await.is_ok_and(|found| found.starts_with("unix:/")));
    }
}

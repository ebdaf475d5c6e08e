//! The ingester of this process, and the socket on which it gives out its live
//! rows.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use weir_ingest::{DeadLetters, MemberIdentity};
use weir_runtime::admin::Check;
use weir_runtime::server::{Listener, Server};
use weir_runtime::{Handles, Shutdown};
use weir_storage::catalog::SqliteCatalog;
use weir_storage::object::LocalStore;

use crate::config::Config;
use crate::role::log::Log;

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
        let catalog = Arc::new(SqliteCatalog::open(&paths.catalog()).await?);
        let objects = LocalStore::open(&paths.objects())?;
        let subscribe = log.subscribe.clone().context("ingest needs the event log open for reading")?;
        let address = std::path::absolute(paths.ingest_socket()).context("the data directory")?;
        let member = MemberIdentity::of_directory(paths.data(), format!("unix:{}", address.display()));
        let ingest = weir_ingest::start(
            config.ingest.clone(),
            subscribe,
            vec![log.topic.clone()],
            catalog,
            Arc::new(objects),
            DeadLetters::directory(paths.dead_letters()),
            member,
            handles.clone(),
        )
        .await?;
        let socket = handles.child("live");
        Server::start(listener, ingest.live_router(), &socket);
        Ok(Self { ingest, handles, socket })
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

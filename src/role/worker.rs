//! The query worker: a process of its own under a hard memory limit, which
//! reads the catalog and the files, asks ingest for its live rows, and serves
//! on a Unix socket.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use weir_query::{ClusterLive, Engine};
use weir_runtime::server::{Listener, Server};
use weir_runtime::{Handles, admin, child, signal};

use crate::config::Config;
use crate::role::stores;

/// How long queries may take to end once the worker is told to.
const STOP_DEADLINE: Duration = Duration::from_secs(3);

/// Serves until told to end, or until the parent is gone.
pub async fn run(config: Config) -> Result<()> {
    child::exit_with_parent()?;
    let handles = Handles::new("query-worker");
    let paths = config.paths();
    let catalog = stores::catalog_read_only(&config).await?;
    let objects = stores::objects(&config)?.object_store();
    let live = Arc::new(ClusterLive::new(catalog.clone()));
    let engine =
        Arc::new(Engine::new(config.query.clone(), catalog, objects, live, paths.spill(), &handles)?);
    let listener = Listener::unix(&paths.worker_socket()).await?;
    // Who only reads the catalog cannot settle; another query service will.
    match stores::catalog(&config).await {
        Ok(catalog) => {
            let settle = weir_query::settle(engine.clone(), catalog, handles.clone());
            handles.tasks.spawn("settle", settle);
        }
        Err(error) => {
            tracing::warn!(error = %format!("{error:#}"), "calls between services are not settled here");
        }
    }
    let router = weir_query::router(engine).merge(admin::router(Vec::new(), handles.metrics.clone()));
    Server::start(listener, router, &handles);
    signal::terminated()?.await;
    crate::node::stop_part("query-worker", &handles, STOP_DEADLINE).await;
    Ok(())
}

//! Starting and stopping the ingester.
//!
//! Tasks: one that says that we are there and plans, one that looks for
//! partitions, one reader a partition, one that commits, one that keeps the
//! catalog's state. At the end the readers
//! go first, then what is live is flushed, then the leases are given back and
//! the others told.

use std::fmt;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::sync::{Mutex, Semaphore, watch};
use weir_runtime::telemetry::error_chain;
use weir_runtime::{Handles, TaskError};
use weir_storage::catalog::Catalog;
use weir_storage::live::LiveRows;
use weir_storage::object::Objects;
use weir_storage::state;
use weir_stream::{Subscribe, Topic};

use crate::commit::Committer;
use crate::config::Config;
use crate::dead_letter::DeadLetters;
use crate::discovery::Discovery;
use crate::error::StartError;
use crate::health::Health;
use crate::live::{self, Extent, Live};
use crate::matches::{LogRule, Matcher};
use crate::member::{MemberIdentity, Membership, Plan};
use crate::metrics::IngestMetrics;
use crate::partition::Shared;

/// How long readers may take to end. They end at their next wait.
const READERS_DEADLINE: Duration = Duration::from_secs(10);

/// How often it is looked whether the catalog's state is to be kept.
const STATE_LOOK: Duration = Duration::from_secs(60);

/// A running ingester. Dropping it leaves its tasks to their owner.
pub struct Ingest {
    live: Arc<Live>,
    health: Health,
    handles: Handles,
}

impl fmt::Debug for Ingest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingest").field("health", &self.health).finish_non_exhaustive()
    }
}

/// Starts ingesting its share of the partitions of `topics`, each named after
/// the signal that it carries: all of them while no other ingester announces
/// itself in the catalog.
///
/// # Errors
/// A configuration that cannot work, or a topic or directory that is not there.
/// An event log that is merely away is waited for.
#[expect(clippy::too_many_arguments, reason = "each is a part of the world, wired once")]
pub async fn start(
    config: Config,
    log: Arc<dyn Subscribe>,
    topics: Vec<Topic>,
    catalog: Arc<dyn Catalog>,
    objects: Arc<dyn Objects>,
    dead_letters: DeadLetters,
    rules: Vec<LogRule>,
    member: MemberIdentity,
    handles: Handles,
) -> Result<Ingest, StartError> {
    config.validate().map_err(StartError::Config)?;
    dead_letters.prepare()?;
    let metrics = IngestMetrics::register(&handles.metrics);
    let live = Arc::new(Live::new(config.lane_retires_after.0, metrics.clone()));
    let health = Health::default();
    let readers = handles.child("ingest-readers");
    let committer = Arc::new(Committer {
        live: live.clone(),
        catalog: catalog.clone(),
        objects,
        log: log.clone(),
        gate: Mutex::new(()),
        clock: handles.clock.clone(),
        health: health.clone(),
        metrics: metrics.clone(),
    });
    let (planner, plan) = watch::channel(Plan::default());
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let shared = Arc::new(Shared {
        owner: member.name.clone(),
        lease: config.lease.0,
        pause_bytes: config.pause_bytes(),
        log,
        catalog: catalog.clone(),
        live: live.clone(),
        committer: committer.clone(),
        plan,
        cores: Arc::new(Semaphore::new(cores)),
        letters: dead_letters,
        matcher: Matcher::new(rules),
        handles: readers.clone(),
        health: health.clone(),
        metrics: metrics.clone(),
    });
    let mut discovery = Discovery::new(topics, shared)?;
    discovery.first().await?;
    let membership = Membership {
        identity: member.clone(),
        lasts: config.lease.0,
        catalog,
        partitions: discovery.partitions(),
        plan: planner,
        handles: readers.clone(),
        health: health.clone(),
        metrics,
    };
    readers.tasks.spawn("members", membership.run());
    readers.tasks.spawn("discovery", discovery.run());
    readers.tasks.spawn("state", keep_state(committer.clone(), config.state_interval.0, readers.clone()));
    handles.tasks.spawn("commit", commit(committer, config, member.name, readers));
    Ok(Ingest { live, health, handles })
}

impl Ingest {
    /// The live rows, for this process.
    pub fn live(&self) -> Arc<dyn LiveRows> {
        self.live.clone()
    }

    /// The live rows, for other processes. Serve it where only they can reach
    /// it.
    pub fn live_router(&self) -> Router {
        live::router(self.live.clone())
    }

    /// What keeps it from doing its work, now and later.
    pub fn health(&self) -> Health {
        self.health.clone()
    }

    /// Stops reading, stores what is live, gives the leases back. What the
    /// deadline cuts off is read again from the log.
    pub async fn stop(self, deadline: Duration) {
        self.handles.shutdown.begin();
        let pending = self.handles.tasks.join(deadline).await;
        if !pending.is_empty() {
            tracing::warn!(?pending, "live rows were not stored in time, they are read again");
        }
    }
}

/// Keeps the catalog's state among the objects when that is due. Whoever of all
/// ingesters comes first does it.
async fn keep_state(
    committer: Arc<Committer>,
    interval: Duration,
    readers: Handles,
) -> Result<(), TaskError> {
    while tokio::time::timeout(interval.min(STATE_LOOK), readers.shutdown.begun()).await.is_err() {
        let Committer { catalog, objects, clock, .. } = &*committer;
        match state::keep(&**catalog, &**objects, clock.now_micros(), interval).await {
            Ok(Some(path)) => tracing::debug!(path, "state of the catalog kept"),
            Ok(None) => {}
            Err(error) => {
                let why =
                    "state of the catalog not kept, `weir rebuild-catalog` would start from an older one";
                tracing::warn!(error = error_chain(&error), why);
            }
        }
    }
    Ok(())
}

/// Flushes when it is due until told to end, then once more.
async fn commit(
    committer: Arc<Committer>,
    config: Config,
    member: String,
    readers: Handles,
) -> Result<(), TaskError> {
    let (bytes, interval) = (config.flush_bytes.as_usize(), config.flush_interval.0);
    loop {
        let extent = tokio::select! {
            () = readers.shutdown.begun() => break,
            extent = committer.live.due(bytes, interval) => extent,
        };
        // Not inside of `select!`: an attempt is not cut off half way.
        committer.flush(&extent).await;
    }
    let pending = readers.tasks.join(READERS_DEADLINE).await;
    if !pending.is_empty() {
        tracing::warn!(?pending, "readers did not end in time");
    }
    committer.flush(&Extent::All).await;
    committer.give_back().await;
    if let Err(error) = committer.catalog.depart(&member).await {
        tracing::warn!(error = error_chain(&error), "the others notice by themselves that this one is gone");
    }
    match readers.tasks.failure() {
        Some(failure) => Err(failure.into()),
        None => Ok(()),
    }
}

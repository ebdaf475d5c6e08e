//! Starting and stopping the ingester.
//!
//! Tasks: one reader a partition, one that looks for new partitions, one that
//! commits. At the end the readers go first, then what is live is flushed, then
//! the leases are given back.

use std::fmt;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::sync::{Mutex, Semaphore};
use weir_runtime::telemetry::error_chain;
use weir_runtime::{Handles, TaskError};
use weir_storage::catalog::{Catalog, LogPartition};
use weir_storage::live::LiveRows;
use weir_storage::object::Objects;
use weir_stream::{Partition, Subscribe, Topic};

use crate::commit::Committer;
use crate::config::Config;
use crate::dead_letter::DeadLetters;
use crate::error::StartError;
use crate::health::Health;
use crate::live::{self, Live};
use crate::metrics::IngestMetrics;
use crate::partition::Reader;

/// How often new partitions are looked for.
const DISCOVERY: Duration = Duration::from_secs(2);

/// How long readers may take to end. They end at their next wait.
const READERS_DEADLINE: Duration = Duration::from_secs(10);

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

/// Starts ingesting every partition of `topic`. `dead_letters` is the
/// directory in which messages are kept that cannot be decoded; it is created.
/// It also tells this installation from others on the host: a process that was
/// killed and started again has its leases back at once.
///
/// # Errors
/// A configuration that cannot work, or a log or directory that is not there.
pub async fn start(
    config: Config,
    log: Arc<dyn Subscribe>,
    topic: Topic,
    catalog: Arc<dyn Catalog>,
    objects: impl Objects + 'static,
    dead_letters: PathBuf,
    handles: Handles,
) -> Result<Ingest, StartError> {
    config.validate().map_err(StartError::Config)?;
    let letters = DeadLetters::open(&dead_letters)
        .map_err(|source| StartError::DeadLetters { path: dead_letters.clone(), source })?;
    let count = log
        .partitions(&topic)
        .await
        .map_err(|source| StartError::Partitions { topic: topic.clone(), source })?;
    let metrics = IngestMetrics::register(&handles.metrics);
    let live = Arc::new(Live::new(metrics.clone()));
    let health = Health::default();
    let gate = Arc::new(Mutex::new(()));
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let readers = handles.child("ingest-readers");
    let reader = Reader {
        partition: Partition::new(topic.clone(), 0),
        owner: owner(&dead_letters).into(),
        lease: config.lease.0,
        pause_bytes: config.pause_bytes(),
        log: log.clone(),
        catalog: catalog.clone(),
        live: live.clone(),
        gate: gate.clone(),
        cores: Arc::new(Semaphore::new(cores)),
        letters,
        handles: readers.clone(),
        health: health.clone(),
        metrics: metrics.clone(),
    };
    spawn_readers(&reader, 0..count);
    readers.tasks.spawn("discovery", discover(reader, count));
    let committer = Committer {
        live: live.clone(),
        catalog,
        objects: Arc::new(objects),
        log,
        topic,
        gate,
        clock: handles.clock.clone(),
        health: health.clone(),
        metrics,
    };
    handles.tasks.spawn("commit", commit(committer, config, readers));
    Ok(Ingest { live, health, handles })
}

impl Ingest {
    /// The live rows, for this process.
    pub fn live(&self) -> Arc<dyn LiveRows> {
        self.live.clone()
    }

    /// The live rows, for other processes: `POST /live/logs`. Serve it where
    /// only they can reach it.
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

fn spawn_readers(reader: &Reader, partitions: std::ops::Range<u32>) {
    for index in partitions {
        let partition = Partition::new(reader.partition.topic.clone(), index);
        reader.live.expect(&LogPartition { topic: partition.topic.to_string(), partition: index });
        reader.handles.tasks.spawn("reader", Reader { partition, ..reader.clone() }.run());
    }
}

/// Starts readers of partitions that are added later.
async fn discover(reader: Reader, mut known: u32) -> Result<(), TaskError> {
    let shutdown = reader.handles.shutdown.clone();
    loop {
        tokio::select! {
            () = shutdown.begun() => return Ok(()),
            () = tokio::time::sleep(DISCOVERY) => {}
        }
        match reader.log.partitions(&reader.partition.topic).await {
            Ok(count) if count > known => {
                spawn_readers(&reader, known..count);
                known = count;
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(error = error_chain(&error), "cannot look for new partitions"),
        }
    }
}

/// Flushes when it is due until told to end, then once more.
async fn commit(committer: Committer, config: Config, readers: Handles) -> Result<(), TaskError> {
    let (bytes, interval) = (config.flush_bytes.as_usize(), config.flush_interval.0);
    loop {
        tokio::select! {
            () = readers.shutdown.begun() => break,
            () = committer.live.due(bytes, interval) => {}
        }
        // Not inside of `select!`: an attempt is not cut off half way.
        committer.flush().await;
    }
    let pending = readers.tasks.join(READERS_DEADLINE).await;
    if !pending.is_empty() {
        tracing::warn!(?pending, "readers did not end in time");
    }
    committer.flush().await;
    committer.give_back().await;
    match readers.tasks.failure() {
        Some(failure) => Err(failure.into()),
        None => Ok(()),
    }
}

/// The same for every process that runs on these files on this host. Two at
/// once would only take turns: a publication compares offsets, too.
fn owner(dead_letters: &Path) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let place = dead_letters.canonicalize().unwrap_or_else(|_| dead_letters.to_owned());
    format!("{} {}", host.trim(), place.display())
}

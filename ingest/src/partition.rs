//! The reader of one partition: from taking it to losing it, over and over.
//!
//! A *term* is the time in which the partition is ours. It begins with a lease
//! and with what the catalog says is stored; it ends when somebody else has the
//! partition, and with it end the live rows that were not stored. It also ends
//! when the plan gives the partition to another: then what is live is stored
//! first and the lease given back, so that the other goes on where we stopped.

mod anchor;
mod reading;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use weir_proto::model::{Signal, TenantId};
use weir_proto::schema::Table;
use weir_runtime::telemetry::error_chain;
use weir_runtime::{Handles, TaskError, failpoint};
use weir_storage::catalog::{Catalog, CatalogError, LaneState, LogPartition, Progress, TimeRange};
use weir_stream::{Partition, Subscribe};

use crate::accept::Intake;
use crate::backoff::Backoff;
use crate::commit::Committer;
use crate::dead_letter::DeadLetters;
use crate::health::Health;
use crate::ledger::Ledger;
use crate::live::{Extent, Live, Term};
use crate::matches::Matcher;
use crate::member::Plan;
use crate::metrics::IngestMetrics;

const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Reads one partition.
pub(crate) struct Reader {
    pub(crate) partition: Partition,
    /// What its messages are about.
    pub(crate) signal: Signal,
    pub(crate) shared: Arc<Shared>,
}

/// What the readers of a process work with.
pub(crate) struct Shared {
    /// The name under which this process leases.
    pub(crate) owner: String,
    pub(crate) lease: Duration,
    pub(crate) pause_bytes: usize,
    pub(crate) log: Arc<dyn Subscribe>,
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) live: Arc<Live>,
    pub(crate) committer: Arc<Committer>,
    /// Which partitions should be ours.
    pub(crate) plan: watch::Receiver<Plan>,
    /// A permit for each core: with many partitions, decoding all at once would
    /// only take memory.
    pub(crate) cores: Arc<Semaphore>,
    pub(crate) letters: DeadLetters,
    /// Looks for what rules look for.
    pub(crate) matcher: Matcher,
    pub(crate) handles: Handles,
    pub(crate) health: Health,
    pub(crate) metrics: IngestMetrics,
}

/// Why reading ended.
#[derive(Debug)]
enum Ended {
    /// Somebody else has the partition.
    Lost,
    /// Somebody else should have it.
    Unplanned,
    /// The log is not the one that the catalog speaks of.
    Replaced,
}

impl Reader {
    /// Reads until told to end. The last term stays as it is: what is live is
    /// flushed after the readers have ended.
    pub(crate) async fn run(self) -> Result<(), TaskError> {
        let shutdown = self.shared.handles.shutdown.clone();
        tokio::select! {
            () = shutdown.begun() => Ok(()),
            outcome = self.terms() => outcome,
        }
    }

    async fn terms(&self) -> Result<(), TaskError> {
        loop {
            self.planned(true).await;
            let Some((term, progress)) = self.begin().await else {
                self.fine();
                continue;
            };
            let clock = self.shared.handles.clock.clone();
            let intake = Intake::new(
                &self.partition,
                progress.generation,
                self.signal,
                Ledger::new(&progress),
                self.shared.matcher.clone(),
                clock,
                self.shared.metrics.clone(),
            );
            let ended = tokio::select! {
                ended = self.read_on(&term, intake, &progress) => ended?,
                () = self.lost(&term) => Ended::Lost,
                () = self.planned(false) => Ended::Unplanned,
            };
            match ended {
                Ended::Lost => self.drop_rows(&term),
                Ended::Unplanned => self.hand_over(&term).await,
                // What was accepted before is still ours to store.
                Ended::Replaced => {
                    self.shared.live.halted(&term);
                    tokio::select! {
                        () = self.lost(&term) => self.drop_rows(&term),
                        () = self.planned(false) => self.hand_over(&term).await,
                    }
                }
            }
        }
    }

    /// Waits until the plan gives the partition to us, or to another.
    async fn planned(&self, is_ours: bool) {
        let partition = self.log_partition();
        let mut plan = self.shared.plan.clone();
        if plan.wait_for(|plan| plan.contains(&partition) == is_ours).await.is_err() {
            // Nobody plans any more: the process is ending.
            std::future::pending::<()>().await;
        }
    }

    /// Takes the partition, as soon as it is free, and reads what is stored.
    /// None when meanwhile the plan gives it to another.
    async fn begin(&self) -> Option<(Term, Progress)> {
        let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
        let partition = self.log_partition();
        let since = tokio::time::Instant::now();
        while self.shared.plan.borrow().contains(&partition) {
            // An attempt of an earlier term may be about to change the progress.
            let gate = self.shared.committer.gate.lock().await;
            let now_micros = self.shared.handles.clock.now_micros();
            let taken = self
                .shared
                .catalog
                .lease(&partition, &self.shared.owner, now_micros, self.shared.lease)
                .await;
            let progress = match taken {
                Ok(lease) => self.shared.catalog.progress(&partition).await.map(|progress| (lease, progress)),
                Err(error) => Err(error),
            };
            match progress {
                Ok((lease, progress)) => {
                    let term = self.shared.live.begin(lease, &progress);
                    drop(gate);
                    self.fine();
                    let (from, epoch) = (progress.next_offset.unwrap_or(0), term.lease.epoch);
                    tracing::info!(partition = %self.partition, from, epoch, "partition taken");
                    return Some((term, progress));
                }
                Err(CatalogError::LeaseHeld { owner, remaining, .. }) => {
                    drop(gate);
                    // Being handed over takes a moment; being kept is wrong.
                    if since.elapsed() > 2 * self.shared.lease {
                        self.wrong(&format!("waiting for the lease of {owner}"), tracing::Level::INFO);
                    }
                    tokio::time::sleep(remaining.clamp(BACKOFF.0, self.shared.lease / 10)).await;
                }
                Err(error) => {
                    drop(gate);
                    self.wrong(&error_chain(&error), tracing::Level::ERROR);
                    backoff.wait().await;
                }
            }
        }
        None
    }

    /// Stores what is live of the partition, so that the next owner need not
    /// read it again, and gives it back. Its lease is kept meanwhile.
    async fn hand_over(&self, term: &Term) {
        drop(failpoint::reach("ingest.revoke.before"));
        let extent = Extent::Partition(self.log_partition());
        let mut flush = std::pin::pin!(self.shared.committer.flush(&extent));
        tokio::select! {
            () = &mut flush => {}
            () = self.lost(term) => {
                self.drop_rows(term);
                // An attempt is not cut off half way; the next finds nothing.
                flush.await;
            }
        }
        drop(failpoint::reach("ingest.revoke.after"));
        // Not so when somebody else has it by now.
        if !self.shared.live.end(term) {
            return;
        }
        self.shared.metrics.handovers.inc();
        self.fine();
        match self.shared.catalog.release(&term.lease).await {
            Ok(()) => tracing::info!(partition = %self.partition, "partition handed over"),
            Err(error) => {
                tracing::warn!(partition = %self.partition, error = error_chain(&error), "lease runs out by itself");
            }
        }
    }

    /// Keeps the lease; ends when it is somebody else's.
    async fn lost(&self, term: &Term) {
        tokio::select! {
            () = self.keep(term) => {}
            () = term.fenced.notified() => {}
        }
    }

    /// Renews the lease; ends when it is somebody else's. A catalog that cannot
    /// be reached takes nothing away: nobody else reaches it either, and a
    /// publication compares the epoch.
    async fn keep(&self, term: &Term) {
        let lease = &term.lease;
        loop {
            tokio::time::sleep(self.shared.lease / 3).await;
            let now_micros = self.shared.handles.clock.now_micros();
            match self
                .shared
                .catalog
                .lease(&lease.partition, &lease.owner, now_micros, self.shared.lease)
                .await
            {
                Ok(renewed) if renewed.epoch == lease.epoch => self.hear_of_dismissals(term).await,
                Ok(_) | Err(CatalogError::LeaseHeld { .. }) => return,
                Err(error) => {
                    tracing::warn!(partition = %self.partition, error = error_chain(&error), "lease not renewed");
                }
            }
        }
    }

    /// An operator's word that nothing more will come of a retired lane stands
    /// in the catalog: the lane is not there any more.
    async fn hear_of_dismissals(&self, term: &Term) {
        if !self.shared.live.has_retired(term) {
            return;
        }
        // Lanes are all that a snapshot of no time holds.
        let (tenant, table) = (TenantId::default(), Table::Logs.name());
        match self.shared.catalog.snapshot(&tenant, table, TimeRange::NEVER).await {
            Ok(snapshot) => {
                let of_partition = |lane: &&LaneState| lane.partition == term.lease.partition;
                let kept = snapshot.lanes.iter().filter(of_partition).map(|lane| lane.agent).collect();
                self.shared.live.forget_dismissed(term, &kept);
            }
            Err(error) => {
                tracing::warn!(partition = %self.partition, error = error_chain(&error), "lanes not read");
            }
        }
    }

    fn drop_rows(&self, term: &Term) {
        if self.shared.live.end(term) {
            self.shared.metrics.terms_lost.inc();
            tracing::warn!(partition = %self.partition, "partition lost, its live rows are dropped");
        }
    }

    fn log_partition(&self) -> LogPartition {
        LogPartition { topic: self.partition.topic.to_string(), partition: self.partition.index }
    }

    /// Says what is wrong, once.
    fn wrong(&self, why: &str, level: tracing::Level) {
        if !self.shared.health.wrong(&self.part(), why) {
            return;
        }
        if level == tracing::Level::INFO {
            tracing::info!(partition = %self.partition, why, "partition waits");
        } else {
            tracing::error!(partition = %self.partition, why, "partition waits");
        }
    }

    fn fine(&self) {
        self.shared.health.fine(&self.part());
    }

    fn part(&self) -> String {
        format!("partition {}", self.partition)
    }
}

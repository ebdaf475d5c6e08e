//! The reader of one partition: from taking it to losing it, over and over.
//!
//! A *term* is the time in which the partition is ours. It begins with a lease
//! and with what the catalog says is stored; it ends when somebody else has the
//! partition, and with it end the live rows that were not stored. Within a
//! term, messages are read ahead while those before are decoded and parsed.

use std::sync::Arc;
use std::time::Duration;

use weir_proto::model::{ByteRange, drop_reason};
use weir_runtime::telemetry::error_chain;
use weir_runtime::{Handles, TaskError};
use weir_storage::catalog::{Catalog, CatalogError, Lease, LogPartition};
use weir_stream::{Offset, Partition, ReadError, ReadLimit, StoredRecord, Subscribe};

use crate::accept::{Accepted, Intake, Unsupported};
use crate::backoff::Backoff;
use crate::dead_letter::DeadLetters;
use crate::health::Health;
use crate::ledger::Ledger;
use crate::live::{Live, Term};
use crate::metrics::IngestMetrics;

/// Payload bytes of one read. Messages are about 100 KB, so a read is a few of
/// them: tens of milliseconds of work.
const READ_BYTES: usize = 512 << 10;

/// How long a read waits for something new.
const READ_WAIT: Duration = Duration::from_secs(1);

/// How often a message of a newer version is looked at again.
const UPGRADE_WAIT: Duration = Duration::from_secs(5);

const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Reads one partition.
#[derive(Clone)]
pub(crate) struct Reader {
    pub(crate) partition: Partition,
    /// The name under which this process leases.
    pub(crate) owner: Arc<str>,
    pub(crate) lease: Duration,
    pub(crate) pause_bytes: usize,
    pub(crate) log: Arc<dyn Subscribe>,
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) live: Arc<Live>,
    /// See [`crate::commit::Committer::gate`].
    pub(crate) gate: Arc<tokio::sync::Mutex<()>>,
    /// A permit for each core: with many partitions, decoding all at once would
    /// only take memory.
    pub(crate) cores: Arc<tokio::sync::Semaphore>,
    pub(crate) letters: DeadLetters,
    pub(crate) handles: Handles,
    pub(crate) health: Health,
    pub(crate) metrics: IngestMetrics,
}

/// Why reading ended.
#[derive(Debug)]
enum Ended {
    /// Somebody else has the partition.
    Lost,
    /// The log is not the one that the catalog speaks of.
    Replaced,
}

impl Reader {
    /// Reads until told to end. The last term stays as it is: what is live is
    /// flushed after the readers have ended.
    pub(crate) async fn run(self) -> Result<(), TaskError> {
        let shutdown = self.handles.shutdown.clone();
        tokio::select! {
            () = shutdown.begun() => Ok(()),
            outcome = self.terms() => outcome,
        }
    }

    async fn terms(&self) -> Result<(), TaskError> {
        loop {
            let (term, ledger, from) = self.begin().await;
            let intake = Intake::new(
                self.partition.clone(),
                ledger,
                self.letters.clone(),
                self.handles.clock.clone(),
                self.metrics.clone(),
            );
            let ended = tokio::select! {
                ended = self.read_on(&term, intake, from) => ended?,
                () = self.keep(&term.lease) => Ended::Lost,
                () = term.fenced.notified() => Ended::Lost,
            };
            match ended {
                Ended::Lost => {
                    if self.live.end(&term) {
                        self.metrics.terms_lost.inc();
                        tracing::warn!(partition = %self.partition, "partition lost, its live rows are dropped");
                    }
                }
                // What was accepted before is still ours to store.
                Ended::Replaced => {
                    self.keep(&term.lease).await;
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// Takes the partition, as soon as it is free, and reads what is stored.
    async fn begin(&self) -> (Term, Ledger, Offset) {
        let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
        let partition = self.log_partition();
        loop {
            // An attempt of an earlier term may be about to change the progress.
            let gate = self.gate.lock().await;
            let now_micros = self.handles.clock.now_micros();
            let taken = self.catalog.lease(&partition, &self.owner, now_micros, self.lease).await;
            let progress = match taken {
                Ok(lease) => self.catalog.progress(&partition).await.map(|progress| (lease, progress)),
                Err(error) => Err(error),
            };
            match progress {
                Ok((lease, mut progress)) => {
                    let term = self.live.begin(lease, &progress);
                    drop(gate);
                    self.fine();
                    let from = Offset(progress.next_offset.unwrap_or(0));
                    tracing::info!(partition = %self.partition, %from, epoch = term.lease.epoch, "partition taken");
                    return (term, Ledger::new(std::mem::take(&mut progress.covered)), from);
                }
                Err(CatalogError::LeaseHeld { owner, remaining, .. }) => {
                    drop(gate);
                    self.wrong(&format!("waiting for the lease of {owner}"), tracing::Level::INFO);
                    tokio::time::sleep(remaining.clamp(BACKOFF.0, self.lease / 3)).await;
                }
                Err(error) => {
                    drop(gate);
                    self.wrong(&error_chain(&error), tracing::Level::ERROR);
                    backoff.wait().await;
                }
            }
        }
    }

    /// Renews the lease; ends when it is somebody else's. A catalog that cannot
    /// be reached takes nothing away: nobody else reaches it either, and a
    /// publication compares the epoch.
    async fn keep(&self, lease: &Lease) {
        loop {
            tokio::time::sleep(self.lease / 3).await;
            let now_micros = self.handles.clock.now_micros();
            match self.catalog.lease(&lease.partition, &lease.owner, now_micros, self.lease).await {
                Ok(renewed) if renewed.epoch == lease.epoch => {}
                Ok(_) | Err(CatalogError::LeaseHeld { .. }) => return,
                Err(error) => {
                    tracing::warn!(partition = %self.partition, error = error_chain(&error), "lease not renewed");
                }
            }
        }
    }

    /// Reads and accepts, message after message.
    async fn read_on(&self, term: &Term, mut intake: Intake, from: Offset) -> Result<Ended, TaskError> {
        let mut from = from;
        // At first without waiting: an empty partition is read at once.
        let mut read = self.read(from, Duration::ZERO).await;
        let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
        loop {
            let messages = match read {
                Ok(messages) => messages,
                Err(error) => match self.lost(&error) {
                    Some(accepted) => {
                        from = Offset(accepted.next);
                        self.live.append(term, vec![accepted]);
                        Vec::new()
                    }
                    None if matches!(error, ReadError::AboveEnd { .. }) => {
                        let advice =
                            "the event log was replaced or cut back: restore it, or start with a new catalog";
                        self.wrong(&format!("{}; {advice}", error_chain(&error)), tracing::Level::ERROR);
                        return Ok(Ended::Replaced);
                    }
                    None => {
                        self.wrong(&error_chain(&error), tracing::Level::ERROR);
                        backoff.wait().await;
                        read = self.read(from, READ_WAIT).await;
                        continue;
                    }
                },
            };
            backoff.reset();
            from = messages.last().map_or(from, |last| last.offset.next());
            let accept = self.accept(term, intake, messages);
            let (accepted, ahead) = futures::join!(accept, self.read_ahead(from));
            let outcome;
            (intake, outcome) = accepted?;
            match outcome {
                Ok(()) => {
                    self.fine();
                    read = ahead;
                }
                Err(unsupported) => {
                    self.wrong(&error_chain(&unsupported), tracing::Level::ERROR);
                    tokio::time::sleep(UPGRADE_WAIT).await;
                    from = Offset(unsupported.offset);
                    read = self.read(from, READ_WAIT).await;
                }
            }
        }
    }

    /// Decodes and parses on a thread that may be held, then shows the rows.
    async fn accept(
        &self,
        term: &Term,
        mut intake: Intake,
        messages: Vec<StoredRecord>,
    ) -> Result<(Intake, Result<(), Unsupported>), TaskError> {
        if messages.is_empty() {
            self.live.append(term, Vec::new());
            return Ok((intake, Ok(())));
        }
        let permit = self.cores.clone().acquire_owned().await?;
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let (accepted, outcome) = intake.accept_all(&messages);
            (intake, accepted, outcome)
        });
        let (intake, accepted, outcome) = work.await?;
        self.live.append(term, accepted);
        Ok((intake, outcome))
    }

    async fn read_ahead(&self, from: Offset) -> Result<Vec<StoredRecord>, ReadError> {
        self.live.room(self.pause_bytes).await;
        self.read(from, READ_WAIT).await
    }

    async fn read(&self, from: Offset, wait: Duration) -> Result<Vec<StoredRecord>, ReadError> {
        self.log.read(&self.partition, from, ReadLimit { bytes: READ_BYTES, wait }).await
    }

    /// Offsets that the log no longer has, as a loss to record; none when the
    /// error is of another kind.
    fn lost(&self, error: &ReadError) -> Option<Accepted> {
        let (offsets, reason) = match error {
            ReadError::BelowStart { from, start, .. } => {
                (ByteRange::new(from.0, start.0), drop_reason::LOG_GAP)
            }
            ReadError::Corrupt { from, next, .. } => {
                (ByteRange::new(from.0, next.0), drop_reason::LOG_CORRUPT)
            }
            ReadError::AboveEnd { .. }
            | ReadError::NoPartition(_)
            | ReadError::NoTopic(_)
            | ReadError::Unavailable { .. }
            | ReadError::Io { .. } => return None,
        };
        self.metrics.losses.inc();
        tracing::error!(partition = %self.partition, error = error_chain(error), "messages lost, going on behind them");
        let now_micros = self.handles.clock.now_micros();
        Some(Accepted::lost(&self.partition, offsets, reason, now_micros))
    }

    fn log_partition(&self) -> LogPartition {
        LogPartition { topic: self.partition.topic.to_string(), partition: self.partition.index }
    }

    /// Says what is wrong, once.
    fn wrong(&self, why: &str, level: tracing::Level) {
        if !self.health.wrong(&self.part(), why) {
            return;
        }
        if level == tracing::Level::INFO {
            tracing::info!(partition = %self.partition, why, "partition waits");
        } else {
            tracing::error!(partition = %self.partition, why, "partition waits");
        }
    }

    fn fine(&self) {
        self.health.fine(&self.part());
    }

    fn part(&self) -> String {
        format!("partition {}", self.partition)
    }
}

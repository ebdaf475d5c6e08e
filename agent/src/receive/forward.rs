//! From a spool to the event log, in order, one append at a time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::watch;
use weir_proto::model::Signal;
use weir_runtime::{Clock, failpoint, planted};
use weir_stream::disk::DiskReader;
use weir_stream::{Offset, Partition, ReadError, ReadLimit, Record, StoredRecord, Subscribe};

use super::identity::Lanes;
use super::metric::Received;
use super::spool::{Backlog, Numbering};
use crate::bell::Stop;
use crate::send::{APPEND_BYTES, Delivery, Refused};

/// A lane that sent nothing for this long sends its mark.
const MARK_INTERVAL: Duration = Duration::from_secs(1);

/// A lane that has not begun says nothing: nobody needs to be woken for it.
const QUIET: Duration = Duration::from_secs(3600);

/// The position is written at most this often: a lag only means that records
/// are sent again.
const SAVE_INTERVAL: Duration = if cfg!(test) { Duration::from_millis(2) } else { Duration::from_secs(1) };

/// How long is waited before a spool is read again that could not be.
const READ_BACKOFF: Duration = Duration::from_secs(1);

/// Sends one signal's spool on.
pub(super) struct Forwarder {
    pub(super) signal: Signal,
    pub(super) reader: Arc<DiskReader>,
    pub(super) spool: Partition,
    pub(super) delivery: Delivery,
    pub(super) numbering: Numbering,
    /// The first record that the event log does not have.
    pub(super) from: Offset,
    pub(super) lanes: Arc<Lanes>,
    pub(super) backlog: Backlog,
    pub(super) clock: Clock,
    pub(super) received: Received,
    pub(super) stop: watch::Receiver<Option<Stop>>,
    /// Closed once nothing more is written to the spool.
    pub(super) writing: watch::Receiver<()>,
}

/// Why a spool cannot be sent on.
#[derive(Debug, Error)]
pub(super) enum ForwardError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the receivers' spool cannot be read")]
    Read(#[source] ReadError),
}

/// What is durable of the position, and since when.
struct Saved {
    from: Offset,
    at: Instant,
}

impl Forwarder {
    /// Sends until it is told to stop and the spool is empty.
    pub(super) async fn run(mut self) -> Result<(), ForwardError> {
        let mut stop = self.stop.clone();
        let abandoned = async move {
            let _ = stop.wait_for(|how| *how == Some(Stop::Abandon)).await;
        };
        tokio::select! {
            done = self.forward_all() => done,
            () = abandoned => Ok(()),
        }
    }

    async fn forward_all(&mut self) -> Result<(), ForwardError> {
        let mut saved = Saved { from: self.from, at: Instant::now() };
        // The first mark is due at once.
        let mut marked: Option<Instant> = None;
        loop {
            // In this order: what was written before it ended is seen.
            let has_ended = self.writing.has_changed().is_err();
            let looked_micros = self.clock.now_micros();
            // Nothing may be said before the spool was really looked at.
            let Some(records) = self.read(Duration::ZERO, APPEND_BYTES).await? else { continue };
            if !records.is_empty() {
                if planted::is("unlink-before-fsync") {
                    self.from = records.last().map_or(self.from, |last| last.offset.next());
                    self.save(&mut saved, Duration::ZERO).await;
                }
                self.forward(&records).await?;
                marked = Some(Instant::now());
                self.save(&mut saved, SAVE_INTERVAL).await;
                continue;
            }
            if has_ended {
                self.save(&mut saved, Duration::ZERO).await;
                // The door may have closed before it was said how to end.
                let how = self.stop.wait_for(Option::is_some).await.map_or(None, |how| *how);
                if how == Some(Stop::Goodbye) && self.is_live() {
                    self.say(looked_micros, true).await?;
                }
                return Ok(());
            }
            let is_due = marked.is_none_or(|at| at.elapsed() >= MARK_INTERVAL);
            if self.is_live() && is_due {
                self.say(looked_micros, false).await?;
                marked = Some(Instant::now());
            }
            self.save(&mut saved, SAVE_INTERVAL).await;
            let mut writing = self.writing.clone();
            let wait = if self.is_live() { MARK_INTERVAL } else { QUIET };
            tokio::select! {
                // Only for the waiting: what it brings is read again.
                read = self.read(wait, 1) => drop(read?),
                _ = writing.changed() => {}
            }
        }
    }

    /// A lane begins with its first record: a host that nobody pushes to has
    /// none.
    fn is_live(&self) -> bool {
        self.from > Offset(0)
    }

    /// The next records, none when there are none; nothing at all when that is
    /// not known and to be asked again.
    async fn read(
        &mut self,
        wait: Duration,
        bytes: usize,
    ) -> Result<Option<Vec<StoredRecord>>, ForwardError> {
        match self.reader.read(&self.spool, self.from, ReadLimit { bytes, wait }).await {
            Ok(records) => Ok(Some(records)),
            // The hole in the numbers is counted and named where they are read.
            Err(error @ (ReadError::Corrupt { next, .. } | ReadError::BelowStart { start: next, .. })) => {
                tracing::error!(signal = %self.signal, %error, "records of the receivers' spool are lost");
                self.delivery.measured.failed("spool");
                self.from = next;
                self.backlog.passed(next);
                Ok(None)
            }
            Err(error) if error.is_retryable() => {
                tracing::warn!(signal = %self.signal, %error, "the receivers' spool cannot be read, trying again");
                self.delivery.measured.failed("spool");
                tokio::time::sleep(READ_BACKOFF).await;
                Ok(None)
            }
            Err(error) => Err(ForwardError::Read(error)),
        }
    }

    async fn forward(&mut self, records: &[StoredRecord]) -> Result<(), ForwardError> {
        let now_micros = self.clock.now_micros();
        let sent: Vec<_> = records
            .iter()
            .map(|stored| Record { timestamp_micros: now_micros, ..stored.record.clone() })
            .collect();
        self.delivery.append(&sent).await?;
        self.backlog.sent(records);
        self.received.forwarded(self.signal, records.len() as u64);
        if let Some(last) = records.last() {
            self.from = last.offset.next();
        }
        Ok(())
    }

    /// Says that all that was answered before this time is in the event log.
    async fn say(&self, mark_micros: i64, goodbye: bool) -> Result<(), ForwardError> {
        let batch = self.numbering.mark(mark_micros, goodbye);
        let timestamp_micros = self.clock.now_micros();
        let record = Record { headers: batch.headers, timestamp_micros, payload: batch.payload };
        Ok(self.delivery.append(&[record]).await?)
    }

    /// Makes the position durable, then gives the space below it back.
    async fn save(&self, saved: &mut Saved, interval: Duration) {
        if self.from == saved.from || saved.at.elapsed() < interval {
            return;
        }
        saved.at = Instant::now();
        let (lanes, signal, below) = (Arc::clone(&self.lanes), self.signal, self.from.0);
        let written = crate::agent::in_background(move || lanes.forwarded(signal, below)).await;
        if let Err(error) = written {
            // Records are sent again after a restart; that is all.
            self.delivery.measured.failed("checkpoint");
            tracing::warn!(%error, "the receivers' position cannot be written, trying again");
            return;
        }
        match self.trim().await {
            Ok(()) => saved.from = self.from,
            Err(error) => {
                self.delivery.measured.failed("spool");
                tracing::warn!(%error, "the receivers' spool cannot be trimmed, trying again");
            }
        }
    }

    async fn trim(&self) -> Result<(), ReadError> {
        failpoint::reach("agent.spool.trim.before")?;
        self.reader.trim(&self.spool, self.from).await?;
        failpoint::reach("agent.spool.trim.after")?;
        Ok(())
    }
}

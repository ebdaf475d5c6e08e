//! The thread that writes one partition: group commit.
//!
//! Appends that wait together are written together and share one sync. The
//! order of a commit is: write, sync, publish the watermark, show it to readers
//! in the process, answer. Whatever fails before the sync has succeeded leaves
//! the durable end where it was.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::active::{ActiveSegment, StepError};
use super::files;
use super::frame;
use super::metrics::LogMetrics;
use super::recover::Recovered;
use super::state::{PartitionState, Shared};
use super::watermark::Publisher;
use crate::{AppendError, Offset, Record, StoredRecord};

/// A commit takes no more requests above this, so that one that waits behind a
/// long queue is answered before all of it is written.
const COMMIT_BYTES: usize = 8 << 20;

/// How soon a watermark that could not be published is tried again.
const PUBLISH_AGAIN: Duration = Duration::from_millis(100);

/// Records that wait for being durable.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) records: Vec<Record>,
    pub(super) answer: oneshot::Sender<Result<Offset, AppendError>>,
    /// The request's share of the queue, given back with the answer.
    pub(super) permit: OwnedSemaphorePermit,
}

/// Owns a partition's files.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    state: Arc<PartitionState>,
    metrics: LogMetrics,
    segment_bytes: u64,
    active: ActiveSegment,
    publisher: Publisher,
    /// The offset that the next record gets.
    next: u64,
    /// The next segment may exist in part: nothing may be appended to this one
    /// any more, readers would look for it in the next.
    rotating: bool,
    /// The watermark's file is behind.
    unpublished: bool,
    poisoned: Option<String>,
}

/// Why a commit was not made.
enum Failure {
    /// The disk is full and nothing was written.
    Full(StepError),
    /// What lies on disk is unknown.
    Broken(StepError),
}

impl Writer {
    /// Takes over a recovered partition.
    pub(super) fn new(
        shared: Arc<Shared>,
        state: Arc<PartitionState>,
        recovered: Recovered,
        segment_bytes: u64,
        metrics: LogMetrics,
    ) -> Self {
        let Recovered { active, next, publisher } = recovered;
        Self {
            shared,
            state,
            metrics,
            segment_bytes,
            active,
            publisher,
            next,
            rotating: false,
            unpublished: false,
            poisoned: None,
        }
    }

    /// Writes until the queue is closed and empty.
    pub(super) fn run(mut self, queue: &Receiver<Request>) {
        loop {
            let first = if self.unpublished {
                match queue.recv_timeout(PUBLISH_AGAIN) {
                    Ok(request) => request,
                    Err(RecvTimeoutError::Timeout) => {
                        self.publish();
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            } else {
                match queue.recv() {
                    Ok(request) => request,
                    Err(_) => return,
                }
            };
            let mut bytes = bytes_of(&first);
            let mut requests = vec![first];
            while bytes < COMMIT_BYTES {
                let Ok(request) = queue.try_recv() else { break };
                bytes += bytes_of(&request);
                requests.push(request);
            }
            self.commit(requests, bytes);
        }
    }

    fn commit(&mut self, requests: Vec<Request>, bytes: usize) {
        if self.poisoned.is_none() {
            match self.store(&requests, bytes as u64) {
                Ok(()) => return self.acknowledge(requests, bytes as u64),
                Err(Failure::Full(error)) => return self.refuse(requests, &error),
                Err(Failure::Broken(error)) => self.poison(&error),
            }
        }
        let reason = self.poisoned.clone().unwrap_or_default();
        for request in requests {
            let partition = self.state.place.partition.clone();
            answer(request, Err(AppendError::Poisoned { partition, reason: reason.clone() }));
        }
    }

    /// Makes the records durable, or leaves the partition as it was, or breaks it.
    fn store(&mut self, requests: &[Request], bytes: u64) -> Result<(), Failure> {
        if bytes == 0 {
            return Ok(());
        }
        self.make_room(bytes)?;
        let records = requests.iter().flat_map(|request| &request.records);
        let frames = self.active.frames(self.next, records);
        if let Err(error) = self.active.write(&frames) {
            // Also when it is broken: what was not acknowledged had better not
            // be found by a restart that reads it from a cache.
            let cut = self.active.cut_back();
            return Err(match cut {
                Ok(()) if files::is_full(&error.source) => Failure::Full(error),
                Ok(()) => Failure::Broken(error),
                Err(cut) if files::is_full(&error.source) => Failure::Broken(cut),
                Err(_) => Failure::Broken(error),
            });
        }
        if let Err(error) = self.active.sync(bytes) {
            // The kernel forgets what it could not write and calls it clean: a
            // second sync would succeed without the data being there.
            if let Err(cut) = self.active.cut_back() {
                tracing::debug!(path = %cut.path.display(), error = %cut.source, "cannot take back an unsynced write");
            }
            return Err(Failure::Broken(error));
        }
        self.metrics.syncs.inc();
        Ok(())
    }

    /// Begins the next segment if this one would grow too large.
    fn make_room(&mut self, bytes: u64) -> Result<(), Failure> {
        let fits = self.active.end + bytes <= self.segment_bytes || self.active.is_empty();
        if fits && !self.rotating {
            return Ok(());
        }
        self.rotating = true;
        match ActiveSegment::create(&*self.shared.files, &self.state.place, self.next) {
            Ok(active) => {
                self.active = active;
                self.rotating = false;
                Ok(())
            }
            Err(error) if files::is_full(&error.source) => Err(Failure::Full(error)),
            Err(error) => Err(Failure::Broken(error)),
        }
    }

    fn acknowledge(&mut self, requests: Vec<Request>, bytes: u64) {
        let first = self.next;
        self.next += requests.iter().map(|request| request.records.len() as u64).sum::<u64>();
        self.publish();
        let mut offset = first;
        let mut answers = Vec::with_capacity(requests.len());
        {
            let mut tail = self.shared.tail();
            for request in requests {
                answers.push((request.answer, request.permit, offset));
                for record in request.records {
                    tail.push(self.state.slot, StoredRecord { offset: Offset(offset), record });
                    offset += 1;
                }
            }
        }
        self.state.end.send_replace(self.next);
        self.metrics.records.inc_by(self.next - first);
        self.metrics.bytes.inc_by(bytes);
        for (answer, permit, offset) in answers {
            drop(permit);
            // Whoever asked may have gone; the records stay.
            let _ = answer.send(Ok(Offset(offset)));
        }
    }

    /// Readers in other processes only lag when this fails; it is tried again.
    fn publish(&mut self) {
        match self.publisher.publish(self.next) {
            Ok(()) => self.unpublished = false,
            Err(error) => {
                if !self.unpublished {
                    tracing::warn!(
                        partition = %self.state.place.partition, %error,
                        "cannot publish how far the event log is durable, trying again"
                    );
                }
                self.unpublished = true;
            }
        }
    }

    fn refuse(&self, requests: Vec<Request>, error: &StepError) {
        self.metrics.full.inc();
        for request in requests {
            let (path, source) = (error.path.clone(), same_error(&error.source));
            answer(request, Err(AppendError::Full { path, source }));
        }
    }

    fn poison(&mut self, error: &StepError) {
        let reason = format!("{} {}: {}", error.step, error.path.display(), error.source);
        tracing::error!(
            partition = %self.state.place.partition, %reason,
            "the partition takes no more records until the event log is opened anew"
        );
        self.metrics.poisoned.inc();
        self.poisoned = Some(reason);
    }
}

fn bytes_of(request: &Request) -> usize {
    request.records.iter().map(frame::frame_bytes).sum()
}

fn answer(request: Request, with: Result<Offset, AppendError>) {
    drop(request.permit);
    // Whoever asked may have gone.
    let _ = request.answer.send(with);
}

fn same_error(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

//! The thread that writes one partition: group commit.
//!
//! Appends that wait together are written together and share one sync. The
//! order of a commit is: write, sync, publish the watermark, show it to readers
//! in the process, answer. Whatever fails before the sync has succeeded leaves
//! the durable end where it was. With [`Fsync::Never`] there is no sync, and
//! "durable" is what the system has.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::active::{ActiveSegment, StepError};
use super::config::Fsync;
use super::files;
use super::frame;
use super::metrics::LogMetrics;
use super::recover::Recovered;
use super::reserve::{self, Reservation};
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

/// How a partition is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    pub(super) segment_bytes: u64,
    pub(super) fsync: Fsync,
}

/// Owns a partition's files.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    state: Arc<PartitionState>,
    metrics: LogMetrics,
    policy: Policy,
    active: ActiveSegment,
    publisher: Publisher,
    /// For answers without a sync.
    reservation: Reservation,
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
        policy: Policy,
        metrics: LogMetrics,
    ) -> Self {
        let Recovered { active, is_ended, next, publisher } = recovered;
        let reservation = Reservation::new(state.place.clone(), next);
        Self {
            shared,
            state,
            metrics,
            policy,
            active,
            publisher,
            reservation,
            next,
            rotating: is_ended,
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
                    Err(RecvTimeoutError::Disconnected) => return self.end(),
                }
            } else {
                match queue.recv() {
                    Ok(request) => request,
                    Err(_) => return self.end(),
                }
            };
            let mut bytes = bytes_of(&first);
            let mut requests = vec![first];
            while bytes < COMMIT_BYTES && self.policy.fsync != Fsync::Always {
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
        self.reserve(requests)?;
        let records = requests.iter().flat_map(|request| &request.records);
        let frames = self.active.frames(self.next, records);
        self.active.write(&frames).map_err(|error| self.take_back(error))?;
        if self.policy.fsync != Fsync::Never {
            // The kernel forgets what it could not write and calls it clean: a
            // second sync would succeed without the data being there.
            self.active.sync().map_err(|error| self.take_back(error))?;
            self.metrics.syncs.inc();
        }
        self.active.take(bytes);
        Ok(())
    }

    /// Takes back a write that failed, or whose sync did. Where there was no space
    /// and that succeeds, the segment is again as it was before: all that is left
    /// in it was synced. Also when the partition is broken: what was not
    /// acknowledged had better not be found by a restart that reads it from a cache.
    fn take_back(&self, error: StepError) -> Failure {
        match self.active.cut_back() {
            Ok(()) if files::is_full(&error.source) => Failure::Full(error),
            Ok(()) => Failure::Broken(error),
            Err(cut) if files::is_full(&error.source) => Failure::Broken(cut),
            Err(_) => Failure::Broken(error),
        }
    }

    /// Where answers do not wait for a sync, their offsets must not be given again
    /// after a power cut.
    fn reserve(&mut self, requests: &[Request]) -> Result<(), Failure> {
        if self.policy.fsync != Fsync::Never {
            return Ok(());
        }
        let end = self.next + count_of(requests);
        match self.reservation.cover(&*self.shared.files, end) {
            Ok(()) => Ok(()),
            Err(source) => {
                let path = self.state.place.reservation();
                let error = StepError { step: "write", path, source };
                Err(if files::is_full(&error.source) { Failure::Full(error) } else { Failure::Broken(error) })
            }
        }
    }

    /// Begins the next segment if this one would grow too large.
    fn make_room(&mut self, bytes: u64) -> Result<(), Failure> {
        let fits = self.active.end + bytes <= self.policy.segment_bytes || self.active.is_empty();
        if fits && !self.rotating {
            return Ok(());
        }
        self.rotating = true;
        if self.policy.fsync == Fsync::Never {
            // Whoever opens the log reads the last segment only.
            self.active.sync().map_err(Failure::Broken)?;
        }
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
        self.next += count_of(&requests);
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

    /// Nothing more comes: what was answered without a sync gets one.
    fn end(&self) {
        if self.policy.fsync != Fsync::Never || self.poisoned.is_some() {
            return;
        }
        let (files, place) = (&*self.shared.files, &self.state.place);
        let synced = self.active.sync().map_err(|error| error.source);
        let published =
            synced.and_then(|()| self.publisher.publish(self.next)).and_then(|()| self.publisher.sync());
        if let Err(error) = published.and_then(|()| reserve::release(files, place)) {
            tracing::warn!(partition = %place.partition, %error, "the event log was closed without a sync");
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

fn count_of(requests: &[Request]) -> u64 {
    requests.iter().map(|request| request.records.len() as u64).sum()
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

//! What is let in: one way for all protocols, from a body to a durable record.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use weir_proto::DecodeError;
use weir_proto::model::{Signal, drop_reason};
use weir_proto::wire::Decoded;
use weir_runtime::Clock;

use super::ReceiveConfig;
use super::SpoolStatus;
use super::body::{Memory, Wire};
use super::lines::Lines;
use super::metric::Received;
use super::refusal::Refusal;
use super::spool::{self, Backlog, Content, Queue};
use crate::Share;
use crate::redact::Redactor;
use crate::redact::pushed::Editor;

/// Lets requests in, while the spools have room and the memory suffices.
#[derive(Debug)]
pub(super) struct Door {
    max_body: usize,
    memory: Memory,
    /// In the order of [`Signal::ALL`].
    inlets: Vec<Inlet>,
    clock: Clock,
    received: Received,
    sample_traces: Share,
    redactor: Option<Arc<Redactor>>,
}

/// The way to one signal's spool.
#[derive(Debug)]
pub(super) struct Inlet {
    /// None once the door is closed.
    queue: Mutex<Option<Queue>>,
    backlog: Backlog,
}

/// What became of a request that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Records that could not be stored.
    pub(super) rejected: u64,
    /// Why, or a warning.
    pub(super) message: Option<String>,
}

impl Inlet {
    pub(super) fn new(queue: Queue, backlog: Backlog) -> Self {
        Self { queue: Mutex::new(Some(queue)), backlog }
    }

    fn queue(&self) -> Option<Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn close(&self) {
        *self.queue.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Door {
    pub(super) fn new(config: &ReceiveConfig, inlets: Vec<Inlet>, clock: Clock, received: Received) -> Self {
        let max_body = usize::try_from(config.max_body.0).unwrap_or(usize::MAX);
        let sample_traces = config.sample_traces;
        let memory = Memory::new(config.memory.0);
        Self { max_body, memory, inlets, clock, received, sample_traces, redactor: None }
    }

    /// Replaces what is sensitive in what is let in; without this nothing is.
    pub(super) fn redacting(mut self, redactor: Option<Arc<Redactor>>) -> Self {
        self.redactor = redactor;
        self
    }

    /// Lets nothing more in. What was let in goes on.
    pub(super) fn close(&self) {
        self.inlets.iter().for_each(Inlet::close);
    }

    /// Bytes of a request, before and after decompression.
    pub(super) fn max_body(&self) -> usize {
        self.max_body
    }

    /// Reads a request's body, unless it would be refused anyway. `framing` are
    /// bytes that the protocol adds to a request.
    pub(super) async fn read(
        &self,
        signal: Signal,
        body: Body,
        framing: usize,
        is_compressed: bool,
    ) -> Result<Wire, Refusal> {
        self.check(signal)?;
        self.memory.read(body, self.max_body.saturating_add(framing), is_compressed).await
    }

    /// Refuses what would be refused anyway.
    pub(super) fn check(&self, signal: Signal) -> Result<(), Refusal> {
        let inlet = self.inlet(signal);
        if inlet.queue().is_none() {
            return Err(Refusal::stopping());
        }
        if !inlet.backlog.has_room() {
            return Err(Refusal::spool_full());
        }
        Ok(())
    }

    /// Decodes a request beside the threads that serve connections, and makes it
    /// durable. The decoder gets the time at which the request was seen, in
    /// microseconds, and what redacts the request before it becomes columns.
    pub(super) async fn take(
        &self,
        signal: Signal,
        decode: impl FnOnce(i64, &mut Editor) -> Result<Decoded, Refusal> + Send + 'static,
    ) -> Result<Verdict, Refusal> {
        let observed_micros = self.clock.now_micros();
        let share = if signal == Signal::Spans { self.sample_traces } else { Share::ALL };
        let mut editor = Editor::new(self.redactor.clone());
        let decode = move || {
            let mut decoded = decode(observed_micros, &mut editor)?;
            let sampled = if share.is_all() { 0 } else { decoded.sample_traces(share.get()) };
            let dropped = [(drop_reason::SAMPLED, sampled), (drop_reason::REDACTED, editor.left_out())];
            Ok::<_, Refusal>((decoded, dropped))
        };
        let decoding = tokio::task::spawn_blocking(decode).await;
        let (decoded, dropped) = decoding.map_err(|ended| undecoded(&ended))??;
        let (accepted, rejected) = (decoded.accepted, decoded.rejected);
        let verdict = Verdict { rejected, message: decoded.message.clone() };
        // Who sent them is told of those that were rejected, and so is whoever
        // asks the catalog.
        let left_out = dropped.into_iter().chain([(drop_reason::REJECTED, rejected)]);
        let left_out: Vec<_> = left_out.filter(|(_, records)| *records > 0).collect();
        if decoded.rows() > 0 || !left_out.is_empty() {
            let queue = self.inlet(signal).queue().ok_or_else(Refusal::stopping)?;
            spool::store(&queue, Content::Rows { decoded, left_out }).await?;
        }
        self.received.taken(signal, accepted, rejected);
        for (reason, records) in dropped.into_iter().filter(|(_, records)| *records > 0) {
            self.received.dropped(signal, reason, records);
        }
        Ok(verdict)
    }

    /// The same for lines, which become rows only where they are parsed.
    pub(super) async fn take_lines(
        &self,
        decode: impl FnOnce(Option<&Redactor>) -> Result<Lines, Refusal> + Send + 'static,
    ) -> Result<(), Refusal> {
        let redactor = self.redactor.clone();
        let decoding = tokio::task::spawn_blocking(move || decode(redactor.as_deref())).await;
        let lines = decoding.map_err(|ended| undecoded(&ended))??;
        let (count, redacted) = (lines.count(), lines.redacted());
        let queue = self.inlet(Signal::Logs).queue().ok_or_else(Refusal::stopping)?;
        spool::store(&queue, Content::Lines(lines)).await?;
        self.received.taken(Signal::Logs, count, 0);
        if redacted > 0 {
            self.received.dropped(Signal::Logs, drop_reason::REDACTED, redacted);
        }
        Ok(())
    }

    /// How each signal stands.
    pub(super) fn spools(&self) -> impl Iterator<Item = SpoolStatus> {
        Signal::ALL.into_iter().map(|signal| {
            let (bytes, bytes_max) = self.inlet(signal).backlog.bytes();
            let [records, rejected, sampled] = self.received.account(signal);
            SpoolStatus { signal, bytes, bytes_max, records, rejected, sampled }
        })
    }

    /// Counts a request that was not taken.
    pub(super) fn refused(&self, signal: Signal, refusal: &Refusal) {
        self.received.refused(signal, refusal.why);
        tracing::debug!(%signal, reason = refusal.why.as_str(), text = %refusal.text, "a request is refused");
    }

    fn inlet(&self, signal: Signal) -> &Inlet {
        &self.inlets[signal as usize]
    }
}

/// What ended a decoder without an answer. A request that it cannot bear must
/// not be sent again.
fn undecoded(ended: &tokio::task::JoinError) -> Refusal {
    if ended.is_cancelled() {
        return Refusal::stopping();
    }
    tracing::error!(error = %ended, "a request made the decoder panic");
    Refusal::malformed("the request cannot be read, by a defect of Weir: please report it")
}

/// A decoder's error as a refusal.
pub(super) fn decoded(result: Result<Decoded, DecodeError>) -> Result<Decoded, Refusal> {
    result.map_err(Refusal::from)
}

//! From columns to durable messages: one writer for each signal.
//!
//! While one sync is under way, what arrives gathers and goes together in the
//! next: many small requests become few messages of a good size. The writer is
//! the only one that appends to its spool, so it knows each record's number
//! before it is written, and the record is the message that the event log gets.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use weir_proto::DecodeError;
use weir_proto::limit::{BATCH_BYTES, ROWS_PER_RECORD_BITS};
use weir_proto::model::{AgentId, ByteRange, Counted, Drop, Source, TenantId};
use weir_proto::wire::batch::EncodedBatch;
use weir_proto::wire::rows::{RowBatch, events, number, split};
use weir_proto::wire::{BatchHeader, Codec, Decoded};
use weir_runtime::Clock;
use weir_runtime::failpoint::{self, Injected};
use weir_stream::{Append, AppendError, Offset, Partition, ReadLimit, Record, StoredRecord, Subscribe};

use super::lines::Lines;
use super::refusal::Refusal;
use crate::StartError;
use crate::send::Trouble;

/// Requests that one sync serves, at most: they are encoded together.
const GROUP_MAX: usize = 256;

/// Bytes read at once to learn how large the backlog is.
const RESTORE_BYTES: usize = 4 << 20;

/// Bytes of records that are counted together.
const BLOCK_BYTES: u64 = 1 << 20;

/// A decoded request on its way into the spool.
#[derive(Debug)]
pub(super) struct Arrival {
    content: Content,
    answer: oneshot::Sender<Result<(), Refusal>>,
}

/// What a request holds.
#[derive(Debug)]
pub(super) enum Content {
    /// Rows of tables, which are numbered here.
    Rows {
        /// The rows.
        decoded: Decoded,
        /// Events that become no rows, by reason.
        left_out: Vec<(&'static str, u64)>,
    },
    /// Lines, which are numbered by their sender: by their place in its source.
    Lines(Lines),
}

/// The way to a writer.
pub(super) type Queue = mpsc::UnboundedSender<Arrival>;

/// A queue. It is bounded by what the door lets in.
pub(super) fn queue() -> (Queue, mpsc::UnboundedReceiver<Arrival>) {
    mpsc::unbounded_channel()
}

/// Hands a request to the writer and waits until it is durable.
pub(super) async fn store(queue: &Queue, content: Content) -> Result<(), Refusal> {
    let (answer, answered) = oneshot::channel();
    queue.send(Arrival { content, answer }).map_err(|_| Refusal::stopping())?;
    // Without an answer the writer is gone, and its sync may have happened.
    answered.await.map_err(|_| Refusal::unknown())?
}

/// What every message of a spool says of itself.
#[derive(Clone, Debug)]
pub(super) struct Numbering {
    pub(super) tenant: TenantId,
    pub(super) agent: AgentId,
    pub(super) source: Source,
}

/// Writes one signal's spool.
pub(super) struct Writer {
    pub(super) spool: Arc<dyn Append>,
    pub(super) partition: Partition,
    pub(super) numbering: Arc<Numbering>,
    /// The number of the next record.
    pub(super) next: Offset,
    /// The events before it, of this process.
    pub(super) counted: Counted,
    pub(super) arrivals: mpsc::UnboundedReceiver<Arrival>,
    pub(super) backlog: Backlog,
    pub(super) clock: Clock,
    pub(super) trouble: Trouble,
}

/// A spool that cannot go on: the process ends, and opens it anew.
#[derive(Debug, Error)]
pub(super) enum Broken {
    /// A write or a sync failed.
    #[error("the receivers' spool failed")]
    Append(#[source] AppendError),
    /// The spool gave another number than the rows carry.
    #[error("the receivers' spool is at {found}, {expected} was expected: another process writes to it")]
    Number { expected: Offset, found: Offset },
    /// Rows that cannot be numbered.
    #[error("the receivers' spool is out of numbers")]
    Rows(#[source] DecodeError),
}

impl Writer {
    /// Writes until the door is closed and the queue is empty.
    pub(super) async fn run(mut self) -> Result<(), Broken> {
        let mut group = Vec::new();
        while self.arrivals.recv_many(&mut group, GROUP_MAX).await > 0 {
            let (contents, answers): (Vec<_>, Vec<_>) =
                group.drain(..).map(|arrival| (arrival.content, arrival.answer)).unzip();
            let result = self.write(contents).await;
            let (answer, broken) = match result {
                Ok(()) => (Ok(()), None),
                Err(Failure::Full(error)) => (Err(Refusal::disk_full(&error)), None),
                Err(Failure::Broken(error)) => (Err(Refusal::unknown()), Some(error)),
            };
            drop(failpoint::reach("agent.spool.acknowledge.before"));
            for waiting in answers {
                // Who went away does not want to know.
                let _ = waiting.send(answer.clone());
            }
            drop(failpoint::reach("agent.spool.acknowledge.after"));
            if let Some(broken) = broken {
                return Err(broken);
            }
        }
        Ok(())
    }

    async fn write(&mut self, contents: Vec<Content>) -> Result<(), Failure> {
        // All that was answered before lies below these records: their mark.
        let now_micros = self.clock.now_micros();
        let (numbering, next, mut counted) = (Arc::clone(&self.numbering), self.next.0, self.counted);
        let encode = move || {
            let failed =
                |failed: Injected| DecodeError::Malformed { what: "request", reason: failed.to_string() };
            failpoint::reach("agent.spool.encode.before").map_err(failed)?;
            let batches = numbering.encode(contents, next, &mut counted, now_micros)?;
            failpoint::reach("agent.spool.encode.after").map_err(failed)?;
            Ok::<_, DecodeError>((batches, counted))
        };
        let encoded = crate::agent::in_background(encode).await;
        let (batches, counted) = encoded.map_err(|error| Failure::Broken(Broken::Rows(error)))?;
        let bytes: usize = batches.iter().map(|batch| batch.payload.len()).sum();
        let count = batches.len() as u64;
        let record = |batch: EncodedBatch| Record {
            headers: batch.headers,
            timestamp_micros: now_micros,
            payload: batch.payload,
        };
        let records = batches.into_iter().map(record).collect();
        match self.append(records).await {
            Ok(first) if first == self.next => {
                self.next = Offset(first.0 + count);
                self.counted = counted;
                self.backlog.grow(self.next, bytes as u64);
                self.trouble.set(None);
                Ok(())
            }
            Ok(found) => Err(Failure::Broken(Broken::Number { expected: self.next, found })),
            Err(error @ AppendError::Full { .. }) => {
                let text = format!("the receivers' spool cannot be written: {error}");
                if !self.trouble.set(Some(text)) {
                    tracing::warn!(%error, "the receivers' spool cannot be written, clients are told to come again");
                }
                Err(Failure::Full(error))
            }
            Err(error) => Err(Failure::Broken(Broken::Append(error))),
        }
    }

    async fn append(&self, records: Vec<Record>) -> Result<Offset, AppendError> {
        let failed = |failed: Injected| AppendError::Unanswered {
            partition: self.partition.clone(),
            reason: failed.to_string(),
        };
        failpoint::reach("agent.spool.append.before").map_err(failed)?;
        let first = self.spool.append(&self.partition, records).await?;
        failpoint::reach("agent.spool.append.after").map_err(failed)?;
        Ok(first)
    }
}

enum Failure {
    Full(AppendError),
    Broken(Broken),
}

impl Numbering {
    /// Requests as messages, the first with the number `next`. It tells of the
    /// events that were left out, too. `counted` goes on with what they hold.
    fn encode(
        &self,
        contents: Vec<Content>,
        next: u64,
        counted: &mut Counted,
        mark_micros: i64,
    ) -> Result<Vec<EncodedBatch>, DecodeError> {
        let header = self.header(Some(mark_micros), false);
        let (mut tables, mut lines) = (Vec::new(), Vec::new());
        let mut left_out: BTreeMap<&str, u64> = BTreeMap::new();
        for content in contents {
            match content {
                Content::Rows { decoded, left_out: of_request } => {
                    tables.extend(decoded.tables);
                    for (reason, events) in of_request {
                        *left_out.entry(reason).or_default() += events;
                    }
                }
                Content::Lines(batch) => lines.push(batch),
            }
        }
        let mut batches = Vec::new();
        let mut pieces = split(&tables, BATCH_BYTES);
        if pieces.is_empty() && !left_out.is_empty() {
            pieces.push(Vec::new());
        }
        for (record, mut piece) in (next..).zip(pieces) {
            // Rows are numbered one table after the other, as they are written.
            piece.sort_by_key(|(table, _)| *table as usize);
            let mut source = self.source(record, *counted);
            let range = source.covered;
            let drop = |(reason, count): (&str, u64)| Drop { range, count, reason: reason.to_owned() };
            source.drops = std::mem::take(&mut left_out).into_iter().map(drop).collect();
            *counted = counted.after(&source, events(&piece));
            batches.push(RowBatch::encode(&header, &[source], &number(&piece, 0, record)?));
        }
        for batch in lines {
            let own = self.source(next + batches.len() as u64, *counted);
            *counted = counted.after(&own, 0);
            batches.push(batch.into_message(&header, own));
        }
        Ok(batches)
    }

    /// The spool, as the source of its record with this number.
    fn source(&self, record: u64, counted: Counted) -> Source {
        Source { covered: numbers(record), counted: Some(counted), ..self.source.clone() }
    }

    /// A message without rows: an idle lane's mark, or its goodbye.
    pub(super) fn mark(&self, mark_micros: i64, goodbye: bool) -> EncodedBatch {
        RowBatch::encode(&self.header(Some(mark_micros), goodbye), &[], &[])
    }

    fn header(&self, mark_micros: Option<i64>, goodbye: bool) -> BatchHeader {
        let (tenant, agent) = (self.tenant.clone(), self.agent);
        BatchHeader { tenant, agent, mark_micros, goodbye, codec: Codec::Lz4 }
    }
}

/// The numbers of a record's events.
pub(super) fn numbers(record: u64) -> ByteRange {
    ByteRange::new(record << ROWS_PER_RECORD_BITS, (record + 1) << ROWS_PER_RECORD_BITS)
}

/// How much of a spool the event log does not have yet. Cloning shares.
///
/// Bytes are kept by the records that they belong to, some of them together: those
/// of records that cannot be read any more are given back with their neighbours.
#[derive(Clone, Debug)]
pub(super) struct Backlog {
    held: Arc<Mutex<Held>>,
    limit: u64,
    shown: Gauge,
}

#[derive(Debug, Default)]
struct Held {
    blocks: VecDeque<Block>,
    bytes: u64,
    /// Records below are done with, whoever hears of it first.
    settled: u64,
}

/// Records that follow each other.
#[derive(Debug)]
struct Block {
    /// The number behind the last of them.
    end: u64,
    /// Bytes of those that are not done with.
    bytes: u64,
    /// Bytes of all.
    filled: u64,
}

impl Backlog {
    pub(super) fn new(limit: u64, shown: Gauge) -> Self {
        Self { held: Arc::default(), limit, shown }
    }

    /// Counts what an earlier process left.
    pub(super) async fn restore(
        &self,
        spool: &impl Subscribe,
        partition: &Partition,
        from: Offset,
        end: Offset,
    ) -> Result<(), StartError> {
        let limit = ReadLimit { bytes: RESTORE_BYTES, wait: Duration::ZERO };
        let start = spool.watermarks(partition).await.map_err(StartError::SpoolRead)?.start;
        let mut from = from.max(start);
        while from < end {
            match spool.read(partition, from, limit).await {
                Ok(records) => {
                    for stored in &records {
                        self.grow(stored.offset.next(), stored.record.payload.len() as u64);
                    }
                    from = records.last().map_or(end, |last| last.offset.next());
                }
                Err(weir_stream::ReadError::Corrupt { next, .. }) => from = next,
                Err(error) => return Err(StartError::SpoolRead(error)),
            }
        }
        Ok(())
    }

    /// Bytes that the event log does not have, and how many there may be.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.held().bytes, self.limit)
    }

    /// True while more may be let in.
    pub(super) fn has_room(&self) -> bool {
        self.held().bytes < self.limit
    }

    /// The next records, up to this number, are so long.
    fn grow(&self, end: Offset, bytes: u64) {
        let mut held = self.held();
        // They may have been sent before this is said.
        if end.0 <= held.settled {
            return;
        }
        match held.blocks.back_mut() {
            Some(last) if last.filled + bytes <= BLOCK_BYTES => {
                last.end = end.0;
                last.bytes += bytes;
                last.filled += bytes;
            }
            _ => held.blocks.push_back(Block { end: end.0, bytes, filled: bytes }),
        }
        held.bytes += bytes;
        self.show(&held);
    }

    /// These records are in the event log.
    pub(super) fn sent(&self, records: &[StoredRecord]) {
        let Some(last) = records.last() else { return };
        let mut held = self.held();
        for stored in records {
            held.settle(stored.offset.0);
            let Some(front) = held.blocks.front_mut() else { break };
            let bytes = front.bytes.min(stored.record.payload.len() as u64);
            front.bytes -= bytes;
            held.bytes -= bytes;
        }
        held.settle(last.offset.next().0);
        self.show(&held);
    }

    /// Whatever is below is not sent: it cannot be read.
    pub(super) fn passed(&self, below: Offset) {
        let mut held = self.held();
        held.settle(below.0);
        self.show(&held);
    }

    fn show(&self, held: &Held) {
        self.shown.set(i64::try_from(held.bytes).unwrap_or(i64::MAX));
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn settle(&mut self, below: u64) {
        self.settled = self.settled.max(below);
        while let Some(done) = self.blocks.pop_front_if(|block| block.end <= below) {
            self.bytes -= done.bytes;
        }
    }
}

//! From a message of the event log to live rows: decode, drop duplicates,
//! parse. Runs where it may hold a thread: a message takes milliseconds.

use std::sync::Arc;

use arrow_array::RecordBatch;
use thiserror::Error;
use weir_proto::DecodeError;
use weir_proto::model::{AgentId, ByteRange, LayoutId, Source, SourceId, TenantId, drop_reason};
use weir_proto::wire::batch::LineBatch;
use weir_proto::wire::header_name;
use weir_runtime::Clock;
use weir_storage::catalog::Gap;
use weir_stream::{Partition, StoredRecord};

use crate::columns::{Columns, bytes_per_row};
use crate::dead_letter::DeadLetters;
use crate::ledger::{Admission, Ledger};
use crate::metrics::IngestMetrics;
use crate::parse::{LineParser, Parser};

/// What the columns that repeat a source's attributes in every row may take in
/// one message. Few bytes can claim many; in health it is a tenth of this.
const REPEATED_BYTES_MAX: usize = 256 << 20;

/// What one accepted message costs beyond its rows' memory: columns are
/// objects too.
const OVERHEAD_BYTES: usize = 8 << 10;

/// One or more offsets of a partition, taken in and not yet stored.
#[derive(Clone, Debug)]
pub(crate) struct Accepted {
    /// The first offset.
    pub(crate) offset: u64,
    /// The first offset after it.
    pub(crate) next: u64,
    pub(crate) tenant: TenantId,
    pub(crate) rows: Option<RecordBatch>,
    /// Memory that it holds.
    pub(crate) bytes: usize,
    pub(crate) settled: Vec<Settled>,
    pub(crate) gaps: Vec<Gap>,
    /// The layouts that its rows name, as JSON.
    pub(crate) layouts: Vec<(LayoutId, Arc<str>)>,
    pub(crate) lane: Option<LaneNews>,
}

/// What a message settles of a source.
#[derive(Clone, Debug)]
pub(crate) struct Settled {
    pub(crate) source: SourceId,
    pub(crate) range: ByteRange,
    pub(crate) resource: Arc<[(String, String)]>,
    pub(crate) observed_micros: i64,
}

/// What a message says of its lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LaneNews {
    pub(crate) agent: AgentId,
    pub(crate) mark_micros: Option<i64>,
    pub(crate) heard_micros: i64,
    pub(crate) is_goodbye: bool,
}

/// A message of a newer Weir: the partition waits for the upgrade.
#[derive(Debug, Error)]
#[error("offset {offset} was written by a newer version and waits for it: upgrade this ingester")]
pub(crate) struct Unsupported {
    pub(crate) offset: u64,
    #[source]
    pub(crate) source: DecodeError,
}

impl Accepted {
    /// Offsets that brought no row and why.
    pub(crate) fn lost(partition: &Partition, offsets: ByteRange, reason: &str, now_micros: i64) -> Self {
        let gap = Gap {
            tenant: TenantId::default(),
            source: partition.to_string(),
            range: offsets,
            count: 0,
            reason: reason.to_owned(),
            noticed_micros: now_micros,
        };
        Self {
            offset: offsets.start,
            next: offsets.end,
            tenant: TenantId::default(),
            rows: None,
            bytes: OVERHEAD_BYTES,
            settled: Vec::new(),
            gaps: vec![gap],
            layouts: Vec::new(),
            lane: None,
        }
    }
}

/// Takes in the messages of one partition, in order.
#[derive(Debug)]
pub(crate) struct Intake {
    partition: Partition,
    ledger: Ledger,
    parser: LineParser,
    letters: DeadLetters,
    clock: Clock,
    metrics: IngestMetrics,
}

impl Intake {
    /// Goes on from what is stored.
    pub(crate) fn new(
        partition: Partition,
        ledger: Ledger,
        letters: DeadLetters,
        clock: Clock,
        metrics: IngestMetrics,
    ) -> Self {
        Self { partition, ledger, parser: LineParser::default(), letters, clock, metrics }
    }

    /// Takes in messages up to the first that this version does not support.
    pub(crate) fn accept_all(
        &mut self,
        messages: &[StoredRecord],
    ) -> (Vec<Accepted>, Result<(), Unsupported>) {
        let mut accepted = Vec::with_capacity(messages.len());
        for message in messages {
            match self.accept(message) {
                Ok(one) => accepted.push(one),
                Err(unsupported) => return (accepted, Err(unsupported)),
            }
        }
        (accepted, Ok(()))
    }

    fn accept(&mut self, message: &StoredRecord) -> Result<Accepted, Unsupported> {
        let offset = message.offset.0;
        let decoded = LineBatch::decode(&message.record.headers, &message.record.payload).and_then(bounded);
        match decoded {
            Ok(batch) => Ok(self.take_in(message, &batch)),
            Err(source) if source.is_unsupported() => {
                self.metrics.unsupported.inc();
                Err(Unsupported { offset, source })
            }
            Err(error) => Ok(self.put_away(message, &error)),
        }
    }

    fn take_in(&mut self, message: &StoredRecord, batch: &LineBatch) -> Accepted {
        let lines = batch.lines().map(|line| (line.source, line.range));
        let admission = self.ledger.admit(&batch.sources, lines);
        let rows = self.parse(batch, &admission);
        let now_micros = self.clock.now_micros();
        let offset = message.offset.0;
        self.count(batch, &admission);
        Accepted {
            offset,
            next: offset + 1,
            tenant: batch.header.tenant.clone(),
            bytes: OVERHEAD_BYTES + rows.as_ref().map_or(0, RecordBatch::get_array_memory_size),
            rows,
            settled: settled(batch, &admission, message.record.timestamp_micros),
            gaps: gaps(batch, &admission, now_micros),
            layouts: self.parser.take_layouts(),
            lane: Some(LaneNews {
                agent: batch.header.agent,
                mark_micros: batch.header.mark_micros,
                // When it was sent: a message may have lain in the log for long.
                heard_micros: message.record.timestamp_micros.min(now_micros),
                is_goodbye: batch.header.goodbye,
            }),
        }
    }

    fn parse(&mut self, batch: &LineBatch, admission: &Admission) -> Option<RecordBatch> {
        let rows = admission.is_new.iter().filter(|is_new| **is_new).count();
        if rows == 0 {
            return None;
        }
        let parsers: Vec<Parser> =
            batch.sources.iter().map(|source| Parser::of_name(&source.parser)).collect();
        let mut columns = Columns::with_capacity(rows, batch.text_bytes() / batch.len() * rows);
        for (line, is_new) in batch.lines().zip(&admission.is_new) {
            if *is_new {
                self.parser.parse(&line, parsers[line.source], &mut columns);
            }
        }
        Some(columns.finish(&batch.header.tenant, &batch.sources))
    }

    fn count(&self, batch: &LineBatch, admission: &Admission) {
        let rows = admission.is_new.iter().filter(|is_new| **is_new).count();
        self.metrics.messages.inc();
        self.metrics.rows.inc_by(rows as u64);
        self.metrics.text_bytes.inc_by(batch.text_bytes() as u64);
        self.metrics.duplicates.inc_by(admission.duplicates);
        self.metrics.straddles.inc_by(admission.straddles);
        self.metrics.losses.inc_by(admission.losses.len() as u64);
        for loss in &admission.losses {
            let source = batch.sources[loss.source].id;
            let (range, reason) = (loss.range, loss.reason.as_str());
            if reason == drop_reason::STRADDLE {
                tracing::error!(%source, ?range, "a row lies across a covered boundary");
            } else {
                tracing::warn!(%source, ?range, reason, count = loss.count, "loss noticed");
            }
        }
    }

    fn put_away(&self, message: &StoredRecord, error: &DecodeError) -> Accepted {
        let offset = message.offset.0;
        match self.letters.keep(&self.partition, message) {
            Ok(path) => {
                let path = path.display();
                tracing::error!(partition = %self.partition, offset, %error, %path, "undecodable message kept");
            }
            Err(failure) => {
                tracing::error!(partition = %self.partition, offset, %error, %failure,
                    "undecodable message, and it could not be kept");
            }
        }
        self.metrics.undecodable.inc();
        self.metrics.losses.inc();
        let offsets = ByteRange::new(offset, offset + 1);
        let now_micros = self.clock.now_micros();
        let mut lost = Accepted::lost(&self.partition, offsets, drop_reason::UNDECODABLE, now_micros);
        if let Some(tenant) = tenant(message) {
            lost.gaps[0].tenant = tenant;
        }
        lost
    }
}

/// Refuses a batch whose few bytes would claim too many.
fn bounded(batch: LineBatch) -> Result<LineBatch, DecodeError> {
    let per_row: Vec<usize> = batch.sources.iter().map(bytes_per_row).collect();
    let bytes: usize = batch.lines().map(|line| per_row[line.source]).sum();
    if bytes > REPEATED_BYTES_MAX {
        let what = "the resource attributes of all rows";
        return Err(DecodeError::Oversized { what, bytes: bytes as u64, limit: REPEATED_BYTES_MAX as u64 });
    }
    Ok(batch)
}

fn settled(batch: &LineBatch, admission: &Admission, sent_micros: i64) -> Vec<Settled> {
    let mut observed = vec![None; batch.sources.len()];
    for line in batch.lines() {
        let held = &mut observed[line.source];
        *held = Some(line.observed_micros).max(*held);
    }
    let settle = |index: &usize| {
        let source: &Source = &batch.sources[*index];
        Settled {
            source: source.id,
            range: source.covered,
            resource: source.resource.as_slice().into(),
            observed_micros: observed[*index].unwrap_or(sent_micros),
        }
    };
    admission.advanced.iter().map(settle).collect()
}

fn gaps(batch: &LineBatch, admission: &Admission, now_micros: i64) -> Vec<Gap> {
    let gap = |loss: &crate::ledger::Loss| Gap {
        tenant: batch.header.tenant.clone(),
        source: batch.sources[loss.source].id.to_string(),
        range: loss.range,
        count: loss.count,
        reason: loss.reason.clone(),
        noticed_micros: now_micros,
    };
    admission.losses.iter().map(gap).collect()
}

/// The tenant of a message whose other parts may be damaged.
fn tenant(message: &StoredRecord) -> Option<TenantId> {
    let (_, value) = message.record.headers.iter().find(|(key, _)| key == header_name::TENANT)?;
    TenantId::new(std::str::from_utf8(value).ok()?).ok()
}

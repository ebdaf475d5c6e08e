//! From a message of the event log to live rows: decode, drop duplicates,
//! parse. Runs where it may hold a thread: a message takes milliseconds.

mod foreign;
mod lines;
mod rows;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow_array::RecordBatch;
use thiserror::Error;
use weir_proto::DecodeError;
use weir_proto::model::{
    AgentId, ByteRange, LayoutId, Signal, Source, SourceId, TenantId, drop_reason, is_declared,
};
use weir_proto::schema::Table;
use weir_proto::wire::message::Message;
use weir_proto::wire::{BatchHeader, header_name};
use weir_runtime::Clock;
use weir_runtime::failpoint::{self, Injected};
use weir_storage::catalog::{Filled, Gap, Tally};
use weir_stream::{Partition, StoredRecord};

use crate::lane::LaneNews;
use crate::ledger::{Admission, Found, Ledger, Loss};
use crate::matches::Matcher;
use crate::memory::held_bytes;
use crate::metrics::IngestMetrics;
use crate::parse::LineParser;

use foreign::Foreign;

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
    /// Rows as their tables have them; a table may come more than once.
    pub(crate) rows: Vec<(Table, RecordBatch)>,
    /// Memory that it holds.
    pub(crate) bytes: usize,
    pub(crate) settled: Vec<Settled>,
    pub(crate) gaps: Vec<Gap>,
    /// What was told as missing before, and came with it.
    pub(crate) filled: Vec<Filled>,
    /// The layouts that its log rows name, as JSON.
    pub(crate) layouts: Vec<(LayoutId, Arc<str>)>,
    pub(crate) lane: Option<LaneNews>,
}

/// What a message brings of a source.
#[derive(Clone, Debug)]
pub(crate) struct Settled {
    pub(crate) source: SourceId,
    /// What it covers; none where all of it came before.
    pub(crate) range: Option<ByteRange>,
    pub(crate) resource: Arc<[(String, String)]>,
    pub(crate) observed_micros: i64,
    pub(crate) tally: Tally,
}

/// Why a message is not taken in. Those before it are.
#[derive(Debug)]
pub(crate) enum Halt {
    /// It is of a newer Weir: the partition waits for the upgrade.
    Unsupported(Unsupported),
    /// It goes to the dead letters, and then on behind it.
    Undecodable(DecodeError),
}

/// A message of a newer Weir.
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
            // What they held is counted where the sources go on.
            count: None,
            reason: reason.to_owned(),
            noticed_micros: now_micros,
        };
        Self {
            offset: offsets.start,
            next: offsets.end,
            tenant: TenantId::default(),
            rows: Vec::new(),
            bytes: OVERHEAD_BYTES,
            settled: Vec::new(),
            gaps: vec![gap],
            filled: Vec::new(),
            layouts: Vec::new(),
            lane: None,
        }
    }

    /// A message that went to the dead letters.
    pub(crate) fn undecodable(partition: &Partition, message: &StoredRecord, now_micros: i64) -> Self {
        let offset = message.offset.0;
        let offsets = ByteRange::new(offset, offset + 1);
        let mut lost = Self::lost(partition, offsets, drop_reason::UNDECODABLE, now_micros);
        if let Some(tenant) = tenant(message) {
            lost.gaps[0].tenant = tenant;
        }
        lost
    }
}

/// Takes in the messages of one partition, in order.
#[derive(Debug)]
pub(crate) struct Intake {
    signal: Signal,
    ledger: Ledger,
    parser: LineParser,
    foreign: Foreign,
    matcher: Matcher,
    clock: Clock,
    metrics: IngestMetrics,
}

/// What a message said, beside its rows.
struct Said<'a> {
    tenant: &'a TenantId,
    sources: &'a [Source],
    admission: &'a Admission,
    lane: LaneNews,
}

impl Intake {
    /// Goes on from what is stored; `generation` counts the logs that were read
    /// under the partition's name before.
    pub(crate) fn new(
        partition: &Partition,
        generation: u64,
        signal: Signal,
        ledger: Ledger,
        matcher: Matcher,
        clock: Clock,
        metrics: IngestMetrics,
    ) -> Self {
        let foreign = Foreign::of(partition, generation);
        Self { signal, ledger, parser: LineParser::default(), foreign, matcher, clock, metrics }
    }

    /// Takes in messages up to the first that it cannot.
    pub(crate) fn accept_all(&mut self, messages: &[StoredRecord]) -> (Vec<Accepted>, Option<Halt>) {
        let mut accepted = Vec::with_capacity(messages.len());
        for message in messages {
            match self.accept(message) {
                Ok(one) => accepted.push(one),
                Err(source) if source.is_unsupported() => {
                    self.metrics.unsupported.inc();
                    let offset = message.offset.0;
                    return (accepted, Some(Halt::Unsupported(Unsupported { offset, source })));
                }
                Err(error) => return (accepted, Some(Halt::Undecodable(error))),
            }
        }
        (accepted, None)
    }

    /// A message over which a fault of ours panics must not end the process: it
    /// would be met again at once, and for ever. It is put away like one that
    /// cannot be decoded, and nothing of it was counted as covered.
    fn accept(&mut self, message: &StoredRecord) -> Result<Accepted, DecodeError> {
        self.ledger.keep();
        let take = std::panic::AssertUnwindSafe(|| self.take(message));
        std::panic::catch_unwind(take).unwrap_or_else(|panic| {
            self.ledger.take_back();
            self.parser = LineParser::default();
            let said = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            let reason = format!("reading it met a fault of Weir's own: {said}");
            Err(DecodeError::Malformed { what: "message", reason })
        })
    }

    fn take(&mut self, message: &StoredRecord) -> Result<Accepted, DecodeError> {
        let failed =
            |failed: Injected| DecodeError::Malformed { what: "message", reason: failed.to_string() };
        failpoint::reach("ingest.decode.before").map_err(failed)?;
        let now_micros = self.clock.now_micros();
        let record = &message.record;
        let observed_micros = foreign::observed(record.timestamp_micros, now_micros);
        let accepted = match Message::decode(self.signal, &record.headers, &record.payload, observed_micros)?
        {
            Message::Lines(batch) => self.take_lines(message, &lines::bounded(batch)?, now_micros),
            Message::Rows(batch) => self.take_rows(message, &batch, now_micros),
            Message::Foreign(decoded) => self.take_foreign(message, decoded, observed_micros, now_micros)?,
        };
        failpoint::reach("ingest.decode.after").map_err(failed)?;
        self.metrics.messages.get_or_create(&[("signal", self.signal.as_str())]).inc();
        Ok(accepted)
    }

    /// Brings together what a message becomes, and counts it.
    fn accepted(
        &self,
        message: &StoredRecord,
        said: Said<'_>,
        mut rows: Vec<(Table, RecordBatch)>,
        settled: Vec<Settled>,
        now_micros: i64,
    ) -> Accepted {
        let matches = self.matcher.find(&rows, now_micros, &self.metrics);
        rows.extend(matches.map(|matches| (Table::Matches, matches)));
        let bytes = OVERHEAD_BYTES + held_bytes(rows.iter().map(|(_, rows)| rows));
        for (table, rows) in &rows {
            let label = [("table", table.name())];
            self.metrics.rows.get_or_create(&label).inc_by(rows.num_rows() as u64);
        }
        self.count_losses(said.sources, said.admission);
        let gap = |loss: &Loss| gap(said.tenant, &said.sources[loss.source], loss, now_micros);
        let filled = said.admission.filled.iter().map(|filled| {
            let source = said.sources[filled.source].id;
            tracing::info!(%source, range = ?filled.range, events = filled.events, "what was missing came");
            Filled { source, range: filled.range, events: filled.events }
        });
        Accepted {
            offset: message.offset.0,
            next: message.offset.0 + 1,
            tenant: said.tenant.clone(),
            rows,
            bytes,
            settled,
            gaps: said.admission.losses.iter().map(gap).collect(),
            filled: filled.collect(),
            layouts: Vec::new(),
            lane: Some(said.lane),
        }
    }

    fn count_losses(&self, sources: &[Source], admission: &Admission) {
        self.metrics.duplicates.inc_by(admission.duplicates);
        self.metrics.straddles.inc_by(admission.straddles);
        for loss in &admission.losses {
            let source = sources[loss.source].id;
            let (range, reason) = (loss.range, loss.reason.as_str());
            self.metrics.lost(reason, loss.count);
            if reason == drop_reason::STRADDLE {
                tracing::error!(%source, ?range, "a row lies across a covered boundary");
            } else if is_declared(reason) {
                tracing::debug!(%source, ?range, reason, count = loss.count, "dropped as declared");
            } else {
                tracing::warn!(%source, ?range, reason, count = loss.count, "loss noticed");
            }
        }
    }
}

/// What an agent's headers say of its lane.
fn lane(header: &BatchHeader, message: &StoredRecord, now_micros: i64) -> LaneNews {
    let sent_micros = message.record.timestamp_micros;
    LaneNews::of_agent(header.agent, header.mark_micros, header.goodbye, sent_micros, now_micros)
}

/// When a message was sent, by whom, and when the events in it were read and
/// happened; the latter two by source.
struct When<'a> {
    agent: AgentId,
    appended_micros: i64,
    observed_micros: &'a dyn Fn(usize) -> i64,
    event_micros: &'a [Option<i64>],
}

/// What a message brings of its sources: those that cover more than before, or
/// of which something was sent again.
fn settled(sources: &[Source], admission: &Admission, when: &When<'_>) -> Vec<Settled> {
    let of_source = |(index, found): (usize, &Found)| Settled {
        source: sources[index].id,
        range: found.advanced,
        resource: sources[index].resource.as_slice().into(),
        observed_micros: (when.observed_micros)(index),
        tally: Tally {
            agent: Some(when.agent),
            appended_micros: Some(when.appended_micros),
            event_micros: when.event_micros.get(index).copied().flatten(),
            events: found.events,
            duplicates: found.duplicates,
            counted: found.counted,
        },
    };
    let found = admission.found.iter().enumerate();
    found.filter(|(_, found)| found.advanced.is_some() || found.duplicates > 0).map(of_source).collect()
}

/// Notes the event time of a source's row, if it is its latest.
fn later(latest: &mut [Option<i64>], source: usize, micros: i64) {
    if let Some(held) = latest.get_mut(source) {
        *held = Some(held.map_or(micros, |held| held.max(micros)));
    }
}

fn gap(tenant: &TenantId, source: &Source, loss: &Loss, now_micros: i64) -> Gap {
    Gap {
        tenant: tenant.clone(),
        source: source.id.to_string(),
        range: loss.range,
        count: loss.count,
        reason: loss.reason.clone(),
        noticed_micros: now_micros,
    }
}

/// The tenant of a message whose other parts may be damaged.
fn tenant(message: &StoredRecord) -> Option<TenantId> {
    let (_, value) = message.record.headers.iter().find(|(key, _)| key == header_name::TENANT)?;
    TenantId::new(std::str::from_utf8(value).ok()?).ok()
}

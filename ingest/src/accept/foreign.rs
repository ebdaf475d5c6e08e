//! Messages of producers that know nothing of Weir, as the OpenTelemetry
//! Collector's: the partition itself is the source, the offset the number.
//!
//! A partition may carry agents' messages beside them, and offsets that hold no
//! message at all, as where a transaction ended. Messages are read in order, so
//! by the time one is here all offsets below it are settled: the source covers
//! everything up to it, and no offset between is a hole. What the log itself has
//! lost is told by the reader.

use arrow_array::{Int32Array, Int64Array};
use weir_proto::DecodeError;
use weir_proto::limit::ROWS_PER_RECORD_BITS;
use weir_proto::model::{AgentId, ByteRange, Source, SourceId, TenantId, drop_reason};
use weir_proto::wire::Decoded;
use weir_proto::wire::rows::TableRows;
use weir_stream::{Partition, StoredRecord};

use super::{Accepted, Intake, Said, When, gap, rows, settled};
use crate::lane::LaneNews;
use crate::ledger::Loss;

/// Names the producer where an agent would name a file.
const RESOURCE_KEY: &str = "weir.source";

/// A partition as a source and a lane of its own.
#[derive(Debug)]
pub(super) struct Foreign {
    source: SourceId,
    agent: AgentId,
    resource: Vec<(String, String)>,
    tenant: TenantId,
}

impl Foreign {
    /// Offsets are its numbers, so the partition of another log is another source.
    pub(super) fn of(partition: &Partition, generation: u64) -> Self {
        let source = SourceId::foreign(partition.topic.as_str(), partition.index, generation);
        let resource = vec![(RESOURCE_KEY.to_owned(), format!("kafka:{partition}"))];
        Self { source, agent: AgentId::from_u128(source.as_u128()), resource, tenant: TenantId::default() }
    }
}

impl Intake {
    pub(super) fn take_foreign(
        &mut self,
        message: &StoredRecord,
        decoded: Decoded,
        sent_micros: i64,
        now_micros: i64,
    ) -> Result<Accepted, DecodeError> {
        let numbers = numbers(message.offset.0)?;
        let covered = ByteRange::new(self.ledger.end(self.foreign.source).min(numbers.start), numbers.end);
        let sources = [Source {
            id: self.foreign.source,
            resource: self.foreign.resource.clone(),
            parser: String::new(),
            min_severity: None,
            covered,
            drops: Vec::new(),
            counted: None,
        }];
        let rejected = Loss {
            source: 0,
            range: numbers,
            count: Some(decoded.rejected),
            reason: drop_reason::REJECTED.to_owned(),
        };
        if let Some(why) = &decoded.message {
            let (offset, rejected) = (message.offset.0, decoded.rejected);
            tracing::warn!(source = self.foreign.resource[0].1, offset, rejected, why, "a foreign message");
        }
        let is_new = self.ledger.end(self.foreign.source) < numbers.end;
        let tables = numbered(decoded, numbers)?;
        let tenant = &self.foreign.tenant;
        let (admission, rows, latest) = rows::admit(&mut self.ledger, tenant, &sources, &tables);
        let when = When {
            agent: self.foreign.agent,
            appended_micros: sent_micros,
            observed_micros: &|_| sent_micros,
            event_micros: &latest,
        };
        let settled = settled(&sources, &admission, &when);
        let lane = LaneNews::of_foreigner(self.foreign.agent, sent_micros, now_micros);
        let said = Said { tenant, sources: &sources, admission: &admission, lane };
        let mut accepted = self.accepted(message, said, rows, settled, now_micros);
        if rejected.count > Some(0) && is_new {
            self.metrics.lost(drop_reason::REJECTED, rejected.count);
            self.metrics.rejected.inc_by(rejected.count.unwrap_or(0));
            accepted.gaps.push(gap(tenant, &sources[0], &rejected, now_micros));
        }
        Ok(accepted)
    }
}

/// When a message without an agent was seen first: when it was sent, if that is
/// said and not in the future. The same for every reading of it.
pub(super) fn observed(sent_micros: i64, now_micros: i64) -> i64 {
    if sent_micros > 0 { sent_micros.min(now_micros) } else { now_micros }
}

/// The numbers that a message may give to its rows.
fn numbers(offset: u64) -> Result<ByteRange, DecodeError> {
    let last = (i64::MAX as u64) >> ROWS_PER_RECORD_BITS;
    if offset >= last {
        return Err(DecodeError::Oversized { what: "the offset", bytes: offset, limit: last });
    }
    Ok(ByteRange::new(offset << ROWS_PER_RECORD_BITS, (offset + 1) << ROWS_PER_RECORD_BITS))
}

/// The rows of all tables, one numbered after the other.
fn numbered(decoded: Decoded, numbers: ByteRange) -> Result<Vec<TableRows>, DecodeError> {
    let count: u64 = decoded.tables.iter().map(|(_, columns)| columns.num_rows() as u64).sum();
    if count > numbers.len() {
        return Err(DecodeError::Oversized { what: "number of rows", bytes: count, limit: numbers.len() });
    }
    let mut next = numbers.start as i64;
    let mut tables = Vec::with_capacity(decoded.tables.len());
    for (table, columns) in decoded.tables {
        let rows = columns.num_rows();
        let end = next + rows as i64;
        tables.push(TableRows {
            table,
            source: Int32Array::from_value(0, rows),
            start: Int64Array::from_iter_values(next..end),
            end: Int64Array::from_iter_values(next + 1..end + 1),
            columns,
        });
        next = end;
    }
    Ok(tables)
}

//! Batches of pushed events, which travel in their tables' columns: only what
//! is a duplicate is taken out.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use weir_proto::model::{ByteRange, Source, TenantId};
use weir_proto::schema::Table;
use weir_proto::schema::log::column::TIMESTAMP;
use weir_proto::wire::rows::{RowBatch, TableRows};
use weir_stream::StoredRecord;

use super::{Accepted, Intake, Said, When, lane, later, settled};
use crate::ledger::{Admission, Ledger, Row};

impl Intake {
    pub(super) fn take_rows(
        &mut self,
        message: &StoredRecord,
        batch: &RowBatch,
        now_micros: i64,
    ) -> Accepted {
        let tenant = &batch.header.tenant;
        let (admission, rows, latest) = admit(&mut self.ledger, tenant, &batch.sources, &batch.tables);
        let sent_micros = message.record.timestamp_micros;
        let when = When {
            agent: batch.header.agent,
            appended_micros: sent_micros,
            observed_micros: &|_| sent_micros,
            event_micros: &latest,
        };
        let settled = settled(&batch.sources, &admission, &when);
        let said = Said {
            tenant,
            sources: &batch.sources,
            admission: &admission,
            lane: lane(&batch.header, message, now_micros),
        };
        self.accepted(message, said, rows, settled, now_micros)
    }
}

/// The rows that are new, as their tables have them, and the time of each
/// source's latest.
pub(super) fn admit(
    ledger: &mut Ledger,
    tenant: &TenantId,
    sources: &[Source],
    tables: &[TableRows],
) -> (Admission, Vec<(Table, RecordBatch)>, Vec<Option<i64>>) {
    let admission = ledger.admit(sources, tables.iter().flat_map(places));
    let mut keep = admission.is_new.as_slice();
    let mut rows = Vec::with_capacity(tables.len());
    let mut latest = vec![None; sources.len()];
    for table in tables {
        let (of_table, rest) = keep.split_at(table.columns.num_rows());
        note_times(table, of_table, &mut latest);
        rows.extend(table.finish(tenant, sources, of_table).map(|rows| (table.table, rows)));
        keep = rest;
    }
    (admission, rows, latest)
}

/// Of each row its source, by index, and its numbers. The decoder has checked
/// that they are what they must be.
fn places(table: &TableRows) -> impl Iterator<Item = Row> {
    let numbers = table.start.values().iter().zip(table.end.values());
    let is_event = table.table.holds_events();
    table.source.values().iter().zip(numbers).map(move |(source, (start, end))| Row {
        source: *source as usize,
        range: ByteRange::new(*start as u64, *end as u64),
        is_event,
    })
}

/// Notes when the events that are kept happened.
fn note_times(table: &TableRows, keep: &[bool], latest: &mut [Option<i64>]) {
    let times = table.columns.column_by_name(TIMESTAMP);
    let times = times.and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>());
    let Some(times) = times.filter(|_| table.table.holds_events()) else { return };
    let rows = table.source.values().iter().zip(times.values()).zip(keep);
    for ((source, micros), _) in rows.filter(|(_, keep)| **keep) {
        later(latest, *source as usize, *micros);
    }
}

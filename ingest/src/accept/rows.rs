//! Batches of pushed events, which travel in their tables' columns: only what
//! is a duplicate is taken out.

use arrow_array::RecordBatch;
use weir_proto::model::{ByteRange, Source, TenantId};
use weir_proto::schema::Table;
use weir_proto::wire::rows::{RowBatch, TableRows};
use weir_stream::StoredRecord;

use super::{Accepted, Intake, Said, lane, settled};
use crate::ledger::{Admission, Ledger};

impl Intake {
    pub(super) fn take_rows(
        &mut self,
        message: &StoredRecord,
        batch: &RowBatch,
        now_micros: i64,
    ) -> Accepted {
        let tenant = &batch.header.tenant;
        let (admission, rows) = admit(&mut self.ledger, tenant, &batch.sources, &batch.tables);
        let sent_micros = message.record.timestamp_micros;
        let settled = settled(&batch.sources, &admission, |_| sent_micros);
        let said = Said {
            tenant,
            sources: &batch.sources,
            admission: &admission,
            lane: lane(&batch.header, message, now_micros),
        };
        self.accepted(message, said, rows, settled, now_micros)
    }
}

/// The rows that are new, as their tables have them.
pub(super) fn admit(
    ledger: &mut Ledger,
    tenant: &TenantId,
    sources: &[Source],
    tables: &[TableRows],
) -> (Admission, Vec<(Table, RecordBatch)>) {
    let admission = ledger.admit(sources, tables.iter().flat_map(places));
    let mut keep = admission.is_new.as_slice();
    let mut rows = Vec::with_capacity(tables.len());
    for table in tables {
        let (of_table, rest) = keep.split_at(table.columns.num_rows());
        rows.extend(table.finish(tenant, sources, of_table).map(|rows| (table.table, rows)));
        keep = rest;
    }
    (admission, rows)
}

/// Of each row its source, by index, and its numbers. The decoder has checked
/// that they are what they must be.
fn places(table: &TableRows) -> impl Iterator<Item = (usize, ByteRange)> {
    let numbers = table.start.values().iter().zip(table.end.values());
    table
        .source
        .values()
        .iter()
        .zip(numbers)
        .map(|(source, (start, end))| (*source as usize, ByteRange::new(*start as u64, *end as u64)))
}

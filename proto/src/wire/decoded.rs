//! What a foreign payload became.

use arrow_array::RecordBatch;

use crate::limit::DECODED_BYTES_MAX;
use crate::schema::Table;

/// The columns of a decoded payload, and an account of its records: what was
/// sent is `accepted` plus `rejected`.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// Rows per table, in [`Table::payload_schema`]. A table without rows is
    /// left out.
    pub tables: Vec<(Table, RecordBatch)>,
    /// Records that became rows: spans, log records, metric points.
    pub accepted: u64,
    /// Records that could not become rows.
    pub rejected: u64,
    /// Why they could not, with the first example; or a warning.
    pub message: Option<String>,
}

impl Decoded {
    /// Rows of all tables.
    pub fn rows(&self) -> usize {
        self.tables.iter().map(|(_, rows)| rows.num_rows()).sum()
    }
}

/// What happened to the records of a payload so far.
#[derive(Debug)]
pub(super) struct Account {
    /// What a record is called: `spans`.
    what: &'static str,
    accepted: u64,
    rejected: u64,
    bytes: usize,
    first_reason: Option<String>,
    warning: Option<String>,
}

/// What a row costs beside its text: numbers, offsets, ids.
const ROW_BYTES: usize = 256;

impl Account {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, accepted: 0, rejected: 0, bytes: 0, first_reason: None, warning: None }
    }

    /// Room for one more row that repeats `shared_bytes`.
    pub(super) fn check_room(&self, shared_bytes: usize) -> Result<(), String> {
        if self.bytes.saturating_add(shared_bytes) <= DECODED_BYTES_MAX {
            return Ok(());
        }
        let limit = DECODED_BYTES_MAX >> 20;
        Err(format!("the request becomes more than {limit} MiB of columns: send smaller ones"))
    }

    pub(super) fn accept(&mut self, row_bytes: usize) {
        self.accepted += 1;
        self.bytes = self.bytes.saturating_add(row_bytes).saturating_add(ROW_BYTES);
    }

    pub(super) fn reject(&mut self, reason: impl FnOnce() -> String) {
        self.reject_many(1, reason);
    }

    pub(super) fn reject_many(&mut self, records: u64, reason: impl FnOnce() -> String) {
        if records > 0 {
            self.rejected += records;
            self.first_reason.get_or_insert_with(reason);
        }
    }

    /// Something that the sender should know though nothing was rejected.
    pub(super) fn warn(&mut self, warning: impl FnOnce() -> String) {
        self.warning.get_or_insert_with(warning);
    }

    pub(super) fn finish(self, mut tables: Vec<(Table, RecordBatch)>) -> Decoded {
        tables.retain(|(_, rows)| rows.num_rows() > 0);
        let Self { what, accepted, rejected, first_reason, warning, .. } = self;
        let sent = accepted + rejected;
        let rejection =
            first_reason.map(|reason| format!("{rejected} of {sent} {what} rejected, the first: {reason}"));
        Decoded { tables, accepted, rejected, message: rejection.or(warning) }
    }
}

//! What a foreign payload became.

use arrow_array::RecordBatch;

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

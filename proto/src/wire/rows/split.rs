//! Making rows fit: pieces that are small enough to travel, and their numbers.

use arrow_array::{Array, Int32Array, Int64Array, RecordBatch};

use super::TableRows;
use crate::DecodeError;
use crate::limit::{ROWS_PER_RECORD_BITS, ROWS_PER_RECORD_MAX};
use crate::schema::Table;

/// Cuts decoded tables into pieces of about `bytes` of columns each, in order.
/// A single row is never cut: a larger one travels alone. Nothing is copied.
pub fn split(tables: &[(Table, RecordBatch)], bytes: usize) -> Vec<Vec<(Table, RecordBatch)>> {
    let mut pieces = Vec::new();
    let mut piece = Vec::new();
    let mut held = 0;
    for (table, rows) in tables {
        for (part, size) in parts(rows, bytes) {
            let numbered: usize = piece.iter().map(|(_, rows): &(_, RecordBatch)| rows.num_rows()).sum();
            let is_full = held + size > bytes || numbered + part.num_rows() > ROWS_PER_RECORD_MAX;
            if is_full && !piece.is_empty() {
                pieces.push(std::mem::take(&mut piece));
                held = 0;
            }
            held += size;
            piece.push((*table, part));
        }
    }
    if !piece.is_empty() {
        pieces.push(piece);
    }
    pieces
}

/// How many of the rows are events.
pub fn events(tables: &[(Table, RecordBatch)]) -> u64 {
    let events = tables.iter().filter(|(table, _)| table.holds_events());
    events.map(|(_, rows)| rows.num_rows() as u64).sum()
}

/// Halves rows until each part fits.
fn parts(rows: &RecordBatch, bytes: usize) -> Vec<(RecordBatch, usize)> {
    let mut fitting = Vec::new();
    let mut open = vec![rows.clone()];
    while let Some(rows) = open.pop() {
        let size = slice_bytes(&rows);
        let count = rows.num_rows();
        if count == 0 {
            continue;
        }
        if count == 1 || (size <= bytes && count <= ROWS_PER_RECORD_MAX) {
            fitting.push((rows, size));
        } else {
            let half = count / 2;
            open.push(rows.slice(half, count - half));
            open.push(rows.slice(0, half));
        }
    }
    fitting
}

/// Bytes that the rows would be on the wire: a slice counts as its part of the
/// buffers.
fn slice_bytes(rows: &RecordBatch) -> usize {
    let bytes = |column: &dyn Array| column.to_data().get_slice_memory_size().unwrap_or(usize::MAX);
    rows.columns().iter().fold(0, |sum: usize, column| sum.saturating_add(bytes(column)))
}

/// Numbers the rows of one pushed record, tables one after the other: row `i`
/// covers `[(record << 20) + i, (record << 20) + i + 1)`.
///
/// # Errors
/// [`DecodeError::Oversized`] when the rows are more than a record may hold, or
/// the record's number leaves no room for theirs.
pub fn number(
    tables: &[(Table, RecordBatch)],
    source: usize,
    record: u64,
) -> Result<Vec<TableRows>, DecodeError> {
    let oversized = |what, bytes, limit| DecodeError::Oversized { what, bytes, limit };
    let rows: usize = tables.iter().map(|(_, rows)| rows.num_rows()).sum();
    if rows > ROWS_PER_RECORD_MAX {
        return Err(oversized("number of rows", rows as u64, ROWS_PER_RECORD_MAX as u64));
    }
    let highest = (i64::MAX >> ROWS_PER_RECORD_BITS) as u64 - 1;
    if record > highest {
        return Err(oversized("record number", record, highest));
    }
    let source =
        i32::try_from(source).map_err(|_| oversized("source number", source as u64, i32::MAX as u64))?;
    let mut next = (record << ROWS_PER_RECORD_BITS) as i64;
    let numbered = |(table, columns): &(Table, RecordBatch)| {
        let count = columns.num_rows();
        let first = next;
        next += count as i64;
        TableRows {
            table: *table,
            source: Int32Array::from(vec![source; count]),
            start: Int64Array::from_iter_values(first..next),
            end: Int64Array::from_iter_values(first + 1..next + 1),
            columns: columns.clone(),
        }
    };
    Ok(tables.iter().map(numbered).collect())
}

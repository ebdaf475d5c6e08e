//! From a message to rows. Every length, index and offset in it is foreign and
//! is checked before use.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_buffer::Buffer;
use bytes::Bytes;

use super::{PLACE_COLUMNS, RowBatch, TABLE_KEY, TableRows, stream_schema};
use crate::DecodeError;
use crate::limit::ROWS_PER_RECORD_MAX;
use crate::model::Source;
use crate::schema::Table;
use crate::wire::BatchHeader;
use crate::wire::header::Content;
use crate::wire::ipc::read_stream;
use crate::wire::sources::{self, byte_range};

impl RowBatch {
    /// Reads a message.
    ///
    /// # Errors
    /// [`DecodeError::is_unsupported`] tells a message of a newer Weir from a
    /// broken one.
    pub fn decode(headers: &[(String, Bytes)], payload: &[u8]) -> Result<Self, DecodeError> {
        let (header, uncompressed) = BatchHeader::from_pairs(headers, Content::Rows)?;
        let mut plain = Buffer::from_vec(header.codec.decompress(payload, uncompressed)?);
        let sources = sources::read(&mut plain)?;
        let mut tables: Vec<TableRows> = Vec::new();
        while !plain.is_empty() {
            let Some(rows) = read_table(&mut plain, &sources)? else { continue };
            if tables.iter().any(|earlier| earlier.table == rows.table) {
                return Err(DecodeError::malformed("rows", format!("table {} comes twice", rows.table)));
            }
            tables.push(rows);
        }
        let rows: usize = tables.iter().map(|rows| rows.columns.num_rows()).sum();
        if rows > ROWS_PER_RECORD_MAX {
            let (bytes, limit) = (rows as u64, ROWS_PER_RECORD_MAX as u64);
            return Err(DecodeError::Oversized { what: "number of rows", bytes, limit });
        }
        Ok(Self { header, sources, tables })
    }

    /// Rows of all tables.
    pub fn len(&self) -> usize {
        self.tables.iter().map(|rows| rows.columns.num_rows()).sum()
    }

    /// True for a batch that only carries a mark.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn read_table(plain: &mut Buffer, sources: &[Source]) -> Result<Option<TableRows>, DecodeError> {
    let stream = read_stream(plain, "rows")?;
    let Some(name) = stream.schema.metadata().get(TABLE_KEY) else {
        return Err(DecodeError::malformed("rows", "a stream names no table"));
    };
    let Some(table) = Table::of_name(name).filter(|table| table.is_received()) else {
        return Err(DecodeError::Unsupported { what: "table", value: name.chars().take(64).collect() });
    };
    let Some(batch) = stream.expect(&stream_schema(table), "rows")? else { return Ok(None) };
    let columns = batch.columns()[PLACE_COLUMNS..].to_vec();
    let rows = TableRows {
        table,
        source: batch.column(0).as_primitive::<Int32Type>().clone(),
        start: batch.column(1).as_primitive::<Int64Type>().clone(),
        end: batch.column(2).as_primitive::<Int64Type>().clone(),
        columns: RecordBatch::try_new(table.payload_schema(), columns)
            .map_err(|error| DecodeError::malformed("rows", error))?,
    };
    rows.check(sources)?;
    Ok(Some(rows))
}

impl TableRows {
    fn check(&self, sources: &[Source]) -> Result<(), DecodeError> {
        for row in 0..self.columns.num_rows() {
            let source = usize::try_from(self.source.value(row)).unwrap_or(usize::MAX);
            let Some(source) = sources.get(source) else {
                return Err(DecodeError::malformed("rows", format!("row {row} names no source")));
            };
            let range = byte_range(self.start.value(row), self.end.value(row))?;
            if range.start < source.covered.start || range.end > source.covered.end {
                let reason = format!("row {row} lies at {range:?}, its source covers {:?}", source.covered);
                return Err(DecodeError::malformed("rows", reason));
            }
        }
        Ok(())
    }
}

//! From a message to lines. Every length, index and offset in it is foreign
//! and is checked before use.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, BinaryArray, Int32Array, Int64Array, RecordBatch};
use arrow_buffer::Buffer;
use bytes::Bytes;

use super::layout::lines_schema;
use crate::DecodeError;
use crate::limit::LINE_BYTES_MAX;
use crate::model::{ByteRange, Source};
use crate::wire::BatchHeader;
use crate::wire::header::Content;
use crate::wire::ipc::read_stream;
use crate::wire::sources::{self, byte_range};

/// A decoded batch. Lines borrow from it.
#[derive(Debug)]
pub struct LineBatch {
    /// What the headers said.
    pub header: BatchHeader,
    /// The sources, in the order that lines refer to.
    pub sources: Vec<Source>,
    columns: Option<Columns>,
}

#[derive(Debug)]
struct Columns {
    source: Int32Array,
    start: Int64Array,
    end: Int64Array,
    observed: Int64Array,
    timestamp: Int64Array,
    flags: Int32Array,
    line: BinaryArray,
}

/// One line of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Index into [`LineBatch::sources`].
    pub source: usize,
    /// The bytes it covers, line ending included.
    pub range: ByteRange,
    /// When the agent read it, microseconds since 1970.
    pub observed_micros: i64,
    /// The framing's own time, nanoseconds since 1970.
    pub timestamp_nanos: Option<i64>,
    /// Bits of [`crate::model::flags`].
    pub flags: i32,
    /// The text, without framing and line ending.
    pub text: &'a [u8],
}

impl LineBatch {
    /// Reads a message.
    ///
    /// # Errors
    /// [`DecodeError::is_unsupported`] tells a message of a newer Weir from a
    /// broken one.
    pub fn decode(headers: &[(String, Bytes)], payload: &[u8]) -> Result<Self, DecodeError> {
        let (header, uncompressed) = BatchHeader::from_pairs(headers, Content::Lines)?;
        let plain = header.codec.decompress(payload, uncompressed)?;
        let mut plain = Buffer::from_vec(plain);
        let sources = sources::read(&mut plain)?;
        let lines = read_stream(&mut plain, "lines")?.expect(&lines_schema(), "lines")?;
        let columns = lines.map(|batch| Columns::check(&batch, &sources)).transpose()?;
        if !plain.is_empty() {
            return Err(DecodeError::malformed("payload", "bytes after the second stream"));
        }
        Ok(Self { header, sources, columns })
    }

    /// Lines in the batch.
    pub fn len(&self) -> usize {
        self.columns.as_ref().map_or(0, |columns| columns.line.len())
    }

    /// True for a batch that only carries a mark.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of text in the batch.
    pub fn text_bytes(&self) -> usize {
        self.columns.as_ref().map_or(0, |columns| columns.line.value_data().len())
    }

    /// The lines in order.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.columns.iter().flat_map(|columns| (0..columns.line.len()).map(|row| columns.line(row)))
    }
}

impl Columns {
    fn check(batch: &RecordBatch, sources: &[Source]) -> Result<Self, DecodeError> {
        let columns = Self {
            source: batch.column(0).as_primitive::<Int32Type>().clone(),
            start: batch.column(1).as_primitive::<Int64Type>().clone(),
            end: batch.column(2).as_primitive::<Int64Type>().clone(),
            observed: batch.column(3).as_primitive::<Int64Type>().clone(),
            timestamp: batch.column(4).as_primitive::<Int64Type>().clone(),
            flags: batch.column(5).as_primitive::<Int32Type>().clone(),
            line: batch.column(6).as_binary::<i32>().clone(),
        };
        for row in 0..batch.num_rows() {
            let source = usize::try_from(columns.source.value(row)).unwrap_or(usize::MAX);
            let Some(source) = sources.get(source) else {
                return Err(DecodeError::malformed("lines", format!("line {row} names no source")));
            };
            let range = byte_range(columns.start.value(row), columns.end.value(row))?;
            if range.start < source.covered.start || range.end > source.covered.end {
                let reason = format!("line {row} lies at {range:?}, its source covers {:?}", source.covered);
                return Err(DecodeError::malformed("lines", reason));
            }
            let bytes = columns.line.value(row).len();
            if bytes > LINE_BYTES_MAX {
                let (bytes, limit) = (bytes as u64, LINE_BYTES_MAX as u64);
                return Err(DecodeError::Oversized { what: "line", bytes, limit });
            }
        }
        Ok(columns)
    }

    fn line(&self, row: usize) -> Line<'_> {
        Line {
            source: self.source.value(row) as usize,
            range: ByteRange::new(self.start.value(row) as u64, self.end.value(row) as u64),
            observed_micros: self.observed.value(row),
            timestamp_nanos: self.timestamp.is_valid(row).then(|| self.timestamp.value(row)),
            flags: self.flags.value(row),
            text: self.line.value(row),
        }
    }
}

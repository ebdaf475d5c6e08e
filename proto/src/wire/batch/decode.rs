//! From a message to lines. Every length, index and offset in it is foreign
//! and is checked before use.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, BinaryArray, Int32Array, Int64Array, RecordBatch, StructArray};
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_schema::SchemaRef;
use bytes::Bytes;

use super::framing;
use super::layout::{lines_schema, sources_schema};
use crate::DecodeError;
use crate::limit::{BATCH_SOURCES_MAX, LINE_BYTES_MAX};
use crate::model::{ByteRange, Drop, Source, SourceId};
use crate::wire::BatchHeader;

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
        let (header, uncompressed) = BatchHeader::from_pairs(headers)?;
        let plain = header.codec.decompress(payload, uncompressed)?;
        let mut plain = Buffer::from_vec(plain);
        let sources = match read_stream(&mut plain, &sources_schema(), "sources")? {
            Some(batch) => read_sources(&batch)?,
            None => Vec::new(),
        };
        let columns = match read_stream(&mut plain, &lines_schema(), "lines")? {
            Some(batch) => Some(Columns::check(&batch, &sources)?),
            None => None,
        };
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

/// Reads one IPC stream of at most one batch and cuts it off `plain`. Columns
/// borrow from it: nothing is copied.
///
/// The IPC decoder trusts its input in places: it allocates what a message
/// claims, which [`framing::cut_stream`] checks first, and panics on some
/// damaged metadata. Foreign bytes must not end a task, so a panic is caught
/// here and is one more way to be malformed; nothing of the decoder outlives it.
fn read_stream(
    plain: &mut Buffer,
    schema: &SchemaRef,
    what: &'static str,
) -> Result<Option<RecordBatch>, DecodeError> {
    let stream = framing::cut_stream(plain, what)?;
    let read = std::panic::AssertUnwindSafe(|| read_trusting(stream, schema, what));
    std::panic::catch_unwind(read).unwrap_or_else(|_| Err(DecodeError::malformed(what, "damaged metadata")))
}

fn read_trusting(
    mut stream: Buffer,
    schema: &SchemaRef,
    what: &'static str,
) -> Result<Option<RecordBatch>, DecodeError> {
    let malformed = |error: arrow_schema::ArrowError| DecodeError::malformed(what, error);
    let mut decoder = StreamDecoder::new();
    let mut batch = None;
    while !stream.is_empty() {
        let Some(next) = decoder.decode(&mut stream).map_err(malformed)? else { break };
        if batch.replace(next).is_some() {
            return Err(DecodeError::malformed(what, "more than one batch in the stream"));
        }
    }
    decoder.finish().map_err(malformed)?;
    if decoder.schema().is_none_or(|found| found.fields() != schema.fields()) {
        return Err(DecodeError::malformed(what, "the columns are not those of version 1"));
    }
    Ok(batch)
}

fn read_sources(batch: &RecordBatch) -> Result<Vec<Source>, DecodeError> {
    if batch.num_rows() > BATCH_SOURCES_MAX {
        let (bytes, limit) = (batch.num_rows() as u64, BATCH_SOURCES_MAX as u64);
        return Err(DecodeError::Oversized { what: "number of sources", bytes, limit });
    }
    let ids = batch.column(0).as_string::<i32>();
    let resources = batch.column(1).as_map();
    let parsers = batch.column(2).as_string::<i32>();
    let starts = batch.column(3).as_primitive::<Int64Type>();
    let ends = batch.column(4).as_primitive::<Int64Type>();
    let drops = batch.column(5).as_list::<i32>();
    (0..batch.num_rows())
        .map(|row| {
            Ok(Source {
                id: ids
                    .value(row)
                    .parse::<SourceId>()
                    .map_err(|error| DecodeError::malformed("source id", error))?,
                resource: pairs(&resources.value(row)),
                parser: parsers.value(row).to_owned(),
                covered: byte_range(starts.value(row), ends.value(row))?,
                drops: read_drops(drops.value(row).as_struct())?,
            })
        })
        .collect()
}

fn pairs(entries: &StructArray) -> Vec<(String, String)> {
    let keys = entries.column(0).as_string::<i32>();
    let values = entries.column(1).as_string::<i32>();
    keys.iter().zip(values).filter_map(|(key, value)| Some((key?.to_owned(), value?.to_owned()))).collect()
}

fn read_drops(rows: &StructArray) -> Result<Vec<Drop>, DecodeError> {
    let number = |column: usize, row: usize| rows.column(column).as_primitive::<Int64Type>().value(row);
    let reasons = rows.column(3).as_string::<i32>();
    (0..rows.len())
        .map(|row| {
            Ok(Drop {
                range: byte_range(number(0, row), number(1, row))?,
                count: u64::try_from(number(2, row))
                    .map_err(|error| DecodeError::malformed("drop", error))?,
                reason: reasons.value(row).to_owned(),
            })
        })
        .collect()
}

fn byte_range(start: i64, end: i64) -> Result<ByteRange, DecodeError> {
    match (u64::try_from(start), u64::try_from(end)) {
        (Ok(start), Ok(end)) if start <= end => Ok(ByteRange::new(start, end)),
        _ => Err(DecodeError::malformed("byte range", format!("[{start}, {end})"))),
    }
}

//! From lines to a message.

use std::sync::Arc;

use arrow_array::builder::{Int64Builder, ListBuilder, MapBuilder, StringBuilder, StructBuilder};
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{ArrayRef, BinaryArray, PrimitiveArray, RecordBatch, StringArray};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{Field, SchemaRef};
use bytes::Bytes;

use super::layout::{drop_fields, lines_schema, sources_schema};
use crate::limit::{BATCH_BYTES, BATCH_ROWS_MAX};
use crate::model::Source;
use crate::schema::log::map_entry_fields;
use crate::wire::BatchHeader;

/// A message, ready to append: headers in order, and the compressed payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedBatch {
    /// Header names and values.
    pub headers: Vec<(String, Bytes)>,
    /// The compressed payload.
    pub payload: Bytes,
}

/// One line to add to a batch.
#[derive(Clone, Copy, Debug)]
pub struct NewLine<'a> {
    /// Row number of its source in the batch's sources.
    pub source: usize,
    /// First byte in the source.
    pub start: u64,
    /// First byte after it, line ending included.
    pub end: u64,
    /// When the agent read it, microseconds since 1970.
    pub observed_micros: i64,
    /// The framing's own time, nanoseconds since 1970.
    pub timestamp_nanos: Option<i64>,
    /// Bits of [`crate::model::flags`].
    pub flags: i32,
    /// The text, without framing and line ending.
    pub line: &'a [u8],
}

/// Collects lines until the batch is full. Which source a line belongs to is
/// the caller's numbering; the sources themselves come with [`Self::finish`].
#[derive(Debug)]
pub struct LineBatchBuilder {
    source: Vec<i32>,
    start: Vec<i64>,
    end: Vec<i64>,
    observed: Vec<i64>,
    timestamp: Vec<i64>,
    has_timestamp: Vec<bool>,
    flags: Vec<i32>,
    offsets: Vec<i32>,
    text: Vec<u8>,
}

impl Default for LineBatchBuilder {
    fn default() -> Self {
        Self {
            source: Vec::new(),
            start: Vec::new(),
            end: Vec::new(),
            observed: Vec::new(),
            timestamp: Vec::new(),
            has_timestamp: Vec::new(),
            flags: Vec::new(),
            offsets: vec![0],
            text: Vec::new(),
        }
    }
}

impl LineBatchBuilder {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a line.
    ///
    /// # Panics
    /// When the text would pass 2 GiB; callers close a batch that is full.
    pub fn push(&mut self, line: NewLine<'_>) {
        self.source.push(i32::try_from(line.source).expect("a batch has few sources"));
        self.start.push(signed(line.start));
        self.end.push(signed(line.end));
        self.observed.push(line.observed_micros);
        self.timestamp.push(line.timestamp_nanos.unwrap_or(0));
        self.has_timestamp.push(line.timestamp_nanos.is_some());
        self.flags.push(line.flags);
        self.text.extend_from_slice(line.line);
        self.offsets.push(i32::try_from(self.text.len()).expect("a full batch is closed"));
    }

    /// Lines held.
    pub fn rows(&self) -> usize {
        self.source.len()
    }

    /// Bytes of text held.
    pub fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// True when the batch should be closed before another line is added.
    pub fn is_full(&self) -> bool {
        self.text.len() >= BATCH_BYTES || self.rows() >= BATCH_ROWS_MAX
    }

    /// True when `line_bytes` more would pass the closing size: a larger line
    /// travels alone.
    pub fn would_overflow(&self, line_bytes: usize) -> bool {
        self.rows() > 0 && self.text.len() + line_bytes > BATCH_BYTES
    }

    /// Closes the batch and leaves the builder empty. A batch without lines is
    /// how an idle lane says its mark.
    pub fn finish(&mut self, header: &BatchHeader, sources: &[Source]) -> EncodedBatch {
        let lines = std::mem::take(self);
        let mut plain = Vec::with_capacity(lines.text.len() + lines.rows() * 48 + 2048);
        write_stream(&mut plain, &sources_schema(), &sources_batch(sources));
        write_stream(&mut plain, &lines_schema(), &lines.into_batch());
        let headers = header.to_pairs(plain.len());
        let payload = Bytes::from(header.codec.compress(plain));
        EncodedBatch { headers, payload }
    }

    fn into_batch(self) -> RecordBatch {
        let nulls = NullBuffer::from(self.has_timestamp);
        let text = BinaryArray::new(
            OffsetBuffer::new(ScalarBuffer::from(self.offsets)),
            Buffer::from_vec(self.text),
            None,
        );
        let columns: Vec<ArrayRef> = vec![
            Arc::new(PrimitiveArray::<Int32Type>::from(self.source)),
            Arc::new(PrimitiveArray::<Int64Type>::from(self.start)),
            Arc::new(PrimitiveArray::<Int64Type>::from(self.end)),
            Arc::new(PrimitiveArray::<Int64Type>::from(self.observed)),
            Arc::new(PrimitiveArray::<Int64Type>::new(self.timestamp.into(), Some(nulls))),
            Arc::new(PrimitiveArray::<Int32Type>::from(self.flags)),
            Arc::new(text),
        ];
        RecordBatch::try_new(lines_schema(), columns).expect("columns follow the schema")
    }
}

fn sources_batch(sources: &[Source]) -> RecordBatch {
    let text = |value: fn(&Source) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(sources.iter().map(value)))
    };
    let number = |value: fn(&Source) -> u64| -> ArrayRef {
        Arc::new(PrimitiveArray::<Int64Type>::from_iter_values(sources.iter().map(|s| signed(value(s)))))
    };
    let columns: Vec<ArrayRef> = vec![
        text(|source| source.id.to_string()),
        resources(sources),
        text(|source| source.parser.clone()),
        number(|source| source.covered.start),
        number(|source| source.covered.end),
        drops(sources),
    ];
    RecordBatch::try_new(sources_schema(), columns).expect("columns follow the schema")
}

fn resources(sources: &[Source]) -> ArrayRef {
    let entries = map_entry_fields();
    let names = arrow_array::builder::MapFieldNames {
        entry: "entries".to_owned(),
        key: "key".to_owned(),
        value: "value".to_owned(),
    };
    let mut map = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new())
        .with_keys_field(entries[0].clone())
        .with_values_field(entries[1].clone());
    for source in sources {
        for (key, value) in &source.resource {
            map.keys().append_value(key);
            map.values().append_value(value);
        }
        map.append(true).expect("keys and values are appended in pairs");
    }
    Arc::new(map.finish())
}

fn drops(sources: &[Source]) -> ArrayRef {
    let item = Field::new("item", arrow_schema::DataType::Struct(drop_fields()), false);
    let mut list = ListBuilder::new(StructBuilder::from_fields(drop_fields(), 0)).with_field(Arc::new(item));
    for source in sources {
        for drop in &source.drops {
            let row = list.values();
            for (column, value) in [drop.range.start, drop.range.end, drop.count].into_iter().enumerate() {
                row.field_builder::<Int64Builder>(column).expect("an i64 column").append_value(signed(value));
            }
            row.field_builder::<StringBuilder>(3).expect("a text column").append_value(&drop.reason);
            row.append(true);
        }
        list.append(true);
    }
    Arc::new(list.finish())
}

fn write_stream(plain: &mut Vec<u8>, schema: &SchemaRef, batch: &RecordBatch) {
    const WHY: &str = "writing a valid batch to memory cannot fail";
    let mut writer = StreamWriter::try_new(plain, schema).expect(WHY);
    if batch.num_rows() > 0 {
        writer.write(batch).expect(WHY);
    }
    writer.finish().expect(WHY);
}

/// Offsets stay below 2^63: no file is that long.
fn signed(value: u64) -> i64 {
    i64::try_from(value).expect("an offset below 2^63")
}

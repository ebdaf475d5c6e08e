//! From lines to a message.

use std::sync::Arc;

use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{ArrayRef, BinaryArray, PrimitiveArray, RecordBatch};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use bytes::Bytes;

use super::layout::lines_schema;
use crate::limit::{BATCH_BYTES, BATCH_ROWS_MAX};
use crate::model::Source;
use crate::wire::BatchHeader;
use crate::wire::header::Content;
use crate::wire::ipc::write_stream;
use crate::wire::sources::{self, signed};

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
        Self::with_room(0, 0)
    }
}

impl LineBatchBuilder {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty batch with room for so much: the next is mostly like the last.
    fn with_room(rows: usize, text_bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self {
            source: Vec::with_capacity(rows),
            start: Vec::with_capacity(rows),
            end: Vec::with_capacity(rows),
            observed: Vec::with_capacity(rows),
            timestamp: Vec::with_capacity(rows),
            has_timestamp: Vec::with_capacity(rows),
            flags: Vec::with_capacity(rows),
            offsets,
            text: Vec::with_capacity(text_bytes.min(BATCH_BYTES)),
        }
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
        let next = Self::with_room(self.rows(), self.text.len());
        let lines = std::mem::replace(self, next);
        let (payload, length) = header.codec.payload(|plain| {
            sources::write(plain, sources);
            write_stream(plain, &lines_schema(), &lines.into_batch());
        });
        let headers = header.to_pairs(Content::Lines, length);
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

//! Arrow IPC streams that stand back to back, read from foreign bytes: every
//! length is checked against the bytes that are there.

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use arrow_ipc::root_as_message;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, Schema, SchemaRef};

use crate::DecodeError;

/// Precedes the metadata length of each message of a stream.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// One stream: its schema, and its rows if it has any.
pub(super) struct Stream {
    pub(super) schema: SchemaRef,
    pub(super) rows: Option<RecordBatch>,
}

/// Appends a stream of at most one batch.
pub(super) fn write_stream(plain: &mut Vec<u8>, schema: &Schema, batch: &RecordBatch) {
    const WHY: &str = "writing a valid batch to memory cannot fail";
    let mut writer = StreamWriter::try_new(plain, schema).expect(WHY);
    if batch.num_rows() > 0 {
        writer.write(batch).expect(WHY);
    }
    writer.finish().expect(WHY);
}

/// Reads one stream of at most one batch and cuts it off `plain`. Columns
/// borrow from it: nothing is copied.
///
/// The IPC decoder trusts its input in places: it allocates what a message
/// claims, which [`cut_stream`] checks first, and panics on some damaged
/// metadata. Foreign bytes must not end a task, so a panic is caught here and
/// is one more way to be malformed; nothing of the decoder outlives it.
pub(super) fn read_stream(plain: &mut Buffer, what: &'static str) -> Result<Stream, DecodeError> {
    let stream = cut_stream(plain, what)?;
    let read = std::panic::AssertUnwindSafe(|| read_trusting(stream, what));
    std::panic::catch_unwind(read).unwrap_or_else(|_| Err(DecodeError::malformed(what, "damaged metadata")))
}

impl Stream {
    /// The rows, if the columns are the ones expected.
    pub(super) fn expect(
        self,
        schema: &Schema,
        what: &'static str,
    ) -> Result<Option<RecordBatch>, DecodeError> {
        if self.schema.fields() == schema.fields() {
            Ok(self.rows)
        } else {
            Err(DecodeError::malformed(what, "the columns are not those of version 1"))
        }
    }
}

fn read_trusting(mut stream: Buffer, what: &'static str) -> Result<Stream, DecodeError> {
    let malformed = |error: ArrowError| DecodeError::malformed(what, error);
    let mut decoder = StreamDecoder::new();
    let mut rows = None;
    while !stream.is_empty() {
        let Some(next) = decoder.decode(&mut stream).map_err(malformed)? else { break };
        if rows.replace(next).is_some() {
            return Err(DecodeError::malformed(what, "more than one batch in the stream"));
        }
    }
    decoder.finish().map_err(malformed)?;
    match decoder.schema() {
        Some(schema) => Ok(Stream { schema, rows }),
        None => Err(DecodeError::malformed(what, "a stream without a schema")),
    }
}

/// Cuts the first stream, end marker included, off `plain`.
///
/// A stream is messages of `continuation (4) | metadata length (4, LE) |
/// metadata | body`, the body's length standing in the metadata, and ends with
/// a message of length 0. Source: Arrow's columnar format, "IPC Streaming
/// Format".
fn cut_stream(plain: &mut Buffer, what: &'static str) -> Result<Buffer, DecodeError> {
    let short = || DecodeError::malformed(what, "the stream ends early");
    let bytes = plain.as_slice();
    let mut at = 0usize;
    loop {
        let head = bytes.get(at..at + 8).ok_or_else(short)?;
        if head[..4] != CONTINUATION {
            return Err(DecodeError::malformed(what, "no message where one should start"));
        }
        let metadata_bytes = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        at += 8;
        if metadata_bytes == 0 {
            break;
        }
        let metadata = bytes.get(at..at.saturating_add(metadata_bytes)).ok_or_else(short)?;
        let message = root_as_message(metadata).map_err(|error| DecodeError::malformed(what, error))?;
        let body = usize::try_from(message.bodyLength()).map_err(|_| short())?;
        at = at.saturating_add(metadata_bytes).saturating_add(body);
        if at > bytes.len() {
            return Err(short());
        }
    }
    let stream = plain.slice_with_length(0, at);
    *plain = plain.slice(at);
    Ok(stream)
}

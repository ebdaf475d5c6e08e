//! From live batches to the pieces of an answer.

use std::sync::Arc;

use arrow_buffer::Buffer;
use arrow_ipc::writer::StreamEncoder;
use arrow_schema::{ArrowError, SchemaRef};
use bytes::Bytes;

use super::{ALIGNMENT, Header, LiveResponse, MAGIC, PREFIX, Place, Stream, VERSION};
use crate::WireError;
use crate::live::LiveBatch;

/// Columns smaller than this are copied into one piece with their neighbours:
/// a piece costs a system call, a copy of this size does not cost more.
const COPIED_BYTES_MAX: usize = 16 << 10;

pub(super) fn response(response: &LiveResponse) -> Result<Vec<Bytes>, WireError> {
    let mut streams = Vec::new();
    let mut pieces = Pieces::default();
    for run in runs(&response.batches) {
        let before = pieces.bytes;
        encode_run(run, &mut pieces)?;
        let batches = run.iter().map(place).collect();
        streams.push(Stream { bytes: pieces.bytes - before, batches });
    }
    let header = Header {
        instance: response.instance.clone(),
        ranges: response.ranges.clone(),
        lanes: response.lanes.clone(),
        layouts: response.layouts.clone(),
        streams,
    };
    let mut encoded = vec![encode_header(&header)?];
    encoded.append(&mut pieces.finish());
    Ok(encoded)
}

/// The first piece.
pub(super) fn encode_header(header: &Header) -> Result<Bytes, WireError> {
    let json = serde_json::to_vec(header).map_err(|error| WireError::malformed("header", error))?;
    let length = u32::try_from(json.len())
        .map_err(|_| WireError::malformed("header", format!("{} bytes are too many", json.len())))?;
    let mut bytes = Vec::with_capacity((PREFIX + json.len()).next_multiple_of(ALIGNMENT));
    bytes.extend_from_slice(&MAGIC);
    bytes.push(VERSION);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&json);
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), b' ');
    Ok(bytes.into())
}

/// Neighbours with one schema share a stream: the schema of a wide table is
/// larger than a small batch.
fn runs(batches: &[LiveBatch]) -> impl Iterator<Item = &[LiveBatch]> {
    batches.chunk_by(|left, right| same(&left.rows.schema(), &right.rows.schema()))
}

fn same(left: &SchemaRef, right: &SchemaRef) -> bool {
    Arc::ptr_eq(left, right) || left == right
}

fn encode_run(run: &[LiveBatch], pieces: &mut Pieces) -> Result<(), WireError> {
    let Some(first) = run.first() else { return Ok(()) };
    let failed = |batch: &LiveBatch, source: ArrowError| WireError::Encode {
        partition: batch.partition.clone(),
        source,
    };
    let mut encoder = StreamEncoder::try_new(&first.rows.schema()).map_err(|source| failed(first, source))?;
    for batch in run {
        pieces.take(encoder.encode(&batch.rows).map_err(|source| failed(batch, source))?);
    }
    pieces.take(encoder.finish().map_err(|source| failed(first, source))?);
    Ok(())
}

fn place(batch: &LiveBatch) -> Place {
    Place {
        topic: batch.partition.topic.clone(),
        partition: batch.partition.partition,
        offset: batch.offset,
        tenant: batch.tenant.clone(),
        table: batch.table,
    }
}

/// What is to be sent, in order.
#[derive(Default)]
struct Pieces {
    done: Vec<Bytes>,
    open: Vec<u8>,
    bytes: u64,
}

impl Pieces {
    fn take(&mut self, buffers: Vec<Buffer>) {
        for buffer in buffers {
            self.bytes += buffer.len() as u64;
            if buffer.len() <= COPIED_BYTES_MAX {
                self.open.extend_from_slice(&buffer);
            } else {
                self.close();
                self.done.push(Bytes::from_owner(Shared(buffer)));
            }
        }
    }

    fn close(&mut self) {
        if !self.open.is_empty() {
            self.done.push(std::mem::take(&mut self.open).into());
        }
    }

    fn finish(mut self) -> Vec<Bytes> {
        self.close();
        self.done
    }
}

/// Arrow's buffer as an owner of bytes.
struct Shared(Buffer);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

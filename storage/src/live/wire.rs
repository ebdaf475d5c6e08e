//! How live rows reach a query process: one request, one answer, over a
//! Unix socket between two processes of the same build.
//!
//! The request is JSON. The answer is, little-endian:
//!
//! ```text
//! "WLR1"                    4 bytes, the version is in it
//! length of the header      u32
//! header                    JSON: instance, ranges, lanes, layouts, and of each
//!                           stream its length and its batches' places
//! spaces                    up to a multiple of 64, so that columns are aligned
//! streams                   Arrow IPC, one for each run of batches with one schema
//! ```
//!
//! Rows are not copied: large columns are sent from where they lie, and read
//! in place from the answer's bytes, which live as long as a batch of them.

mod encode;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use weir_proto::model::{LayoutId, TenantId};
use weir_proto::schema::Table;

use super::{LiveBatch, LiveRange};
use crate::catalog::{LaneState, LogPartition};
use crate::{WireError, guard};

const MAGIC: [u8; 3] = *b"WLR";
const VERSION: u8 = b'1';
const PREFIX: usize = 8;
/// Where the first stream starts. Arrow pads its messages, so that columns lie
/// as aligned in the answer as the answer lies in memory.
const ALIGNMENT: usize = 64;

/// What a query process asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveRequest {
    /// Whose rows the asker holds; none when it holds nothing.
    pub instance: Option<String>,
    /// The next offset wanted of each partition. Of a partition that is not
    /// named, everything.
    pub have: BTreeMap<LogPartition, u64>,
}

/// What the process that holds the live rows answers.
#[derive(Clone, Debug, Default)]
pub struct LiveResponse {
    /// Which process answers, a ULID drawn at its start. When it is not the
    /// request's, the answer is complete and the asker drops what it held.
    pub instance: String,
    /// The live offsets of each partition that it serves.
    pub ranges: Vec<LiveRange>,
    /// The lanes of each range, as of its `next`.
    pub lanes: Vec<LaneState>,
    /// Layouts that rows may name and no file holds yet, as JSON.
    pub layouts: BTreeMap<LayoutId, String>,
    /// The batches asked for, in order of partition and offset.
    pub batches: Vec<LiveBatch>,
}

/// Maps cannot have a partition as key in JSON; lists of these can.
#[derive(Serialize, Deserialize)]
struct Position {
    topic: String,
    partition: u32,
    offset: u64,
}

#[derive(Serialize, Deserialize)]
struct RequestText {
    instance: Option<String>,
    have: Vec<Position>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    instance: String,
    ranges: Vec<LiveRange>,
    lanes: Vec<LaneState>,
    layouts: BTreeMap<LayoutId, String>,
    streams: Vec<Stream>,
}

#[derive(Serialize, Deserialize)]
struct Stream {
    bytes: u64,
    batches: Vec<Place>,
}

#[derive(Serialize, Deserialize)]
struct Place {
    topic: String,
    partition: u32,
    offset: u64,
    tenant: TenantId,
    table: Table,
}

impl LiveRequest {
    /// The request as JSON.
    pub fn encode(&self) -> Result<Bytes, WireError> {
        let text = RequestText { instance: self.instance.clone(), have: positions(&self.have) };
        let json = serde_json::to_vec(&text).map_err(|error| WireError::malformed("request", error))?;
        Ok(json.into())
    }

    /// Reads a request.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let text: RequestText =
            serde_json::from_slice(bytes).map_err(|error| WireError::malformed("request", error))?;
        Ok(Self { instance: text.instance, have: offsets(text.have) })
    }
}

impl LiveResponse {
    /// The answer in pieces, to be sent one after the other. Pieces share the
    /// rows' memory.
    pub fn encode(&self) -> Result<Vec<Bytes>, WireError> {
        encode::response(self)
    }

    /// Reads an answer. Its rows share `bytes`.
    pub fn decode(bytes: &Bytes) -> Result<Self, WireError> {
        let (header, mut rest) = read_header(bytes)?;
        let mut batches = Vec::new();
        for stream in header.streams {
            let length = usize::try_from(stream.bytes).unwrap_or(usize::MAX);
            if length > rest.len() {
                let reason = format!("{length} bytes are announced, {} are there", rest.len());
                return Err(WireError::malformed("stream", reason));
            }
            let stream = guard::decode(|| read_stream(rest.split_to(length), stream.batches))
                .unwrap_or_else(|| Err(WireError::malformed("stream", "its columns contradict each other")));
            batches.append(&mut stream?);
        }
        if !rest.is_empty() {
            return Err(WireError::malformed(
                "answer",
                format!("{} bytes after the last stream", rest.len()),
            ));
        }
        Ok(Self {
            instance: header.instance,
            ranges: header.ranges,
            lanes: header.lanes,
            layouts: header.layouts,
            batches,
        })
    }
}

/// The header, and the bytes after it and its padding.
fn read_header(bytes: &Bytes) -> Result<(Header, Bytes), WireError> {
    let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX>() else {
        return Err(WireError::malformed("answer", format!("{} bytes are no answer", bytes.len())));
    };
    let [m, a, g, version, length @ ..] = *prefix;
    if [m, a, g] != MAGIC {
        return Err(WireError::malformed("answer", "it does not start as one"));
    }
    if version != VERSION {
        return Err(WireError::Version { found: u32::from(version), expected: u32::from(VERSION) });
    }
    let length = u32::from_le_bytes(length) as usize;
    let Some(json) = rest.get(..length) else {
        let reason = format!("{length} bytes are announced, {} are there", rest.len());
        return Err(WireError::malformed("header", reason));
    };
    let header = serde_json::from_slice(json).map_err(|error| WireError::malformed("header", error))?;
    let end = (PREFIX + length).next_multiple_of(ALIGNMENT);
    if end > bytes.len() {
        return Err(WireError::malformed("header", "its padding is cut off"));
    }
    Ok((header, bytes.slice(end..)))
}

fn read_stream(bytes: Bytes, places: Vec<Place>) -> Result<Vec<LiveBatch>, WireError> {
    let mut batches = Vec::new();
    let mut buffer = Buffer::from(bytes);
    let mut decoder = StreamDecoder::new();
    let mut next = || -> Result<Option<RecordBatch>, WireError> {
        decoder.decode(&mut buffer).map_err(|error| WireError::malformed("stream", error))
    };
    for place in places {
        let Some(rows) = next()? else {
            return Err(WireError::malformed("stream", "it has fewer batches than announced"));
        };
        let partition = LogPartition { topic: place.topic, partition: place.partition };
        batches.push(LiveBatch {
            partition,
            offset: place.offset,
            tenant: place.tenant,
            table: place.table,
            rows,
        });
    }
    if next()?.is_some() {
        return Err(WireError::malformed("stream", "it has more batches than announced"));
    }
    decoder.finish().map_err(|error| WireError::malformed("stream", error))?;
    Ok(batches)
}

fn positions(offsets: &BTreeMap<LogPartition, u64>) -> Vec<Position> {
    let position = |(of, offset): (&LogPartition, &u64)| Position {
        topic: of.topic.clone(),
        partition: of.partition,
        offset: *offset,
    };
    offsets.iter().map(position).collect()
}

fn offsets(positions: Vec<Position>) -> BTreeMap<LogPartition, u64> {
    let offset = |at: Position| (LogPartition { topic: at.topic, partition: at.partition }, at.offset);
    positions.into_iter().map(offset).collect()
}

//! How live rows travel: one request, one answer, as messages of Arrow Flight.
//!
//! The ticket is the request as JSON. The answer is a stream of `FlightData`:
//!
//! ```text
//! the header     app_metadata: JSON, format version, instance, ranges, lanes, layouts
//! then, for each run of batches with one schema:
//! the schema     data_header: Arrow's schema message
//! the batches    data_header and data_body: Arrow's record batch;
//!                app_metadata: JSON, the place of the batch
//! ```
//!
//! Bytes of another process are foreign: every length in them is checked before
//! it is used, and a reader that panics on them is an error.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow_flight::utils::flight_data_to_arrow_batch;
use arrow_flight::{FlightData, SchemaAsIpc};
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_ipc::{MessageHeader, root_as_message};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use weir_proto::model::{LayoutId, TenantId};
use weir_proto::schema::Table;

use super::{LiveBatch, LiveRange};
use crate::catalog::{LaneState, LogPartition};
use crate::{WireError, guard};

/// The version of the messages' meaning.
const VERSION: u32 = 1;

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
    version: u32,
    instance: String,
    ranges: Vec<LiveRange>,
    lanes: Vec<LaneState>,
    layouts: BTreeMap<LayoutId, String>,
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
        let position = |(of, offset): (&LogPartition, &u64)| Position {
            topic: of.topic.clone(),
            partition: of.partition,
            offset: *offset,
        };
        let have = self.have.iter().map(position).collect();
        json("request", &RequestText { instance: self.instance.clone(), have })
    }

    /// Reads a request.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let text: RequestText = read("request", bytes)?;
        let offset = |at: Position| (LogPartition { topic: at.topic, partition: at.partition }, at.offset);
        Ok(Self { instance: text.instance, have: text.have.into_iter().map(offset).collect() })
    }
}

impl LiveResponse {
    /// The answer's messages, in order.
    pub fn encode(&self) -> Result<Vec<FlightData>, WireError> {
        let header = Header {
            version: VERSION,
            instance: self.instance.clone(),
            ranges: self.ranges.clone(),
            lanes: self.lanes.clone(),
            layouts: self.layouts.clone(),
        };
        let mut messages =
            vec![FlightData { app_metadata: json("header", &header)?, ..FlightData::default() }];
        let options = IpcWriteOptions::default();
        for run in self.batches.chunk_by(|left, right| same(&left.rows.schema(), &right.rows.schema())) {
            let Some(first) = run.first() else { continue };
            messages.push(SchemaAsIpc::new(&first.rows.schema(), &options).into());
            let mut encoder = Encoder::new(&options);
            for batch in run {
                messages.push(encoder.encode(batch)?);
            }
        }
        Ok(messages)
    }
}

/// Encodes the batches of one schema. The tables have no dictionaries.
struct Encoder<'a> {
    options: &'a IpcWriteOptions,
    generator: IpcDataGenerator,
    dictionaries: DictionaryTracker,
    context: IpcWriteContext,
}

impl<'a> Encoder<'a> {
    fn new(options: &'a IpcWriteOptions) -> Self {
        Self {
            options,
            generator: IpcDataGenerator::default(),
            dictionaries: DictionaryTracker::new(false),
            context: IpcWriteContext::default(),
        }
    }

    fn encode(&mut self, batch: &LiveBatch) -> Result<FlightData, WireError> {
        let failed = |source: ArrowError| WireError::Encode { partition: batch.partition.clone(), source };
        let Self { options, generator, dictionaries, context } = self;
        let (_, encoded) = generator.encode(&batch.rows, dictionaries, options, context).map_err(failed)?;
        let place = Place {
            topic: batch.partition.topic.clone(),
            partition: batch.partition.partition,
            offset: batch.offset,
            tenant: batch.tenant.clone(),
            table: batch.table,
        };
        let mut message = FlightData::from(encoded);
        message.app_metadata = json("place", &place)?;
        Ok(message)
    }
}

/// Reads an answer, message by message.
#[derive(Debug, Default)]
pub struct Reader {
    response: Option<LiveResponse>,
    schema: Option<SchemaRef>,
}

impl Reader {
    /// Nothing was read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next message.
    ///
    /// # Errors
    /// It is none that can stand here, or damaged.
    pub fn take(&mut self, message: &FlightData) -> Result<(), WireError> {
        let damaged = || Err(WireError::malformed("message", "its parts contradict each other"));
        guard::decode(|| self.take_unguarded(message)).unwrap_or_else(damaged)
    }

    fn take_unguarded(&mut self, message: &FlightData) -> Result<(), WireError> {
        let Some(response) = &mut self.response else {
            let header: Header = read("header", &message.app_metadata)?;
            if header.version != VERSION {
                return Err(WireError::Version { found: header.version, expected: VERSION });
            }
            let Header { instance, ranges, lanes, layouts, .. } = header;
            self.response = Some(LiveResponse { instance, ranges, lanes, layouts, batches: Vec::new() });
            return Ok(());
        };
        let malformed = |error: &dyn std::fmt::Display| WireError::malformed("message", error);
        let kind = root_as_message(&message.data_header).map_err(|error| malformed(&error))?.header_type();
        match kind {
            MessageHeader::Schema => {
                let schema = Schema::try_from(message).map_err(|error| malformed(&error))?;
                self.schema = Some(Arc::new(schema));
            }
            MessageHeader::RecordBatch => {
                let schema = self.schema.clone().ok_or_else(|| malformed(&"rows before their schema"))?;
                let place: Place = read("place", &message.app_metadata)?;
                let rows = flight_data_to_arrow_batch(message, schema, &HashMap::new())
                    .map_err(|error| malformed(&error))?;
                // The same columns as the table's, or reading them would go astray later.
                let expected = place.table.schema();
                if *rows.schema() != *expected {
                    return Err(malformed(&format!("its columns are not those of {}", place.table)));
                }
                response.batches.push(LiveBatch {
                    partition: LogPartition { topic: place.topic, partition: place.partition },
                    offset: place.offset,
                    tenant: place.tenant,
                    table: place.table,
                    rows,
                });
            }
            other => return Err(malformed(&format!("a message of kind {other:?}"))),
        }
        Ok(())
    }

    /// The whole answer.
    ///
    /// # Errors
    /// There was not even a header.
    pub fn finish(self) -> Result<LiveResponse, WireError> {
        self.response.ok_or_else(|| WireError::malformed("answer", "it is empty"))
    }
}

fn same(left: &SchemaRef, right: &SchemaRef) -> bool {
    Arc::ptr_eq(left, right) || left == right
}

fn json(what: &'static str, value: &impl Serialize) -> Result<Bytes, WireError> {
    let text = serde_json::to_vec(value).map_err(|error| WireError::malformed(what, error))?;
    Ok(text.into())
}

fn read<'a, T: Deserialize<'a>>(what: &'static str, bytes: &'a [u8]) -> Result<T, WireError> {
    serde_json::from_slice(bytes).map_err(|error| WireError::malformed(what, error))
}

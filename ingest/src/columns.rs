//! The rows of one message as columns of `logs`, while they grow.
//!
//! Values are appended to flat buffers as slices: no allocation per field.
//! Columns that are the same for every row of a source are not appended row by
//! row but filled in runs at the end.

mod map;
mod run;
mod text;

use std::sync::Arc;

use arrow_array::types::{Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{ArrayRef, PrimitiveArray, RecordBatch};
use arrow_buffer::NullBufferBuilder;
use weir_proto::model::{Source, TenantId};
use weir_proto::schema::log::{PROMOTED, schema};
use weir_proto::wire::batch::Line;

use crate::parse::Instant;

pub(crate) use map::MapColumn;
pub(crate) use text::{BytesColumn, TextColumn};

use run::Runs;

/// Growing columns. Whoever adds a row appends exactly one value to each of the
/// public columns and then calls [`Self::end_row`].
#[derive(Debug)]
pub(crate) struct Columns {
    pub(crate) severity_text: TextColumn,
    pub(crate) severity_number: OptionalColumn<Int16Type>,
    pub(crate) body: TextColumn,
    pub(crate) body_raw: BytesColumn,
    pub(crate) layout_id: OptionalColumn<Int64Type>,
    pub(crate) trace_id: TextColumn,
    pub(crate) span_id: TextColumn,
    pub(crate) attributes: MapColumn,
    timestamp: Vec<i64>,
    nanos: Vec<i16>,
    observed: Vec<i64>,
    flags: Vec<i32>,
    start: Vec<i64>,
    end: Vec<i64>,
    runs: Runs,
}

/// Numbers that may be null.
#[derive(Debug)]
pub(crate) struct OptionalColumn<T: arrow_array::types::ArrowPrimitiveType> {
    values: Vec<T::Native>,
    nulls: NullBufferBuilder,
}

impl Columns {
    /// Empty columns with room for about this many rows and bytes of text.
    pub(crate) fn with_capacity(rows: usize, text_bytes: usize) -> Self {
        Self {
            severity_text: TextColumn::with_capacity(rows, rows * 5),
            severity_number: OptionalColumn::with_capacity(rows),
            body: TextColumn::with_capacity(rows, text_bytes / 2),
            body_raw: BytesColumn::with_capacity(rows, 0),
            layout_id: OptionalColumn::with_capacity(rows),
            trace_id: TextColumn::with_capacity(rows, 0),
            span_id: TextColumn::with_capacity(rows, 0),
            attributes: MapColumn::with_capacity(rows, text_bytes / 2),
            timestamp: Vec::with_capacity(rows),
            nanos: Vec::with_capacity(rows),
            observed: Vec::with_capacity(rows),
            flags: Vec::with_capacity(rows),
            start: Vec::with_capacity(rows),
            end: Vec::with_capacity(rows),
            runs: Runs::default(),
        }
    }

    /// Rows that are complete.
    pub(crate) fn rows(&self) -> usize {
        self.timestamp.len()
    }

    /// Completes a row with what every line has.
    pub(crate) fn end_row(&mut self, line: &Line<'_>, instant: Instant, flags: i32) {
        self.timestamp.push(instant.micros);
        self.nanos.push(instant.nanos);
        self.observed.push(line.observed_micros);
        self.flags.push(flags);
        self.start.push(signed(line.range.start));
        self.end.push(signed(line.range.end));
        self.runs.push(line.source);
    }

    /// The rows in the table's schema. `sources` are those that the lines named.
    pub(crate) fn finish(self, tenant: &TenantId, sources: &[Source]) -> RecordBatch {
        let rows = self.rows();
        let runs = &self.runs;
        let promoted = |name: &str| -> ArrayRef {
            Arc::new(runs.text(sources, |source| resource(source, name)).finish())
        };
        let mut tenant_column = TextColumn::with_capacity(rows, 0);
        tenant_column.push_run(Some(tenant.as_str()), rows);
        let source_id = runs.text_of(sources, |source| Some(source.id.to_string()));
        let time = |values: Vec<i64>| -> ArrayRef {
            Arc::new(PrimitiveArray::<TimestampMicrosecondType>::from(values).with_timezone("UTC"))
        };
        let [service, rest @ ..] = PROMOTED.map(|(name, _)| name);
        let [cluster, namespace, pod, uid, container, node, host] = rest;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(tenant_column.finish()),
            time(self.timestamp),
            Arc::new(PrimitiveArray::<Int16Type>::from(self.nanos)),
            time(self.observed),
            promoted(service),
            Arc::new(self.severity_text.finish()),
            self.severity_number.finish(),
            Arc::new(self.body.finish()),
            Arc::new(self.body_raw.finish()),
            self.layout_id.finish(),
            Arc::new(self.trace_id.finish()),
            Arc::new(self.span_id.finish()),
            promoted(cluster),
            promoted(namespace),
            promoted(pod),
            promoted(uid),
            promoted(container),
            promoted(node),
            promoted(host),
            Arc::new(self.attributes.finish()),
            Arc::new(runs.map(sources, unpromoted).finish()),
            arrow_array::new_null_array(&arrow_schema::DataType::Int64, rows),
            Arc::new(PrimitiveArray::<Int32Type>::from(self.flags)),
            Arc::new(source_id.finish()),
            Arc::new(PrimitiveArray::<Int64Type>::from(self.start)),
            Arc::new(PrimitiveArray::<Int64Type>::from(self.end)),
        ];
        RecordBatch::try_new(schema(), columns).expect("columns follow the schema and have one value a row")
    }
}

impl<T: arrow_array::types::ArrowPrimitiveType> OptionalColumn<T> {
    fn with_capacity(rows: usize) -> Self {
        Self { values: Vec::with_capacity(rows), nulls: NullBufferBuilder::new(rows) }
    }

    pub(crate) fn push(&mut self, value: Option<T::Native>) {
        self.values.push(value.unwrap_or_default());
        self.nulls.append(value.is_some());
    }

    /// The last value that was appended; none when it is null.
    pub(crate) fn last(&self) -> Option<T::Native> {
        let index = self.values.len().checked_sub(1)?;
        self.nulls.is_valid(index).then(|| self.values[index])
    }

    fn finish(mut self) -> ArrayRef {
        Arc::new(PrimitiveArray::<T>::new(self.values.into(), self.nulls.finish()))
    }
}

/// Bytes that a row of this source takes in the columns that are filled in
/// runs: what bounds a message whose few bytes claim many.
pub(crate) fn bytes_per_row(source: &Source) -> usize {
    source.resource.iter().map(|(key, value)| key.len() + value.len() + 8).sum::<usize>() + 26
}

fn resource<'a>(source: &'a Source, name: &str) -> Option<&'a str> {
    source.resource.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// The resource attributes that have no column of their own, as entries.
fn unpromoted(source: &Source) -> impl Iterator<Item = (&str, &str)> {
    let is_promoted = |key: &str| PROMOTED.iter().any(|(name, _)| *name == key);
    let entries = source.resource.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    entries.filter(move |(key, _)| !is_promoted(key))
}

/// The batch's decoder has read the number from an `i64`.
fn signed(value: u64) -> i64 {
    i64::try_from(value).expect("an offset below 2^63")
}

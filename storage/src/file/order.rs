//! Live rows in the order of their table.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int64Type};
use arrow_array::{Array, RecordBatch, StringArray};
use arrow_schema::ArrowError;
use arrow_select::interleave::interleave_record_batch;
use weir_proto::schema::log::column;
use weir_proto::schema::metric::sample;
use weir_proto::schema::{Sort, Table};

use super::column::{schemas_agree, timestamps};
use crate::FileError;

/// Rows of a batch that comes out. A page of the file, and small enough that
/// the text of a batch stays far below the 2 GiB that its offsets can count.
const ROWS: usize = 8_192;

const MINUTE_MICROS: i64 = 60_000_000;
pub(super) const HOUR_MICROS: i64 = 60 * MINUTE_MICROS;

/// The span of time within which rows of a table are not ordered by time. An
/// hour holds it a whole number of times, so that any table can be parted by
/// hours.
pub(super) const fn grain_micros(table: Table) -> i64 {
    match table.sort() {
        Sort::Time => 1,
        Sort::MinuteTrace => MINUTE_MICROS,
        Sort::MetricSeriesTime => HOUR_MICROS,
    }
}

/// Sorts the rows of all batches as their table wants it, and returns them as
/// batches of a few thousand rows. Hours of event time follow each other in
/// every table, so that they can be parted into files.
///
/// - `logs`: as [`sort_by_time`].
/// - `spans`: by minute, trace and time. Spans of a trace lie together.
/// - `metric_samples`, `metric_series`: by hour, metric, series and time.
///
/// Rows that agree in all of it keep the order they came in. What it costs is
/// said at [`sort_by_time`].
pub fn sort(table: Table, batches: &[RecordBatch]) -> Result<Vec<RecordBatch>, FileError> {
    match table.sort() {
        Sort::Time => sort_by_time(batches),
        Sort::MinuteTrace => sort_in_groups(table, batches, |rows| {
            Ok(Group { name: text_of(rows, column::TRACE_ID)?, number: None })
        }),
        Sort::MetricSeriesTime => sort_in_groups(table, batches, |rows| {
            let number = column_of::<Int64Type>(rows, sample::column::SERIES_ID, "64-bit integer, not null")?;
            Ok(Group { name: text_of(rows, sample::column::METRIC)?, number: Some(number) })
        }),
    }
}

/// What lies together within a grain of time.
struct Group<'a> {
    name: &'a StringArray,
    number: Option<&'a arrow_array::Int64Array>,
}

impl Group<'_> {
    fn of(&self, row: u32) -> (&str, i64) {
        let row = row as usize;
        (self.name.value(row), self.number.map_or(0, |number| number.value(row)))
    }
}

fn sort_in_groups<'a>(
    table: Table,
    batches: &'a [RecordBatch],
    group: impl Fn(&'a RecordBatch) -> Result<Group<'a>, FileError>,
) -> Result<Vec<RecordBatch>, FileError> {
    agree(batches)?;
    let groups = batches.iter().map(group).collect::<Result<Vec<_>, _>>()?;
    let mut keys = keys(batches)?;
    let grain_micros = grain_micros(table);
    keys.sort_by(|left, right| {
        let grain = |key: &Key| key.time.div_euclid(grain_micros);
        let group = |key: &Key| groups[key.batch as usize].of(key.row);
        grain(left)
            .cmp(&grain(right))
            .then_with(|| group(left).cmp(&group(right)))
            .then_with(|| (left.time, left.nanos).cmp(&(right.time, right.nanos)))
    });
    taken(batches, &keys)
}

/// Sorts the rows of all batches by `timestamp`, `timestamp_nanos`,
/// `source_id` and `source_start`, and returns them as batches of a few
/// thousand rows. Rows that agree in all four keep the order they came in.
///
/// Input and output are both held until the input is dropped: the caller's
/// budget is twice the rows. The keys add 24 bytes a row.
pub fn sort_by_time(batches: &[RecordBatch]) -> Result<Vec<RecordBatch>, FileError> {
    agree(batches)?;
    let origins = batches.iter().map(Origin::of).collect::<Result<Vec<_>, _>>()?;
    let mut keys = keys(batches)?;
    // Stable, and quick on what is sorted in runs already, which lines of a
    // file mostly are.
    keys.sort_by(|left, right| {
        (left.time, left.nanos)
            .cmp(&(right.time, right.nanos))
            .then_with(|| left.origin(&origins).cmp(&right.origin(&origins)))
    });
    taken(batches, &keys)
}

fn agree(batches: &[RecordBatch]) -> Result<(), FileError> {
    let Some(first) = batches.first() else { return Ok(()) };
    if schemas_agree(batches, first.schema_ref()) {
        return Ok(());
    }
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    Err(FileError::Sort {
        rows,
        source: ArrowError::SchemaError("batches differ in their columns".to_owned()),
    })
}

/// A key for each row, in the order they came in.
fn keys(batches: &[RecordBatch]) -> Result<Vec<Key>, FileError> {
    let mut keys = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for (batch, rows) in batches.iter().enumerate() {
        let times = timestamps(rows, column::TIMESTAMP)?;
        let nanos = column_of::<Int16Type>(rows, column::TIMESTAMP_NANOS, "16-bit integer, not null")?;
        for row in 0..rows.num_rows() {
            keys.push(Key {
                time: times.value(row),
                nanos: nanos.value(row),
                batch: index(batch)?,
                row: index(row)?,
            });
        }
    }
    Ok(keys)
}

/// The rows in the order of the keys.
fn taken(batches: &[RecordBatch], keys: &[Key]) -> Result<Vec<RecordBatch>, FileError> {
    let batches: Vec<&RecordBatch> = batches.iter().collect();
    let mut sorted = Vec::with_capacity(keys.len().div_ceil(ROWS));
    for some in keys.chunks(ROWS) {
        let places: Vec<_> = some.iter().map(|key| (key.batch as usize, key.row as usize)).collect();
        let rows = interleave_record_batch(&batches, &places);
        sorted.push(rows.map_err(|source| FileError::Sort { rows: keys.len(), source })?);
    }
    Ok(sorted)
}

/// What a row is sorted by, and where it lies. The source is looked up where
/// times are equal only.
struct Key {
    time: i64,
    nanos: i16,
    batch: u32,
    row: u32,
}

impl Key {
    fn origin<'a>(&self, origins: &[Origin<'a>]) -> (&'a str, i64) {
        let origin = &origins[self.batch as usize];
        (origin.source.value(self.row as usize), origin.start.value(self.row as usize))
    }
}

/// Where the rows of a batch come from.
struct Origin<'a> {
    source: &'a StringArray,
    start: &'a arrow_array::Int64Array,
}

impl<'a> Origin<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, FileError> {
        let source = text_of(batch, column::SOURCE_ID)?;
        let start = column_of::<Int64Type>(batch, column::SOURCE_START, "64-bit integer, not null")?;
        Ok(Self { source, start })
    }
}

fn text_of<'a>(batch: &'a RecordBatch, name: &'static str) -> Result<&'a StringArray, FileError> {
    batch
        .column_by_name(name)
        .and_then(|values| values.as_string_opt::<i32>())
        .filter(|values| values.null_count() == 0)
        .ok_or(FileError::Column { column: name, expected: "text, not null" })
}

fn column_of<'a, T: arrow_array::ArrowPrimitiveType>(
    batch: &'a RecordBatch,
    name: &'static str,
    expected: &'static str,
) -> Result<&'a arrow_array::PrimitiveArray<T>, FileError> {
    batch
        .column_by_name(name)
        .and_then(|values| values.as_primitive_opt::<T>())
        .filter(|values| values.null_count() == 0)
        .ok_or(FileError::Column { column: name, expected })
}

/// Half the bytes of a `usize` in every key.
fn index(value: usize) -> Result<u32, FileError> {
    u32::try_from(value).map_err(|_| FileError::Sort {
        rows: value,
        source: ArrowError::ComputeError("more than 4 billion rows at once".to_owned()),
    })
}

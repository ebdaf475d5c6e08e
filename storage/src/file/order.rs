//! Live rows in the order of time.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int64Type};
use arrow_array::{Array, RecordBatch, StringArray};
use arrow_schema::ArrowError;
use arrow_select::interleave::interleave_record_batch;
use weir_proto::schema::log::column;

use super::column::{schemas_agree, timestamps};
use crate::FileError;

/// Rows of a batch that comes out. A page of the file, and small enough that
/// the text of a batch stays far below the 2 GiB that its offsets can count.
const ROWS: usize = 8_192;

/// Sorts the rows of all batches by `timestamp`, `timestamp_nanos`,
/// `source_id` and `source_start`, and returns them as batches of a few
/// thousand rows. Rows that agree in all four keep the order they came in.
///
/// Input and output are both held until the input is dropped: the caller's
/// budget is twice the rows. The keys add 24 bytes a row.
pub fn sort_by_time(batches: &[RecordBatch]) -> Result<Vec<RecordBatch>, FileError> {
    let Some(first) = batches.first() else { return Ok(Vec::new()) };
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    let failed = |source| FileError::Sort { rows, source };
    if !schemas_agree(batches, first.schema_ref()) {
        let differ = ArrowError::SchemaError("batches differ in their columns".to_owned());
        return Err(failed(differ));
    }
    let origins = batches.iter().map(Origin::of).collect::<Result<Vec<_>, _>>()?;
    let mut keys = Vec::with_capacity(rows);
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
    // Stable, and quick on what is sorted in runs already, which lines of a
    // file mostly are.
    keys.sort_by(|left, right| {
        (left.time, left.nanos)
            .cmp(&(right.time, right.nanos))
            .then_with(|| left.origin(&origins).cmp(&right.origin(&origins)))
    });
    let batches: Vec<&RecordBatch> = batches.iter().collect();
    let mut sorted = Vec::with_capacity(rows.div_ceil(ROWS));
    for keys in keys.chunks(ROWS) {
        let places: Vec<_> = keys.iter().map(|key| (key.batch as usize, key.row as usize)).collect();
        sorted.push(interleave_record_batch(&batches, &places).map_err(failed)?);
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
        let source = batch
            .column_by_name(column::SOURCE_ID)
            .and_then(|values| values.as_string_opt::<i32>())
            .filter(|values| values.null_count() == 0)
            .ok_or(FileError::Column { column: column::SOURCE_ID, expected: "text, not null" })?;
        let start = column_of::<Int64Type>(batch, column::SOURCE_START, "64-bit integer, not null")?;
        Ok(Self { source, start })
    }
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

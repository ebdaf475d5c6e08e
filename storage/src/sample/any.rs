//! Rows of any table for tests: what orders them is given, everything else is
//! made from the row's number by the column's type.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Float64Array, Int16Array, Int32Array, Int64Array, ListArray,
    MapArray, RecordBatch, StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field};
use weir_proto::schema::Table;

/// What orders a row: its time, the trace or metric, the series, and a number
/// that tells it from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) time: i64,
    pub(crate) group: String,
    pub(crate) series: i64,
    pub(crate) number: i64,
}

/// A batch in the table's schema.
pub(crate) fn events(table: Table, events: &[Event]) -> RecordBatch {
    let numbers: Vec<i64> = events.iter().map(|event| event.number).collect();
    let times = |shift: i64| -> ArrayRef {
        let times = events.iter().map(|event| event.time.saturating_add(shift));
        Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
    };
    let schema = table.schema();
    let column = |field: &Arc<Field>| -> ArrayRef {
        match field.name().as_str() {
            "timestamp" => times(0),
            "observed_timestamp" => times(5),
            "trace_id" | "metric" => {
                Arc::new(StringArray::from_iter_values(events.iter().map(|event| &event.group)))
            }
            "series_id" => Arc::new(Int64Array::from_iter_values(events.iter().map(|event| event.series))),
            _ => any(field, &numbers),
        }
    };
    let columns = schema.fields().iter().map(column).collect();
    RecordBatch::try_new(schema, columns).expect("the columns are those of the schema")
}

/// A value for each number; null where it may be and the number is odd.
fn any(field: &Field, numbers: &[i64]) -> ArrayRef {
    let is_there = |number: &i64| !field.is_nullable() || number % 2 == 0;
    let nulls = NullBuffer::from_iter(numbers.iter().map(is_there));
    macro_rules! each {
        ($array:ty, $value:expr) => {
            Arc::new(
                numbers.iter().map(|number| is_there(number).then(|| $value(*number))).collect::<$array>(),
            )
        };
    }
    match field.data_type() {
        DataType::Utf8 => each!(StringArray, |number: i64| format!("{}-{number}", field.name())),
        DataType::Binary => each!(BinaryArray, |number: i64| number.to_be_bytes()),
        DataType::Boolean => Arc::new(
            numbers.iter().map(|number| is_there(number).then(|| number % 4 == 0)).collect::<BooleanArray>(),
        ),
        DataType::Int16 => each!(Int16Array, |number: i64| (number % 1000) as i16),
        DataType::Int32 => each!(Int32Array, |number: i64| number as i32),
        DataType::Int64 => each!(Int64Array, |number: i64| number),
        DataType::Float64 => each!(Float64Array, |number: i64| number as f64 / 4.0),
        DataType::Timestamp(..) => {
            let times: TimestampMicrosecondArray =
                numbers.iter().map(|number| is_there(number).then_some(*number)).collect();
            Arc::new(times.with_timezone("UTC"))
        }
        DataType::List(item) => {
            let (offsets, items) = inner(numbers, is_there);
            Arc::new(ListArray::new(item.clone(), offsets, any(item, &items), Some(nulls)))
        }
        DataType::Map(entries, ordered) => {
            let (offsets, items) = inner(numbers, is_there);
            let DataType::Struct(fields) = entries.data_type() else { panic!("entries are structs") };
            let columns = fields.iter().map(|field| any(field, &items)).collect();
            let entries_array = StructArray::new(fields.clone(), columns, None);
            let nulls = field.is_nullable().then_some(nulls);
            Arc::new(MapArray::new(entries.clone(), offsets, entries_array, nulls, *ordered))
        }
        DataType::Struct(fields) => {
            let columns = fields.iter().map(|field| any(field, numbers)).collect();
            let nulls = field.is_nullable().then_some(nulls);
            Arc::new(StructArray::new(fields.clone(), columns, nulls))
        }
        other => panic!("no table has a column of type {other}"),
    }
}

/// None to two items for each number.
fn inner(numbers: &[i64], is_there: impl Fn(&i64) -> bool) -> (OffsetBuffer<i32>, Vec<i64>) {
    let items = |number: &i64| if is_there(number) { number.rem_euclid(3) } else { 0 };
    let offsets = OffsetBuffer::from_lengths(numbers.iter().map(|number| items(number) as usize));
    let items = numbers.iter().flat_map(|number| (0..items(number)).map(move |item| number * 10 + item));
    (offsets, items.collect())
}

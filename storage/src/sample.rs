//! Rows of `logs` for tests: any number, any times, with everything in them
//! that makes a column hard to carry.

pub(crate) mod any;

use std::sync::Arc;

use arrow_array::builder::{MapBuilder, MapFieldNames, StringBuilder};
use arrow_array::{
    ArrayRef, BinaryArray, Int16Array, Int32Array, Int64Array, MapArray, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use weir_proto::model::SourceId;
use weir_proto::schema::log;

/// What differs between rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) time: i64,
    pub(crate) nanos: i16,
    pub(crate) source: u8,
    pub(crate) start: i64,
    pub(crate) body: String,
}

/// A row at a time, from a source, with a text.
pub(crate) fn row(time: i64, source: u8, start: i64, body: &str) -> Row {
    Row { time, nanos: 0, source, start, body: body.to_owned() }
}

/// A batch in the schema of `logs`.
pub(crate) fn batch(rows: &[Row]) -> RecordBatch {
    let text = |of: &dyn Fn(&Row) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<StringArray>())
    };
    let times = |of: &dyn Fn(&Row) -> i64| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(of)).with_timezone("UTC"))
    };
    let odd = |row: &Row| row.start % 2 == 1;
    let columns = log::schema()
        .fields()
        .iter()
        .map(|field| -> ArrayRef {
            match field.name().as_str() {
                log::column::TENANT => text(&|_| Some("default".to_owned())),
                log::column::TIMESTAMP => times(&|row| row.time),
                log::column::TIMESTAMP_NANOS => {
                    Arc::new(Int16Array::from_iter_values(rows.iter().map(|row| row.nanos)))
                }
                log::column::OBSERVED_TIMESTAMP => times(&|row| row.time.saturating_add(5)),
                log::column::SEVERITY_NUMBER => {
                    Arc::new(rows.iter().map(|row| odd(row).then_some(9)).collect::<Int16Array>())
                }
                log::column::BODY => text(&|row| Some(row.body.clone())),
                log::column::BODY_RAW => Arc::new(
                    rows.iter().map(|row| odd(row).then_some(row.body.as_bytes())).collect::<BinaryArray>(),
                ),
                log::column::LAYOUT_ID => {
                    Arc::new(rows.iter().map(|row| odd(row).then_some(row.start)).collect::<Int64Array>())
                }
                log::column::TRACE_ID => text(&|row| odd(row).then(|| format!("{:032x}", row.start))),
                log::column::ATTRIBUTES | log::column::RESOURCE_ATTRIBUTES => Arc::new(map(rows)),
                log::column::TEMPLATE_ID => Arc::new(Int64Array::new_null(rows.len())),
                log::column::FLAGS => Arc::new(Int32Array::from_iter_values(rows.iter().map(|_| 1))),
                log::column::SOURCE_ID => {
                    text(&|row| Some(SourceId::from_u128(u128::from(row.source)).to_string()))
                }
                log::column::SOURCE_START => {
                    Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.start)))
                }
                log::column::SOURCE_END => {
                    Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.start + 1)))
                }
                _ => text(&|row| odd(row).then(|| format!("name-{}", row.source))),
            }
        })
        .collect();
    RecordBatch::try_new(log::schema(), columns).unwrap()
}

fn map(rows: &[Row]) -> MapArray {
    let names = MapFieldNames { entry: "entries".into(), key: "key".into(), value: "value".into() };
    let mut map = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    for row in rows {
        for entry in 0..row.start.rem_euclid(3) {
            map.keys().append_value(format!("key-{entry}"));
            map.values().append_option((entry == 0).then_some(&row.body));
        }
        map.append(true).unwrap();
    }
    map.finish()
}

/// Each row of the batches as text, in order: all columns, whole.
pub(crate) fn texts(batches: &[RecordBatch]) -> Vec<String> {
    let text = |batch: &RecordBatch, row: usize| {
        let columns = batch.columns().iter().map(|column| format!("{:?}", column.slice(row, 1)));
        columns.collect::<Vec<_>>().join("|")
    };
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |row| text(batch, row))).collect()
}

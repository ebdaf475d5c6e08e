//! Columns as text, for tests: `[1, 2]`, `{key: value}`, times in microseconds.

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};

use crate::schema::Table;
use crate::wire::Decoded;

pub(super) fn rows(decoded: &Decoded, table: Table) -> &RecordBatch {
    let found = decoded.tables.iter().find(|(of, _)| *of == table);
    &found.unwrap_or_else(|| panic!("no rows of {table}: {decoded:?}")).1
}

pub(super) fn cell(batch: &RecordBatch, column: &str, row: usize) -> String {
    text(batch.column_by_name(column).unwrap_or_else(|| panic!("no column {column}")), row)
}

#[track_caller]
pub(super) fn check(batch: &RecordBatch, row: usize, expected: &[(&str, &str)]) {
    for (column, value) in expected {
        assert_eq!(cell(batch, column, row), *value, "column {column}, row {row}");
    }
}

fn text(array: &dyn Array, row: usize) -> String {
    if array.is_null(row) {
        return "null".to_owned();
    }
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Int16 => array.as_primitive::<Int16Type>().value(row).to_string(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(row).to_string(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            array.as_primitive::<TimestampMicrosecondType>().value(row).to_string()
        }
        DataType::List(_) => {
            let items = array.as_list::<i32>().value(row);
            let items: Vec<_> = (0..items.len()).map(|item| text(&items, item)).collect();
            format!("[{}]", items.join(", "))
        }
        DataType::Map(_, _) => {
            let entries = array.as_map().value(row);
            let entry =
                |entry| format!("{}: {}", text(entries.column(0), entry), text(entries.column(1), entry));
            let entries: Vec<_> = (0..entries.len()).map(entry).collect();
            format!("{{{}}}", entries.join(", "))
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let parts = fields.iter().zip(columns);
            let parts: Vec<_> =
                parts.map(|(field, column)| format!("{}: {}", field.name(), text(column, row))).collect();
            format!("{{{}}}", parts.join(", "))
        }
        other => panic!("no text for {other}"),
    }
}

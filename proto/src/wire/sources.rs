//! What a message says of the streams it carries: its first IPC stream.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow_array::builder::{Int64Builder, ListBuilder, MapBuilder, StringBuilder, StructBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, Int32Array, PrimitiveArray, RecordBatch, StringArray, StructArray};
use arrow_buffer::Buffer;
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};

use super::ipc::{read_stream, write_stream};
use crate::DecodeError;
use crate::limit::BATCH_SOURCES_MAX;
use crate::model::{ByteRange, Counted, Drop, Source, SourceId};
use crate::schema::{map_entry_fields, map_type};

/// The stream's metadata where events are counted: for each source
/// `FROM:EVENTS`, or nothing, with commas between. As metadata and no column:
/// a reader that does not know it passes over it.
const COUNTED: &str = "weir.counted";

fn drop_fields() -> Fields {
    Fields::from(vec![
        Field::new("start", DataType::Int64, false),
        Field::new("end", DataType::Int64, false),
        Field::new("count", DataType::Int64, false),
        Field::new("reason", DataType::Utf8, false),
    ])
}

/// One row per source of the message; an event names its source by row number.
/// Two forms: the columns that every batch has, and those with `min_severity`,
/// which is written only where a source has one.
fn schema(has_min_severity: bool) -> SchemaRef {
    static SCHEMAS: LazyLock<[SchemaRef; 2]> = LazyLock::new(|| {
        let drop = Field::new("item", DataType::Struct(drop_fields()), false);
        let mut fields = vec![
            Field::new("source_id", DataType::Utf8, false),
            Field::new("resource", map_type(), false),
            Field::new("parser", DataType::Utf8, false),
            Field::new("covered_start", DataType::Int64, false),
            Field::new("covered_end", DataType::Int64, false),
            Field::new("drops", DataType::List(Arc::new(drop)), false),
        ];
        let short = Arc::new(Schema::new(fields.clone()));
        fields.push(Field::new("min_severity", DataType::Int32, true));
        [short, Arc::new(Schema::new(fields))]
    });
    SCHEMAS[usize::from(has_min_severity)].clone()
}

/// Appends the stream of `sources`.
pub(super) fn write(plain: &mut Vec<u8>, sources: &[Source]) {
    let batch = to_batch(sources);
    let schema = batch.schema();
    if sources.iter().all(|source| source.counted.is_none()) {
        return write_stream(plain, &schema, &batch);
    }
    let counted = |source: &Source| {
        source.counted.map_or_else(String::new, |counted| format!("{}:{}", counted.from, counted.events))
    };
    let counted = sources.iter().map(counted).collect::<Vec<_>>().join(",");
    let schema = Schema::clone(&schema).with_metadata(HashMap::from([(COUNTED.to_owned(), counted)]));
    write_stream(plain, &schema, &batch);
}

/// Cuts the stream of sources off `plain`.
pub(super) fn read(plain: &mut Buffer) -> Result<Vec<Source>, DecodeError> {
    let stream = read_stream(plain, "sources")?;
    let short = schema(false);
    let has_min_severity = stream.schema.fields().len() > short.fields().len();
    let counted = stream.schema.metadata().get(COUNTED).cloned();
    let mut sources = match stream.expect(&schema(has_min_severity), "sources")? {
        Some(batch) => from_batch(&batch)?,
        None => Vec::new(),
    };
    // What cannot be read is not counted: no event depends on it.
    for (source, counted) in sources.iter_mut().zip(counted.iter().flat_map(|text| text.split(','))) {
        source.counted = read_counted(counted, source.covered.start);
    }
    Ok(sources)
}

fn read_counted(text: &str, to: u64) -> Option<Counted> {
    let (from, events) = text.split_once(':')?;
    let counted = Counted { from: from.parse().ok()?, to, events: events.parse().ok()? };
    (counted.from <= to).then_some(counted)
}

fn to_batch(sources: &[Source]) -> RecordBatch {
    let has_min_severity = sources.iter().any(|source| source.min_severity.is_some());
    let text = |value: fn(&Source) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(sources.iter().map(value)))
    };
    let number = |value: fn(&Source) -> u64| -> ArrayRef {
        Arc::new(PrimitiveArray::<Int64Type>::from_iter_values(sources.iter().map(|s| signed(value(s)))))
    };
    let mut columns: Vec<ArrayRef> = vec![
        text(|source| source.id.to_string()),
        resources(sources),
        text(|source| source.parser.clone()),
        number(|source| source.covered.start),
        number(|source| source.covered.end),
        drops(sources),
    ];
    if has_min_severity {
        let levels = sources.iter().map(|source| source.min_severity.map(i32::from));
        columns.push(Arc::new(levels.collect::<Int32Array>()));
    }
    RecordBatch::try_new(schema(has_min_severity), columns).expect("columns follow the schema")
}

fn resources(sources: &[Source]) -> ArrayRef {
    let entries = map_entry_fields();
    let names = arrow_array::builder::MapFieldNames {
        entry: "entries".to_owned(),
        key: "key".to_owned(),
        value: "value".to_owned(),
    };
    let mut map = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new())
        .with_keys_field(entries[0].clone())
        .with_values_field(entries[1].clone());
    for source in sources {
        for (key, value) in &source.resource {
            map.keys().append_value(key);
            map.values().append_value(value);
        }
        map.append(true).expect("keys and values are appended in pairs");
    }
    Arc::new(map.finish())
}

fn drops(sources: &[Source]) -> ArrayRef {
    let item = Field::new("item", arrow_schema::DataType::Struct(drop_fields()), false);
    let mut list = ListBuilder::new(StructBuilder::from_fields(drop_fields(), 0)).with_field(Arc::new(item));
    for source in sources {
        for drop in &source.drops {
            let row = list.values();
            for (column, value) in [drop.range.start, drop.range.end, drop.count].into_iter().enumerate() {
                row.field_builder::<Int64Builder>(column).expect("an i64 column").append_value(signed(value));
            }
            row.field_builder::<StringBuilder>(3).expect("a text column").append_value(&drop.reason);
            row.append(true);
        }
        list.append(true);
    }
    Arc::new(list.finish())
}

fn from_batch(batch: &RecordBatch) -> Result<Vec<Source>, DecodeError> {
    if batch.num_rows() > BATCH_SOURCES_MAX {
        let (bytes, limit) = (batch.num_rows() as u64, BATCH_SOURCES_MAX as u64);
        return Err(DecodeError::Oversized { what: "number of sources", bytes, limit });
    }
    let ids = batch.column(0).as_string::<i32>();
    let resources = batch.column(1).as_map();
    let parsers = batch.column(2).as_string::<i32>();
    let starts = batch.column(3).as_primitive::<Int64Type>();
    let ends = batch.column(4).as_primitive::<Int64Type>();
    let drops = batch.column(5).as_list::<i32>();
    let levels = batch.column_by_name("min_severity").map(AsArray::as_primitive::<Int32Type>);
    (0..batch.num_rows())
        .map(|row| {
            Ok(Source {
                id: ids
                    .value(row)
                    .parse::<SourceId>()
                    .map_err(|error| DecodeError::malformed("source id", error))?,
                resource: pairs(&resources.value(row)),
                parser: parsers.value(row).to_owned(),
                min_severity: min_severity(levels, row)?,
                covered: byte_range(starts.value(row), ends.value(row))?,
                drops: read_drops(drops.value(row).as_struct())?,
                counted: None,
            })
        })
        .collect()
}

/// A row's minimum severity; none when the column is absent.
fn min_severity(levels: Option<&Int32Array>, row: usize) -> Result<Option<i16>, DecodeError> {
    let level = levels.filter(|levels| levels.is_valid(row)).map(|levels| levels.value(row));
    let level = level.map(i16::try_from).transpose();
    level.map_err(|error| DecodeError::malformed("minimum severity", error))
}

fn pairs(entries: &StructArray) -> Vec<(String, String)> {
    let keys = entries.column(0).as_string::<i32>();
    let values = entries.column(1).as_string::<i32>();
    keys.iter().zip(values).filter_map(|(key, value)| Some((key?.to_owned(), value?.to_owned()))).collect()
}

fn read_drops(rows: &StructArray) -> Result<Vec<Drop>, DecodeError> {
    let number = |column: usize, row: usize| rows.column(column).as_primitive::<Int64Type>().value(row);
    let reasons = rows.column(3).as_string::<i32>();
    (0..rows.len())
        .map(|row| {
            Ok(Drop {
                range: byte_range(number(0, row), number(1, row))?,
                count: u64::try_from(number(2, row))
                    .map_err(|error| DecodeError::malformed("drop", error))?,
                reason: reasons.value(row).to_owned(),
            })
        })
        .collect()
}

/// The range that two foreign numbers make.
pub(super) fn byte_range(start: i64, end: i64) -> Result<ByteRange, DecodeError> {
    match (u64::try_from(start), u64::try_from(end)) {
        (Ok(start), Ok(end)) if start <= end => Ok(ByteRange::new(start, end)),
        _ => Err(DecodeError::malformed("byte range", format!("[{start}, {end})"))),
    }
}

/// Offsets stay below 2^63: no file is that long.
pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).expect("an offset below 2^63")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_cannot_be_read_is_none() {
        let check = |text: &str, expected: Option<(u64, u64)>| {
            let expected = expected.map(|(from, events)| Counted { from, to: 9, events });
            assert_eq!(read_counted(text, 9), expected, "{text}");
        };
        check("0:5", Some((0, 5)));
        check("9:0", Some((9, 0)));
        for text in ["", "5", "10:1", "-1:1", "1:x", "1:2:3", "99999999999999999999:1"] {
            check(text, None);
        }
    }
}

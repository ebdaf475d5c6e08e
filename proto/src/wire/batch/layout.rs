//! The two schemas of a payload.

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};

use crate::schema::log::map_type;

pub(super) fn drop_fields() -> Fields {
    Fields::from(vec![
        Field::new("start", DataType::Int64, false),
        Field::new("end", DataType::Int64, false),
        Field::new("count", DataType::Int64, false),
        Field::new("reason", DataType::Utf8, false),
    ])
}

/// One row per source of the batch; a line names its source by row number.
pub(super) fn sources_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let drop = Field::new("item", DataType::Struct(drop_fields()), false);
        Arc::new(Schema::new(vec![
            Field::new("source_id", DataType::Utf8, false),
            Field::new("resource", map_type(), false),
            Field::new("parser", DataType::Utf8, false),
            Field::new("covered_start", DataType::Int64, false),
            Field::new("covered_end", DataType::Int64, false),
            Field::new("drops", DataType::List(Arc::new(drop)), false),
        ]))
    });
    SCHEMA.clone()
}

/// One row per line.
pub(super) fn lines_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        Arc::new(Schema::new(vec![
            Field::new("source", DataType::Int32, false),
            Field::new("start", DataType::Int64, false),
            Field::new("end", DataType::Int64, false),
            Field::new("observed_micros", DataType::Int64, false),
            Field::new("timestamp_nanos", DataType::Int64, true),
            Field::new("flags", DataType::Int32, false),
            Field::new("line", DataType::Binary, false),
        ]))
    });
    SCHEMA.clone()
}

//! The columns of lines.

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field, Schema, SchemaRef};

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

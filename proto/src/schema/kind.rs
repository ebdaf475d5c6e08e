//! The column types that several tables share.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, TimeUnit};

/// A UTC timestamp in microseconds.
pub fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The two fields of a map entry: a non-null key and a nullable value.
pub fn map_entry_fields() -> Fields {
    Fields::from(vec![Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Utf8, true)])
}

/// `Map<Utf8, Utf8>`, unsorted: the order of entries is the line's.
pub fn map_type() -> DataType {
    let entries = Field::new("entries", DataType::Struct(map_entry_fields()), false);
    DataType::Map(Arc::new(entries), false)
}

/// A list of non-null items.
pub fn list_type(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("item", item, false)))
}

/// A list of non-null rows of `fields`.
pub fn struct_list_type(fields: Fields) -> DataType {
    list_type(DataType::Struct(fields))
}

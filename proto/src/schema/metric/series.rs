//! The `metric_series` table.

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::schema::{map_type, timestamp_type};

/// The table's name in SQL, in paths and in the catalog.
pub const TABLE: &str = "metric_series";

/// Column names, in the order of the schema.
pub mod column {
    /// Whose row it is.
    pub const TENANT: &str = "tenant";
    /// The time of the series' last point in its batch.
    pub const TIMESTAMP: &str = "timestamp";
    /// The nanoseconds (0-999) that `timestamp` does not hold.
    pub const TIMESTAMP_NANOS: &str = "timestamp_nanos";
    /// When a receiver read the batch.
    pub const OBSERVED_TIMESTAMP: &str = "observed_timestamp";
    /// The time of the series' first point in its batch.
    pub const FIRST_TIMESTAMP: &str = "first_timestamp";
    /// A hash of all that makes the series: `docs/tables.md`.
    pub const SERIES_ID: &str = "series_id";
    /// The metric's name.
    pub const METRIC: &str = "metric";
    /// One of [`super::super::kind`].
    pub const KIND: &str = "kind";
    /// What the values count, in UCUM.
    pub const UNIT: &str = "unit";
    /// What the metric means.
    pub const DESCRIPTION: &str = "description";
    /// One of [`super::super::temporality`]; null where it has no meaning.
    pub const TEMPORALITY: &str = "temporality";
    /// A sum that only grows.
    pub const IS_MONOTONIC: &str = "is_monotonic";
    /// `service.name` of the resource.
    pub const SERVICE_NAME: &str = "service_name";
    /// The points' attributes.
    pub const LABELS: &str = "labels";
    /// What the resource says, without `service.name`.
    pub const RESOURCE_ATTRIBUTES: &str = "resource_attributes";
    /// The instrumentation scope's name.
    pub const SCOPE_NAME: &str = "scope_name";
    /// The instrumentation scope's version.
    pub const SCOPE_VERSION: &str = "scope_version";
    /// Which receiver or partition it came through.
    pub const SOURCE_ID: &str = "source_id";
    /// Its number in the source.
    pub const SOURCE_START: &str = "source_start";
    /// The number after it.
    pub const SOURCE_END: &str = "source_end";
}

/// The schema of `metric_series`, sorted by metric, series and time within a
/// file.
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        use column::*;
        let text = |name| Field::new(name, DataType::Utf8, true);
        Arc::new(Schema::new(vec![
            Field::new(TENANT, DataType::Utf8, false),
            Field::new(TIMESTAMP, timestamp_type(), false),
            Field::new(TIMESTAMP_NANOS, DataType::Int16, false),
            Field::new(OBSERVED_TIMESTAMP, timestamp_type(), false),
            Field::new(FIRST_TIMESTAMP, timestamp_type(), false),
            Field::new(SERIES_ID, DataType::Int64, false),
            Field::new(METRIC, DataType::Utf8, false),
            Field::new(KIND, DataType::Utf8, false),
            text(UNIT),
            text(DESCRIPTION),
            text(TEMPORALITY),
            Field::new(IS_MONOTONIC, DataType::Boolean, true),
            text(SERVICE_NAME),
            Field::new(LABELS, map_type(), false),
            Field::new(RESOURCE_ATTRIBUTES, map_type(), false),
            text(SCOPE_NAME),
            text(SCOPE_VERSION),
            Field::new(SOURCE_ID, DataType::Utf8, false),
            Field::new(SOURCE_START, DataType::Int64, false),
            Field::new(SOURCE_END, DataType::Int64, false),
        ]))
    });
    SCHEMA.clone()
}

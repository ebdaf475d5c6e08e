//! The `metric_samples` table.

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};

use crate::schema::{list_type, map_type, struct_list_type, timestamp_type};

/// The table's name in SQL, in paths and in the catalog.
pub const TABLE: &str = "metric_samples";

/// Column names, in the order of the schema.
pub mod column {
    /// Whose row it is.
    pub const TENANT: &str = "tenant";
    /// The point's time, microseconds, UTC.
    pub const TIMESTAMP: &str = "timestamp";
    /// The nanoseconds (0-999) that `timestamp` does not hold.
    pub const TIMESTAMP_NANOS: &str = "timestamp_nanos";
    /// When a receiver read the point.
    pub const OBSERVED_TIMESTAMP: &str = "observed_timestamp";
    /// Since when a sum or histogram counts; null: not known.
    pub const START_TIMESTAMP: &str = "start_timestamp";
    /// The metric's name.
    pub const METRIC: &str = "metric";
    /// One of [`super::super::kind`].
    pub const KIND: &str = "kind";
    /// One of [`super::super::temporality`]; null where it has no meaning.
    pub const TEMPORALITY: &str = "temporality";
    /// A sum that only grows.
    pub const IS_MONOTONIC: &str = "is_monotonic";
    /// Which row of `metric_series` says the labels.
    pub const SERIES_ID: &str = "series_id";
    /// `service.name` of the resource.
    pub const SERVICE_NAME: &str = "service_name";
    /// The value of a gauge or sum; the nearest double of an integer.
    pub const VALUE: &str = "value";
    /// The exact value where an integer was sent.
    pub const VALUE_INT: &str = "value_int";
    /// Measurements in a histogram or summary.
    pub const COUNT: &str = "count";
    /// Their sum.
    pub const SUM: &str = "sum";
    /// The least of them.
    pub const MIN: &str = "min";
    /// The greatest of them.
    pub const MAX: &str = "max";
    /// Histogram: measurements per bucket, one more than there are bounds.
    pub const BUCKET_COUNTS: &str = "bucket_counts";
    /// Histogram: upper bounds, each inside its bucket.
    pub const EXPLICIT_BOUNDS: &str = "explicit_bounds";
    /// Exponential histogram: bounds grow by 2^(2^-scale).
    pub const SCALE: &str = "scale";
    /// Exponential histogram: measurements around zero.
    pub const ZERO_COUNT: &str = "zero_count";
    /// Exponential histogram: how far from zero "around zero" reaches.
    pub const ZERO_THRESHOLD: &str = "zero_threshold";
    /// Exponential histogram: index of the first positive bucket.
    pub const POSITIVE_OFFSET: &str = "positive_offset";
    /// Exponential histogram: counts from that bucket on.
    pub const POSITIVE_COUNTS: &str = "positive_counts";
    /// Exponential histogram: index of the first negative bucket.
    pub const NEGATIVE_OFFSET: &str = "negative_offset";
    /// Exponential histogram: counts from that bucket on.
    pub const NEGATIVE_COUNTS: &str = "negative_counts";
    /// Summary: [`super::quantile_fields`].
    pub const QUANTILES: &str = "quantiles";
    /// Single measurements: [`super::exemplar_fields`].
    pub const EXEMPLARS: &str = "exemplars";
    /// The series has ended: the point says that there is no value.
    pub const IS_STALE: &str = "is_stale";
    /// Bits of [`crate::model::flags`].
    pub const FLAGS: &str = "flags";
    /// Which receiver or partition it came through.
    pub const SOURCE_ID: &str = "source_id";
    /// Its number in the source.
    pub const SOURCE_START: &str = "source_start";
    /// The number after it.
    pub const SOURCE_END: &str = "source_end";
}

/// One entry of `quantiles`.
pub fn quantile_fields() -> Fields {
    Fields::from(vec![
        Field::new("quantile", DataType::Float64, false),
        Field::new("value", DataType::Float64, false),
    ])
}

/// One entry of `exemplars`.
pub fn exemplar_fields() -> Fields {
    Fields::from(vec![
        Field::new("timestamp", timestamp_type(), false),
        Field::new("value", DataType::Float64, false),
        Field::new("trace_id", DataType::Utf8, true),
        Field::new("span_id", DataType::Utf8, true),
        Field::new("attributes", map_type(), false),
    ])
}

/// The schema of `metric_samples`, sorted by metric, series and time within a
/// file.
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        use column::*;
        let maybe = |name, kind| Field::new(name, kind, true);
        Arc::new(Schema::new(vec![
            Field::new(TENANT, DataType::Utf8, false),
            Field::new(TIMESTAMP, timestamp_type(), false),
            Field::new(TIMESTAMP_NANOS, DataType::Int16, false),
            Field::new(OBSERVED_TIMESTAMP, timestamp_type(), false),
            maybe(START_TIMESTAMP, timestamp_type()),
            Field::new(METRIC, DataType::Utf8, false),
            Field::new(KIND, DataType::Utf8, false),
            maybe(TEMPORALITY, DataType::Utf8),
            maybe(IS_MONOTONIC, DataType::Boolean),
            Field::new(SERIES_ID, DataType::Int64, false),
            maybe(SERVICE_NAME, DataType::Utf8),
            maybe(VALUE, DataType::Float64),
            maybe(VALUE_INT, DataType::Int64),
            maybe(COUNT, DataType::Int64),
            maybe(SUM, DataType::Float64),
            maybe(MIN, DataType::Float64),
            maybe(MAX, DataType::Float64),
            maybe(BUCKET_COUNTS, list_type(DataType::Int64)),
            maybe(EXPLICIT_BOUNDS, list_type(DataType::Float64)),
            maybe(SCALE, DataType::Int32),
            maybe(ZERO_COUNT, DataType::Int64),
            maybe(ZERO_THRESHOLD, DataType::Float64),
            maybe(POSITIVE_OFFSET, DataType::Int32),
            maybe(POSITIVE_COUNTS, list_type(DataType::Int64)),
            maybe(NEGATIVE_OFFSET, DataType::Int32),
            maybe(NEGATIVE_COUNTS, list_type(DataType::Int64)),
            maybe(QUANTILES, struct_list_type(quantile_fields())),
            maybe(EXEMPLARS, struct_list_type(exemplar_fields())),
            Field::new(IS_STALE, DataType::Boolean, false),
            Field::new(FLAGS, DataType::Int32, false),
            Field::new(SOURCE_ID, DataType::Utf8, false),
            Field::new(SOURCE_START, DataType::Int64, false),
            Field::new(SOURCE_END, DataType::Int64, false),
        ]))
    });
    SCHEMA.clone()
}

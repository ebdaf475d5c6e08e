//! How each column is stored, and how the columns that every table has are
//! found.

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, RecordBatch, TimestampMicrosecondArray};
use arrow_schema::{DataType, Schema};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::{ColumnPath, SchemaDescriptor};
use weir_proto::schema::log::column;
use weir_proto::schema::span;

use super::WriteOptions;
use crate::FileError;

/// Ids that people look up one at a time: statistics do not narrow them down,
/// a bloom filter does.
const LOOKED_UP: [&str; 3] = [column::TRACE_ID, span::column::TRACE_ID_LOW, column::SPAN_ID];

/// Values that hardly repeat: a dictionary would be built, outgrown and thrown
/// away for each row group.
const HARDLY_REPEATS: [&str; 4] = [column::BODY, column::BODY_RAW, column::TRACE_ID, column::SPAN_ID];

/// Integers that grow by small steps, besides timestamps.
const GROWS: [&str; 2] = [column::SOURCE_START, column::SOURCE_END];

/// Leaf columns whose smallest and largest value rule nothing out: free text,
/// random ids, and the entries of maps. Comparing them costs a tenth of the
/// writing.
const UNORDERED: [&[&str]; 8] = [
    &[column::BODY],
    &[column::BODY_RAW],
    &[column::TRACE_ID],
    &[column::SPAN_ID],
    &[column::ATTRIBUTES, "entries", "key"],
    &[column::ATTRIBUTES, "entries", "value"],
    &[column::RESOURCE_ATTRIBUTES, "entries", "key"],
    &[column::RESOURCE_ATTRIBUTES, "entries", "value"],
];

/// One in this many lookups of an absent id reads a row group in vain.
const BLOOM_FALSE_POSITIVES: f64 = 0.01;

/// Longer values are cut in statistics: their beginning is what prunes.
const STATISTICS_BYTES_MAX: usize = 64;

/// The writer's settings for these rows.
pub(super) fn properties(
    batches: &[RecordBatch],
    order: Option<Vec<SortingColumn>>,
    metadata: Vec<KeyValue>,
    options: &WriteOptions,
) -> Result<WriterProperties, ParquetError> {
    let mut builder = WriterProperties::builder()
        .set_created_by(concat!("weir version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(options.zstd_level)?))
        .set_max_row_group_row_count(Some(options.row_group_rows))
        .set_max_row_group_bytes(Some(options.row_group_bytes))
        .set_data_page_row_count_limit(options.page_rows)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_statistics_truncate_length(Some(STATISTICS_BYTES_MAX))
        .set_column_index_truncate_length(Some(STATISTICS_BYTES_MAX))
        .set_sorting_columns(order)
        .set_key_value_metadata(Some(metadata));
    for path in UNORDERED {
        let path = ColumnPath::new(path.iter().map(|part| (*part).to_owned()).collect());
        builder = builder.set_column_statistics_enabled(path, EnabledStatistics::None);
    }
    if let Some(first) = batches.first() {
        for field in first.schema().fields() {
            builder = column_properties(builder, field.name(), field.data_type(), batches, options);
        }
    }
    Ok(builder.build())
}

fn column_properties(
    mut builder: WriterPropertiesBuilder,
    name: &str,
    data_type: &DataType,
    batches: &[RecordBatch],
    options: &WriteOptions,
) -> WriterPropertiesBuilder {
    let path = ColumnPath::new(vec![name.to_owned()]);
    if matches!(data_type, DataType::Timestamp(..)) || GROWS.contains(&name) {
        builder = builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED);
    }
    if HARDLY_REPEATS.contains(&name) {
        builder = builder.set_column_dictionary_enabled(path.clone(), false);
    }
    let values: usize = batches.iter().map(|batch| values_in(batch, name)).sum();
    if LOOKED_UP.contains(&name) && values > 0 {
        let distinct_max = values.min(options.row_group_rows) as u64;
        builder = builder
            .set_column_bloom_filter_fpp(path.clone(), BLOOM_FALSE_POSITIVES)
            .set_column_bloom_filter_max_ndv(path, distinct_max);
    }
    builder
}

/// The sort order as Parquet states it: leaf columns by number.
pub(super) fn timestamp_order(schema: &SchemaDescriptor) -> Option<Vec<SortingColumn>> {
    let leaf = schema.columns().iter().position(|leaf| leaf.path().string() == column::TIMESTAMP)?;
    let column_idx = i32::try_from(leaf).ok()?;
    Some(vec![SortingColumn { column_idx, descending: false, nulls_first: false }])
}

fn values_in(batch: &RecordBatch, name: &str) -> usize {
    batch.column_by_name(name).map_or(0, |values| values.len() - values.null_count())
}

/// A timestamp column without nulls.
pub(super) fn timestamps<'a>(
    batch: &'a RecordBatch,
    name: &'static str,
) -> Result<&'a TimestampMicrosecondArray, FileError> {
    batch
        .column_by_name(name)
        .and_then(|values| values.as_primitive_opt::<TimestampMicrosecondType>())
        .filter(|values| values.null_count() == 0)
        .ok_or(FileError::Column { column: name, expected: "timestamp in microseconds, not null" })
}

/// True when all batches have the schema of the first.
pub(super) fn schemas_agree(batches: &[RecordBatch], schema: &Schema) -> bool {
    batches.iter().all(|batch| batch.schema_ref().as_ref() == schema)
}

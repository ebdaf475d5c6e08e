//! How each column is stored, and how the columns that every table has are
//! found.

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, RecordBatch, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::{ColumnPath, SchemaDescriptor};
use weir_proto::schema::log::column;
use weir_proto::schema::{Sort, Table, span};

use super::WriteOptions;
use crate::FileError;

/// What is particular to the columns of a table. What is not named is stored
/// with a dictionary and with statistics, as Parquet's writer does by itself.
struct Particular {
    /// Ids that people look up one at a time: a bloom filter narrows them down.
    looked_up: &'static [&'static str],
    /// Values that hardly repeat: a dictionary would be built, outgrown and
    /// thrown away for each row group.
    hardly_repeats: &'static [&'static str],
    /// Values whose smallest and largest rule nothing out: free text and random
    /// ids, where the rows are not sorted by them. Comparing them costs a tenth
    /// of the writing. So do the leaves of maps, lists and structs, in every
    /// table.
    unordered: &'static [&'static str],
}

const LOGS: Particular = Particular {
    looked_up: &[column::TRACE_ID, column::SPAN_ID],
    hardly_repeats: &[column::BODY, column::BODY_RAW, column::TRACE_ID, column::SPAN_ID],
    unordered: &[column::BODY, column::BODY_RAW, column::TRACE_ID, column::SPAN_ID],
};

/// Rows of a trace lie together: its id repeats, and the pages of a minute hold
/// a range of ids each.
const SPANS: Particular = Particular {
    looked_up: &[span::column::TRACE_ID, span::column::TRACE_ID_LOW],
    hardly_repeats: &[
        span::column::SPAN_ID,
        span::column::PARENT_SPAN_ID,
        span::column::DURATION_NS,
        span::column::STATUS_MESSAGE,
    ],
    unordered: &[
        span::column::TRACE_ID_LOW,
        span::column::SPAN_ID,
        span::column::PARENT_SPAN_ID,
        span::column::STATUS_MESSAGE,
        span::column::TRACE_STATE,
    ],
};

/// Sorted by metric and series, so statistics find both.
const METRICS: Particular = Particular { looked_up: &[], hardly_repeats: &[], unordered: &[] };

const fn particular(table: Table) -> &'static Particular {
    match table {
        Table::Logs | Table::Matches => &LOGS,
        Table::Spans => &SPANS,
        Table::MetricSamples | Table::MetricSeries => &METRICS,
    }
}

/// Integers that grow by small steps, besides timestamps.
const GROWS: [&str; 2] = [column::SOURCE_START, column::SOURCE_END];

/// One in this many lookups of an absent id reads a row group in vain.
const BLOOM_FALSE_POSITIVES: f64 = 0.01;

/// Longer values are cut in statistics: their beginning is what prunes.
const STATISTICS_BYTES_MAX: usize = 64;

/// The writer's settings for these rows.
pub(super) fn properties(
    table: Table,
    batches: &[RecordBatch],
    parquet_schema: &SchemaDescriptor,
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
        .set_sorting_columns(order(table, parquet_schema))
        .set_key_value_metadata(Some(metadata));
    let particular = particular(table);
    for leaf in parquet_schema.columns() {
        let path = leaf.path();
        let is_nested = path.parts().len() > 1;
        if is_nested || particular.unordered.contains(&path.string().as_str()) {
            builder = builder.set_column_statistics_enabled(path.clone(), EnabledStatistics::None);
        }
    }
    if let Some(first) = batches.first() {
        for field in first.schema().fields() {
            builder = column_properties(builder, particular, field, batches, options);
        }
    }
    Ok(builder.build())
}

fn column_properties(
    mut builder: WriterPropertiesBuilder,
    particular: &Particular,
    field: &Field,
    batches: &[RecordBatch],
    options: &WriteOptions,
) -> WriterPropertiesBuilder {
    let name = field.name().as_str();
    let path = ColumnPath::new(vec![name.to_owned()]);
    if matches!(field.data_type(), DataType::Timestamp(..)) || GROWS.contains(&name) {
        builder = builder
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_encoding(path.clone(), Encoding::DELTA_BINARY_PACKED);
    }
    if particular.hardly_repeats.contains(&name) {
        builder = builder.set_column_dictionary_enabled(path.clone(), false);
    }
    let is_looked_up = particular.looked_up.contains(&name);
    let values: usize = batches.iter().filter(|_| is_looked_up).map(|batch| values_in(batch, name)).sum();
    if values > 0 {
        let distinct_max = values.min(options.row_group_rows) as u64;
        builder = builder
            .set_column_bloom_filter_fpp(path.clone(), BLOOM_FALSE_POSITIVES)
            .set_column_bloom_filter_max_ndv(path, distinct_max);
    }
    builder
}

/// The sort order as Parquet states it: leaf columns by number. It has no words
/// for an order by minutes or hours.
fn order(table: Table, schema: &SchemaDescriptor) -> Option<Vec<SortingColumn>> {
    if table.sort() != Sort::Time {
        return None;
    }
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

//! Reading the files of a table.

use std::sync::Arc;

use datafusion::arrow::compute::SortOptions;
use datafusion::catalog::Session;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, DataFusionError, Result, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use weir_proto::schema::{Sort, Table, log, span};
use weir_storage::catalog::FileEntry;

use super::store;

/// The columns whose bytes are most of a row. Reading them only for rows that
/// passed the filter pays; for narrow columns it costs more than it saves.
const fn wide(table: Table) -> &'static [&'static str] {
    match table {
        Table::Logs => &[log::column::BODY, log::column::ATTRIBUTES, log::column::BODY_RAW],
        Table::Spans => &[
            span::column::ATTRIBUTES,
            span::column::RESOURCE_ATTRIBUTES,
            span::column::EVENTS,
            span::column::LINKS,
        ],
        // Numbers, and what a series says once per batch.
        Table::MetricSamples | Table::MetricSeries => &[],
        // Few rows, and whoever asks wants all of them.
        Table::Matches => &[],
    }
}

/// A scan of `files`. The optimizer brings the filters to it later; that there
/// will be some decides how rows are read.
pub(super) fn files(
    session: &dyn Session,
    table: Table,
    files: &[&FileEntry],
    projection: Option<&Vec<usize>>,
    filtered: bool,
    limit: Option<usize>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let runtime = session.runtime_env();
    let store = runtime.object_store(store::url())?;
    let footers = runtime.cache_manager.get_file_metadata_cache();
    let mut options = session.default_table_options().parquet;
    options.global.pushdown_filters = filtered && is_wide(table, projection);
    let source = ParquetSource::new(table.schema())
        .with_table_parquet_options(options)
        .with_parquet_file_reader_factory(Arc::new(CachedParquetFileReaderFactory::new(store, footers)));
    let config = FileScanConfigBuilder::new(store::url(), Arc::new(source))
        .with_file_groups(groups(table, files, session.config().target_partitions())?)
        .with_statistics(statistics(table, files)?)
        .with_output_ordering(ordering(table)?)
        .with_projection_indices(projection.cloned())?
        .with_limit(limit)
        .build();
    Ok(DataSourceExec::from_data_source(config))
}

fn is_wide(table: Table, projection: Option<&Vec<usize>>) -> bool {
    let (schema, wide) = (table.schema(), wide(table));
    let is_wide = |index: &usize| wide.contains(&schema.field(*index).name().as_str());
    !wide.is_empty() && projection.is_none_or(|columns| columns.iter().any(is_wide))
}

/// Deals the files out, oldest first, so that each group is in order of time
/// when its files are and do not overlap. DataFusion checks that by the
/// statistics and forgets the declared order otherwise.
fn groups(table: Table, files: &[&FileEntry], count: usize) -> Result<Vec<FileGroup>> {
    let mut ordered = files.to_vec();
    ordered.sort_by_key(|file| (file.time.min_micros, file.time.max_micros));
    let mut groups = vec![Vec::new(); count.clamp(1, ordered.len().max(1))];
    let width = groups.len();
    for (index, file) in ordered.into_iter().enumerate() {
        groups[index % width].push(partitioned(table, file)?);
    }
    Ok(groups.into_iter().map(FileGroup::new).collect())
}

fn partitioned(table: Table, file: &FileEntry) -> Result<PartitionedFile> {
    Ok(PartitionedFile::new(file.path.clone(), file.bytes)
        .with_statistics(Arc::new(statistics(table, &[file])?)))
}

/// What the catalog knows of the files: enough to count rows and to skip files
/// without opening them.
fn statistics(table: Table, files: &[&FileEntry]) -> Result<Statistics> {
    let schema = table.schema();
    let mut found = Statistics::new_unknown(&schema);
    let Some(first) = files.first() else { return Ok(found) };
    let time = files.iter().fold(first.time, |sum, file| sum.union(file.time));
    let rows: u64 = files.iter().map(|file| file.rows).sum();
    found.num_rows = Precision::Exact(usize::try_from(rows).unwrap_or(usize::MAX));
    let instant = |micros| ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into()));
    found.column_statistics[schema.index_of(log::column::TIMESTAMP)?] = ColumnStatistics::new_unknown()
        .with_null_count(Precision::Exact(0))
        .with_min_value(Precision::Exact(instant(time.min_micros)))
        .with_max_value(Precision::Exact(instant(time.max_micros)));
    Ok(found)
}

/// The order that the files' rows are in, as far as a plan can use it: time.
/// Others sort for pruning (a trace's spans, a series' samples side by side),
/// and promising nothing is always right.
fn ordering(table: Table) -> Result<Vec<LexOrdering>> {
    if table.sort() != Sort::Time {
        return Ok(Vec::new());
    }
    let column = Arc::new(Column::new_with_schema(log::column::TIMESTAMP, &table.schema())?);
    let options = SortOptions { descending: false, nulls_first: false };
    let by_time = LexOrdering::new([PhysicalSortExpr::new(column, options)])
        .ok_or_else(|| DataFusionError::Internal("an ordering without columns".to_owned()))?;
    Ok(vec![by_time])
}

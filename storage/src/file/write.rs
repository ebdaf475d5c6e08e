//! From sorted rows to the bytes of a file.

use arrow_array::RecordBatch;
use bytes::Bytes;
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowWriter, ArrowWriterOptions};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use weir_proto::schema::Table;
use weir_proto::schema::log::column::{OBSERVED_TIMESTAMP, TIMESTAMP};
use weir_runtime::failpoint;

use super::Footer;
use super::column::{properties, schemas_agree, timestamps};
use super::footer::{FOOTER_KEY, FORMAT, FORMAT_KEY};
use super::order::grain_micros;
use crate::FileError;
use crate::catalog::TimeRange;

/// How a file is written. The defaults are those of a flush.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteOptions {
    /// zstd's level: 1 for a flush, which must keep up; more for what is
    /// written once and read for long.
    pub zstd_level: i32,
    /// Rows of a row group. It is the unit of parallel reading, and of what a
    /// bloom filter can rule out.
    pub row_group_rows: usize,
    /// Bytes of a row group before compression: with long lines, rows alone
    /// would not bound the writer's memory.
    pub row_group_bytes: usize,
    /// Rows of a page, the least that a selective read decompresses.
    pub page_rows: usize,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { zstd_level: 1, row_group_rows: 131_072, row_group_bytes: 64 << 20, page_rows: 8_192 }
    }
}

/// A file that is ready to be put.
#[derive(Clone, Debug)]
pub struct WrittenFile {
    /// Its content.
    pub bytes: Bytes,
    /// Its rows.
    pub rows: u64,
    /// Event times of its rows.
    pub time: TimeRange,
    /// Observed times of its rows.
    pub observed: TimeRange,
    /// CRC-32C of its content.
    pub crc32c: u32,
}

/// Writes rows that are sorted as the footer's table wants it.
///
/// # Errors
/// [`FileError::Unsorted`] when they go back in time further than the table's
/// order lets them: readers rely on it.
pub fn write(rows: &RecordBatch, footer: &Footer, options: &WriteOptions) -> Result<WrittenFile, FileError> {
    write_batches(std::slice::from_ref(rows), footer, options)
}

/// Writes several batches that are sorted, each and one after the other, as the
/// footer's table wants it.
///
/// # Errors
/// As [`write()`].
pub fn write_batches(
    batches: &[RecordBatch],
    footer: &Footer,
    options: &WriteOptions,
) -> Result<WrittenFile, FileError> {
    let rows = batches.iter().map(RecordBatch::num_rows).sum::<usize>() as u64;
    let table = Table::of_name(&footer.table).ok_or_else(|| FileError::NoTable(footer.table.clone()))?;
    let time = sorted_range(table, batches)?;
    let observed = range_of(batches, OBSERVED_TIMESTAMP)?;
    let metadata = vec![
        KeyValue::new(FORMAT_KEY.to_owned(), FORMAT.to_owned()),
        KeyValue::new(FOOTER_KEY.to_owned(), footer.to_json()?),
    ];
    let reach = |place| failpoint::reach(place).map_err(|failed| ParquetError::External(failed.into()));
    let content = reach("storage.encode.before")
        .and_then(|()| encode(table, batches, metadata, options))
        .and_then(|content| reach("storage.encode.after").map(|()| content))
        .map_err(|source| FileError::Write { table: footer.table.clone(), source })?;
    let crc32c = crc32c::crc32c(&content);
    Ok(WrittenFile { bytes: content.into(), rows, time, observed, crc32c })
}

fn encode(
    table: Table,
    batches: &[RecordBatch],
    metadata: Vec<KeyValue>,
    options: &WriteOptions,
) -> Result<Vec<u8>, ParquetError> {
    let schema = batches.first().ok_or_else(|| ParquetError::General("no batch".to_owned()))?.schema();
    if !schemas_agree(batches, &schema) {
        return Err(ParquetError::General("batches differ in their columns".to_owned()));
    }
    let parquet_schema = ArrowSchemaConverter::new().convert(&schema)?;
    let properties = properties(table, batches, &parquet_schema, metadata, options)?;
    // Without the embedded Arrow schema every engine sees the same file: the
    // Parquet types alone say all that our portable types need.
    let writer_options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), schema, writer_options)?;
    for batch in batches {
        // The writer checks a row group's bytes between calls only.
        for start in (0..batch.num_rows()).step_by(options.page_rows.max(1)) {
            let rows = options.page_rows.max(1).min(batch.num_rows() - start);
            writer.write(&batch.slice(start, rows))?;
        }
    }
    writer.into_inner()
}

/// The range of event times, having checked that they are in order, as far as
/// the table is ordered by time.
fn sorted_range(table: Table, batches: &[RecordBatch]) -> Result<TimeRange, FileError> {
    let grain_micros = grain_micros(table);
    let mut range: Option<TimeRange> = None;
    let mut latest = i64::MIN;
    for (index, batch) in batches.iter().enumerate() {
        for (row, &time) in timestamps(batch, TIMESTAMP)?.values().iter().enumerate() {
            let grain = if grain_micros == 1 { time } else { time.div_euclid(grain_micros) };
            if grain < latest {
                return Err(FileError::Unsorted { batch: index, row });
            }
            latest = grain;
            let instant = TimeRange { min_micros: time, max_micros: time };
            range = Some(range.map_or(instant, |held| held.union(instant)));
        }
    }
    range.ok_or(FileError::Empty)
}

fn range_of(batches: &[RecordBatch], name: &'static str) -> Result<TimeRange, FileError> {
    let mut range: Option<TimeRange> = None;
    for batch in batches {
        for &time in timestamps(batch, name)?.values() {
            let instant = TimeRange { min_micros: time, max_micros: time };
            range = Some(range.map_or(instant, |held| held.union(instant)));
        }
    }
    range.ok_or(FileError::Empty)
}

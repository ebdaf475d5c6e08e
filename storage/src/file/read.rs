//! From the bytes of a file back to rows and footer. For checks, tests,
//! compaction and rebuilding a catalog; queries read through their engine and
//! only what they need.

use arrow_array::RecordBatch;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::statistics::Statistics;
use weir_proto::schema::log::column::{OBSERVED_TIMESTAMP, TIMESTAMP};

use super::Footer;
use crate::catalog::TimeRange;
use crate::{FileError, guard};

/// What a file says of itself, without its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// Its footer.
    pub footer: Footer,
    /// Its rows.
    pub rows: u64,
    /// Event times of its rows.
    pub time: TimeRange,
    /// Observed times of its rows.
    pub observed: TimeRange,
}

/// Reads a file's facts from its last bytes. `Err(n)` inside: they are too few,
/// the last `n` are needed.
pub fn read_facts(tail: &Bytes, file_bytes: u64) -> Result<Result<FileFacts, usize>, FileError> {
    let part = "metadata";
    let mut reader = ParquetMetaDataReader::new();
    let metadata = guarded(part, || match reader.try_parse_sized(tail, file_bytes) {
        Ok(()) => reader.finish().map(Ok).map_err(|source| FileError::Read { part, source }),
        Err(ParquetError::NeedMoreData(needed)) => Ok(Err(needed)),
        Err(source) => Err(FileError::Read { part, source }),
    })?;
    let metadata = match metadata {
        Ok(metadata) => metadata,
        Err(needed) => return Ok(Err(needed)),
    };
    let rows = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
    let (time, observed) = (range(&metadata, TIMESTAMP)?, range(&metadata, OBSERVED_TIMESTAMP)?);
    Ok(Ok(FileFacts { footer: footer(&metadata)?, rows, time, observed }))
}

/// The range of a column of times, by the statistics of all row groups.
fn range(metadata: &ParquetMetaData, name: &'static str) -> Result<TimeRange, FileError> {
    let mut range = TimeRange::NEVER;
    for group in metadata.row_groups() {
        let column = group.columns().iter().find(|column| column.column_path().string() == name);
        let Some(Statistics::Int64(held)) = column.and_then(|column| column.statistics()) else {
            return Err(FileError::Column { column: name, expected: "a time with statistics" });
        };
        if let (Some(&min_micros), Some(&max_micros)) = (held.min_opt(), held.max_opt()) {
            range = range.union(TimeRange { min_micros, max_micros });
        }
    }
    Ok(range)
}

/// Reads the footer of a file.
pub fn read_footer(file: &Bytes) -> Result<Footer, FileError> {
    let metadata = guarded("metadata", || {
        ParquetMetaDataReader::new()
            .parse_and_finish(file)
            .map_err(|source| FileError::Read { part: "metadata", source })
    })?;
    footer(&metadata)
}

fn footer(metadata: &ParquetMetaData) -> Result<Footer, FileError> {
    let pairs = metadata.file_metadata().key_value_metadata();
    Footer::from_metadata(|key| {
        let pair = pairs?.iter().find(|pair| pair.key == key)?;
        pair.value.as_deref()
    })
}

/// Reads all rows of a file, in its order.
pub fn read(file: &Bytes) -> Result<Vec<RecordBatch>, FileError> {
    guarded("rows", || {
        let failed = |source: ParquetError| FileError::Read { part: "rows", source };
        let reader = ParquetRecordBatchReaderBuilder::try_new(file.clone()).map_err(failed)?;
        let mut batches = Vec::new();
        for batch in reader.build().map_err(failed)? {
            batches.push(batch.map_err(|error| failed(error.into()))?);
        }
        Ok(batches)
    })
}

fn guarded<T>(part: &'static str, work: impl FnOnce() -> Result<T, FileError>) -> Result<T, FileError> {
    guard::decode(work).unwrap_or(Err(FileError::Damaged { part }))
}

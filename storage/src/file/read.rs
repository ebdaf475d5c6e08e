//! From the bytes of a file back to rows and footer, whole. For checks, tests
//! and compaction; queries read through their engine and only what they need.

use arrow_array::RecordBatch;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaDataReader;

use super::Footer;
use crate::{FileError, guard};

/// Reads the footer of a file.
pub fn read_footer(file: &Bytes) -> Result<Footer, FileError> {
    let metadata = guarded("metadata", || {
        ParquetMetaDataReader::new()
            .parse_and_finish(file)
            .map_err(|source| FileError::Read { part: "metadata", source })
    })?;
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

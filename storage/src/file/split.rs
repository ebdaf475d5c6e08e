//! Which rows share a file.
//!
//! A file for each hour of event time prunes best. But logs are read again,
//! restored, back-dated, and a flush may hold a row from each hour of years:
//! a file for each of these would be thousands of files with one row. So an
//! hour gets a file of its own only where it is large enough, and neighbouring
//! small hours share one until together they are. A flush of `n` bytes makes
//! at most `2 * n / HOUR_BYTES_MIN + 1` files, whatever times its rows have.
//! The price: a file of small hours spans more time than its rows need, and
//! more queries open it; its row groups and pages still prune.

use arrow_array::RecordBatch;
use weir_proto::schema::log::column::TIMESTAMP;

use super::column::timestamps;
use super::order::HOUR_MICROS;
use crate::FileError;

/// Memory of an hour's rows from which on it gets a file of its own.
pub const HOUR_BYTES_MIN: usize = 8 << 20;

/// Parts batches that are sorted as any table wants it into the batches of each file, without copying. An
/// hour's memory is its share of the batch's rows; [`HOUR_BYTES_MIN`] is the
/// value to pass.
pub fn split_by_hour(
    sorted: &[RecordBatch],
    hour_bytes_min: usize,
) -> Result<Vec<Vec<RecordBatch>>, FileError> {
    let mut files: Vec<Part> = Vec::new();
    for hour in hours(sorted)? {
        match files.last_mut() {
            Some(last) if last.bytes < hour_bytes_min && hour.bytes < hour_bytes_min => last.append(hour),
            _ => files.push(hour),
        }
    }
    Ok(files.into_iter().map(|part| part.batches).collect())
}

/// Neighbouring rows and about what they weigh.
struct Part {
    batches: Vec<RecordBatch>,
    bytes: usize,
}

impl Part {
    fn append(&mut self, mut other: Self) {
        self.batches.append(&mut other.batches);
        self.bytes += other.bytes;
    }
}

/// The rows of each hour, in order.
fn hours(sorted: &[RecordBatch]) -> Result<Vec<Part>, FileError> {
    let mut hours: Vec<(i64, Part)> = Vec::new();
    for batch in sorted {
        let times = timestamps(batch, TIMESTAMP)?.values();
        let bytes = batch.get_array_memory_size();
        let mut start = 0;
        while start < times.len() {
            let hour = times[start].div_euclid(HOUR_MICROS);
            let rows = times[start..].partition_point(|time| time.div_euclid(HOUR_MICROS) <= hour);
            let part = Part { batches: vec![batch.slice(start, rows)], bytes: bytes / times.len() * rows };
            match hours.last_mut() {
                Some((last, held)) if *last == hour => held.append(part),
                _ => hours.push((hour, part)),
            }
            start += rows;
        }
    }
    Ok(hours.into_iter().map(|(_, part)| part).collect())
}

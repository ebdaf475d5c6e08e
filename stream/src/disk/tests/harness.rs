//! A log on a simulated disk, and all that can be read from it.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use weir_runtime::{ByteSize, Handles};

use crate::disk::files::simulated::SimulatedFiles;
use crate::disk::place::Place;
use crate::disk::{DiskConfig, DiskLog, DiskReader, OpenError};
use crate::{Append, AppendError, Offset, Partition, ReadError, ReadLimit, Record, Subscribe, Topic};

pub(super) const DIR: &str = "/data/log";

/// Small enough that a few records fill a segment.
pub(super) const SEGMENT_BYTES: u64 = 700;

/// At once or not at all.
pub(super) const NOW: ReadLimit = ReadLimit { bytes: 300, wait: Duration::ZERO };

/// For what must come, however slow the machine is.
pub(super) const PATIENT: ReadLimit = ReadLimit { bytes: 300, wait: Duration::from_secs(60) };

/// Everything that a reader brought, and everything it said is lost.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) records: BTreeMap<u64, Record>,
    pub(super) lost: Vec<Range<u64>>,
}

pub(super) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

pub(super) fn topic() -> Topic {
    Topic::new("t").unwrap()
}

pub(super) fn partition() -> Partition {
    Partition::new(topic(), 0)
}

pub(super) fn place() -> Place {
    Place::new(Path::new(DIR), &partition())
}

pub(super) fn config() -> DiskConfig {
    DiskConfig {
        dir: PathBuf::from(DIR),
        segment_bytes: ByteSize(SEGMENT_BYTES),
        tail_bytes: ByteSize(0),
        ..DiskConfig::default()
    }
}

pub(super) fn open(files: &SimulatedFiles) -> Result<DiskLog, OpenError> {
    open_as(files, config())
}

pub(super) fn open_as(files: &SimulatedFiles, config: DiskConfig) -> Result<DiskLog, OpenError> {
    let log = DiskLog::open_on(Arc::new(files.clone()), config, &Handles::new("test"))?;
    log.ensure_topic(&topic(), 1)?;
    Ok(log)
}

/// A reader of the files, as in another process.
pub(super) fn other_process(files: &SimulatedFiles) -> DiskReader {
    DiskReader::open_on(Arc::new(files.clone()), PathBuf::from(DIR))
}

pub(super) fn record(number: u64, payload_bytes: usize) -> Record {
    Record {
        headers: vec![("n".into(), number.to_string().into())],
        timestamp_micros: i64::try_from(number).unwrap(),
        payload: (0..payload_bytes).map(|at| (at as u64 ^ number) as u8).collect(),
    }
}

pub(super) async fn append(log: &DiskLog, records: Vec<Record>) -> Result<Offset, AppendError> {
    log.append(&partition(), records).await
}

/// Reads all there is, as a consumer would that skips what is lost.
pub(super) async fn read_all(reader: &DiskReader) -> Contents {
    let watermarks = reader.watermarks(&partition()).await.unwrap();
    let mut contents = Contents { end: watermarks.end.0, ..Contents::default() };
    let mut at = 0;
    while at < contents.end {
        match reader.read(&partition(), Offset(at), NOW).await {
            Ok(records) => {
                assert!(!records.is_empty(), "nothing came at {at} below the end");
                for stored in records {
                    assert_eq!(stored.offset.0, at, "a gap, or out of order");
                    contents.records.insert(at, stored.record);
                    at += 1;
                }
            }
            Err(ReadError::BelowStart { from, start, .. }) => {
                assert_eq!((at, from.0), (contents.start, at), "only the beginning may be trimmed");
                assert!(start.0 > at, "no way forward");
                at = start.0;
                contents.start = at;
            }
            Err(ReadError::Corrupt { from, next, .. }) => {
                assert_eq!(from.0, at, "not what was asked for");
                assert!(next.0 > at, "no way forward");
                contents.lost.push(at..next.0);
                at = next.0;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(at, contents.end, "read past the end");
    contents
}

/// Offsets in the ranges.
pub(super) fn offsets(ranges: &[Range<u64>]) -> Vec<u64> {
    ranges.iter().cloned().flatten().collect()
}

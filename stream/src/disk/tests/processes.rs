//! A writer, and readers of its files as in other processes, on a real disk.

use tempfile::TempDir;
use weir_runtime::{ByteSize, Handles};

use super::harness::{PATIENT, partition, read_all, record, topic};
use crate::disk::{DiskConfig, DiskLog, DiskReader};
use crate::{Append, Offset, ReadError, Subscribe};

#[tokio::test]
async fn a_reader_is_there_before_the_writer_and_after_it() {
    let dir = TempDir::new().unwrap();
    let config = DiskConfig { dir: dir.path().join("log"), ..DiskConfig::default() };
    let reader = DiskReader::open(&config.dir);
    let early = reader.read(&partition(), Offset(0), PATIENT).await;
    assert!(matches!(early, Err(ReadError::NoPartition(_))), "{early:?}");
    assert!(matches!(reader.partitions(&topic()).await, Err(ReadError::NoPartition(_))));

    let log = DiskLog::open(config, &Handles::new("test")).unwrap();
    log.ensure_topic(&topic(), 1).unwrap();
    assert_eq!(reader.partitions(&topic()).await.unwrap(), 1);
    let partition = partition();
    let read = reader.read(&partition, Offset(0), PATIENT);
    let append = log.append(&partition, vec![record(0, 10)]);
    let (read, appended) = tokio::join!(read, append);
    appended.unwrap();
    assert_eq!(read.unwrap()[0].record, record(0, 10));
    log.close().await;
    assert_eq!(read_all(&reader).await.records.len(), 1);
}

#[tokio::test]
async fn a_reader_follows_through_segments_while_both_sides_trim() {
    let dir = TempDir::new().unwrap();
    let config =
        DiskConfig { dir: dir.path().to_owned(), segment_bytes: ByteSize(1_000), ..DiskConfig::default() };
    let log = DiskLog::open(config, &Handles::new("test")).unwrap();
    log.ensure_topic(&topic(), 1).unwrap();
    let reader = DiskReader::open(log.dir());
    let write = async {
        for n in 0..200 {
            log.append(&partition(), vec![record(n, 90)]).await.unwrap();
        }
    };
    let follow = async {
        let mut next = 0;
        while next < 200 {
            for stored in reader.read(&partition(), Offset(next), PATIENT).await.unwrap() {
                assert_eq!((stored.offset.0, stored.record), (next, record(next, 90)));
                next += 1;
            }
            let trimmer = if next % 2 == 0 { &reader } else { &log.reader() };
            trimmer.trim(&partition(), Offset(next)).await.unwrap();
        }
    };
    tokio::join!(write, follow);
    let watermarks = reader.watermarks(&partition()).await.unwrap();
    assert_eq!(watermarks.end, Offset(200));
    assert!(watermarks.start > Offset(180), "{watermarks:?}");
    assert_eq!(log.reader().watermarks(&partition()).await.unwrap(), watermarks);
}

//! The suite, for readers beside the writer and for readers of the files.

use std::sync::Arc;

use tempfile::TempDir;
use weir_runtime::{ByteSize, Handles};

use crate::conformance::{PARTITIONS, Subject, suite};
use crate::disk::{DiskConfig, DiskLog, DiskReader};
use crate::{Subscribe, Topic};

fn subject(config: &DiskConfig, reader: impl FnOnce(&DiskLog) -> DiskReader) -> Subject {
    let dir = TempDir::new().unwrap();
    let config = DiskConfig { dir: dir.path().join("a/log"), ..config.clone() };
    let log = DiskLog::open(config, &Handles::new("test")).unwrap();
    let topic = Topic::new("weir.logs").unwrap();
    log.ensure_topic(&topic, PARTITIONS).unwrap();
    let subscribe: Arc<dyn Subscribe> = Arc::new(reader(&log));
    Subject { append: Arc::new(log), subscribe, topic, keep: Box::new(dir) }
}

fn small_segments() -> DiskConfig {
    DiskConfig { segment_bytes: ByteSize(5_000), ..DiskConfig::default() }
}

#[tokio::test]
async fn beside_the_writer() {
    suite(async || subject(&DiskConfig::default(), DiskLog::reader)).await;
}

#[tokio::test]
async fn beside_the_writer_without_memory() {
    let config = DiskConfig { tail_bytes: ByteSize(0), ..small_segments() };
    suite(async || subject(&config, DiskLog::reader)).await;
}

#[tokio::test]
async fn beside_the_writer_with_little_memory_and_a_short_queue() {
    let config = DiskConfig { tail_bytes: ByteSize(2_000), queue_bytes: ByteSize(1_000), ..small_segments() };
    suite(async || subject(&config, DiskLog::reader)).await;
}

#[tokio::test]
async fn reading_the_files() {
    suite(async || subject(&small_segments(), |log| DiskReader::open(log.dir()))).await;
}

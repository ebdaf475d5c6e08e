//! The bytes of version 1, as they were first released. Added to, never edited.

use std::path::Path;

use super::harness::run;
use crate::disk::files::Files;
use crate::disk::files::simulated::SimulatedFiles;
use crate::disk::place::Place;
use crate::disk::watermark::{Publisher, Watermark};
use crate::disk::{DiskConfig, DiskLog};
use crate::{Append, Offset, Partition, Record, Subscribe, Topic};

use super::harness::{DIR, NOW, config, other_process};

const SEGMENT: &[u8] = include_bytes!("golden-segment-v1.bin");
const DURABLE: &[u8] = include_bytes!("golden-durable-v1.bin");

fn golden_partition() -> Partition {
    Partition::new(Topic::new("weir.logs").unwrap(), 3)
}

fn records() -> Vec<Record> {
    vec![
        Record::default(),
        Record {
            headers: vec![("codec".into(), "lz4".into()), ("mark".into(), "".into())],
            timestamp_micros: 1_700_000_000_000_001,
            payload: b"hello\0\xff".as_slice().into(),
        },
    ]
}

#[test]
fn version_1_is_still_written() {
    let files = SimulatedFiles::new();
    let place = Place::new(Path::new(DIR), &golden_partition());
    let handles = weir_runtime::Handles::new("test");
    let log = DiskLog::open_on(
        std::sync::Arc::new(files.clone()),
        DiskConfig { segment_bytes: weir_runtime::ByteSize::mib(1), ..config() },
        &handles,
    )
    .unwrap();
    log.ensure_topic(&golden_partition().topic, 4).unwrap();
    run(async { log.append(&golden_partition(), records()).await.unwrap() });
    let segment = files.content(&place.segment(0)).unwrap();
    let durable = files.content(&place.watermark()).unwrap();
    if std::env::var_os("WEIR_WRITE_GOLDEN").is_some() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/disk/tests");
        std::fs::write(dir.join("golden-segment-v1.bin"), &segment).unwrap();
        std::fs::write(dir.join("golden-durable-v1.bin"), &durable).unwrap();
    }
    assert_eq!(segment, SEGMENT);
    assert_eq!(durable, DURABLE);
}

#[test]
fn version_1_is_still_read() {
    let files = SimulatedFiles::new();
    let place = Place::new(Path::new(DIR), &golden_partition());
    let mut dir = std::path::PathBuf::from("/");
    for part in place.dir.components().skip(1) {
        dir.push(part);
        files.create_dir(&dir).unwrap();
    }
    files.put(&place.segment(0), SEGMENT.to_vec());
    files.put(&place.watermark(), DURABLE.to_vec());
    let read = run(async { other_process(&files).read(&golden_partition(), Offset(0), NOW).await.unwrap() });
    assert_eq!(read.into_iter().map(|stored| stored.record).collect::<Vec<_>>(), records());
    assert_eq!(Watermark::read(&files, &place).unwrap(), Some(Watermark { end: 2, boot: 1 }));
    Publisher::open(&files, &place).unwrap().publish(2).unwrap();
    assert_eq!(files.content(&place.watermark()).unwrap(), DURABLE);
}

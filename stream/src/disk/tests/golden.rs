//! The bytes of versions 1 and 2, as they were first released. Added to, never
//! edited.

use std::path::Path;

use super::harness::run;
use crate::disk::files::Files;
use crate::disk::files::simulated::SimulatedFiles;
use crate::disk::place::Place;
use crate::disk::watermark::{Publisher, Watermark};
use crate::disk::{DiskConfig, DiskLog};
use crate::{Append, Offset, Partition, Record, Subscribe, Topic};

use super::harness::{DIR, NOW, config, open_as, other_process};

const SEGMENT_1: &[u8] = include_bytes!("golden-segment-v1.bin");
const SEGMENT_2: &[u8] = include_bytes!("golden-segment-v2.bin");
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
fn version_2_is_still_written() {
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
        std::fs::write(dir.join("golden-segment-v2.bin"), &segment).unwrap();
    }
    assert_eq!(segment, SEGMENT_2);
    assert_eq!(durable, DURABLE);
}

#[test]
fn both_versions_are_still_read() {
    for segment in [SEGMENT_1, SEGMENT_2] {
        let files = with_segment(segment);
        let place = Place::new(Path::new(DIR), &golden_partition());
        let reader = other_process(&files);
        let read = run(async { reader.read(&golden_partition(), Offset(0), NOW).await.unwrap() });
        assert_eq!(read.into_iter().map(|stored| stored.record).collect::<Vec<_>>(), records());
        assert_eq!(Watermark::read(&files, &place).unwrap(), Some(Watermark { end: 2, boot: 1 }));
        Publisher::open(&files, &place).unwrap().publish(2).unwrap();
        assert_eq!(files.content(&place.watermark()).unwrap(), DURABLE);
    }
}

#[test]
fn nothing_is_appended_to_a_segment_of_version_1() {
    let files = with_segment(SEGMENT_1);
    let place = Place::new(Path::new(DIR), &golden_partition());
    let log = open_as(&files, config()).unwrap();
    run(async {
        let more = log.append(&golden_partition(), records()).await.unwrap();
        assert_eq!(more, Offset(2));
        let read = log.reader().read(&golden_partition(), Offset(0), NOW).await.unwrap();
        let rest = log.reader().read(&golden_partition(), Offset(2), NOW).await.unwrap();
        assert_eq!([read, rest].concat().len(), 4);
    });
    assert_eq!(files.content(&place.segment(0)).unwrap(), SEGMENT_1);
    assert_eq!(place.bases(&files).unwrap(), [0, 2]);
}

/// A log whose one segment was written by somebody else.
fn with_segment(segment: &[u8]) -> SimulatedFiles {
    let files = SimulatedFiles::new();
    let mut dir = std::path::PathBuf::from("/");
    for index in 0..=golden_partition().index {
        let partition = Partition { index, ..golden_partition() };
        dir = Place::new(Path::new(DIR), &partition).dir;
        let parents: Vec<_> = dir.ancestors().collect();
        for dir in parents.into_iter().rev() {
            let _ = files.create_dir(dir);
        }
    }
    let place = Place::new(Path::new(DIR), &golden_partition());
    assert_eq!(dir, place.dir);
    files.put(&place.segment(0), segment.to_vec());
    files.put(&place.watermark(), DURABLE.to_vec());
    files
}

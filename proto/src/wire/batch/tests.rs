use proptest::prelude::*;

use super::*;
use crate::DecodeError;
use crate::model::{AgentId, ByteRange, Counted, Drop, Source, SourceId, TenantId, flags};
use crate::wire::{BatchHeader, Codec, header_name};

const GOLDEN: &[u8] = include_bytes!("golden-v1.bin");

fn header(codec: Codec) -> BatchHeader {
    BatchHeader {
        tenant: TenantId::default(),
        agent: AgentId::from_u128(7),
        mark_micros: Some(1_700_000_000_000_000),
        goodbye: false,
        codec,
    }
}

fn source(covered: ByteRange) -> Source {
    Source {
        id: SourceId::from_u128(1),
        resource: vec![("log.file.name".into(), "a.log".into()), ("service.name".into(), "shop".into())],
        parser: "auto".into(),
        min_severity: None,
        covered,
        drops: vec![Drop { range: ByteRange::new(6, 9), count: 1, reason: "line_too_long".into() }],
        counted: None,
    }
}

fn example(codec: Codec) -> EncodedBatch {
    let mut builder = LineBatchBuilder::new();
    builder.push(NewLine {
        source: 0,
        start: 0,
        end: 6,
        observed_micros: 1_700_000_000_000_001,
        timestamp_nanos: None,
        flags: 0,
        line: b"hello",
    });
    builder.push(NewLine {
        source: 0,
        start: 6,
        end: 12,
        observed_micros: 1_700_000_000_000_002,
        timestamp_nanos: Some(1_699_999_999_999_999_999),
        flags: flags::TRUNCATED,
        line: b"\xff\0x",
    });
    builder.finish(&header(codec), &[source(ByteRange::new(0, 12))])
}

#[test]
fn golden_bytes_of_version_1_are_still_written_and_read() {
    let encoded = example(Codec::None);
    if std::env::var_os("WEIR_WRITE_GOLDEN").is_some() {
        std::fs::write(
            concat!(env!("CARGO_MANIFEST_DIR"), "/src/wire/batch/golden-v1.bin"),
            &encoded.payload,
        )
        .unwrap();
    }
    let batch = LineBatch::decode(&encoded.headers, GOLDEN).expect("golden bytes decode");
    let lines: Vec<_> = batch.lines().map(|line| (line.range, line.text.to_vec())).collect();
    assert_eq!(
        lines,
        [(ByteRange::new(0, 6), b"hello".to_vec()), (ByteRange::new(6, 12), b"\xff\0x".to_vec())]
    );
    assert_eq!(batch.sources, [source(ByteRange::new(0, 12))]);
    assert_eq!(batch.header, header(Codec::None));
    assert_eq!(encoded.payload, GOLDEN, "the writer no longer writes version 1");
}

#[test]
fn golden_bytes_with_a_minimum_severity_are_still_written_and_read() {
    let sources = [
        Source { min_severity: Some(13), ..source(ByteRange::new(0, 12)) },
        Source { id: SourceId::from_u128(2), ..source(ByteRange::new(0, 12)) },
    ];
    let encoded = LineBatchBuilder::new().finish(&header(Codec::None), &sources);
    if std::env::var_os("WEIR_WRITE_GOLDEN").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/wire/batch/golden-v1-min-severity.bin");
        std::fs::write(path, &encoded.payload).unwrap();
    }
    let golden = include_bytes!("golden-v1-min-severity.bin");
    let batch = LineBatch::decode(&encoded.headers, golden).expect("golden bytes decode");
    assert_eq!(batch.sources, sources);
    assert_eq!(encoded.payload, golden.as_slice(), "the writer no longer writes version 1");
}

#[test]
fn golden_bytes_with_counts_are_still_written_and_read() {
    let counted = Counted { from: 5, to: 12, events: 3 };
    let sources = [
        Source { counted: Some(counted), ..source(ByteRange::new(12, 24)) },
        Source { id: SourceId::from_u128(2), ..source(ByteRange::new(0, 12)) },
    ];
    let encoded = LineBatchBuilder::new().finish(&header(Codec::None), &sources);
    if std::env::var_os("WEIR_WRITE_GOLDEN").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/wire/batch/golden-v1-counted.bin");
        std::fs::write(path, &encoded.payload).unwrap();
    }
    let golden = include_bytes!("golden-v1-counted.bin");
    let batch = LineBatch::decode(&encoded.headers, golden).expect("golden bytes decode");
    assert_eq!(batch.sources, sources);
    assert_eq!(encoded.payload, golden.as_slice(), "the writer no longer writes version 1");
}

#[test]
fn a_batch_without_lines_carries_its_mark() {
    let encoded = LineBatchBuilder::new().finish(&header(Codec::Lz4), &[]);
    let batch = LineBatch::decode(&encoded.headers, &encoded.payload).expect("a mark decodes");
    assert!(batch.is_empty());
    assert_eq!(batch.header.mark_micros, Some(1_700_000_000_000_000));
}

#[test]
fn a_newer_version_is_told_from_a_broken_message() {
    let with = |name: &str, value: &'static str| {
        let mut encoded = example(Codec::Lz4);
        for (key, held) in &mut encoded.headers {
            if key == name {
                *held = bytes::Bytes::from_static(value.as_bytes());
            }
        }
        LineBatch::decode(&encoded.headers, &encoded.payload).expect_err("must be refused")
    };
    assert!(with(header_name::SCHEMA, "2").is_unsupported());
    assert!(with(header_name::CODEC, "zstd").is_unsupported());
    assert!(!with(header_name::SCHEMA, "two").is_unsupported());
    assert!(matches!(with(header_name::UNCOMPRESSED_BYTES, "99999999999"), DecodeError::Oversized { .. }));
    assert!(matches!(with(header_name::TENANT, "../x"), DecodeError::Malformed { .. }));
}

#[test]
fn a_line_outside_its_covered_range_is_refused() {
    let mut builder = LineBatchBuilder::new();
    builder.push(NewLine {
        source: 0,
        start: 0,
        end: 6,
        observed_micros: 0,
        timestamp_nanos: None,
        flags: 0,
        line: b"hello",
    });
    let encoded = builder.finish(&header(Codec::Lz4), &[source(ByteRange::new(0, 5))]);
    assert!(LineBatch::decode(&encoded.headers, &encoded.payload).is_err());
}

#[test]
fn every_damaged_byte_is_an_error_or_a_batch_never_a_panic() {
    let encoded = example(Codec::Lz4);
    let plain = example(Codec::None);
    for encoded in [encoded, plain] {
        for position in 0..encoded.payload.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut payload = encoded.payload.to_vec();
                payload[position] ^= flip;
                let _ = LineBatch::decode(&encoded.headers, &payload);
            }
            let _ = LineBatch::decode(&encoded.headers, &encoded.payload[..position]);
        }
    }
}

proptest! {
    #[test]
    fn what_was_pushed_is_what_is_read(
        texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..30),
        lz4 in any::<bool>(),
    ) {
        let mut builder = LineBatchBuilder::new();
        let mut offset = 0;
        for (row, text) in texts.iter().enumerate() {
            let end = offset + text.len() as u64 + 1;
            builder.push(NewLine {
                source: 0,
                start: offset,
                end,
                observed_micros: row as i64,
                timestamp_nanos: (row % 2 == 0).then_some(row as i64),
                flags: row as i32,
                line: text,
            });
            offset = end;
        }
        let codec = if lz4 { Codec::Lz4 } else { Codec::None };
        let encoded = builder.finish(&header(codec), &[source(ByteRange::new(0, offset))]);
        let batch = LineBatch::decode(&encoded.headers, &encoded.payload).unwrap();
        prop_assert_eq!(batch.len(), texts.len());
        for (row, line) in batch.lines().enumerate() {
            prop_assert_eq!(line.text, &texts[row][..]);
            prop_assert_eq!(line.flags, row as i32);
            prop_assert_eq!(line.timestamp_nanos, (row % 2 == 0).then_some(row as i64));
        }
    }
}

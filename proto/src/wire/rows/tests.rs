use arrow_array::{RecordBatch, RecordBatchOptions, new_empty_array};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::prelude::*;

use super::*;
use crate::DecodeError;
use crate::limit::{BATCH_BYTES, ROWS_PER_RECORD_BITS};
use crate::model::{AgentId, ByteRange, SourceId};
use crate::wire::batch::EncodedBatch;
use crate::wire::cells::{cell, check};
use crate::wire::{Codec, header_name, otlp};

const GOLDEN: &[u8] = include_bytes!("golden-v1.bin");
const OBSERVED: i64 = 1_700_000_000_000_000;

fn header(codec: Codec) -> BatchHeader {
    BatchHeader {
        tenant: TenantId::default(),
        agent: AgentId::from_u128(7),
        mark_micros: Some(OBSERVED),
        goodbye: false,
        codec,
    }
}

fn source(id: u128, record: u64) -> Source {
    let covered = ByteRange::new(record << ROWS_PER_RECORD_BITS, (record + 1) << ROWS_PER_RECORD_BITS);
    Source {
        id: SourceId::from_u128(id),
        resource: vec![("weir.source".into(), "otlp".into())],
        parser: String::new(),
        min_severity: None,
        covered,
        drops: Vec::new(),
        counted: None,
    }
}

fn spans(names: &[&str]) -> Vec<(Table, RecordBatch)> {
    let span = |name: &&str| Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: (*name).to_owned(),
        start_time_unix_nano: 1_700_000_000_000_000_001,
        end_time_unix_nano: 1_700_000_000_000_000_002,
        attributes: vec![KeyValue {
            key: "k".into(),
            value: Some(AnyValue { value: Some(Value::IntValue(1)) }),
            key_strindex: 0,
        }],
        events: vec![Event { name: "e".into(), ..Event::default() }],
        ..Span::default()
    };
    let scope = ScopeSpans { spans: names.iter().map(span).collect(), ..ScopeSpans::default() };
    let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
    otlp::traces(ExportTraceServiceRequest { resource_spans: vec![resource] }, OBSERVED).tables
}

fn metrics() -> Vec<(Table, RecordBatch)> {
    let point = NumberDataPoint { value: Some(number_data_point::Value::AsInt(5)), ..Default::default() };
    let data = Some(Data::Gauge(Gauge { data_points: vec![point.clone(), point] }));
    let metric = Metric { name: "m".into(), data, ..Metric::default() };
    let scope = ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() };
    let resource = ResourceMetrics { scope_metrics: vec![scope], ..ResourceMetrics::default() };
    otlp::metrics(ExportMetricsServiceRequest { resource_metrics: vec![resource] }, OBSERVED).tables
}

fn example(codec: Codec) -> EncodedBatch {
    let sources = [source(1, 3), source(2, 9)];
    let mut tables = number(&spans(&["a", "b"]), 0, 3).unwrap();
    tables.extend(number(&metrics(), 1, 9).unwrap());
    RowBatch::encode(&header(codec), &sources, &tables)
}

#[test]
fn golden_bytes_of_version_1_are_still_written_and_read() {
    let encoded = example(Codec::None);
    if std::env::var_os("WEIR_WRITE_GOLDEN").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/wire/rows/golden-v1.bin");
        std::fs::write(path, &encoded.payload).unwrap();
    }
    let batch = RowBatch::decode(&encoded.headers, GOLDEN).expect("golden bytes decode");
    assert_eq!(batch.header, header(Codec::None));
    assert_eq!(batch.sources, [source(1, 3), source(2, 9)]);
    let names: Vec<_> = batch.tables.iter().map(|rows| rows.table.name()).collect();
    assert_eq!(names, ["spans", "metric_samples", "metric_series"]);
    check(&batch.tables[0].columns, 1, &[("name", "b"), ("duration_ns", "1"), ("attributes", "{k: 1}")]);
    assert_eq!(cell(&batch.tables[1].columns, "value_int", 0), "5");
    assert_eq!(batch.tables[1].start.values(), &[9 << 20, (9 << 20) + 1]);
    assert_eq!(batch.tables[2].start.values(), &[(9 << 20) + 2], "series are numbered behind samples");
    assert_eq!(encoded.payload, GOLDEN, "the writer no longer writes version 1");
}

#[test]
fn what_is_stored_says_whose_it_is_and_where_it_came_from() {
    let batch = RowBatch::decode(&example(Codec::Lz4).headers, &example(Codec::Lz4).payload).unwrap();
    let tenant = TenantId::new("team-a").unwrap();
    let rows = &batch.tables[0];
    let stored = rows.finish(&tenant, &batch.sources, &[false, true]).expect("one row is kept");
    assert_eq!((stored.num_rows(), stored.schema()), (1, Table::Spans.schema()));
    let id = SourceId::from_u128(1).to_string();
    check(
        &stored,
        0,
        &[
            ("tenant", "team-a"),
            ("name", "b"),
            ("events", "[{timestamp: 0, timestamp_nanos: 0, name: e, attributes: {}}]"),
            ("source_id", &id),
            ("source_start", "3145729"),
            ("source_end", "3145730"),
        ],
    );
    assert_eq!(rows.finish(&tenant, &batch.sources, &[true, true]).unwrap().num_rows(), 2);
    assert_eq!(rows.finish(&tenant, &batch.sources, &[false, false]), None);
}

#[test]
fn a_batch_without_rows_carries_its_mark() {
    let encoded = RowBatch::encode(&header(Codec::Lz4), &[], &[]);
    let batch = RowBatch::decode(&encoded.headers, &encoded.payload).expect("a mark decodes");
    assert!(batch.is_empty());
    assert_eq!(batch.header.mark_micros, Some(OBSERVED));
}

#[test]
fn rows_of_one_table_from_several_records_are_one_stream() {
    let sources = [source(1, 0), source(2, 0)];
    let mut tables = number(&spans(&["a"]), 0, 0).unwrap();
    tables.extend(number(&spans(&["b", "c"]), 1, 0).unwrap());
    let encoded = RowBatch::encode(&header(Codec::Lz4), &sources, &tables);
    let batch = RowBatch::decode(&encoded.headers, &encoded.payload).unwrap();
    assert_eq!(batch.len(), 3);
    assert_eq!(batch.tables.len(), 1);
    assert_eq!(batch.tables[0].source.values(), &[0, 1, 1]);
    assert_eq!(batch.tables[0].start.values(), &[0, 0, 1]);
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
        RowBatch::decode(&encoded.headers, &encoded.payload).expect_err("must be refused")
    };
    assert!(with(header_name::SCHEMA, "2").is_unsupported());
    assert!(with(header_name::CONTENT_TYPE, "application/vnd.weir.other").is_unsupported());
    assert!(!with(header_name::CONTENT_TYPE, "application/vnd.weir.lines+arrow").is_unsupported());
    assert!(matches!(with(header_name::UNCOMPRESSED_BYTES, "99999999999"), DecodeError::Oversized { .. }));

    let unknown = String::from_utf8_lossy(GOLDEN).contains("metric_series");
    assert!(unknown, "the table's name stands in the stream");
    let mut payload = GOLDEN.to_vec();
    let at = payload.windows(13).position(|bytes| bytes == b"metric_series").unwrap();
    payload[at..at + 13].copy_from_slice(b"metric_shapes");
    let error = RowBatch::decode(&example(Codec::None).headers, &payload).unwrap_err();
    assert!(error.is_unsupported(), "{error}");
}

#[test]
fn a_row_that_names_no_source_or_lies_outside_is_refused() {
    let refused = |change: fn(&mut TableRows)| {
        let mut tables = number(&spans(&["a"]), 0, 3).unwrap();
        change(&mut tables[0]);
        let encoded = RowBatch::encode(&header(Codec::None), &[source(1, 3)], &tables);
        RowBatch::decode(&encoded.headers, &encoded.payload).unwrap_err().to_string()
    };
    assert!(refused(|rows| rows.source = vec![1].into()).contains("names no source"));
    assert!(refused(|rows| rows.source = vec![-1].into()).contains("names no source"));
    assert!(refused(|rows| rows.start = vec![0].into()).contains("its source covers"));
    assert!(refused(|rows| rows.end = vec![4 << 20 | 1].into()).contains("its source covers"));
    assert!(refused(|rows| rows.end = vec![-1].into()).contains("byte range"));
    assert!(refused(|rows| rows.end = vec![5].into()).contains("byte range"));
}

#[test]
fn a_table_that_comes_twice_or_is_none_of_ours_is_refused() {
    let encoded = example(Codec::None);
    let twice = {
        let rows = number(&spans(&["a"]), 0, 3).unwrap();
        let one = RowBatch::encode(&header(Codec::None), &[source(1, 3)], &rows).payload;
        let sources = RowBatch::encode(&header(Codec::None), &[source(1, 3)], &[]).payload;
        [&one[..], &one[sources.len()..]].concat()
    };
    let mut headers = encoded.headers;
    let size = headers.iter_mut().find(|(name, _)| name == header_name::UNCOMPRESSED_BYTES).unwrap();
    size.1 = twice.len().to_string().into();
    let error = RowBatch::decode(&headers, &twice).unwrap_err();
    assert!(error.to_string().contains("comes twice"), "{error}");
}

#[test]
fn every_damaged_byte_is_an_error_or_a_batch_never_a_panic() {
    for codec in [Codec::None, Codec::Lz4] {
        let encoded = example(codec);
        for position in (0..encoded.payload.len()).step_by(7) {
            for flip in [0x01, 0x80, 0xff] {
                let mut payload = encoded.payload.to_vec();
                payload[position] ^= flip;
                if let Ok(batch) = RowBatch::decode(&encoded.headers, &payload) {
                    for rows in &batch.tables {
                        let keep = vec![true; rows.columns.num_rows()];
                        let _ = rows.finish(&TenantId::default(), &batch.sources, &keep);
                    }
                }
            }
            assert!(RowBatch::decode(&encoded.headers, &encoded.payload[..position]).is_err());
        }
    }
}

#[test]
fn numbers_leave_room_for_every_row() {
    let highest = (1 << 43) - 2;
    let rows = number(&spans(&["a"]), 0, highest).unwrap();
    assert_eq!(rows[0].start.value(0), (highest as i64) << 20);
    assert!(matches!(number(&spans(&["a"]), 0, highest + 1), Err(DecodeError::Oversized { .. })));
    let options = RecordBatchOptions::new().with_row_count(Some(0));
    let schema = Table::Spans.payload_schema();
    let empty = schema.fields().iter().map(|field| new_empty_array(field.data_type())).collect();
    let empty = RecordBatch::try_new_with_options(schema, empty, &options).unwrap();
    assert!(split(&[(Table::Spans, empty)], 10).is_empty());
}

#[test]
fn pieces_are_small_in_order_and_whole() {
    let large = "x".repeat(BATCH_BYTES);
    let mut names = vec!["n"; 5_000];
    names[1_234] = &large;
    let decoded = spans(&names);
    let pieces = split(&decoded, BATCH_BYTES);
    let rows: Vec<_> = pieces.iter().flatten().map(|(_, rows)| rows.clone()).collect();
    assert!(pieces.len() > 2);
    let joined = arrow_select::concat::concat_batches(&Table::Spans.payload_schema(), &rows).unwrap();
    assert_eq!(joined, decoded[0].1);
    for piece in &pieces {
        let record = number(piece, 0, 0).unwrap();
        let encoded = RowBatch::encode(&header(Codec::None), &[source(1, 0)], &record);
        let has_large =
            piece.iter().any(|(_, rows)| (0..rows.num_rows()).any(|row| cell(rows, "name", row) == large));
        assert!(has_large || encoded.payload.len() < 2 * BATCH_BYTES, "{} bytes", encoded.payload.len());
    }
}

#[test]
fn the_largest_event_fits_into_a_message_of_one_mebibyte() {
    let large = |key: &str| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(Value::StringValue("x".repeat(2 << 20))) }),
        key_strindex: 0,
    };
    let scope = InstrumentationScope { attributes: vec![large("s")], ..InstrumentationScope::default() };
    let span = Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        start_time_unix_nano: 1,
        attributes: vec![large("peer.service"), large("b")],
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans: vec![span], ..ScopeSpans::default() }];
    let resource = Resource { attributes: vec![large("r"), large("service.name")], ..Resource::default() };
    let resource = ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() };
    let decoded = otlp::traces(ExportTraceServiceRequest { resource_spans: vec![resource] }, OBSERVED);
    let rows = number(&decoded.tables, 0, 0).unwrap();
    let encoded = RowBatch::encode(&header(Codec::None), &[source(1, 0)], &rows);
    assert!((900 << 10..1 << 20).contains(&encoded.payload.len()), "{} bytes", encoded.payload.len());
}

proptest! {
    #[test]
    fn what_was_encoded_is_what_is_read(
        names in prop::collection::vec(".{0,20}", 1..20),
        record in 0..(1u64 << 43) - 1,
        lz4 in any::<bool>(),
    ) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let tables = number(&spans(&names), 0, record).unwrap();
        let codec = if lz4 { Codec::Lz4 } else { Codec::None };
        let sources = vec![source(1, record)];
        let encoded = RowBatch::encode(&header(codec), &sources, &tables);
        let batch = RowBatch::decode(&encoded.headers, &encoded.payload).unwrap();
        prop_assert_eq!(batch, RowBatch { header: header(codec), sources, tables });
    }
}

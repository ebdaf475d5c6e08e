use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};

use super::*;
use crate::model::flags;
use crate::wire::otlp::logs;

fn decode(record: LogRecord) -> RecordBatch {
    let scope = InstrumentationScope { name: "lib".into(), version: "3".into(), ..Default::default() };
    let scope_logs =
        vec![ScopeLogs { scope: Some(scope), log_records: vec![record], schema_url: String::new() }];
    let resource = ResourceLogs { resource: resource("cart"), scope_logs, schema_url: String::new() };
    let decoded = logs(ExportLogsServiceRequest { resource_logs: vec![resource] }, OBSERVED);
    assert_eq!((decoded.accepted, decoded.rejected, &decoded.message), (1, 0, &None));
    rows(&decoded, Table::Logs).clone()
}

#[test]
fn every_part_of_a_record_has_its_column() {
    let batch = decode(LogRecord {
        time_unix_nano: NANOS,
        observed_time_unix_nano: NANOS + 5_000,
        severity_number: 17,
        severity_text: "ERROR".into(),
        body: Some(any(Value::StringValue("it broke".into()))),
        attributes: every_type(),
        dropped_attributes_count: 1,
        flags: 1,
        trace_id: vec![0xab; 16],
        span_id: vec![0xcd; 8],
        event_name: "broke".into(),
    });
    let before =
        "event.name: broke, otel.scope.name: lib, otel.scope.version: 3, otel.dropped_attributes_count: 1, ";
    let attributes = format!("{{{before}{}", &EVERY_TYPE[1..]);
    check(
        &batch,
        0,
        &[
            ("timestamp", "1704067200123456"),
            ("timestamp_nanos", "789"),
            ("observed_timestamp", "1704067200123461"),
            ("service_name", "cart"),
            ("host_name", "node-1"),
            ("k8s_pod_name", "null"),
            ("severity_text", "ERROR"),
            ("severity_number", "17"),
            ("body", "it broke"),
            ("body_raw", "null"),
            ("layout_id", "null"),
            ("trace_id", "abababababababababababababababab"),
            ("span_id", "cdcdcdcdcdcdcdcd"),
            ("attributes", &attributes),
            ("resource_attributes", "{zone: a}"),
            ("flags", "65536"),
        ],
    );
}

#[test]
fn a_record_without_a_time_takes_the_next_best() {
    let assumed = flags::TIME_ASSUMED.to_string();
    let batch = decode(LogRecord { observed_time_unix_nano: NANOS, ..LogRecord::default() });
    check(&batch, 0, &[("timestamp", "1704067200123456"), ("timestamp_nanos", "789"), ("flags", &assumed)]);
    let batch = decode(LogRecord::default());
    let now = "1700000000000000";
    check(&batch, 0, &[("timestamp", now), ("observed_timestamp", now), ("flags", &assumed), ("body", "")]);
}

#[test]
fn a_body_that_is_no_text_is_json() {
    let list = ArrayValue { values: vec![any(Value::DoubleValue(2.5)), any(Value::BoolValue(false))] };
    for (body, expected) in [
        (Value::IntValue(7), "7"),
        (Value::ArrayValue(list), "[2.5,false]"),
        (Value::KvlistValue(KeyValueList { values: vec![text("a", "b")] }), r#"{"a":"b"}"#),
        (Value::BytesValue(b"hi".to_vec()), "aGk="),
    ] {
        let batch = decode(LogRecord { body: Some(any(body)), ..LogRecord::default() });
        assert_eq!(cell(&batch, "body", 0), expected);
    }
}

#[test]
fn an_id_that_is_none_joins_no_trace_and_stays_readable() {
    let batch = decode(LogRecord {
        trace_id: vec![0xab; 3],
        span_id: vec![0; 8],
        severity_number: 99,
        ..LogRecord::default()
    });
    check(&batch, 0, &[("trace_id", "null"), ("span_id", "null"), ("severity_number", "null")]);
    assert!(cell(&batch, "attributes", 0).contains("otel.trace_id: ababab"));
}

#[test]
fn a_body_that_is_too_long_is_cut_and_marked() {
    let body = Some(any(Value::StringValue("ü".repeat(crate::limit::EVENT_BYTES_MAX))));
    let batch = decode(LogRecord { body, time_unix_nano: 1, ..LogRecord::default() });
    assert_eq!(cell(&batch, "flags", 0), (flags::TRUNCATED | flags::LIMITED).to_string());
    assert!(cell(&batch, "body", 0).len() <= crate::limit::EVENT_BYTES_MAX);
}

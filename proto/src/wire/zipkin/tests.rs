use proptest::prelude::*;

use super::decode;
use crate::model::flags;
use crate::schema::Table;
use crate::wire::cells::{cell, check, rows};

const OBSERVED: i64 = 1_700_000_000_000_000;

const SPAN: &str = r#"[{
    "traceId": "5982fe77008310cc80f1da5e10147517", "parentId": "90394f6bcffb5d13", "id": "67fae42571535f60",
    "kind": "SERVER", "name": "GET /M/N/2.6", "timestamp": 1516781775726001, "duration": 26000,
    "localEndpoint": {"serviceName": "MAMMO", "ipv4": "10.57.50.83", "port": 8080},
    "remoteEndpoint": {"serviceName": "Yelp-main", "ipv6": "::ffff:1.2.3.4", "port": 0},
    "tags": {"http.path": "/x", "error": "it \"broke\""},
    "annotations": [{"timestamp": 1516781775726501, "value": "ws"}],
    "debug": true, "shared": true, "unknown": {"deep": [1, {"a": null}]}
}]"#;

/// One span with `field` in the place of, or beside, what a span must have.
fn with(field: &str) -> String {
    format!(r#"[{{"traceId": "1", "id": "2", {field}}}]"#)
}

#[track_caller]
fn refused(json: &str, reason: &str) {
    let error = decode(json.as_bytes(), OBSERVED).expect_err(json).to_string();
    assert!(error.contains(reason), "{json}\nsays {error}\nnot   {reason}");
}

#[test]
fn every_part_of_a_span_has_its_column() {
    let decoded = decode(SPAN.as_bytes(), OBSERVED).unwrap();
    assert_eq!((decoded.accepted, decoded.rejected, &decoded.message), (1, 0, &None));
    let debug = flags::DEBUG.to_string();
    check(
        rows(&decoded, Table::Spans),
        0,
        &[
            ("timestamp", "1516781775726001"),
            ("timestamp_nanos", "0"),
            ("observed_timestamp", "1700000000000000"),
            ("duration_ns", "26000000"),
            ("trace_id", "5982fe77008310cc80f1da5e10147517"),
            ("trace_id_low", "80f1da5e10147517"),
            ("span_id", "67fae42571535f60"),
            ("parent_span_id", "90394f6bcffb5d13"),
            ("shared", "true"),
            ("name", "get /m/n/2.6"),
            ("kind", "SERVER"),
            ("service_name", "mammo"),
            ("local_ip", "10.57.50.83"),
            ("local_port", "8080"),
            ("remote_service_name", "yelp-main"),
            ("remote_ip", "1.2.3.4"),
            ("remote_port", "null"),
            ("status_code", "ERROR"),
            ("status_message", "it \"broke\""),
            ("attributes", "{http.path: /x, error: it \"broke\"}"),
            ("resource_attributes", "{}"),
            ("events", "[{timestamp: 1516781775726501, timestamp_nanos: 0, name: ws, attributes: {}}]"),
            ("links", "[]"),
            ("flags", &debug),
        ],
    );
}

#[test]
fn ids_are_padded_lower_cased_and_never_zero() {
    for (sent, stored) in [
        ("1", "0000000000000001"),
        ("ABC", "0000000000000abc"),
        ("12345678901234567", "00000000000000012345678901234567"),
        ("00000000000000000000000000000001", "00000000000000000000000000000001"),
    ] {
        let json = format!(r#"[{{"traceId": "{sent}", "id": "2"}}]"#);
        let decoded = decode(json.as_bytes(), OBSERVED).unwrap();
        let spans = rows(&decoded, Table::Spans);
        check(spans, 0, &[("trace_id", stored), ("trace_id_low", &stored[stored.len() - 16..])]);
    }
    for (ids, reason) in [
        (r#""traceId": "", "id": "2""#, "traceId is empty"),
        (r#""traceId": "0000", "id": "2""#, "traceId is all zeros"),
        (r#""traceId": "111111111111111111111111111111111", "id": "2""#, "traceId.length > 32"),
        (r#""traceId": "0x1", "id": "2""#, "should be lower-hex encoded with no prefix"),
        (r#""traceId": "äb", "id": "2""#, "should be lower-hex"),
        (r#""traceId": "1""#, "id is missing"),
        (r#""traceId": null, "id": "1""#, "traceId is missing"),
        (r#""traceId": "1", "id": "0""#, "id is all zeros"),
        (r#""traceId": "1", "id": "11111111111111111""#, "id.length > 16"),
        (r#""traceId": 1, "id": "2""#, "invalid type: integer `1`, expected a string"),
    ] {
        refused(&format!("[{{{ids}}}]"), reason);
    }
}

#[test]
fn zero_empty_and_null_are_absent() {
    let nothing = r#""parentId": "0", "kind": null, "name": "", "timestamp": 0, "duration": -1,
        "localEndpoint": {}, "remoteEndpoint": {"serviceName": "", "ipv4": "nonsense", "port": -1},
        "annotations": null, "tags": null, "debug": null, "shared": null"#;
    let decoded = decode(with(nothing).as_bytes(), OBSERVED).unwrap();
    let spans = rows(&decoded, Table::Spans);
    for column in
        ["parent_span_id", "kind", "name", "duration_ns", "service_name", "remote_ip", "remote_port"]
    {
        assert_eq!(cell(spans, column, 0), "null", "{column}");
    }
    let assumed = flags::TIME_ASSUMED.to_string();
    check(spans, 0, &[("timestamp", "1700000000000000"), ("flags", &assumed), ("shared", "false")]);

    let annotated = with(r#""annotations": [{"timestamp": 9, "value": "b"}, {"timestamp": 7, "value": ""}]"#);
    let decoded = decode(annotated.as_bytes(), OBSERVED).unwrap();
    check(rows(&decoded, Table::Spans), 0, &[("timestamp", "7"), ("flags", &assumed)]);
}

#[test]
fn what_is_too_long_is_cut_and_marked() {
    let long = "x".repeat(2 * crate::limit::EVENT_BYTES_MAX);
    let limited = (flags::LIMITED | flags::TIME_ASSUMED).to_string();
    for field in [
        format!(r#""localEndpoint": {{"serviceName": "{long}"}}"#),
        format!(r#""name": "{long}""#),
        format!(r#""tags": {{"error": "{long}"}}"#),
        format!(r#""annotations": [{{"timestamp": 1, "value": "{long}"}}]"#),
    ] {
        let decoded = decode(with(&field).as_bytes(), OBSERVED).unwrap();
        let spans = rows(&decoded, Table::Spans);
        check(spans, 0, &[("flags", &limited)]);
        let columns = ["service_name", "name", "attributes", "status_message", "events"];
        let bytes: usize = columns.iter().map(|column| cell(spans, column, 0).len()).sum();
        assert!(bytes < crate::limit::EVENT_BYTES_MAX + 2048, "{bytes}");
    }
}

#[test]
fn circles_are_undone() {
    let decoded =
        decode(with(r#""parentId": "0002", "kind": "CLIENT", "shared": true"#).as_bytes(), 0).unwrap();
    check(rows(&decoded, Table::Spans), 0, &[("parent_span_id", "null"), ("shared", "false")]);
}

#[test]
fn a_value_of_another_type_is_refused_with_its_place() {
    for (field, reason) in [
        (
            r#""timestamp": 1.5"#,
            "floating point `1.5`, expected an integer (times are microseconds) at line 1",
        ),
        (r#""timestamp": "5""#, "string \"5\", expected an integer"),
        (r#""duration": 1e3"#, "expected an integer"),
        (r#""timestamp": 9223372036854775808"#, "is not below 2^63"),
        (r#""tags": {"a": 1}"#, "expected a string"),
        (r#""tags": {"a": null}"#, "expected a string"),
        (r#""tags": []"#, "expected an object of strings"),
        (r#""kind": "server""#, "kind \"server\" is none of CLIENT, SERVER, PRODUCER, CONSUMER"),
        (r#""localEndpoint": {"port": 65536}"#, "invalid port 65536"),
        (r#""annotations": [{"timestamp": 1}]"#, "Incomplete annotation at $.annotations[0]"),
        (r#""annotations": [{"value": "a"}]"#, "Incomplete annotation at $.annotations[0]"),
        (r#""parentId": "xyz""#, "parentId \"xyz\" should be lower-hex"),
        (r#""shared": "true""#, "expected a boolean"),
    ] {
        refused(&with(field), reason);
    }
}

#[test]
fn what_is_no_list_of_version_2_is_told() {
    for text in ["{}", "null", "\"a\"", "x", "  7"] {
        refused(text, "Expected a JSON_V2 encoded list");
    }
    refused("[null]", "Expected a JSON_V2 encoded list");
    refused("[1]", "Expected a JSON_V2 encoded list");
    refused("[] []", "Expected a JSON_V2 encoded list: trailing characters");
    refused("[", "Expected a JSON_V2 encoded list: EOF");
    let version_1 = "malformed Zipkin spans: Expected a JSON_V2 encoded list, but received: JSON_V1";
    refused(&with(r#""binaryAnnotations": []"#), version_1);
    let error = decode(with(r#""binaryAnnotations": []"#).as_bytes(), OBSERVED).unwrap_err();
    assert_eq!(error.reason(), super::json::IS_VERSION_1, "Zipkin's own words, to answer with");
    refused(&with(r#""annotations": [{"timestamp": 1, "value": "sr", "endpoint": {}}]"#), version_1);
    for empty in ["", "[]", " [ ] "] {
        assert_eq!(decode(empty.as_bytes(), OBSERVED).unwrap().rows(), 0);
    }
}

#[test]
fn a_list_is_taken_whole_or_not_at_all() {
    refused(r#"[{"traceId": "1", "id": "2"}, {"traceId": "1"}]"#, "span 1: id is missing");
}

proptest! {
    #[test]
    fn damaged_text_is_an_error_or_spans_never_a_panic(
        changes in prop::collection::vec((0..SPAN.len(), any::<u8>()), 1..6),
    ) {
        let mut json = SPAN.as_bytes().to_vec();
        for (at, byte) in changes {
            json[at] = byte;
        }
        if let Ok(decoded) = decode(&json, OBSERVED) {
            prop_assert_eq!(decoded.accepted, decoded.rows() as u64);
        }
    }

    #[test]
    fn a_cut_list_is_an_error(at in 1..SPAN.len()) {
        prop_assert!(decode(&SPAN.as_bytes()[..at], OBSERVED).is_err());
    }
}

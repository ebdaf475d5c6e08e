use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use super::*;
use crate::model::flags;
use crate::wire::otlp::traces;

fn span() -> Span {
    Span {
        trace_id: (1..=16).collect(),
        span_id: (17..=24).collect(),
        name: "GET /cart".into(),
        start_time_unix_nano: NANOS,
        end_time_unix_nano: NANOS + 1_500,
        ..Span::default()
    }
}

fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope = InstrumentationScope {
        name: "lib".into(),
        version: "1.2".into(),
        attributes: vec![text("k", "v")],
        dropped_attributes_count: 0,
    };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, schema_url: String::new() }];
    let resource = ResourceSpans { resource: resource("cart"), scope_spans, schema_url: String::new() };
    ExportTraceServiceRequest { resource_spans: vec![resource] }
}

fn decode(span: Span) -> RecordBatch {
    let decoded = traces(request(vec![span]), OBSERVED);
    assert_eq!((decoded.accepted, decoded.rejected, &decoded.message), (1, 0, &None));
    rows(&decoded, Table::Spans).clone()
}

#[test]
fn every_part_of_a_span_has_its_column() {
    let batch = decode(Span {
        trace_state: "a=1".into(),
        parent_span_id: vec![0xab; 8],
        flags: 0x301,
        kind: 3,
        attributes: every_type(),
        dropped_attributes_count: 2,
        events: vec![Event {
            time_unix_nano: NANOS + 1,
            name: "retry".into(),
            attributes: vec![text("n", "1")],
            dropped_attributes_count: 3,
        }],
        dropped_events_count: 4,
        links: vec![Link {
            trace_id: vec![2; 16],
            span_id: vec![3; 8],
            trace_state: String::new(),
            attributes: vec![text("l", "2")],
            dropped_attributes_count: 0,
            flags: 0,
        }],
        dropped_links_count: 5,
        status: Some(Status { message: "broken".into(), code: 2 }),
        ..span()
    });
    let dropped =
        "otel.dropped_events_count: 4, otel.dropped_links_count: 5, otel.dropped_attributes_count: 2, ";
    let attributes = format!("{{{dropped}{}, otel.scope.k: v}}", &EVERY_TYPE[1..EVERY_TYPE.len() - 1]);
    let sent_flags = (0x301 << flags::SENT_SHIFT).to_string();
    check(
        &batch,
        0,
        &[
            ("timestamp", "1704067200123456"),
            ("timestamp_nanos", "789"),
            ("observed_timestamp", "1700000000000000"),
            ("duration_ns", "1500"),
            ("trace_id", "0102030405060708090a0b0c0d0e0f10"),
            ("trace_id_low", "090a0b0c0d0e0f10"),
            ("span_id", "1112131415161718"),
            ("parent_span_id", "abababababababab"),
            ("shared", "false"),
            ("name", "GET /cart"),
            ("kind", "CLIENT"),
            ("service_name", "cart"),
            ("remote_service_name", "null"),
            ("status_code", "ERROR"),
            ("status_message", "broken"),
            ("trace_state", "a=1"),
            ("scope_name", "lib"),
            ("scope_version", "1.2"),
            ("attributes", &attributes),
            ("resource_attributes", "{host.name: node-1, zone: a}"),
            (
                "events",
                "[{timestamp: 1704067200123456, timestamp_nanos: 790, name: retry, \
                 attributes: {otel.dropped_attributes_count: 3, n: 1}}]",
            ),
            (
                "links",
                "[{trace_id: 02020202020202020202020202020202, span_id: 0303030303030303, \
                 trace_state: null, attributes: {l: 2}}]",
            ),
            ("flags", &sent_flags),
        ],
    );
}

#[test]
fn what_a_span_leaves_out_is_null() {
    let batch =
        decode(Span { end_time_unix_nano: 0, name: String::new(), parent_span_id: vec![0; 8], ..span() });
    for column in ["duration_ns", "parent_span_id", "name", "kind", "status_code", "status_message"] {
        assert_eq!(cell(&batch, column, 0), "null", "{column}");
    }
    check(
        &batch,
        0,
        &[("attributes", "{otel.scope.k: v}"), ("events", "[]"), ("links", "[]"), ("flags", "0")],
    );
}

#[test]
fn the_other_side_is_named_as_the_zipkin_exporter_names_it() {
    let remote = |kind: i32, attributes: Vec<KeyValue>| {
        let batch = decode(Span { kind, attributes, ..span() });
        ["remote_service_name", "remote_ip", "remote_port"].map(|column| cell(&batch, column, 0))
    };
    let (server, client) = (2, 3);
    let peer = text("peer.service", "db");
    let address = text("server.address", "db.local");
    assert_eq!(remote(client, vec![address.clone(), peer.clone()])[0], "db");
    assert_eq!(remote(client, vec![address.clone()])[0], "db.local");
    assert_eq!(remote(server, vec![address])[0], "null");
    assert_eq!(remote(server, vec![peer])[0], "db");
    let network =
        vec![text("network.peer.address", "::1"), attribute("network.peer.port", Value::IntValue(70_000))];
    assert_eq!(remote(client, network), ["null", "::1", "null"]);
    assert_eq!(remote(client, vec![text("network.peer.address", "unix")])[1], "null");
}

#[test]
fn an_end_that_cannot_be_stays_as_an_attribute() {
    for end in [NANOS - 1, 1] {
        let batch = decode(Span { end_time_unix_nano: end, ..span() });
        let attributes = format!("{{otel.end_time_unix_nano: {end}, otel.scope.k: v}}");
        check(&batch, 0, &[("duration_ns", "null"), ("attributes", &attributes)]);
    }
    let batch = decode(Span { start_time_unix_nano: 1, end_time_unix_nano: u64::MAX, ..span() });
    check(&batch, 0, &[("duration_ns", "null"), ("timestamp", "0")]);
    let batch = decode(Span { start_time_unix_nano: u64::MAX, end_time_unix_nano: u64::MAX, ..span() });
    check(&batch, 0, &[("duration_ns", "0"), ("timestamp_nanos", "615")]);
}

#[test]
fn a_span_that_cannot_be_a_row_is_rejected_alone() {
    for (bad, reason) in [
        (Span { trace_id: vec![1; 15], ..span() }, "trace id is 15 bytes, expected 16"),
        (Span { trace_id: vec![0; 16], ..span() }, "trace id is all zero"),
        (Span { span_id: Vec::new(), ..span() }, "span id is 0 bytes, expected 8"),
        (Span { span_id: vec![0; 8], ..span() }, "span id is all zero"),
        (Span { start_time_unix_nano: 0, ..span() }, "start time is missing"),
    ] {
        let decoded = traces(request(vec![span(), bad.clone(), span(), bad]), OBSERVED);
        assert_eq!((decoded.accepted, decoded.rejected), (2, 2));
        assert_eq!(rows(&decoded, Table::Spans).num_rows(), 2);
        let message = format!("2 of 4 spans rejected, the first: span \"GET /cart\": {reason}");
        assert_eq!(decoded.message, Some(message));
    }
    let none = traces(ExportTraceServiceRequest::default(), OBSERVED);
    assert_eq!(none, Decoded { tables: Vec::new(), accepted: 0, rejected: 0, message: None });
}

#[test]
fn limits_cut_an_event_and_mark_it() {
    let limited = |span: Span| {
        let batch = decode(span);
        assert_eq!(cell(&batch, "flags", 0), flags::LIMITED.to_string());
        batch
    };
    let many = (0..1_500).map(|index| text(&format!("k{index}"), "v")).collect();
    let batch = limited(Span { attributes: many, ..span() });
    let attributes = cell(&batch, "attributes", 0);
    assert!(attributes.contains("k999: v") && !attributes.contains("k1000: v"));

    let batch = limited(Span { attributes: vec![text(&"ä".repeat(200), "v")], ..span() });
    assert_eq!(cell(&batch, "attributes", 0), format!("{{{}: v, otel.scope.k: v}}", "ä".repeat(128)));

    let large = "x".repeat(crate::limit::EVENT_BYTES_MAX);
    let batch = limited(Span { attributes: vec![text("a", &large), text("b", "v")], ..span() });
    assert!(cell(&batch, "attributes", 0).len() <= large.len() + 64);

    let event = Event { name: "e".repeat(1000), ..Event::default() };
    limited(Span { events: vec![event; 10_000], ..span() });
}

#[test]
fn a_resource_repeated_too_often_is_rejected_and_not_held_in_memory() {
    let mut request = request(vec![span(); 4_000]);
    let large = text("large", &"x".repeat(100 * 1024));
    request.resource_spans[0].resource.as_mut().unwrap().attributes.push(large);
    let decoded = traces(request, OBSERVED);
    assert_eq!(decoded.accepted + decoded.rejected, 4_000);
    assert!((2_000..3_000).contains(&decoded.accepted), "{}", decoded.accepted);
    assert!(decoded.message.unwrap().contains("256 MiB of columns"));
}

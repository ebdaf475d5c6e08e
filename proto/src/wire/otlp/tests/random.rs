//! Requests of any shape, and damaged ones.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message;

use super::{OBSERVED, text};
use crate::model::Signal;
use crate::schema::Table;
use crate::wire::Decoded;
use crate::wire::otlp::{
    Encoding, decode, decode_logs, decode_metrics, decode_traces, logs, metrics, traces,
};

fn value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        ".{0,8}".prop_map(Value::StringValue),
        any::<bool>().prop_map(Value::BoolValue),
        any::<i64>().prop_map(Value::IntValue),
        // serde_json without `float_roundtrip` reads longer ones one bit off.
        (-8000..8000).prop_map(|eighths| Value::DoubleValue(f64::from(eighths) / 8.0)),
        vec(any::<u8>(), 0..5).prop_map(Value::BytesValue),
    ];
    let empty = Just(AnyValue { value: None });
    let leaf = prop_oneof![9 => leaf.prop_map(any_value), 1 => empty];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let list = vec(inner.clone(), 0..4).prop_map(|values| Value::ArrayValue(ArrayValue { values }));
        let entry =
            (".{0,4}", inner).prop_map(|(key, value)| KeyValue { key, value: Some(value), key_strindex: 0 });
        let map = vec(entry, 0..4).prop_map(|values| Value::KvlistValue(KeyValueList { values }));
        prop_oneof![list, map].prop_map(any_value)
    })
}

fn any_value(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let entry =
        (".{0,8}", value()).prop_map(|(key, value)| KeyValue { key, value: Some(value), key_strindex: 0 });
    vec(entry, 0..4)
}

fn resource() -> impl Strategy<Value = Option<Resource>> {
    let resource = |(mut attributes, named): (Vec<KeyValue>, bool)| {
        if named {
            attributes.push(text("service.name", "shop"));
        }
        Resource { attributes, dropped_attributes_count: 0, entity_refs: Vec::new() }
    };
    option::of((attributes(), proptest::bool::ANY).prop_map(resource))
}

/// Ids of the right length, and others.
fn id(bytes: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![8 => vec(proptest::num::u8::ANY, bytes), 1 => vec(proptest::num::u8::ANY, 0..20), 1 => Just(vec![0; bytes])]
}

fn nanos() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 1_600_000_000_000_000_000..1_800_000_000_000_000_000u64, 1 => Just(0), 1 => proptest::num::u64::ANY]
}

fn span() -> impl Strategy<Value = Span> {
    let event = (nanos(), ".{0,6}", attributes()).prop_map(|(time_unix_nano, name, attributes)| Event {
        time_unix_nano,
        name,
        attributes,
        ..Event::default()
    });
    let link = (id(16), id(8), attributes()).prop_map(|(trace_id, span_id, attributes)| Link {
        trace_id,
        span_id,
        attributes,
        ..Link::default()
    });
    let status = (".{0,6}", 0..4).prop_map(|(message, code)| Status { message, code });
    let ids = (id(16), id(8), id(8));
    let rest = (".{0,8}", -1..8, nanos(), nanos(), proptest::num::u32::ANY);
    (ids, rest, attributes(), vec(event, 0..3), vec(link, 0..3), option::of(status)).prop_map(
        |(ids, rest, attributes, events, links, status)| {
            let (trace_id, span_id, parent_span_id) = ids;
            let (name, kind, start_time_unix_nano, end_time_unix_nano, flags) = rest;
            Span {
                trace_id,
                span_id,
                parent_span_id,
                name,
                kind,
                start_time_unix_nano,
                end_time_unix_nano,
                flags,
                attributes,
                events,
                links,
                status,
                ..Span::default()
            }
        },
    )
}

fn spans() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let resource = (resource(), vec(span(), 0..6)).prop_map(|(resource, spans)| ResourceSpans {
        resource,
        scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    });
    vec(resource, 0..3).prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

fn records() -> impl Strategy<Value = ExportLogsServiceRequest> {
    let record = (nanos(), nanos(), -1..30, option::of(value()), attributes(), id(16), id(8)).prop_map(
        |(time, observed, severity_number, body, attributes, trace_id, span_id)| LogRecord {
            time_unix_nano: time,
            observed_time_unix_nano: observed,
            severity_number,
            body,
            attributes,
            trace_id,
            span_id,
            ..LogRecord::default()
        },
    );
    let resource = (resource(), vec(record, 0..6)).prop_map(|(resource, log_records)| ResourceLogs {
        resource,
        scope_logs: vec![ScopeLogs { log_records, ..ScopeLogs::default() }],
        ..ResourceLogs::default()
    });
    vec(resource, 0..3).prop_map(|resource_logs| ExportLogsServiceRequest { resource_logs })
}

fn points() -> impl Strategy<Value = ExportMetricsServiceRequest> {
    let number = || {
        (nanos(), attributes(), option::of(proptest::num::i64::ANY), 0..2u32).prop_map(
            |(time_unix_nano, attributes, value, flags)| NumberDataPoint {
                time_unix_nano,
                attributes,
                flags,
                value: value.map(number_data_point::Value::AsInt),
                ..NumberDataPoint::default()
            },
        )
    };
    let buckets = || vec(prop_oneof![9 => 0..100u64, 1 => proptest::num::u64::ANY], 0..5);
    let histogram = (nanos(), buckets(), vec((-40..40).prop_map(|eighths| f64::from(eighths) / 8.0), 0..4))
        .prop_map(|(time_unix_nano, bucket_counts, mut explicit_bounds)| {
            explicit_bounds.sort_by(f64::total_cmp);
            HistogramDataPoint {
                time_unix_nano,
                bucket_counts,
                explicit_bounds,
                ..HistogramDataPoint::default()
            }
        });
    let exponential =
        (nanos(), buckets(), proptest::num::i32::ANY).prop_map(|(time_unix_nano, bucket_counts, offset)| {
            let positive = Some(Buckets { offset, bucket_counts });
            ExponentialHistogramDataPoint {
                time_unix_nano,
                positive,
                ..ExponentialHistogramDataPoint::default()
            }
        });
    let (gauge, sum) = (vec(number(), 0..4), vec(number(), 0..4));
    let data = prop_oneof![
        gauge.prop_map(|data_points| Data::Gauge(Gauge { data_points })),
        sum.prop_map(|data_points| Data::Sum(Sum { data_points, ..Sum::default() })),
        vec(histogram, 0..4)
            .prop_map(|data_points| Data::Histogram(Histogram { data_points, aggregation_temporality: 1 })),
        vec(exponential, 0..4).prop_map(|data_points| {
            Data::ExponentialHistogram(ExponentialHistogram { data_points, aggregation_temporality: 2 })
        }),
    ];
    let metric =
        (".{0,4}", data).prop_map(|(name, data)| Metric { name, data: Some(data), ..Metric::default() });
    let resource = (resource(), vec(metric, 0..5)).prop_map(|(resource, metrics)| ResourceMetrics {
        resource,
        scope_metrics: vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }],
        ..ResourceMetrics::default()
    });
    vec(resource, 0..3).prop_map(|resource_metrics| ExportMetricsServiceRequest { resource_metrics })
}

fn sent_points(request: &ExportMetricsServiceRequest) -> usize {
    let scopes = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    scopes
        .flat_map(|scope| &scope.metrics)
        .map(|metric| match metric.data.as_ref() {
            Some(Data::Gauge(gauge)) => gauge.data_points.len(),
            Some(Data::Sum(sum)) => sum.data_points.len(),
            Some(Data::Histogram(histogram)) => histogram.data_points.len(),
            Some(Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
            Some(Data::Summary(summary)) => summary.data_points.len(),
            None => 0,
        })
        .sum()
}

fn add_up(decoded: &Decoded, sent: usize, table: Table) -> Result<(), TestCaseError> {
    prop_assert_eq!(decoded.accepted + decoded.rejected, sent as u64);
    let found = decoded.tables.iter().find(|(of, _)| *of == table);
    prop_assert_eq!(found.map_or(0, |(_, rows)| rows.num_rows()) as u64, decoded.accepted);
    prop_assert_eq!(decoded.rejected > 0, decoded.message.is_some());
    Ok(())
}

proptest! {
    #[test]
    fn spans_add_up_and_come_alike_from_both_encodings(request in spans()) {
        let sent = request.resource_spans.iter().flat_map(|r| &r.scope_spans).map(|s| s.spans.len()).sum();
        let json = serde_json::to_vec(&request).unwrap();
        prop_assert_eq!(&decode_traces(&json, Encoding::Json).unwrap(), &request);
        prop_assert_eq!(&decode_traces(&request.encode_to_vec(), Encoding::Protobuf).unwrap(), &request);
        add_up(&traces(request, OBSERVED), sent, Table::Spans)?;
    }

    #[test]
    fn log_records_add_up_and_come_alike_from_both_encodings(request in records()) {
        let sent = request.resource_logs.iter().flat_map(|r| &r.scope_logs).map(|s| s.log_records.len()).sum();
        let json = serde_json::to_vec(&request).unwrap();
        prop_assert_eq!(&decode_logs(&json, Encoding::Json).unwrap(), &request);
        prop_assert_eq!(&decode_logs(&request.encode_to_vec(), Encoding::Protobuf).unwrap(), &request);
        add_up(&logs(request, OBSERVED), sent, Table::Logs)?;
    }

    #[test]
    fn metric_points_add_up_and_come_alike_from_both_encodings(request in points()) {
        let sent = sent_points(&request);
        let json = serde_json::to_vec(&request).unwrap();
        prop_assert_eq!(&decode_metrics(&json, Encoding::Json).unwrap(), &request);
        prop_assert_eq!(&decode_metrics(&request.encode_to_vec(), Encoding::Protobuf).unwrap(), &request);
        add_up(&metrics(request, OBSERVED), sent, Table::MetricSamples)?;
    }

    #[test]
    fn damaged_bytes_are_an_error_or_rows_never_a_panic(
        spans in spans(),
        records in records(),
        points in points(),
        changes in vec((proptest::num::usize::ANY, proptest::num::u8::ANY), 1..8),
        end in proptest::num::usize::ANY,
    ) {
        let payloads = [
            (Signal::Spans, Encoding::Protobuf, spans.encode_to_vec()),
            (Signal::Spans, Encoding::Json, serde_json::to_vec(&spans).unwrap()),
            (Signal::Logs, Encoding::Protobuf, records.encode_to_vec()),
            (Signal::Logs, Encoding::Json, serde_json::to_vec(&records).unwrap()),
            (Signal::Metrics, Encoding::Protobuf, points.encode_to_vec()),
            (Signal::Metrics, Encoding::Json, serde_json::to_vec(&points).unwrap()),
        ];
        for (signal, encoding, mut payload) in payloads {
            if payload.is_empty() {
                continue;
            }
            let _ = decode(signal, &payload[..end % payload.len()], encoding, OBSERVED);
            let length = payload.len();
            for (at, byte) in &changes {
                payload[at % length] = *byte;
                let _ = decode(signal, &payload, encoding, OBSERVED);
            }
        }
    }
}

//! Spans as OTLP has them.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{
    ResourceSpans, ScopeSpans, Span as OtlpSpan, Status, span, status,
};

use crate::demo::shop::span::{Kind, Origin, Span};

/// A request with spans of one service.
pub(super) fn request(spans: &[Span]) -> ExportTraceServiceRequest {
    let Some(first) = spans.first() else { return ExportTraceServiceRequest::default() };
    let scope = InstrumentationScope { name: "shop".to_owned(), ..InstrumentationScope::default() };
    let scope_spans =
        ScopeSpans { scope: Some(scope), spans: spans.iter().map(otlp).collect(), ..ScopeSpans::default() };
    let of_service = ResourceSpans {
        resource: Some(resource(&first.origin)),
        scope_spans: vec![scope_spans],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: vec![of_service] }
}

/// An attribute of text.
pub(in crate::demo::shop) fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn resource(origin: &Origin) -> Resource {
    let attributes = vec![
        attribute("service.name", origin.service),
        attribute("service.namespace", "shop"),
        attribute("k8s.namespace.name", "shop"),
        attribute("k8s.pod.name", &origin.pod),
        attribute("host.name", &origin.host),
    ];
    Resource { attributes, ..Resource::default() }
}

fn otlp(from: &Span) -> OtlpSpan {
    let kind = match from.kind {
        Kind::Server => span::SpanKind::Server,
        Kind::Client => span::SpanKind::Client,
        Kind::Internal => span::SpanKind::Internal,
    };
    let events = from.exception.iter().map(|(kind, message)| span::Event {
        time_unix_nano: nanos(from.end_micros),
        name: "exception".to_owned(),
        attributes: vec![attribute("exception.type", kind), attribute("exception.message", message)],
        ..span::Event::default()
    });
    let status = from
        .error
        .as_ref()
        .map(|message| Status { message: message.clone(), code: status::StatusCode::Error.into() });
    OtlpSpan {
        trace_id: from.context.trace.0.to_be_bytes().to_vec(),
        span_id: from.context.span.0.to_be_bytes().to_vec(),
        parent_span_id: from.parent.map(|id| id.0.to_be_bytes().to_vec()).unwrap_or_default(),
        name: from.name.clone(),
        kind: kind.into(),
        start_time_unix_nano: nanos(from.start_micros),
        end_time_unix_nano: nanos(from.end_micros),
        attributes: from.attributes.iter().map(|(key, value)| attribute(key, value)).collect(),
        events: events.collect(),
        status,
        ..OtlpSpan::default()
    }
}

fn nanos(micros: i64) -> u64 {
    u64::try_from(micros).unwrap_or(0).saturating_mul(1_000)
}

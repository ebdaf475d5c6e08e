//! Spans as Zipkin has them: v2 JSON.

use anyhow::Result;
use serde_json::{Map, Value, json};

use crate::demo::shop::span::{Kind, Span};

/// The body of a request.
pub(super) fn body(spans: &[Span]) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(&spans.iter().map(zipkin).collect::<Vec<_>>())?)
}

fn zipkin(from: &Span) -> Value {
    let origin = &from.origin;
    let mut tags: Map<String, Value> =
        from.attributes.iter().map(|(key, value)| ((*key).to_owned(), Value::from(value.as_str()))).collect();
    tags.insert("host.name".to_owned(), origin.host.as_str().into());
    if let Some(error) = &from.error {
        tags.insert("error".to_owned(), error.as_str().into());
    }
    let mut span = json!({
        "traceId": from.context.trace.to_string(),
        "id": from.context.span.to_string(),
        "name": from.name,
        "timestamp": from.start_micros,
        "duration": from.end_micros - from.start_micros,
        "localEndpoint": {"serviceName": origin.service, "ipv4": origin.ip.to_string()},
        "tags": tags,
    });
    if let Some(parent) = from.parent {
        span["parentId"] = parent.to_string().into();
    }
    match from.kind {
        Kind::Server => span["kind"] = "SERVER".into(),
        Kind::Client => span["kind"] = "CLIENT".into(),
        Kind::Internal => {}
    }
    if let Some(remote) = from.remote {
        span["remoteEndpoint"] = json!({"serviceName": remote});
    }
    if let Some((kind, message)) = &from.exception {
        span["annotations"] = json!([{"timestamp": from.end_micros, "value": format!("{kind}: {message}")}]);
    }
    span
}

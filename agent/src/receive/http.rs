//! OTLP over HTTP: `POST /v1/traces`, `/v1/metrics` and `/v1/logs`, protobuf or
//! JSON, by `opentelemetry-proto`, `docs/specification.md`, "OTLP/HTTP".

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use prost::Message;
use serde_json::json;
use weir_proto::DecodeError;
use weir_proto::model::Signal;
use weir_proto::wire::Decoded;
use weir_proto::wire::otlp::{self, Encoding};
use weir_runtime::planted;

use super::body::Packing;
use super::door::{Door, Verdict, decoded};
use super::grpc;
use super::refusal::{Refusal, Why};
use crate::redact::pushed::Editor;

/// The routes.
pub(super) fn routes(door: &Arc<Door>) -> Router {
    let route = |signal| {
        post(move |State(door): State<Arc<Door>>, request: Request| async move {
            export(&door, signal, request).await
        })
    };
    Router::new()
        .route("/v1/logs", route(Signal::Logs))
        .route("/v1/traces", route(Signal::Spans))
        .route("/v1/metrics", route(Signal::Metrics))
        .with_state(Arc::clone(door))
}

async fn export(door: &Door, signal: Signal, request: Request) -> Response {
    let encoding = encoding_of(request.headers());
    match take(door, signal, encoding, request).await {
        Ok((encoding, verdict)) => success(encoding, signal, &verdict),
        Err(refusal) => {
            door.refused(signal, &refusal);
            if planted::is("success-on-reject") && refusal.why == Why::SpoolFull {
                return success(Encoding::Json, signal, &Verdict { rejected: 0, message: None });
            }
            failure(encoding.unwrap_or(Encoding::Json), &refusal)
        }
    }
}

async fn take(
    door: &Door,
    signal: Signal,
    encoding: Option<Encoding>,
    request: Request,
) -> Result<(Encoding, Verdict), Refusal> {
    let encoding = encoding.ok_or_else(|| unsupported(request.headers()))?;
    let packing = Packing::of(request.headers())?;
    let wire = door.read(signal, request.into_body(), 0, packing != Packing::Identity).await?;
    let (bytes, limit) = (wire.bytes, door.max_body());
    let decode = move |observed_micros: i64, editor: &mut Editor| {
        let plain = packing.unpack(bytes, limit)?;
        decoded(decode(signal, &plain, encoding, observed_micros, editor))
    };
    let verdict = door.take(signal, decode).await?;
    drop(wire.memory);
    Ok((encoding, verdict))
}

fn decode(
    signal: Signal,
    bytes: &[u8],
    encoding: Encoding,
    observed_micros: i64,
    editor: &mut Editor,
) -> Result<Decoded, DecodeError> {
    Ok(match signal {
        Signal::Logs => {
            let mut request = otlp::decode_logs(bytes, encoding)?;
            editor.logs(&mut request);
            otlp::logs(request, observed_micros)
        }
        Signal::Spans => {
            let mut request = otlp::decode_traces(bytes, encoding)?;
            editor.traces(&mut request);
            otlp::traces(request, observed_micros)
        }
        Signal::Metrics => {
            let mut request = otlp::decode_metrics(bytes, encoding)?;
            editor.metrics(&mut request);
            otlp::metrics(request, observed_micros)
        }
    })
}

fn encoding_of(headers: &HeaderMap) -> Option<Encoding> {
    headers.get(header::CONTENT_TYPE)?.to_str().ok().and_then(Encoding::of_content_type)
}

fn unsupported(headers: &HeaderMap) -> Refusal {
    let said = headers.get(header::CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let said = said.map_or_else(|| "no content-type".to_owned(), |value| format!("content-type {value:?}"));
    let text = format!("{said} is not supported: send application/x-protobuf or application/json");
    Refusal::new(Why::Unsupported, text)
}

/// 200, and what was rejected, if anything was.
fn success(encoding: Encoding, signal: Signal, verdict: &Verdict) -> Response {
    let body = match encoding {
        Encoding::Protobuf => match signal {
            Signal::Logs => grpc::logs_response(verdict).encode_to_vec(),
            Signal::Spans => grpc::traces_response(verdict).encode_to_vec(),
            Signal::Metrics => grpc::metrics_response(verdict).encode_to_vec(),
        },
        Encoding::Json => json_response(signal, verdict).to_string().into_bytes(),
    };
    answer(StatusCode::OK, encoding, body)
}

fn json_response(signal: Signal, verdict: &Verdict) -> serde_json::Value {
    if verdict.rejected == 0 && verdict.message.is_none() {
        return json!({});
    }
    let rejected = match signal {
        Signal::Logs => "rejectedLogRecords",
        Signal::Spans => "rejectedSpans",
        Signal::Metrics => "rejectedDataPoints",
    };
    let message = verdict.message.as_deref().unwrap_or_default();
    // Whole numbers of 64 bits are text in JSON.
    json!({ "partialSuccess": { rejected: verdict.rejected.to_string(), "errorMessage": message } })
}

/// A refusal, as `google.rpc.Status` in the encoding of the request.
pub(super) fn failure(encoding: Encoding, refusal: &Refusal) -> Response {
    let code = refusal.why.code() as i32;
    let body = match encoding {
        Encoding::Protobuf => {
            let message = refusal.text.clone();
            tonic_types::Status { code, message, details: Vec::new() }.encode_to_vec()
        }
        Encoding::Json => json!({ "code": code, "message": refusal.text }).to_string().into_bytes(),
    };
    let mut response = answer(refusal.why.status(), encoding, body);
    finish_refusal(&mut response, refusal);
    response
}

pub(super) fn answer(status: StatusCode, encoding: Encoding, body: Vec<u8>) -> Response {
    (status, [(header::CONTENT_TYPE, encoding.content_type())], body).into_response()
}

/// Headers that every refusal over HTTP has.
pub(super) fn finish_refusal(response: &mut Response, refusal: &Refusal) {
    let headers = response.headers_mut();
    if let Some(after) = refusal.why.retry_after() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(after.as_secs()));
    }
    if refusal.why == Why::Unsupported {
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if matches!(refusal.why, Why::TooLarge | Why::Slow) {
        // The rest of the body is not read.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

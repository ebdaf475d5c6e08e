//! Zipkin's collector: `POST /api/v2/spans`, JSON of version 2. Its answers are
//! Zipkin's: 202 without a body, or a text.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use weir_proto::model::Signal;
use weir_proto::wire::zipkin;

use super::body::Packing;
use super::door::Door;
use super::http::finish_refusal;
use super::refusal::{Refusal, Why};
use crate::redact::pushed::Editor;

/// The route.
pub(super) fn routes(door: &Arc<Door>) -> Router {
    Router::new().route("/api/v2/spans", post(spans)).with_state(Arc::clone(door))
}

async fn spans(State(door): State<Arc<Door>>, request: Request) -> Response {
    match take(&door, request).await {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(refusal) => {
            door.refused(Signal::Spans, &refusal);
            let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
            let mut response = (refusal.why.status(), headers, refusal.text.clone()).into_response();
            finish_refusal(&mut response, &refusal);
            response
        }
    }
}

async fn take(door: &Door, request: Request) -> Result<(), Refusal> {
    check_type(request.headers())?;
    let packing = Packing::of(request.headers())?;
    let wire = door.read(Signal::Spans, request.into_body(), 0, packing != Packing::Identity).await?;
    let (bytes, limit) = (wire.bytes, door.max_body());
    let decode = move |observed_micros: i64, editor: &mut Editor| {
        let plain = packing.unpack(bytes, limit)?;
        // Clients know Zipkin's texts, without ours before them.
        let decoded = zipkin::decode_edited(&plain, observed_micros, |span| editor.zipkin(span));
        decoded.map_err(|error| Refusal::malformed(error.reason()))
    };
    door.take(Signal::Spans, decode).await?;
    drop(wire.memory);
    Ok(())
}

/// Whatever is not said to be another format is taken for JSON, as Zipkin does.
fn check_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
    if !["protobuf", "thrift"].iter().any(|other| value.contains(other)) {
        return Ok(());
    }
    let text = format!("content-type {value:?} is not supported: send Zipkin's JSON as application/json");
    Err(Refusal::new(Why::Unsupported, text))
}

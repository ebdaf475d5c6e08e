//! Zipkin's API v2 for reading: what Zipkin's UI and Grafana's Zipkin data
//! source ask.
//!
//! The paths, parameters, defaults, status codes and texts are Zipkin's, its
//! errors as plain text too. `docs/api.md` says where answers differ.

mod dependencies;
mod names;
mod parameters;
mod traces;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::error::{RETRY, report, status};
use crate::error::Kind;
use crate::{Engine, QueryError};

/// What the handlers share.
struct Zipkin {
    engine: Arc<Engine>,
    /// How many services there were when last asked: names may be cached once
    /// there are several.
    services: AtomicUsize,
}

/// The routes, whatever the state of those around them.
pub(super) fn routes<S>(engine: Arc<Engine>) -> Router<S> {
    Router::new()
        .route("/api/v2/services", get(names::services))
        .route("/api/v2/spans", get(names::spans))
        .route("/api/v2/remoteServices", get(names::remote_services))
        .route("/api/v2/autocompleteKeys", get(names::keys))
        .route("/api/v2/autocompleteValues", get(names::values))
        .route("/api/v2/traces", get(traces::search))
        .route("/api/v2/trace/{id}", get(traces::by_id))
        .route("/api/v2/dependencies", get(dependencies::dependencies))
        .route("/api/v2/traceMany", get(traces::by_ids))
        .with_state(Arc::new(Zipkin { engine, services: AtomicUsize::new(0) }))
}

/// An error as Zipkin writes it: its text.
struct Failure(QueryError);

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        report(&self.0);
        let mut response = plain(status(self.0.kind()), self.0.to_string());
        if matches!(self.0.kind(), Kind::Busy | Kind::Away) {
            response.headers_mut().extend([RETRY]);
        }
        response
    }
}

fn plain(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

fn json(body: Vec<u8>) -> Response {
    let kind = HeaderValue::from_static("application/json");
    (StatusCode::OK, [(header::CONTENT_TYPE, kind)], body).into_response()
}

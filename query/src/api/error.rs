//! What errors look like from outside. The only place that knows status codes.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use weir_runtime::telemetry::error_chain;

use crate::QueryError;
use crate::error::Kind;

/// How long a client should wait before it asks again.
pub(super) const RETRY: (HeaderName, HeaderValue) = (header::RETRY_AFTER, HeaderValue::from_static("1"));

/// The body of every error.
#[derive(Debug, Serialize)]
pub(super) struct ErrorBody {
    error: Inner,
}

#[derive(Debug, Serialize)]
struct Inner {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl ErrorBody {
    pub(super) fn of(error: &QueryError) -> Self {
        Self::new(error.code(), error.to_string(), error.hint().map(str::to_owned))
    }

    fn new(code: &'static str, message: String, hint: Option<String>) -> Self {
        Self { error: Inner { code, message, hint } }
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).expect("an error body holds text only")
    }

    fn response(&self, status: StatusCode) -> Response {
        (status, [(header::CONTENT_TYPE, "application/json")], self.text()).into_response()
    }
}

impl IntoResponse for QueryError {
    fn into_response(self) -> Response {
        report(&self);
        let mut response = ErrorBody::of(&self).response(status(self.kind()));
        if matches!(self.kind(), Kind::Busy | Kind::Away) {
            response.headers_mut().extend([RETRY]);
        }
        response
    }
}

/// What the one who asked cannot help is told to the operator, with its cause.
pub(super) fn report(error: &QueryError) {
    match error.kind() {
        Kind::Broken => tracing::error!(error = %error_chain(error), "a query failed"),
        Kind::Away => tracing::warn!(error = %error_chain(error), "a query could not be answered"),
        Kind::TooMuch => tracing::info!(error = %error_chain(error), "a query was too much"),
        Kind::Wrong | Kind::TooLong | Kind::Busy | Kind::Late => {}
    }
}

pub(super) fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Wrong => StatusCode::BAD_REQUEST,
        Kind::TooLong => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::TooMuch => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::Busy => StatusCode::TOO_MANY_REQUESTS,
        Kind::Late => StatusCode::GATEWAY_TIMEOUT,
        Kind::Away => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Broken => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What can be asked, as a hint.
const ROUTES: &str = "POST /api/v1/sql, GET /api/v1/logs, GET /api/v1/delivery, GET /api/v2/traces";

pub(super) fn not_found() -> Response {
    ErrorBody::new("not_found", "there is nothing here".to_owned(), Some(ROUTES.to_owned()))
        .response(StatusCode::NOT_FOUND)
}

pub(super) fn wrong_method() -> Response {
    ErrorBody::new("wrong_method", "not with this method".to_owned(), Some(ROUTES.to_owned()))
        .response(StatusCode::METHOD_NOT_ALLOWED)
}

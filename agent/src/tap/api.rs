//! `GET /api/v1/agent/tap`, by `docs/api.md`: lines of JSON, as they come.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use globset::{Glob, GlobMatcher};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;
use weir_runtime::HumanDuration;

use super::{Stage, Tap, Unwatched, Wanted};
use crate::limit::{Rate, RateLimit};

/// The longest that one request watches.
const WATCH_MAX: Duration = Duration::from_secs(3600);

/// What a request says.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Parameters {
    stage: Stage,
    pod: Option<String>,
    service: Option<String>,
    contains: Option<String>,
    /// Records in a second.
    sample: u64,
    r#for: HumanDuration,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            stage: Stage::Batched,
            pod: None,
            service: None,
            contains: None,
            sample: 100,
            r#for: HumanDuration(Duration::from_secs(10)),
        }
    }
}

/// The route.
pub(crate) fn router(tap: Arc<Tap>) -> Router {
    Router::new().route("/api/v1/agent/tap", get(watch).with_state(tap))
}

async fn watch(
    State(tap): State<Arc<Tap>>,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Response {
    let parameters = match parameters {
        Ok(Query(parameters)) => parameters,
        Err(rejection) => return refused(StatusCode::BAD_REQUEST, &rejection.body_text()),
    };
    let end = Instant::now() + parameters.r#for.0.min(WATCH_MAX);
    let wanted = match wanted(&parameters) {
        Ok(wanted) => wanted,
        Err(text) => return refused(StatusCode::BAD_REQUEST, &text),
    };
    let lines = match tap.watch(wanted) {
        Ok(lines) => lines,
        Err(Unwatched::TooMany) => {
            let text = "as many watch already as may: end one, or try again later";
            let mut response = refused(StatusCode::TOO_MANY_REQUESTS, text);
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
            return response;
        }
        Err(Unwatched::Stopping) => return refused(StatusCode::SERVICE_UNAVAILABLE, "the agent stops"),
    };
    let shown = futures::stream::unfold(lines, move |mut lines| async move {
        let line = tokio::time::timeout_at(end, lines.recv()).await.ok()??;
        Some((Ok::<_, Infallible>(line), lines))
    });
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")];
    (headers, Body::from_stream(shown)).into_response()
}

fn wanted(parameters: &Parameters) -> Result<Wanted, String> {
    let glob = |name: &str, pattern: Option<&String>| -> Result<Option<GlobMatcher>, String> {
        let Some(pattern) = pattern else { return Ok(None) };
        let glob = Glob::new(pattern);
        Ok(Some(glob.map_err(|error| format!("{name}: {pattern:?} is no glob: {error}"))?.compile_matcher()))
    };
    let second = HumanDuration(Duration::from_secs(1));
    let limit =
        RateLimit { lines_per_second: Some(parameters.sample), burst: second, ..RateLimit::default() };
    Ok(Wanted {
        stage: parameters.stage,
        pod: glob("pod", parameters.pod.as_ref())?,
        service: glob("service", parameters.service.as_ref())?,
        contains: parameters.contains.clone().filter(|part| !part.is_empty()),
        rate: Rate::new(&limit)
            .map_err(|_| "sample: write how many records in a second, 1 or more".to_owned())?,
    })
}

fn refused(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "error": { "message": message } }))).into_response()
}

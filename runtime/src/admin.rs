//! What a process answers about itself: alive, ready, and in numbers.

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::{Router, routing::get};
use serde::Serialize;

use crate::Metrics;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One thing that must hold before the process takes work.
#[derive(Clone)]
pub struct Check {
    /// What is looked at, for example `log` or `catalog`.
    pub name: &'static str,
    /// Looks, without waiting: it runs on every request to `/readyz`. The
    /// error says what is missing.
    pub probe: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    failures: Vec<Failure>,
}

#[derive(Serialize)]
struct Failure {
    check: &'static str,
    reason: String,
}

impl Check {
    /// A check under a name.
    pub fn new(name: &'static str, probe: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self { name, probe: Arc::new(probe) }
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Check").field(&self.name).finish()
    }
}

/// Serves `/healthz` (200 while the process can answer at all), `/readyz` (200
/// or 503 with the failed checks) and `/metrics` (OpenMetrics text).
pub fn router(checks: Vec<Check>, metrics: Metrics) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready).with_state(Arc::from(checks)))
        .route("/metrics", get(numbers).with_state(metrics))
}

async fn ready(State(checks): State<Arc<[Check]>>) -> Response {
    let failed = |check: &Check| {
        let reason = (check.probe)().err()?;
        Some(Failure { check: check.name, reason })
    };
    let failures: Vec<_> = checks.iter().filter_map(failed).collect();
    let status = if failures.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready: failures.is_empty(), failures })).into_response()
}

async fn numbers(State(metrics): State<Metrics>) -> Response {
    ([(header::CONTENT_TYPE, OPEN_METRICS)], metrics.encode()).into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use axum::body::Body;
    use axum::http::Request;
    use prometheus_client::metrics::counter::Counter;

    use super::*;
    use crate::server::Listener;
    use crate::unix::UnixClient;
    use crate::{Handles, server::Server};

    #[tokio::test]
    async fn ready_follows_the_checks_and_metrics_are_open_metrics() {
        let handles = Handles::new("admin");
        let lines: Counter = Counter::default();
        handles.metrics.register("lines", "Lines seen", lines.clone());
        lines.inc_by(3);
        let open = Arc::new(AtomicBool::new(false));
        let probe = open.clone();
        let log = Check::new("log", move || {
            if probe.load(Ordering::SeqCst) { Ok(()) } else { Err("still recovering".to_owned()) }
        });
        let router = router(vec![Check::new("always", || Ok(())), log], handles.metrics.clone());
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("admin");
        let _server = Server::start(Listener::unix(&path).await.expect("bound"), router, &handles);
        let get = async |path_and_query: &str| {
            let request = Request::get(path_and_query).body(Body::empty()).expect("a request");
            let response = UnixClient::new(&path).send(request).await.expect("answered");
            let kind = response.headers()[header::CONTENT_TYPE].to_str().expect("text").to_owned();
            let status = response.status().as_u16();
            let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("read");
            (status, kind, String::from_utf8(body.to_vec()).expect("text"))
        };
        assert_eq!(get("/healthz").await.0, 200);
        let (status, _, body) = get("/readyz").await;
        assert_eq!(status, 503);
        assert_eq!(body, r#"{"ready":false,"failures":[{"check":"log","reason":"still recovering"}]}"#);
        open.store(true, Ordering::SeqCst);
        let (status, _, body) = get("/readyz").await;
        assert_eq!((status, body.as_str()), (200, r#"{"ready":true,"failures":[]}"#));
        let (status, kind, body) = get("/metrics").await;
        assert_eq!((status, kind.as_str()), (200, OPEN_METRICS));
        assert!(body.contains("weir_lines_total 3\n") && body.ends_with("# EOF\n"), "{body}");
    }
}

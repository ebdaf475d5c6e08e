//! How another process asks for the live rows: `POST /live/logs`.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures::stream;
use weir_runtime::telemetry::error_chain;
use weir_storage::WireError;
use weir_storage::live::wire::LiveRequest;

use super::Live;

/// Answers with what is new to the asker. For a socket that only processes of
/// the same host and user can reach: it asks nobody who they are.
pub(crate) fn router(live: Arc<Live>) -> Router {
    Router::new().route("/live/logs", post(logs)).with_state(live)
}

async fn logs(State(live): State<Arc<Live>>, body: Bytes) -> Response {
    let request = match LiveRequest::decode(&body) {
        Ok(request) => request,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &error),
    };
    let encode = tokio::task::spawn_blocking(move || live.answer(&request).encode());
    match encode.await {
        Ok(Ok(pieces)) => {
            Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, Infallible>))).into_response()
        }
        Ok(Err(error)) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

fn refuse(status: StatusCode, error: &WireError) -> Response {
    (status, error_chain(error)).into_response()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;
    use weir_runtime::Metrics;
    use weir_storage::catalog::{Lease, LogPartition, Progress};
    use weir_storage::live::LiveCache;
    use weir_storage::live::wire::LiveResponse;

    use super::*;
    use crate::metrics::IngestMetrics;

    async fn ask(live: &Arc<Live>, body: Bytes) -> (StatusCode, Bytes) {
        let response = logs(State(live.clone()), body).await;
        let status = response.status();
        (status, response.into_body().collect().await.expect("a body in memory").to_bytes())
    }

    #[tokio::test]
    async fn an_answer_fills_a_cache() {
        let live = Arc::new(Live::new(Duration::from_secs(600), IngestMetrics::register(&Metrics::new())));
        let partition = LogPartition { topic: "weir.logs".to_owned(), partition: 0 };
        let lease = Lease { partition: partition.clone(), owner: "me".to_owned(), epoch: 1, until_micros: 0 };
        let stored = Progress { next_offset: Some(7), ..Progress::default() };
        live.begin(lease, &stored);
        let mut cache = LiveCache::new();
        let request = cache.request();
        let (status, bytes) = ask(&live, request.encode().expect("encodes")).await;
        assert_eq!(status, StatusCode::OK);
        let response = LiveResponse::decode(&bytes).expect("decodes");
        assert_eq!((response.ranges[0].floor, response.ranges[0].next), (7, 7));
        cache.apply(&request, response).expect("applies");
        assert_eq!(cache.request().have[&partition], 7);
    }

    #[tokio::test]
    async fn nonsense_is_refused() {
        let live = Arc::new(Live::new(Duration::from_secs(600), IngestMetrics::register(&Metrics::new())));
        let (status, why) = ask(&live, Bytes::from_static(b"{")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(why.starts_with(b"malformed request"), "{why:?}");
    }
}

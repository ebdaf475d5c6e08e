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
use weir_storage::WireError;
use weir_storage::live::wire::LiveRequest;

use super::Live;
use crate::error::chain;

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
    (status, chain(error)).into_response()
}

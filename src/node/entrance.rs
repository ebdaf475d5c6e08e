//! The port before the roles run. A process that waits for the event log is
//! alive and says what it waits for; nobody shall kill it for that, and nobody
//! who pushes shall be left without an answer.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use serde_json::json;
use tower::ServiceExt;
use weir_runtime::Handles;
use weir_runtime::server::{Listener, Server};

/// When a client shall come again, seconds.
const RETRY_AFTER: &str = "5";

/// gRPC's `UNAVAILABLE`.
const UNAVAILABLE: &str = "14";

/// The port, until the roles are served on it.
#[derive(Debug)]
pub(super) struct Entrance {
    /// None once it is served.
    listener: Option<Listener>,
    behind: Arc<Behind>,
}

/// What is served, and why it is not yet.
#[derive(Debug, Default)]
struct Behind {
    roles: OnceLock<Router>,
    why: Mutex<String>,
}

impl Entrance {
    /// Nothing is served yet: who connects waits.
    pub(super) fn new(listener: Listener) -> Self {
        Self { listener: Some(listener), behind: Arc::default() }
    }

    /// It takes longer: serves that, and says why.
    pub(super) fn wait(&mut self, why: String, port: &Handles) {
        *self.behind.why.lock().unwrap_or_else(PoisonError::into_inner) = why;
        if let Some(listener) = self.listener.take() {
            Server::start(listener, router(&self.behind), port);
        }
    }

    /// Serves the roles from now on.
    pub(super) fn open(self, roles: Router, port: &Handles) {
        match self.listener {
            Some(listener) => {
                Server::start(listener, roles, port);
            }
            None => {
                // Nothing else sets it.
                let _ = self.behind.roles.set(roles);
            }
        }
    }
}

fn router(behind: &Arc<Behind>) -> Router {
    let behind = Arc::clone(behind);
    Router::new().fallback(move |request: Request| {
        let behind = Arc::clone(&behind);
        async move {
            match behind.roles.get() {
                Some(roles) => roles.clone().oneshot(request).await.into_response(),
                None => behind.waiting(&request),
            }
        }
    })
}

impl Behind {
    /// The answer while there is nothing behind the entrance.
    fn waiting(&self, request: &Request) -> Response {
        let why = self.why.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let is_grpc = request
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
        let again = [(header::RETRY_AFTER, RETRY_AFTER)];
        match request.uri().path() {
            "/healthz" => "ok\n".into_response(),
            "/readyz" => {
                let body = json!({ "ready": false, "failures": [{ "check": "log", "reason": why }] });
                (StatusCode::SERVICE_UNAVAILABLE, again, Json(body)).into_response()
            }
            _ if is_grpc => {
                let headers = [("content-type", "application/grpc"), ("grpc-status", UNAVAILABLE)];
                (headers, [("grpc-message", "starting")]).into_response()
            }
            _ => {
                let body =
                    json!({ "error": { "message": format!("starting: {why}"), "hint": "send again" } });
                (StatusCode::SERVICE_UNAVAILABLE, again, Json(body)).into_response()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::http::Client;

    #[tokio::test]
    async fn a_process_that_waits_is_alive_says_for_what_and_goes_on_on_the_same_port() {
        let port = Handles::new("test");
        let listener = Listener::tcp("127.0.0.1:0").await.unwrap();
        let client = Client::new(&format!("http://{}", listener.local_addr())).unwrap();
        let mut entrance = Entrance::new(listener);
        entrance.wait("the first reason".to_owned(), &port);
        entrance.wait("no answer from kafka:9092".to_owned(), &port);
        let alive = client.get("/healthz", "*/*").await.unwrap();
        assert_eq!((alive.status, alive.text().as_str()), (StatusCode::OK, "ok\n"));
        let ready = client.get("/readyz", "*/*").await.unwrap();
        assert_eq!(ready.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(ready.json().unwrap()["failures"][0]["reason"], "no answer from kafka:9092");
        let push = client
            .post("/v1/logs", &[("content-type", "application/json")], Bytes::from("{}"))
            .await
            .unwrap();
        assert_eq!(
            (push.status, &push.headers[header::RETRY_AFTER]),
            (StatusCode::SERVICE_UNAVAILABLE, &RETRY_AFTER.parse().unwrap())
        );
        let grpc = client
            .post("/any.Service/Export", &[("content-type", "application/grpc")], Bytes::new())
            .await
            .unwrap();
        assert_eq!(
            (grpc.status, &grpc.headers["grpc-status"]),
            (StatusCode::OK, &UNAVAILABLE.parse().unwrap())
        );

        entrance.open(Router::new().route("/v1/logs", axum::routing::post(async || "taken")), &port);
        let push = client.post("/v1/logs", &[], Bytes::new()).await.unwrap();
        assert_eq!((push.status, push.text().as_str()), (StatusCode::OK, "taken"));
        assert_eq!(client.get("/nothing", "*/*").await.unwrap().status, StatusCode::NOT_FOUND);
        port.shutdown.begin();
    }
}

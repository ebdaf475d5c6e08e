//! Questions over HTTP: a request in, a question, an answer out.

mod accept;
mod body;
mod delivery;
mod encode;
mod error;
mod histogram;
mod logs;
mod sql;
mod value;
mod zipkin;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::Engine;

/// The routes of the query process: `POST /api/v1/sql`, `GET /api/v1/logs`, its
/// histogram, `GET /api/v1/delivery`, and Zipkin's below `/api/v2`. What a process answers about itself is merged in by whoever runs it.
pub fn router(engine: Arc<Engine>) -> Router {
    Router::new()
        .route("/api/v1/sql", post(sql::answer))
        .route("/api/v1/logs", get(logs::answer))
        .route("/api/v1/logs/histogram", get(histogram::answer))
        .route("/api/v1/delivery", get(delivery::answer))
        .merge(zipkin::routes(engine.clone()))
        .fallback(async || error::not_found())
        .method_not_allowed_fallback(async || error::wrong_method())
        .with_state(engine)
}

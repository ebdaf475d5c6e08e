//! Questions over HTTP: a request in, a question, an answer out.

mod accept;
mod body;
mod encode;
mod error;
mod logs;
mod sql;
mod value;

#[cfg(test)]
mod tests;

use axum::Router;
use axum::routing::{get, post};

use crate::Engine;

/// The routes of the query process: `POST /api/v1/sql`, `GET /api/v1/logs`,
/// and `/healthz` for whoever keeps the process.
pub fn router(engine: Engine) -> Router {
    Router::new()
        .route("/api/v1/sql", post(sql::answer))
        .route("/api/v1/logs", get(logs::answer))
        .route("/healthz", get(async || "ok\n"))
        .fallback(async || error::not_found())
        .with_state(engine)
}

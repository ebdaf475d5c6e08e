//! `GET /api/v1/agent/explain`, by `docs/api.md`.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use globset::Glob;
use serde::Deserialize;
use serde_json::json;

use super::api::Desk;
use crate::kube::{Wanted, explain};

/// What a request says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    /// A glob.
    pod: String,
    namespace: Option<String>,
}

pub(super) async fn answer(
    State(desk): State<Arc<Desk>>,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Response {
    let parameters = match parameters {
        Ok(Query(parameters)) => parameters,
        Err(rejection) => return refused(StatusCode::BAD_REQUEST, &rejection.body_text()),
    };
    let pod = match Glob::new(&parameters.pod) {
        Ok(glob) => glob.compile_matcher(),
        Err(error) => {
            let text = format!("pod: {:?} is no name, and no glob: {error}", parameters.pod);
            return refused(StatusCode::BAD_REQUEST, &text);
        }
    };
    let Some(reader) = desk.reader().await else {
        return refused(StatusCode::SERVICE_UNAVAILABLE, super::api::SILENT);
    };
    let wanted = Wanted { namespace: parameters.namespace, pod };
    Json(explain(desk.pods.as_deref(), &desk.configured, &reader, &wanted)).into_response()
}

fn refused(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "error": { "message": message } }))).into_response()
}

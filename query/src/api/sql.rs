//! `POST /api/v1/sql`.

use std::sync::Arc;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, header};
use axum::response::Response;
use serde::Deserialize;
use weir_proto::model::TenantId;

use super::accept::Format;
use super::body::{Wanted, respond};
use super::encode::Shape;
use crate::{Engine, QueryError, SqlRequest};

/// The longest body: a statement of the longest length with every letter
/// escaped.
const BODY_BYTES_MAX: usize = 512 << 10;

/// The body as JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SqlBody {
    query: String,
}

pub(super) async fn answer(
    State(engine): State<Arc<Engine>>,
    request: Request<Body>,
) -> Result<Response, QueryError> {
    let (head, body) = request.into_parts();
    let format = Format::of(&head.headers)?;
    let body =
        to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| QueryError::TooLong { limit: BODY_BYTES_MAX })?;
    let request = SqlRequest { tenant: TenantId::default(), query: statement(&head.headers, &body)? };
    let answer = engine.sql(request).await?;
    let wanted = Wanted { format, shape: Shape::Table, statement: None, prepare: |batch| Ok(batch.clone()) };
    respond(&engine, answer, wanted).await
}

/// The statement: the body itself, or its `query` when it is JSON.
fn statement(headers: &HeaderMap, body: &Bytes) -> Result<String, QueryError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    // No statement begins with a brace: curl sends JSON under the name of a form.
    let is_json = kind.eq_ignore_ascii_case("application/json") || body.trim_ascii_start().starts_with(b"{");
    if is_json {
        let read: Result<SqlBody, _> = serde_json::from_slice(body);
        return read.map(|body| body.query).map_err(|error| {
            QueryError::refused_with(
                format!("the body is not what is expected: {error}"),
                r#"send {"query": "SELECT ..."}, or the statement itself as text/plain"#,
            )
        });
    }
    String::from_utf8(body.to_vec()).map_err(|_| QueryError::refused("the query is not valid UTF-8"))
}

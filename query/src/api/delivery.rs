//! `GET /api/v1/delivery`: how far everything is stored, and what is missing:
//! an operator's first look. `weir.delivery` and `weir.gaps` have the rest.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use weir_proto::model::TenantId;

use super::body::complete;
use super::encode::values;
use crate::search::rfc3339;
use crate::{Completeness, Engine, QueryError, SqlRequest};

/// Sources when nothing is said, and at most.
const LIMIT: usize = 100;
const LIMIT_MAX: usize = 10_000;

/// The parameters.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Parameters {
    limit: Option<String>,
}

#[derive(Debug, Serialize)]
struct Body {
    /// Those of which something is missing first, then those that are behind.
    sources: Vec<Value>,
    /// There are more sources.
    truncated: bool,
    /// Sums over all sources.
    totals: Value,
    /// Every loss, summed by reason.
    losses: Vec<Value>,
    complete_until: Option<String>,
    held_by: Vec<String>,
}

const TOTALS: &str = "SELECT count(*) AS sources, coalesce(sum(events), 0) AS events, \
    coalesce(sum(duplicates), 0) AS duplicates, coalesce(sum(lost), 0) AS lost, \
    coalesce(sum(left_out), 0) AS left_out, max(lag_ms) AS lag_ms FROM weir.delivery";

const LOSSES: &str = "SELECT reason, declared, count(*) AS gaps, coalesce(sum(count), 0) AS events, \
    sum(CASE WHEN count IS NULL AND messages IS NULL THEN 1 ELSE 0 END) AS uncounted, \
    sum(messages) AS messages, max(noticed_at) AS noticed_at \
    FROM weir.gaps GROUP BY 1, 2 ORDER BY declared, gaps DESC, reason";

pub(super) async fn answer(
    State(engine): State<Arc<Engine>>,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Result<Response, QueryError> {
    let Query(parameters) = parameters
        .map_err(|error| QueryError::refused_with(error.body_text(), "the only parameter is limit"))?;
    let limit = parameters.limit()?;
    let sources = format!(
        "SELECT * FROM weir.delivery \
         ORDER BY lost DESC, gaps DESC, lag_ms DESC NULLS LAST, last_observed DESC LIMIT {}",
        limit + 1
    );
    let (mut sources, completeness) = ask(&engine, &sources).await?;
    let truncated = sources.len() > limit;
    sources.truncate(limit);
    let (totals, _) = ask(&engine, TOTALS).await?;
    let (losses, _) = ask(&engine, LOSSES).await?;
    let body = Body {
        sources,
        truncated,
        totals: totals.into_iter().next().unwrap_or_default(),
        losses,
        complete_until: completeness.complete_until_micros.and_then(rfc3339),
        held_by: completeness.held_by.clone(),
    };
    let mut response = Json(body).into_response();
    complete(&completeness, &mut response);
    Ok(response)
}

impl Parameters {
    fn limit(&self) -> Result<usize, QueryError> {
        let Some(text) = self.limit.as_deref().filter(|text| !text.is_empty()) else { return Ok(LIMIT) };
        text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit)).ok_or_else(|| {
            QueryError::refused_with(
                format!("limit is no number from 1 to {LIMIT_MAX}: {text:?}"),
                "SQL has no such limit: SELECT * FROM weir.delivery",
            )
        })
    }
}

/// All rows of a small answer, as objects.
async fn ask(engine: &Engine, query: &str) -> Result<(Vec<Value>, Completeness), QueryError> {
    let request = SqlRequest { tenant: TenantId::default(), query: query.to_owned() };
    let answer = engine.sql(request).await?;
    let (completeness, mut batches) = (answer.completeness, answer.batches);
    let mut rows = Vec::new();
    while let Some(batch) = batches.try_next().await? {
        rows.extend(values(&batch).map_err(QueryError::internal)?);
    }
    Ok((rows, completeness))
}

//! `GET /api/v2/dependencies?endTs=&lookback=`: who calls whom.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Serialize;
use weir_proto::model::TenantId;

use super::parameters::Parameters;
use super::{Failure, Zipkin, json};
use crate::QueryError;
use crate::api::body::complete;

/// A link as Zipkin writes it: without errors, nothing is said of them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Link {
    parent: String,
    child: String,
    call_count: u64,
    #[serde(skip_serializing_if = "is_none")]
    error_count: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

pub(super) async fn dependencies(
    State(zipkin): State<Arc<Zipkin>>,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Result<Response, Failure> {
    let time = Parameters::read(query)?.dependencies()?;
    let (calls, completeness) = zipkin.engine.dependencies(&TenantId::default(), time).await?;
    let links: Vec<Link> = calls
        .edges()
        .into_iter()
        .map(|edge| Link {
            parent: edge.parent,
            child: edge.child,
            call_count: edge.calls,
            error_count: edge.errors,
        })
        .collect();
    let mut response = json(serde_json::to_vec(&links).map_err(QueryError::internal)?);
    complete(&completeness, &mut response);
    Ok(response)
}

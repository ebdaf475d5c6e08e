//! Traces: the newest that match, or those named.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use futures::StreamExt;
use weir_proto::model::TenantId;

use super::parameters::{Parameters, TRACES_MAX};
use super::{Failure, Zipkin, json, plain};
use crate::api::body::complete;
use crate::engine::{TraceRequest, Wanted};
use crate::trace::id::TraceKey;
use crate::trace::span::{self, Span};
use crate::trace::{assemble, merge};
use crate::{Completeness, QueryError};

type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// Bytes of texts that the spans of one answer may hold in memory; what is
/// more is left out, and the answer says so.
const SPANS_BYTES_MAX: usize = 64 << 20;

/// Ids in one request for several traces.
const IDS_MAX: usize = 1_000;

/// The header of an answer that does not hold all.
const TRUNCATED: &str = "weir-truncated";

/// `GET /api/v2/traces`.
pub(super) async fn search(State(zipkin): State<Arc<Zipkin>>, query: Pairs) -> Result<Response, Failure> {
    let parameters = Parameters::read(query)?;
    let mut search = parameters.search(zipkin.engine.clock().now_micros(), zipkin.is_strict())?;
    let limit = search.limit;
    search.limit = limit.min(TRACES_MAX);
    let mut found = zipkin.traces(Wanted::Newest(search)).await?;
    found.is_cut |= found.traces.len() >= TRACES_MAX && limit > TRACES_MAX;
    found.traces.sort_by_key(|trace| std::cmp::Reverse(span::time(trace)));
    found.respond(serde_json::to_vec)
}

/// `GET /api/v2/trace/{id}`.
pub(super) async fn by_id(
    State(zipkin): State<Arc<Zipkin>>,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let key = TraceKey::parse(&id)?;
    let found = zipkin.traces(Wanted::Named(vec![key.clone()])).await?;
    if found.traces.is_empty() {
        let mut response = plain(StatusCode::NOT_FOUND, format!("{key} not found"));
        complete(&found.completeness, &mut response);
        return Ok(response);
    }
    found.respond(|traces| serde_json::to_vec(&traces.concat()))
}

/// `GET /api/v2/traceMany?traceIds=`.
pub(super) async fn by_ids(State(zipkin): State<Arc<Zipkin>>, query: Pairs) -> Result<Response, Failure> {
    let parameters = Parameters::read(query)?;
    let mut keys = Vec::new();
    for id in parameters.required("traceIds")?.split(',') {
        let key = TraceKey::parse(id.trim())?;
        if keys.contains(&key) {
            return Err(QueryError::refused(format!("redundant traceId: {id}")).into());
        }
        keys.push(key);
        if keys.len() > IDS_MAX {
            return Err(QueryError::refused(format!("more than {IDS_MAX} traceIds")).into());
        }
    }
    if keys.len() == 1 {
        let text = "Use /api/v2/trace/{traceId} endpoint to retrieve a single trace";
        return Err(QueryError::refused(text).into());
    }
    zipkin.traces(Wanted::Named(keys)).await?.respond(serde_json::to_vec)
}

/// Whole traces, merged.
struct Found {
    traces: Vec<Vec<Span>>,
    completeness: Completeness,
    /// True when some spans are left out.
    is_cut: bool,
}

impl Zipkin {
    fn is_strict(&self) -> bool {
        self.engine.config().strict_trace_id
    }

    async fn traces(&self, wanted: Wanted) -> Result<Found, QueryError> {
        let (strict, spans_max) = (self.is_strict(), self.engine.config().max_rows);
        // One more than fits tells whether there are more.
        let request = TraceRequest {
            tenant: TenantId::default(),
            wanted,
            strict,
            spans_max: spans_max.saturating_add(1),
        };
        let mut answer = self.engine.traces(request).await?;
        let mut traces: BTreeMap<String, Vec<Span>> = BTreeMap::new();
        let (mut spans_left, mut bytes_left, mut is_cut) = (spans_max, SPANS_BYTES_MAX, false);
        'rows: while let Some(batch) = answer.batches.next().await {
            for span in assemble::spans(&batch?)? {
                let weight = span.weight();
                if spans_left == 0 || bytes_left < weight {
                    is_cut = true;
                    break 'rows;
                }
                spans_left -= 1;
                bytes_left -= weight;
                let key = if strict { span.trace_id.as_str() } else { span.trace_id.low() };
                traces.entry(key.to_owned()).or_default().push(span);
            }
        }
        let traces = traces.into_values().map(whole).collect();
        Ok(Found { traces, completeness: answer.completeness, is_cut })
    }
}

/// Merged, and in order of time.
fn whole(spans: Vec<Span>) -> Vec<Span> {
    let mut spans = merge(spans);
    spans.sort_by_key(|span| (span.timestamp.is_none(), span.timestamp));
    spans
}

impl Found {
    fn respond(
        self,
        encode: impl FnOnce(&[Vec<Span>]) -> serde_json::Result<Vec<u8>>,
    ) -> Result<Response, Failure> {
        let mut response = json(encode(&self.traces).map_err(QueryError::internal)?);
        complete(&self.completeness, &mut response);
        if self.is_cut {
            response.headers_mut().insert(TRUNCATED, HeaderValue::from_static("true"));
        }
        Ok(response)
    }
}

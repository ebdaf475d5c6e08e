//! Names for the chips and lists of a user interface, sorted.
//!
//! They are read from the spans of the last day, as Zipkin's stores do.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow_array::cast::AsArray;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures::TryStreamExt;
use weir_proto::model::TenantId;
use weir_proto::schema::Table;
use weir_proto::schema::span::column;
use weir_storage::catalog::TimeRange;

use super::parameters::{LOOKBACK_MILLIS, Parameters};
use super::{Failure, Zipkin, json};
use crate::api::body::complete;
use crate::{QueryError, SqlRequest, literal};

type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// Names of one answer.
const NAMES_MAX: usize = 10_000;

/// Values that are proposed for a tag: of more, a list helps nobody.
const VALUES_MAX: usize = 1_000;

/// Spans whose tags are looked through for keys.
const SPANS_WITH_KEYS: usize = 20_000;

/// Fewer services than this and one more are a beginning: who sees an empty
/// list then should not see it for five minutes.
const FEW: usize = 3;

/// `GET /api/v2/services`.
pub(super) async fn services(State(zipkin): State<Arc<Zipkin>>) -> Result<Response, Failure> {
    let (names, response) = zipkin.names(&distinct(column::SERVICE_NAME, None, &zipkin)).await?;
    zipkin.services.store(names, Ordering::Relaxed);
    Ok(cached(response, names > FEW))
}

/// `GET /api/v2/spans?serviceName=`.
pub(super) async fn spans(State(zipkin): State<Arc<Zipkin>>, query: Pairs) -> Result<Response, Failure> {
    zipkin.names_of_service(query, column::NAME).await
}

/// `GET /api/v2/remoteServices?serviceName=`.
pub(super) async fn remote_services(
    State(zipkin): State<Arc<Zipkin>>,
    query: Pairs,
) -> Result<Response, Failure> {
    zipkin.names_of_service(query, column::REMOTE_SERVICE_NAME).await
}

/// `GET /api/v2/autocompleteKeys`: Zipkin wants these configured; here they
/// are what the newest spans have.
pub(super) async fn keys(State(zipkin): State<Arc<Zipkin>>) -> Result<Response, Failure> {
    let (attributes, table) = (column::ATTRIBUTES, Table::Spans.name());
    let sql = format!(
        "SELECT DISTINCT name FROM (SELECT unnest(map_keys({attributes})) AS name FROM \
         (SELECT {attributes} FROM {table} WHERE {} LIMIT {SPANS_WITH_KEYS})) \
         WHERE name <> '' ORDER BY name LIMIT {NAMES_MAX}",
        last_day(&zipkin),
    );
    let (names, response) = zipkin.names(&sql).await?;
    Ok(cached(response, names > 0))
}

/// `GET /api/v2/autocompleteValues?key=`.
pub(super) async fn values(State(zipkin): State<Arc<Zipkin>>, query: Pairs) -> Result<Response, Failure> {
    let parameters = Parameters::read(query)?;
    let value = format!("{}[{}]", column::ATTRIBUTES, literal::text(parameters.required("key")?));
    let sql = format!(
        "SELECT DISTINCT {value} AS name FROM {} WHERE {} AND {value} <> '' ORDER BY name LIMIT {VALUES_MAX}",
        Table::Spans.name(),
        last_day(&zipkin),
    );
    let (names, response) = zipkin.names(&sql).await?;
    Ok(cached(response, names > FEW))
}

impl Zipkin {
    async fn names_of_service(&self, query: Pairs, column: &str) -> Result<Response, Failure> {
        let parameters = Parameters::read(query)?;
        let service = parameters.required("serviceName")?.to_lowercase();
        let (_, response) = self.names(&distinct(column, Some(&service), self)).await?;
        Ok(cached(response, self.services.load(Ordering::Relaxed) > FEW))
    }

    /// How many names a statement gives, and the answer with them.
    async fn names(&self, sql: &str) -> Result<(usize, Response), QueryError> {
        let request = SqlRequest { tenant: TenantId::default(), query: sql.to_owned() };
        let answer = self.engine.sql(request).await?;
        let batches: Vec<_> = answer.batches.try_collect().await?;
        let names: Vec<&str> = batches
            .iter()
            .filter_map(|batch| batch.column(0).as_string_opt::<i32>())
            .flat_map(|names| names.iter().flatten())
            .collect();
        let mut response = json(serde_json::to_vec(&names).map_err(QueryError::internal)?);
        complete(&answer.completeness, &mut response);
        Ok((names.len(), response))
    }
}

/// The names in a column, of one service or of all.
fn distinct(column: &str, service: Option<&str>, zipkin: &Zipkin) -> String {
    let of_service = match service {
        Some(service) => format!(" AND lower({}) = {}", column::SERVICE_NAME, literal::text(service)),
        None => String::new(),
    };
    format!(
        "SELECT DISTINCT lower({column}) AS name FROM {} WHERE {}{of_service} AND {column} <> '' \
         ORDER BY name LIMIT {NAMES_MAX}",
        Table::Spans.name(),
        last_day(zipkin),
    )
}

fn last_day(zipkin: &Zipkin) -> String {
    let min_micros = zipkin.engine.clock().now_micros().saturating_sub(LOOKBACK_MILLIS * 1_000);
    literal::within(TimeRange { min_micros, max_micros: i64::MAX }).join(" AND ")
}

fn cached(mut response: Response, is_cached: bool) -> Response {
    if is_cached {
        let value = HeaderValue::from_static("max-age=300, must-revalidate");
        response.headers_mut().insert(header::CACHE_CONTROL, value);
    }
    response
}

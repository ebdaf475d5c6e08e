//! `GET /api/v1/logs`.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use weir_proto::model::TenantId;
use weir_proto::schema::log::column;

use super::accept::Format;
use super::body::{Wanted, respond};
use super::encode::Shape;
use crate::search::{LIMIT_MAX, Search, moment};
use crate::{Engine, QueryError, SearchRequest};

/// Rows when nothing is said.
const LIMIT: usize = 100;

/// The parameters.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Parameters {
    query: String,
    start: Option<String>,
    end: Option<String>,
    limit: Option<String>,
    explain: Option<String>,
}

pub(super) async fn answer(
    State(engine): State<Arc<Engine>>,
    headers: HeaderMap,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Result<Response, QueryError> {
    let format = Format::of(&headers)?;
    let Query(parameters) = parameters.map_err(|error| {
        QueryError::refused_with(error.body_text(), "the parameters are query, start, end, limit, explain")
    })?;
    let request = parameters.request(engine.clock().now_micros())?;
    let statement = match parameters.explain.as_deref() {
        Some("true" | "1") => Some(Search::compile(&request)?.sql()),
        Some("false" | "0" | "") | None => None,
        Some(other) => return Err(QueryError::refused(format!("explain is true or false, not {other:?}"))),
    };
    let answer = engine.search(request).await?;
    respond(&engine, answer, Wanted { format, shape: Shape::Logs, statement, prepare: with_line }).await
}

impl Parameters {
    fn request(&self, now_micros: i64) -> Result<SearchRequest, QueryError> {
        let limit = match self.limit.as_deref().filter(|text| !text.is_empty()) {
            None => LIMIT,
            Some(text) => {
                text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit)).ok_or_else(|| {
                    QueryError::refused_with(
                        format!("limit is no number from 1 to {LIMIT_MAX}: {text:?}"),
                        "SQL has no such limit: POST /api/v1/sql",
                    )
                })?
            }
        };
        Ok(SearchRequest {
            tenant: TenantId::default(),
            query: self.query.clone(),
            start: time("start", self.start.as_deref(), now_micros)?,
            end: time("end", self.end.as_deref(), now_micros)?,
            limit,
        })
    }
}

/// A parameter that is a time; none when it is empty.
pub(super) fn time(name: &str, text: Option<&str>, now_micros: i64) -> Result<Option<i64>, QueryError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    moment(text, now_micros).map(Some).ok_or_else(|| {
        QueryError::refused_with(
            format!("{name} is no time: {text:?}"),
            "2026-01-31T12:00:00Z, seconds or milliseconds since 1970, now, or -15m",
        )
    })
}

/// Columns that only serve to rebuild the line, which is there itself.
const HIDDEN: [&str; 3] = [column::BODY_RAW, column::LAYOUT_ID, column::TEMPLATE_ID];

/// Replaces what the line is rebuilt from by the line: as `line`, where it is
/// something else than the body, or as `line_base64`, where it is no UTF-8.
fn with_line(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let missing = |name: &str| ArrowError::SchemaError(format!("column {name} is missing"));
    let bodies = batch.column_by_name(column::BODY).ok_or_else(|| missing(column::BODY))?.as_string::<i32>();
    let lines = batch.column_by_name("line").ok_or_else(|| missing("line"))?.as_binary::<i32>();
    let (mut texts, mut bytes) = (StringBuilder::new(), BinaryBuilder::new());
    for row in 0..batch.num_rows() {
        let line = lines.is_valid(row).then(|| lines.value(row));
        let line = line.filter(|line| *line != bodies.value(row).as_bytes());
        let text = line.and_then(|line| str::from_utf8(line).ok());
        texts.append_option(text);
        bytes.append_option(line.filter(|_| text.is_none()));
    }
    let schema = batch.schema();
    let kept = schema.fields().iter().zip(batch.columns());
    let kept = kept.filter(|(field, _)| field.name() != "line" && !HIDDEN.contains(&field.name().as_str()));
    let (mut fields, mut columns): (Vec<_>, Vec<_>) =
        kept.map(|(field, column)| (field.clone(), column.clone())).unzip();
    fields.push(Arc::new(Field::new("line", DataType::Utf8, true)));
    columns.push(Arc::new(texts.finish()) as ArrayRef);
    fields.push(Arc::new(Field::new("line_base64", DataType::Binary, true)));
    columns.push(Arc::new(bytes.finish()));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

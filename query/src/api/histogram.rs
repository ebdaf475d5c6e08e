//! `GET /api/v1/logs/histogram`: how many rows of a search there are, by time
//! and severity.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, TimeUnit};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use weir_proto::model::TenantId;
use weir_proto::schema::log;
use weir_storage::catalog::TimeRange;

use super::body::complete;
use super::logs::time;
use crate::search::{condition, rfc3339};
use crate::{Engine, QueryError, SqlRequest, literal};

/// Without a start: this long before the end.
const SPAN_MICROS: i64 = 3_600_000_000;

/// Widths that people can read off an axis, seconds.
const STEPS: [i64; 19] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400, 604_800,
];

/// Bars when no width is asked for, and the most of one answer.
const BUCKETS: i64 = 120;
const BUCKETS_MAX: i64 = 2_000;

/// The parameters.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Parameters {
    query: String,
    start: Option<String>,
    end: Option<String>,
    step: Option<String>,
}

/// What is counted, read and checked.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    condition: Option<String>,
    start: i64,
    end: i64,
    step_s: i64,
}

#[derive(Debug, Serialize)]
struct Body {
    start: Option<String>,
    end: Option<String>,
    step_s: i64,
    buckets: Vec<Bucket>,
    complete_until: Option<String>,
    held_by: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Bucket {
    timestamp: Option<String>,
    counts: BTreeMap<String, i64>,
}

pub(super) async fn answer(
    State(engine): State<Arc<Engine>>,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Result<Response, QueryError> {
    let Query(parameters) = parameters.map_err(|error| {
        QueryError::refused_with(error.body_text(), "the parameters are query, start, end, step")
    })?;
    let wanted = parameters.wanted(engine.clock().now_micros())?;
    let answer = engine.sql(SqlRequest { tenant: TenantId::default(), query: wanted.sql() }).await?;
    let completeness = answer.completeness;
    let mut batches = answer.batches;
    let mut buckets: BTreeMap<i64, BTreeMap<String, i64>> = BTreeMap::new();
    while let Some(batch) = batches.try_next().await? {
        // DataFusion counts date_bin in nanoseconds, whatever it is given.
        let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let column = |index: usize, kind: &DataType| {
            cast(batch.column(index), kind).map_err(|error| QueryError::internal(error.to_string()))
        };
        let (times, severities) = (column(0, &micros)?, column(1, &DataType::Utf8)?);
        let (times, severities) =
            (times.as_primitive::<TimestampMicrosecondType>(), severities.as_string::<i32>());
        let counts = column(2, &DataType::Int64)?;
        let counts = counts.as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let bucket = buckets.entry(times.value(row)).or_default();
            *bucket.entry(severities.value(row).to_owned()).or_default() += counts.value(row);
        }
    }
    let bucket = |(micros, counts)| Bucket { timestamp: rfc3339(micros), counts };
    let body = Body {
        start: rfc3339(wanted.start),
        end: rfc3339(wanted.end),
        step_s: wanted.step_s,
        buckets: buckets.into_iter().map(bucket).collect(),
        complete_until: completeness.complete_until_micros.and_then(rfc3339),
        held_by: completeness.held_by.clone(),
    };
    let mut response = Json(body).into_response();
    complete(&completeness, &mut response);
    Ok(response)
}

impl Parameters {
    fn wanted(&self, now_micros: i64) -> Result<Wanted, QueryError> {
        let end = time("end", self.end.as_deref(), now_micros)?.unwrap_or(now_micros);
        let start =
            time("start", self.start.as_deref(), now_micros)?.unwrap_or(end.saturating_sub(SPAN_MICROS));
        if start >= end {
            return Err(QueryError::refused_with("start is not before end", "start is included, end is not"));
        }
        let span_s = end.saturating_sub(start).div_euclid(1_000_000).max(1);
        let step_s = match self.step.as_deref().filter(|text| !text.is_empty()) {
            Some(text) => text.parse().ok().filter(|step| *step > 0).ok_or_else(|| {
                QueryError::refused(format!("step is no whole number of seconds above 0: {text:?}"))
            })?,
            None => {
                let fits = STEPS.into_iter().find(|step| span_s.div_euclid(*step) <= BUCKETS);
                fits.unwrap_or(span_s.div_euclid(BUCKETS) + 1)
            }
        };
        if span_s.div_euclid(step_s) > BUCKETS_MAX {
            let message = format!("a step of {step_s} s makes more than {BUCKETS_MAX} bars");
            return Err(QueryError::refused_with(message, "leave step out, and one that fits is chosen"));
        }
        Ok(Wanted { condition: condition(&self.query)?, start, end, step_s })
    }
}

impl Wanted {
    fn sql(&self) -> String {
        use log::column::{SEVERITY_NUMBER, TIMESTAMP};
        let mut conditions =
            literal::within(TimeRange { min_micros: self.start, max_micros: self.end.saturating_sub(1) });
        conditions.extend(self.condition.clone());
        format!(
            "SELECT date_bin(INTERVAL '{} seconds', {TIMESTAMP}, TIMESTAMP '1970-01-01T00:00:00Z') AS bucket, \
             CASE WHEN {SEVERITY_NUMBER} >= 21 THEN 'fatal' WHEN {SEVERITY_NUMBER} >= 17 THEN 'error' \
             WHEN {SEVERITY_NUMBER} >= 13 THEN 'warn' WHEN {SEVERITY_NUMBER} >= 9 THEN 'info' \
             WHEN {SEVERITY_NUMBER} >= 5 THEN 'debug' WHEN {SEVERITY_NUMBER} >= 1 THEN 'trace' \
             ELSE 'unknown' END AS severity, count(*) AS n FROM {} WHERE {} GROUP BY 1, 2",
            self.step_s,
            log::TABLE,
            conditions.join(" AND "),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_767_225_600_000_000;

    fn wanted(start: &str, end: &str, step: &str) -> Result<Wanted, String> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let parameters =
            Parameters { query: String::new(), start: some(start), end: some(end), step: some(step) };
        parameters.wanted(NOW).map_err(|error| error.to_string())
    }

    #[test]
    fn a_step_is_one_that_people_can_read() {
        let check = |start: &str, step: &str, expected: i64| {
            assert_eq!(wanted(start, "", step).map(|wanted| wanted.step_s), Ok(expected), "{start} {step}");
        };
        check("", "", 30);
        check("-1m", "", 1);
        check("-15m", "", 10);
        check("-24h", "", 900);
        check("-7d", "", 7_200);
        check("-3650d", "", 2_628_001);
        check("-1h", "60", 60);
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        for (start, end, step) in
            [("now", "-1h", ""), ("-1h", "", "0"), ("-1h", "", "x"), ("-7d", "", "1"), ("soon", "", "")]
        {
            assert!(wanted(start, end, step).is_err(), "{start} {end} {step}");
        }
    }
}

//! Counts the calls of some minutes from the spans of their traces.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, RecordBatch, StringArray};
use futures::TryStreamExt;
use weir_proto::model::TenantId;
use weir_proto::schema::span;
use weir_storage::catalog::TimeRange;

use super::Calls;
use super::link::{Kind, Span, by_minute};
use crate::{Completeness, Engine, QueryError, SqlRequest, literal};

/// How far around the minutes a trace's other spans are looked for.
const AROUND: i64 = 10 * super::MINUTE;

/// Spans of one trace that are linked; a trace of more is a mistake, and its
/// rest is left out.
const SPANS_MAX: usize = 100_000;

/// What was counted.
pub(super) struct Counted {
    pub(super) minutes: BTreeMap<i64, Calls>,
    pub(super) completeness: Completeness,
}

/// Counts the calls that began within a span of time. Traces come one after
/// the other, so that one is held at a time.
pub(super) async fn count(
    engine: &Engine,
    tenant: &TenantId,
    time: TimeRange,
) -> Result<Counted, QueryError> {
    if time.min_micros > time.max_micros {
        return Ok(Counted { minutes: BTreeMap::new(), completeness: Completeness::default() });
    }
    let answer = engine.sql(SqlRequest { tenant: tenant.clone(), query: statement(time) }).await?;
    let completeness = answer.completeness;
    let mut batches = answer.batches;
    let is_wanted = |micros: i64| (time.min_micros..=time.max_micros).contains(&micros);
    let mut minutes = BTreeMap::new();
    let (mut trace, mut spans) = (String::new(), Vec::new());
    while let Some(batch) = batches.try_next().await? {
        let rows = Rows::of(&batch).ok_or_else(|| QueryError::internal("a column of spans is missing"))?;
        for row in 0..batch.num_rows() {
            if rows.trace.value(row) != trace {
                by_minute(&spans, is_wanted, &mut minutes);
                spans.clear();
                rows.trace.value(row).clone_into(&mut trace);
            }
            if spans.len() < SPANS_MAX {
                spans.push(rows.span(row));
            }
        }
    }
    by_minute(&spans, is_wanted, &mut minutes);
    Ok(Counted { minutes, completeness })
}

fn statement(time: TimeRange) -> String {
    use span::column::*;
    let within = |time| literal::within(time).join(" AND ");
    let around = TimeRange {
        min_micros: time.min_micros.saturating_sub(AROUND),
        max_micros: time.max_micros.saturating_add(AROUND),
    };
    // Names are Zipkin's, which has them in lower case. Ids are told apart by
    // their right half, as Zipkin does here.
    format!(
        "SELECT {TRACE_ID_LOW}, {SPAN_ID}, {PARENT_SPAN_ID}, {SHARED}, {KIND}, {TIMESTAMP}, \
         lower({SERVICE_NAME}) AS {SERVICE_NAME}, lower({REMOTE_SERVICE_NAME}) AS {REMOTE_SERVICE_NAME}, \
         coalesce({STATUS_CODE} = 'ERROR', false) OR {ATTRIBUTES}['error'] IS NOT NULL AS is_error \
         FROM {table} WHERE {} AND {TRACE_ID_LOW} IN \
         (SELECT {TRACE_ID_LOW} FROM {table} WHERE {}) ORDER BY {TRACE_ID_LOW}, {TIMESTAMP}",
        within(around),
        within(time),
        table = span::TABLE,
    )
}

/// The columns of a batch.
struct Rows<'a> {
    trace: &'a StringArray,
    id: &'a StringArray,
    parent: &'a StringArray,
    shared: &'a arrow_array::BooleanArray,
    kind: &'a StringArray,
    micros: &'a arrow_array::TimestampMicrosecondArray,
    service: &'a StringArray,
    remote: &'a StringArray,
    is_error: &'a arrow_array::BooleanArray,
}

impl<'a> Rows<'a> {
    fn of(batch: &'a RecordBatch) -> Option<Self> {
        use span::column::*;
        let text = |name: &str| batch.column_by_name(name)?.as_string_opt::<i32>();
        Some(Self {
            trace: text(TRACE_ID_LOW)?,
            id: text(SPAN_ID)?,
            parent: text(PARENT_SPAN_ID)?,
            shared: batch.column_by_name(SHARED)?.as_boolean_opt()?,
            kind: text(KIND)?,
            micros: batch.column_by_name(TIMESTAMP)?.as_primitive_opt::<TimestampMicrosecondType>()?,
            service: text(SERVICE_NAME)?,
            remote: text(REMOTE_SERVICE_NAME)?,
            is_error: batch.column_by_name("is_error")?.as_boolean_opt()?,
        })
    }

    fn span(&self, row: usize) -> Span {
        let text = |texts: &StringArray| {
            let said = texts.is_valid(row).then(|| texts.value(row));
            said.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        Span {
            id: text(self.id).unwrap_or_default(),
            parent: text(self.parent),
            shared: self.shared.is_valid(row) && self.shared.value(row),
            kind: text(self.kind).as_deref().and_then(Kind::of),
            service: text(self.service),
            remote: text(self.remote),
            is_error: self.is_error.is_valid(row) && self.is_error.value(row),
            micros: self.micros.value(row),
        }
    }
}

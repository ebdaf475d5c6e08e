//! Spans of traces: of those that match best, or of those that are named.
//!
//! Finding is done in windows, the newest first, by the times of traces: each
//! trace has one, so each lies in one window, and once enough are found nothing
//! older is opened. Then the spans of what was found are read by id.

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use futures::StreamExt;
use weir_proto::model::TenantId;
use weir_proto::schema::Table;
use weir_storage::catalog::TimeRange;

use super::Outlet;
use super::failure::query_error;
use super::question::Question;
use super::rows::Read;
use super::window::{GROWTH, newest_window, older, spans};
use crate::QueryError;
use crate::trace::find::{self, TraceSearch};
use crate::trace::id::TraceKey;

/// Spans that the first window should hold: a search mostly wants ten traces,
/// and a plan costs more than reading this many.
const FIRST_SPANS: u64 = 16_384;

/// Which traces are wanted.
#[derive(Clone, Debug)]
pub(crate) struct TraceRequest {
    pub(crate) tenant: TenantId,
    pub(crate) wanted: Wanted,
    /// Whether all 128 bits of an id tell traces apart, or the right 64.
    pub(crate) strict: bool,
    /// The most spans that are given, of all traces together.
    pub(crate) spans_max: usize,
}

/// Named traces, or those that match.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    Named(Vec<TraceKey>),
    Newest(TraceSearch),
}

/// Finds the traces and sends the rows of their spans, in no order.
pub(super) async fn find(
    question: &Question<'_>,
    request: &TraceRequest,
    out: &Outlet,
) -> Result<(), QueryError> {
    let time = match &request.wanted {
        Wanted::Named(_) => TimeRange::ALL,
        Wanted::Newest(search) => search.reach(),
    };
    // How complete the answer is, is known once the catalog was read.
    let read = question.read(Table::Spans, time).await?;
    out.head(Table::Spans.schema(), question).await?;
    let (keys, time) = match &request.wanted {
        Wanted::Named(keys) => (keys.clone(), time),
        Wanted::Newest(search) => match newest(question, search, &read).await? {
            Some(found) => found,
            None => return Ok(()),
        },
    };
    let mut missing = request.spans_max;
    for sql in find::spans_sql(&keys, request.strict, time) {
        if missing == 0 {
            break;
        }
        let sql = format!("{sql} LIMIT {missing}");
        let mut rows = question.plan(crate::gate::check(&sql)?).await?;
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(query_error)?;
            missing = missing.saturating_sub(batch.num_rows());
            out.rows(batch).await?;
        }
    }
    Ok(())
}

/// The newest traces that match, and around which times their spans lie.
async fn newest(
    question: &Question<'_>,
    search: &TraceSearch,
    read: &Read,
) -> Result<Option<(Vec<TraceKey>, TimeRange)>, QueryError> {
    let spans = spans(read, search.time);
    let mut keys = Vec::new();
    let mut times: Option<TimeRange> = None;
    let mut wanted = FIRST_SPANS;
    let mut rest = Some(search.time);
    while let Some(span) = rest.filter(|_| keys.len() < search.limit) {
        let window = newest_window(&spans, span, wanted);
        // A large window is one in which few traces match. Where those are is
        // found first, from the columns that the condition names.
        let held = match search.span_sql(window).filter(|_| wanted > FIRST_SPANS) {
            Some(sql) => question.span_of(&sql).await?.map(|spans| TraceSearch::narrowed(window, spans)),
            None => Some(window),
        };
        if let Some(held) = held {
            let sql = search.ids_sql(held, search.limit - keys.len());
            let mut rows = question.plan(crate::gate::check(&sql)?).await?;
            while let Some(batch) = rows.next().await {
                let batch = batch.map_err(query_error)?;
                let ids = batch.column(0).as_string_opt::<i32>();
                let found = batch.column(1).as_primitive_opt::<TimestampMicrosecondType>();
                let (Some(ids), Some(found)) = (ids, found) else {
                    return Err(QueryError::internal("ids of traces came in other columns"));
                };
                keys.extend(ids.iter().flatten().map(TraceKey::of_row));
                let found = found.iter().flatten().map(|at| TimeRange { min_micros: at, max_micros: at });
                times = found.chain(times).reduce(TimeRange::union);
            }
        }
        rest = older(span, window);
        wanted = wanted.saturating_mul(GROWTH);
    }
    Ok(times.map(|times| (keys, find::around(times))))
}

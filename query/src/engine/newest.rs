//! The newest rows that match, without reading what is older than they are.
//!
//! A plan with `ORDER BY timestamp DESC LIMIT n` decodes whole row groups
//! before it knows how new the n-th row is. Here the span is cut into windows,
//! the newest first, each eight times larger than the one before: the page
//! index keeps a window's reading small, rows of one window are all newer than
//! those of the next, and once n rows are found, nothing older is opened. A
//! rare word costs one pass over the span and a handful of plans.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use futures::StreamExt;
use weir_proto::schema::log::{self, column};
use weir_storage::catalog::TimeRange;

use super::Outlet;
use super::failure::query_error;
use super::function::line::Layouts;
use super::question::Question;
use super::rows::Read;
use crate::QueryError;
use crate::search::Search;

/// Rows that the first window should hold when any row will do. A page of a
/// file holds eight times as many, but they come oldest first, the worst order
/// for finding the newest: fewer rows are fewer that push each other out.
const FIRST_ROWS: u64 = 1_024;

/// Rows that it should hold when only some match: about as many as one page of
/// each column of a file. A smaller window would often be one plan in vain.
const FIRST_ROWS_FILTERED: u64 = 16_384;

/// How much larger each window is than the one before.
const GROWTH: u64 = 8;

/// Finds the rows and sends them, newest first, with their exact lines.
pub(super) async fn find(question: &Question<'_>, search: &Search, out: &Outlet) -> Result<(), QueryError> {
    let spans = spans(question.read(search.time).await?, search.time);
    out.head(schema(), question).await?;
    let mut lines = Lines { question, layouts: None };
    let mut missing = search.limit;
    let first_rows = if search.is_filtered() { FIRST_ROWS_FILTERED } else { FIRST_ROWS };
    let mut wanted = first_rows.max(search.limit as u64 * 4);
    let mut rest = Some(search.time);
    while let Some(span) = rest.filter(|_| missing > 0) {
        let window = newest_window(&spans, span, wanted);
        // Whole rows are dear. In a large window, where few rows match, their
        // times are found first, from the columns that the condition names.
        let held = if search.is_filtered() && wanted > FIRST_ROWS_FILTERED {
            matching_span(question, &search.span_sql_within(window, missing)).await?
        } else {
            Some(window)
        };
        if let Some(held) = held {
            let statement = crate::gate::check(&search.sql_within(held, missing))?;
            let mut rows = question.plan(statement).await?;
            while let Some(batch) = rows.next().await {
                let batch = batch.map_err(query_error)?;
                missing = missing.saturating_sub(batch.num_rows());
                out.rows(lines.add(batch).await?).await?;
            }
        }
        rest = older(span, window);
        wanted = wanted.saturating_mul(GROWTH);
    }
    Ok(())
}

/// The span that a statement of two times answers with; none without a row.
async fn matching_span(question: &Question<'_>, sql: &str) -> Result<Option<TimeRange>, QueryError> {
    let mut rows = question.plan(crate::gate::check(sql)?).await?;
    let mut span = None;
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(query_error)?;
        let time = |column: usize| {
            let times = batch.column(column).as_primitive_opt::<TimestampMicrosecondType>()?;
            times.iter().next().flatten()
        };
        if let (Some(min_micros), Some(max_micros)) = (time(0), time(1)) {
            span = Some(TimeRange { min_micros, max_micros });
        }
    }
    Ok(span)
}

/// The columns of `logs` and the line.
fn schema() -> SchemaRef {
    let mut fields = log::schema().fields().to_vec();
    fields.push(Arc::new(Field::new("line", DataType::Binary, true)));
    Arc::new(Schema::new(fields))
}

/// Adds the column `line`; layouts are read when the first row needs one.
struct Lines<'a> {
    question: &'a Question<'a>,
    layouts: Option<Layouts>,
}

impl Lines<'_> {
    async fn add(&mut self, batch: RecordBatch) -> Result<RecordBatch, QueryError> {
        let needed = batch.column_by_name(column::LAYOUT_ID).is_some_and(|ids| ids.null_count() < ids.len());
        if needed && self.layouts.is_none() {
            self.layouts = Some(self.question.layouts().await?);
        }
        let lines = self.layouts.clone().unwrap_or_default().lines(&batch).map_err(query_error)?;
        let mut columns = batch.columns().to_vec();
        columns.push(Arc::new(lines) as ArrayRef);
        RecordBatch::try_new(schema(), columns).map_err(QueryError::internal)
    }
}

/// Rows and the span of time they lie in: a file, or a live batch.
#[derive(Clone, Copy, Debug)]
struct Span {
    time: TimeRange,
    rows: u64,
}

fn spans(read: &Read, within: TimeRange) -> Vec<Span> {
    let files = read.files.iter().map(|file| Span { time: file.time, rows: file.rows });
    let live = read.live.batches.iter().filter_map(|batch| {
        let times = batch.rows.column_by_name(column::TIMESTAMP)?;
        let times = times.as_primitive_opt::<TimestampMicrosecondType>()?.values();
        let (min, max) = (times.iter().min()?, times.iter().max()?);
        let time = TimeRange { min_micros: *min, max_micros: *max };
        Some(Span { time, rows: batch.rows.num_rows() as u64 })
    });
    files.chain(live).filter(|span| span.time.overlaps(within)).collect()
}

/// The newest part of `span` that holds about `wanted` rows, if rows are
/// spread evenly over their files; all of it when it holds fewer.
fn newest_window(spans: &[Span], span: TimeRange, wanted: u64) -> TimeRange {
    let held: Vec<_> = spans.iter().filter(|rows| rows.time.overlaps(span)).collect();
    let (Some(oldest), Some(newest)) = (
        held.iter().map(|rows| rows.time.min_micros).min(),
        held.iter().map(|rows| rows.time.max_micros).max(),
    ) else {
        return span;
    };
    let rows_from = |start: i64| -> u64 {
        let window = TimeRange { min_micros: start, max_micros: span.max_micros };
        held.iter().map(|rows| rows.within(window)).sum()
    };
    let mut low = oldest.max(span.min_micros);
    let mut high = newest.min(span.max_micros);
    if rows_from(low) <= wanted || low >= high {
        return span;
    }
    // The latest start that still holds enough lies in [low, high].
    while low < high {
        let middle = upper_middle(low, high);
        if rows_from(middle) >= wanted {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    TimeRange { min_micros: low, max_micros: span.max_micros }
}

impl Span {
    /// About how many of the rows lie in `window`.
    fn within(&self, window: TimeRange) -> u64 {
        let start = self.time.min_micros.max(window.min_micros);
        let end = self.time.max_micros.min(window.max_micros);
        if start > end {
            return 0;
        }
        let width = |min: i64, max: i64| i128::from(max) - i128::from(min) + 1;
        let whole = width(self.time.min_micros, self.time.max_micros);
        let part = i128::from(self.rows) * width(start, end) / whole;
        u64::try_from(part).unwrap_or(self.rows).max(1)
    }
}

/// The middle of two, the upper one of two middles.
fn upper_middle(low: i64, high: i64) -> i64 {
    let sum = i128::from(low) + i128::from(high);
    i64::try_from(sum.div_euclid(2) + sum.rem_euclid(2)).unwrap_or(high)
}

/// What is left of `span` below `window`.
fn older(span: TimeRange, window: TimeRange) -> Option<TimeRange> {
    (window.min_micros > span.min_micros)
        .then(|| TimeRange { min_micros: span.min_micros, max_micros: window.min_micros - 1 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn windows_cover_the_span_once(
            spans in prop::collection::vec((0i64..10_000, 0i64..500, 1u64..100_000), 0..20),
            start in prop_oneof![Just(i64::MIN), 0i64..10_000],
            length in prop_oneof![Just(i64::MAX), 0i64..5_000],
            first in 1u64..200_000,
        ) {
            let spans: Vec<_> = spans
                .into_iter()
                .map(|(min, width, rows)| Span { time: TimeRange { min_micros: min, max_micros: min + width }, rows })
                .collect();
            let whole = TimeRange { min_micros: start, max_micros: start.saturating_add(length).max(start) };
            let (mut rest, mut wanted, mut windows) = (Some(whole), first, 0);
            let mut end = whole.max_micros;
            while let Some(span) = rest {
                let window = newest_window(&spans, span, wanted);
                prop_assert_eq!(window.max_micros, end);
                prop_assert!(window.min_micros <= window.max_micros);
                prop_assert!(window.min_micros >= whole.min_micros);
                end = window.min_micros.wrapping_sub(1);
                rest = older(span, window);
                wanted = wanted.saturating_mul(GROWTH);
                windows += 1;
                prop_assert!(windows < 64, "windows grow");
            }
            prop_assert_eq!(end.wrapping_add(1), whole.min_micros);
        }
    }

    #[test]
    fn an_even_file_is_cut_at_its_share() {
        let spans = [Span { time: TimeRange { min_micros: 0, max_micros: 999 }, rows: 1_000 }];
        let window = newest_window(&spans, TimeRange::ALL, 100);
        assert_eq!((window.min_micros, window.max_micros), (900, i64::MAX));
    }
}

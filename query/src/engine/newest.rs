//! The newest rows that match, without reading what is older than they are.
//!
//! A plan with `ORDER BY timestamp DESC LIMIT n` decodes whole row groups
//! before it knows how new the n-th row is. Here the span is cut into windows,
//! the newest first, each eight times larger than the one before: the page
//! index keeps a window's reading small, rows of one window are all newer than
//! those of the next, and once n rows are found, nothing older is opened. A
//! rare word costs one pass over the span and a handful of plans.

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use futures::StreamExt;
use weir_proto::schema::Table;
use weir_proto::schema::log::{self, column};

use super::Outlet;
use super::failure::query_error;
use super::function::line::Layouts;
use super::question::Question;
use super::window::{GROWTH, newest_window, older, spans};
use crate::QueryError;
use crate::search::Search;

/// Rows that the first window should hold when any row will do. A page of a
/// file holds eight times as many, but they come oldest first, the worst order
/// for finding the newest: fewer rows are fewer that push each other out.
const FIRST_ROWS: u64 = 1_024;

/// Rows that it should hold when only some match: about as many as one page of
/// each column of a file. A smaller window would often be one plan in vain.
const FIRST_ROWS_FILTERED: u64 = 16_384;

/// Finds the rows and sends them, newest first, with their exact lines.
pub(super) async fn find(question: &Question<'_>, search: &Search, out: &Outlet) -> Result<(), QueryError> {
    let spans = spans(&*question.read(Table::Logs, search.time).await?, search.time);
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
            question.span_of(&search.span_sql_within(window, missing)).await?
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

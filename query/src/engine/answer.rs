//! An answer on its way.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use futures::Stream;
use tokio::sync::mpsc;

use super::executor::Owned;
use crate::{Completeness, QueryError};

/// Columns, how complete they are, and rows as they come.
#[derive(Debug)]
pub struct Answer {
    /// The columns.
    pub schema: SchemaRef,
    /// Until when the answer holds everything.
    pub completeness: Completeness,
    /// The rows. Dropping them ends the question.
    pub batches: Batches,
}

/// The rows of an answer, as they come. Ends after the first error; an answer
/// whose stream ended without one is whole.
#[derive(Debug)]
pub struct Batches {
    parts: mpsc::Receiver<Part>,
    ended: bool,
    _task: Owned,
}

/// What the task that runs a question sends.
#[derive(Debug)]
pub(super) enum Part {
    /// Comes first, once.
    Head(SchemaRef, Completeness),
    /// Some rows.
    Rows(RecordBatch),
    /// Comes last, when all went well.
    Done,
    /// Comes last otherwise.
    Failed(QueryError),
}

/// Waits for the head of an answer.
pub(super) async fn answer(mut parts: mpsc::Receiver<Part>, task: Owned) -> Result<Answer, QueryError> {
    match parts.recv().await {
        Some(Part::Head(schema, completeness)) => {
            let batches = Batches { parts, ended: false, _task: task };
            Ok(Answer { schema, completeness, batches })
        }
        Some(Part::Failed(error)) => Err(error),
        Some(Part::Rows(_) | Part::Done) | None => Err(broken()),
    }
}

/// The task went away without a last word: it panicked, or the engine ended.
fn broken() -> QueryError {
    QueryError::internal("the task of the query ended early")
}

impl Stream for Batches {
    type Item = Result<RecordBatch, QueryError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = match ready!(self.parts.poll_recv(context)) {
            Some(Part::Rows(rows)) => return Poll::Ready(Some(Ok(rows))),
            Some(Part::Done) => None,
            Some(Part::Failed(error)) => Some(Err(error)),
            Some(Part::Head(..)) | None => Some(Err(broken())),
        };
        self.ended = true;
        Poll::Ready(next)
    }
}

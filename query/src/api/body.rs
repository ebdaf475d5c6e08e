//! From an answer to a response: whole when it is small, streamed when not.
//!
//! The head is sent once some bytes are ready, so that whatever fails before
//! that has its own status code. What fails later breaks the connection: a
//! client never takes half an answer for a whole one.

use arrow_array::RecordBatch;
use arrow_schema::ArrowError;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures::{Stream, StreamExt, stream};

use super::accept::Format;
use super::encode::{Encode, Frame, Shape, encoder};
use super::error::{ErrorBody, report};
use crate::search::rfc3339;
use crate::telemetry::Telemetry;
use crate::{Answer, Batches, Completeness, Engine, QueryError};

/// Bytes that are collected before the head is sent, and in each piece after.
const PIECE_BYTES: usize = 256 << 10;

/// The most bytes of lanes' names in a header.
const NAMES_BYTES_MAX: usize = 2 << 10;

/// What is done to each batch before it is written.
pub(super) type Prepare = fn(&RecordBatch) -> Result<RecordBatch, ArrowError>;

/// How an answer is to be written.
pub(super) struct Wanted {
    pub(super) format: Format,
    pub(super) shape: Shape,
    pub(super) statement: Option<String>,
    pub(super) prepare: Prepare,
}

/// Answers with the rows in the format that was asked for.
pub(super) async fn respond(engine: &Engine, answer: Answer, wanted: Wanted) -> Result<Response, QueryError> {
    let Answer { schema, completeness, batches } = answer;
    let (format, prepare) = (wanted.format, wanted.prepare);
    let schema = prepare(&RecordBatch::new_empty(schema)).map_err(QueryError::internal)?.schema();
    let frame = Frame {
        shape: wanted.shape,
        schema,
        completeness: completeness.clone(),
        statement: wanted.statement,
    };
    let config = engine.config();
    let mut pieces = Pieces {
        batches,
        prepare,
        encoder: encoder(format, frame).map_err(QueryError::internal)?,
        format,
        rows_left: if format == Format::Json { config.max_rows } else { usize::MAX },
        bytes_left: config.max_answer_bytes.0,
        bytes_max: config.max_answer_bytes.0,
        state: State::Begin,
        telemetry: engine.telemetry().clone(),
    };
    let first = pieces.next().await?;
    let body = match (first, &pieces.state) {
        (Some(first), State::Ended) => Body::from(first),
        (first, _) => Body::from_stream(stream::iter(first.map(Ok)).chain(pieces.rest())),
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    complete(&completeness, &mut response);
    Ok(response)
}

/// Says in headers how complete an answer is.
pub(super) fn complete(completeness: &Completeness, response: &mut Response) {
    let mut insert = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    };
    if let Some(time) = completeness.complete_until_micros.and_then(rfc3339) {
        insert("weir-complete-until", time);
    }
    if !completeness.held_by.is_empty() {
        insert("weir-held-by", names(&completeness.held_by));
    }
    if !completeness.incomplete_since.is_empty() {
        let since = completeness.incomplete_since.iter();
        let texts = since.map(|(lane, at)| format!("{lane} {}", rfc3339(*at).unwrap_or_default()));
        insert("weir-incomplete-since", names(&texts.collect::<Vec<_>>()));
    }
    if !completeness.estimated_by.is_empty() {
        insert("weir-estimated-by", names(&completeness.estimated_by));
    }
}

/// The names with commas between; those that do not fit are counted.
fn names(lanes: &[String]) -> String {
    let mut text = String::new();
    for (index, lane) in lanes.iter().enumerate() {
        if text.len() + lane.len() > NAMES_BYTES_MAX {
            text.push_str(&format!(", and {} more", lanes.len() - index));
            break;
        }
        if index > 0 {
            text.push_str(", ");
        }
        text.push_str(lane);
    }
    text
}

/// The bytes of an answer, piece by piece.
struct Pieces {
    batches: Batches,
    prepare: Prepare,
    encoder: Box<dyn Encode>,
    format: Format,
    rows_left: usize,
    bytes_left: u64,
    bytes_max: u64,
    state: State,
    telemetry: Telemetry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Begin,
    Rows,
    Ended,
}

impl Pieces {
    /// The next piece; none after the last.
    async fn next(&mut self) -> Result<Option<Bytes>, QueryError> {
        let mut out = Vec::new();
        if self.state == State::Begin {
            self.encoder.begin(&mut out).map_err(QueryError::internal)?;
            self.state = State::Rows;
        }
        while self.state == State::Rows && out.len() < PIECE_BYTES {
            match self.batches.next().await.transpose()? {
                Some(batch) => self.take(&batch, &mut out)?,
                None => self.end(false, &mut out)?,
            }
        }
        let length = out.len() as u64;
        self.bytes_left = self
            .bytes_left
            .checked_sub(length)
            .ok_or(QueryError::AnswerTooLarge { limit: self.bytes_max })?;
        Ok((!out.is_empty()).then(|| out.into()))
    }

    fn take(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), QueryError> {
        let rows = batch.num_rows().min(self.rows_left);
        self.rows_left -= rows;
        self.telemetry.rows(rows);
        let cut = rows < batch.num_rows();
        let batch = (self.prepare)(&batch.slice(0, rows)).map_err(QueryError::internal)?;
        self.encoder.rows(&batch, out).map_err(QueryError::internal)?;
        if cut { self.end(true, out) } else { Ok(()) }
    }

    fn end(&mut self, truncated: bool, out: &mut Vec<u8>) -> Result<(), QueryError> {
        self.state = State::Ended;
        self.encoder.end(truncated, out).map_err(QueryError::internal)
    }

    /// The pieces that are left. An error breaks the stream; for lines of
    /// JSON, the last line says which.
    fn rest(self) -> impl Stream<Item = Result<Bytes, QueryError>> + Send {
        stream::unfold(Rest::Pieces(Box::new(self)), async |rest| match rest {
            Rest::Pieces(mut pieces) => match pieces.next().await {
                Ok(Some(piece)) => Some((Ok(piece), Rest::Pieces(pieces))),
                Ok(None) => None,
                Err(error) if pieces.format == Format::NdJson => {
                    let line = ErrorBody::of(&error).text() + "\n";
                    Some((Ok(line.into()), Rest::Broken(error)))
                }
                Err(error) => broken(error),
            },
            Rest::Broken(error) => broken(error),
            Rest::Over => None,
        })
    }
}

enum Rest {
    Pieces(Box<Pieces>),
    Broken(QueryError),
    Over,
}

fn broken(error: QueryError) -> Option<(Result<Bytes, QueryError>, Rest)> {
    report(&error);
    Some((Err(error), Rest::Over))
}

//! Lines with their places in a stream: `POST /api/v1/lines`, what `weir ship`
//! and `weir run` send.
//!
//! The body is a message of `docs/formats/batch-v1.md`, its headers are those of
//! the request. The places make a repeat harmless: whoever got no answer sends
//! the same again, and it is stored once, as long as it goes to the same agent.
//! Lines are parsed where those of files are.
//!
//! Tenant, lane and mark are this agent's; what the message says of them is not
//! read. A source is marked as a client's, so that nobody can cover the bytes
//! of a file.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use weir_proto::DecodeError;
use weir_proto::limit::{BATCH_BYTES, BATCH_ROWS_MAX, LINE_BYTES_MAX, RESOURCE_BYTES_MAX};
use weir_proto::model::{self, ByteRange, Signal, Source, drop_reason};
use weir_proto::wire::batch::{EncodedBatch, LineBatch, LineBatchBuilder, NewLine};
use weir_proto::wire::otlp::Encoding;
use weir_proto::wire::{BatchHeader, header_name};

use super::door::Door;
use super::http::{answer, failure};
use super::refusal::{Refusal, Why};
use crate::frame::{Frame, Stream};
use crate::redact::{self, Outcome, Redactor, Scratch};

/// Sources of one message: a command has two streams.
const SOURCES_MAX: usize = 16;

/// Dropped ranges of one message; a sender tells neighbours as one.
const DROPS_MAX: usize = 4 * 1024;

/// What the agent knows better than its clients, or as well.
const ADDED: [&str; 3] = ["host.name", "k8s.cluster.name", "k8s.node.name"];

/// Lines that were taken, on their way into the spool.
#[derive(Debug)]
pub(super) struct Lines {
    sources: Vec<Source>,
    builder: LineBatchBuilder,
    redacted: u64,
}

/// The route.
pub(super) fn routes(door: &Arc<Door>) -> Router {
    let take = |State(door): State<Arc<Door>>, request: Request| async move {
        match take(&door, request).await {
            Ok(()) => answer(StatusCode::OK, Encoding::Json, b"{}".to_vec()),
            Err(refusal) => refused(&door, &refusal),
        }
    };
    Router::new().route("/api/v1/lines", post(take)).with_state(Arc::clone(door))
}

fn refused(door: &Door, refusal: &Refusal) -> Response {
    door.refused(Signal::Logs, refusal);
    failure(Encoding::Json, refusal)
}

async fn take(door: &Door, request: Request) -> Result<(), Refusal> {
    let headers = headers(request.headers());
    let wire = door.read(Signal::Logs, request.into_body(), 0, true).await?;
    let body = wire.bytes;
    door.take_lines(move |redactor| {
        let batch = LineBatch::decode(&headers, &body).map_err(refusal)?;
        check(&batch)?;
        Ok(Lines::of(&batch, redactor))
    })
    .await?;
    drop(wire.memory);
    Ok(())
}

/// The headers that a message has.
fn headers(request: &HeaderMap) -> Vec<(String, Bytes)> {
    let ours = |name: &str| name == header_name::CONTENT_TYPE || name.starts_with("weir-");
    let pairs = request.iter().filter(|(name, _)| ours(name.as_str()));
    pairs.map(|(name, value)| (name.to_string(), Bytes::copy_from_slice(value.as_bytes()))).collect()
}

fn refusal(error: DecodeError) -> Refusal {
    match error {
        DecodeError::Unsupported { .. } => {
            Refusal::new(Why::Unsupported, format!("{error}: the sender is newer than this agent"))
        }
        DecodeError::BadHeader { name: header_name::CONTENT_TYPE, .. } | DecodeError::MissingHeader(_) => {
            let text = format!("{error}; this is for `weir ship` and `weir run`, send others to /v1/logs");
            Refusal::new(Why::Unsupported, text)
        }
        other => Refusal::from(other),
    }
}

/// What the event log would not take, or what would be repeated in every row.
fn check(batch: &LineBatch) -> Result<(), Refusal> {
    let too_large = |text: String| Err(Refusal::new(Why::TooLarge, text));
    let rows_fit = batch.len() <= BATCH_ROWS_MAX;
    let is_alone = batch.len() == 1 && batch.text_bytes() <= LINE_BYTES_MAX;
    if !rows_fit || (batch.text_bytes() > BATCH_BYTES && !is_alone) {
        let (lines, bytes) = (batch.len(), batch.text_bytes());
        return too_large(format!(
            "{lines} lines of {bytes} bytes: send at most {BATCH_ROWS_MAX} lines and {BATCH_BYTES} bytes"
        ));
    }
    if batch.sources.is_empty() || batch.sources.len() > SOURCES_MAX {
        return too_large(format!("{} sources: send 1 to {SOURCES_MAX}", batch.sources.len()));
    }
    let bytes = |source: &Source| -> usize {
        source.resource.iter().map(|(key, value)| key.len() + value.len()).sum()
    };
    if batch.sources.iter().map(bytes).sum::<usize>() > RESOURCE_BYTES_MAX {
        return too_large(format!("the resource attributes are over {RESOURCE_BYTES_MAX} bytes"));
    }
    if batch.sources.iter().map(|source| source.drops.len()).sum::<usize>() > DROPS_MAX {
        return too_large(format!("more than {DROPS_MAX} dropped ranges"));
    }
    Ok(())
}

impl Lines {
    /// Copies what a message holds, redacted. What is left out is told of as
    /// what the sender left out is.
    fn of(batch: &LineBatch, redactor: Option<&Redactor>) -> Self {
        let mut builder = LineBatchBuilder::new();
        let (mut sources, mut scratch, mut redacted) = (batch.sources.clone(), Scratch::default(), 0);
        for line in batch.lines() {
            let frame = Frame {
                stream: Stream::File,
                range: line.range,
                text: line.text,
                timestamp_nanos: line.timestamp_nanos,
                flags: line.flags,
                dropped: None,
            };
            let outcome = redactor.map_or(Outcome::Clean, |it| it.redact(line.text, true, &mut scratch));
            let mut tell = |range: ByteRange, reason: &str| {
                if let Some(source) = sources.get_mut(line.source) {
                    source.drops.push(model::Drop { range, count: 1, reason: reason.to_owned() });
                }
            };
            let frame = match outcome {
                Outcome::Clean => frame,
                Outcome::Changed(text) => redact::rewritten(frame, text),
                Outcome::Dropped => {
                    redacted += 1;
                    tell(frame.range, drop_reason::REDACTED);
                    continue;
                }
            };
            if let Some(rest) = frame.dropped {
                tell(rest, drop_reason::LINE_TOO_LONG);
            }
            builder.push(NewLine {
                source: line.source,
                start: frame.range.start,
                end: frame.range.end,
                observed_micros: line.observed_micros,
                timestamp_nanos: frame.timestamp_nanos,
                flags: frame.flags,
                line: frame.text,
            });
        }
        Self { sources, builder, redacted }
    }

    /// How many redaction left out.
    pub(super) fn redacted(&self) -> u64 {
        self.redacted
    }

    /// How many.
    pub(super) fn count(&self) -> u64 {
        self.builder.rows() as u64
    }

    /// The message of this agent's lane. `own` is the spool as a source: its
    /// numbers have no hole where lines stand between rows.
    pub(super) fn into_message(mut self, header: &BatchHeader, own: Source) -> EncodedBatch {
        for source in &mut self.sources {
            attribute(source, &own);
        }
        self.sources.push(own);
        self.builder.finish(header, &self.sources)
    }
}

/// Says of a client's source what the agent knows of this host.
fn attribute(source: &mut Source, own: &Source) {
    source.id = source.id.of_client();
    let resource = &mut source.resource;
    for (key, value) in own.resource.iter().filter(|(key, _)| ADDED.contains(&key.as_str())) {
        if !resource.iter().any(|(held, _)| held == key) {
            resource.push((key.clone(), value.clone()));
        }
    }
    resource.sort();
    resource.dedup_by(|later, earlier| later.0 == earlier.0);
}

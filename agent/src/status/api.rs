//! `GET /api/v1/agent/status`, by `docs/api.md`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::{Router, routing::get};
use serde_json::{Map, Value, json};

use super::{FileStatus, ReaderStatus};
use crate::bell::Bell;
use crate::kube::{Configured, Pods};
use crate::reader::IN_FLIGHT_BYTES;
use crate::receive::Receivers;
use crate::send::Trouble;

/// How long the reading thread may take to answer: one turn, which may wait
/// for a disk.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whom to ask.
pub(crate) struct Desk {
    pub(crate) bell: Arc<Bell>,
    pub(crate) receivers: Arc<Receivers>,
    /// Why the event log takes no batches of files, if it does not.
    pub(crate) sending: Trouble,
    /// What is known of the node's pods, where the API server is asked.
    pub(crate) pods: Option<Arc<Pods>>,
    /// What holds where no annotation says otherwise.
    pub(crate) configured: Configured,
}

/// What is said when it does not.
pub(super) const SILENT: &str =
    "the reading thread does not answer: the agent is stopping, or its disk is slow";

impl Desk {
    /// How the reading thread stands; nothing, when it does not answer.
    pub(super) async fn reader(&self) -> Option<ReaderStatus> {
        tokio::time::timeout(PATIENCE, self.bell.ask()).await.ok()?.ok()
    }
}

/// The routes.
pub(crate) fn router(desk: Desk) -> Router {
    Router::new()
        .route("/api/v1/agent/status", get(status))
        .route("/api/v1/agent/explain", get(super::explain::answer))
        .with_state(Arc::new(desk))
}

async fn status(State(desk): State<Arc<Desk>>) -> Response {
    let Some(reader) = desk.reader().await else {
        let body = json!({ "error": { "message": SILENT } });
        return (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response();
    };
    Json(described(&reader, &desk)).into_response()
}

fn described(reader: &ReaderStatus, desk: &Desk) -> Value {
    let (sending, receivers) = (desk.sending.text(), &desk.receivers);
    let sending = sending.as_deref();
    let kubernetes = desk.pods.as_ref().map(|pods| pods.standing()).map(|standing| {
        json!({ "pods": standing.pods, "listed": standing.is_listed, "troubles": standing.troubles })
    });
    let why = match (reader.is_paused, sending, &reader.problem) {
        (_, _, Some(problem)) => Some(problem.clone()),
        (true, Some(trouble), None) => Some(trouble.to_owned()),
        (true, None, None) => Some("the event log is slower than the files".to_owned()),
        (false, ..) => None,
    };
    let spools: Map<String, Value> = receivers
        .spools()
        .map(|spool| {
            let held = json!({
                "spool_bytes": spool.bytes,
                "spool_bytes_max": spool.bytes_max,
                "records": spool.records,
                "rejected": spool.rejected,
                "sampled": spool.sampled,
            });
            (spool.signal.as_str().to_owned(), held)
        })
        .collect();
    json!({
        "agent": reader.agent,
        "watch": if reader.is_watching { "inotify" } else { "scan" },
        "unwatched_directories": reader.unwatched_directories,
        "open_files": reader.open_files,
        "open_files_max": reader.open_files_max,
        "log": sending,
        "reading": {
            "paused": reader.is_paused,
            "why": why,
            "in_flight_bytes": reader.in_flight_bytes,
            "in_flight_bytes_max": IN_FLIGHT_BYTES,
        },
        "receive": spools,
        "kubernetes": kubernetes,
        "files": reader.files.iter().map(file).collect::<Vec<_>>(),
    })
}

fn file(file: &FileStatus) -> Value {
    // What was not read yet was written after the last line that was.
    let oldest_unread = file.written.filter(|_| file.lag > 0);
    json!({
        "file": file.key.0,
        "path": file.path,
        "namespace": file.subject.namespace,
        "pod": file.subject.pod,
        "container": file.subject.container,
        "service": file.subject.service,
        "streams": file.streams,
        "format": file.format,
        "size": file.size,
        "read": file.read,
        "settled": file.settled,
        "acknowledged": file.acknowledged,
        "lag_bytes": file.lag,
        "unread_since_micros": oldest_unread,
        "lines": file.counts.lines,
        "bytes": file.counts.bytes,
        "drops": file.counts.drops,
        "open": file.is_open,
        "deleted": file.is_deleted,
        "rotated": file.is_rotated,
        "metadata": file.metadata,
        "excluded": file.is_excluded,
    })
}

//! Live rows over a real socket.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use weir_runtime::Handles;
use weir_runtime::server::{Listener, Server};
use weir_storage::catalog::LogPartition;
use weir_storage::live::LiveBatch;

use super::*;
use crate::fixture::{NEW_YEAR, batch, row};

/// An ingest that says what it is told to, and remembers what it was asked.
#[derive(Default)]
struct Ingest {
    asked: Mutex<Vec<LiveRequest>>,
    says: Mutex<Option<LiveResponse>>,
}

impl Ingest {
    fn answer(&self, body: &[u8]) -> Response {
        self.asked.lock().expect("free").push(LiveRequest::decode(body).expect("a request"));
        match self.says.lock().expect("free").as_ref() {
            Some(response) => response.encode().expect("encoded").concat().into_response(),
            None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }

    fn say(&self, instance: &str, offsets: &[u64]) {
        let batches = offsets.iter().map(|offset| LiveBatch {
            partition: partition(),
            offset: *offset,
            tenant: TenantId::default(),
            table: Table::Logs,
            rows: batch(&TenantId::default(), &[row(NEW_YEAR, *offset as i64, "x")]),
        });
        let response = LiveResponse {
            instance: instance.to_owned(),
            batches: batches.collect(),
            ..LiveResponse::default()
        };
        *self.says.lock().expect("free") = Some(response);
    }
}

fn partition() -> LogPartition {
    LogPartition { topic: "weir.logs".to_owned(), partition: 0 }
}

async fn offsets(live: &RemoteLive) -> Vec<u64> {
    let pinned = live.pin(&TenantId::default(), &[Table::Logs]).await.expect("pinned");
    pinned.batches.iter().map(|batch| batch.offset).collect()
}

#[tokio::test]
async fn only_what_is_new_is_asked_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("ingest.sock");
    let ingest = Arc::new(Ingest::default());
    let served = ingest.clone();
    let router = Router::new().route("/live/logs", post(async move |body: Bytes| served.answer(&body)));
    let handles = Handles::new("ingest");
    let _server = Server::start(Listener::unix(&socket).await.expect("bound"), router, &handles);
    let live = RemoteLive::new(&socket);

    ingest.say("one", &[0, 1]);
    assert_eq!(offsets(&live).await, [0, 1]);
    ingest.say("one", &[2]);
    assert_eq!(offsets(&live).await, [0, 1, 2]);
    // Restarted: it answers with everything it has, and the old rows go.
    ingest.say("two", &[2, 3]);
    assert_eq!(offsets(&live).await, [2, 3]);
    let asked = std::mem::take(&mut *ingest.asked.lock().expect("free"));
    let have = |next| BTreeMap::from([(partition(), next)]);
    let expected = [
        LiveRequest { instance: None, have: BTreeMap::new() },
        LiveRequest { instance: Some("one".to_owned()), have: have(2) },
        LiveRequest { instance: Some("one".to_owned()), have: have(3) },
    ];
    assert_eq!(asked, expected);

    *ingest.says.lock().expect("free") = None;
    let error = live.pin(&TenantId::default(), &[Table::Logs]).await.expect_err("broken");
    assert!(error.reason.contains("500"), "{error}");
}

#[tokio::test]
async fn an_ingest_that_is_away_is_an_error() {
    let directory = tempfile::tempdir().expect("a directory");
    let live = RemoteLive::new(&directory.path().join("nobody.sock"));
    assert!(live.pin(&TenantId::default(), &[Table::Logs]).await.is_err());
}

//! The receivers over their routes, with real spools and an event log in
//! memory.

mod damage;
mod lines;
mod power;
mod pressure;
mod redact;
mod sampling;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::BodyExt;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use tower::ServiceExt;
use weir_proto::wire::message::Message;
use weir_proto::wire::rows::RowBatch;
use weir_stream::{AppendError, Record};

use super::*;
use crate::agent::{Agent, start};
use crate::{Config, StopError};

const PATIENCE: Duration = Duration::from_secs(60);

const TRACES: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

#[derive(Default)]
struct MemoryLog {
    records: Mutex<Vec<(Partition, Record)>>,
    is_away: AtomicBool,
}

#[async_trait]
impl Append for MemoryLog {
    async fn append(&self, partition: &Partition, records: Vec<Record>) -> Result<Offset, AppendError> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(AppendError::Unavailable { reason: "away".to_owned() });
        }
        let mut held = self.records.lock().expect("not poisoned");
        held.extend(records.into_iter().map(|record| (partition.clone(), record)));
        Ok(Offset(0))
    }

    async fn partitions(&self, _: &Topic) -> Result<u32, AppendError> {
        Ok(4)
    }
}

impl MemoryLog {
    fn batches(&self, signal: Signal) -> Vec<RowBatch> {
        let records = self.records.lock().expect("not poisoned");
        let of_signal = records.iter().filter(|(at, _)| Signal::of_topic(at.topic.as_str()) == Some(signal));
        let rows = of_signal.filter_map(|(_, record)| {
            match Message::decode(signal, &record.headers, &record.payload, 0).expect("decodes") {
                Message::Rows(batch) => Some(batch),
                Message::Lines(_) => None,
                Message::Foreign(_) => panic!("a message without headers"),
            }
        });
        rows.collect()
    }

    /// The numbers of a signal's rows, each as often as it came.
    fn numbers(&self, signal: Signal) -> Vec<(String, i64)> {
        let mut numbers = Vec::new();
        for batch in self.batches(signal) {
            for table in &batch.tables {
                let places = table.source.values().iter().zip(table.start.values());
                numbers.extend(
                    places.map(|(source, start)| (batch.sources[*source as usize].id.to_string(), *start)),
                );
            }
        }
        numbers
    }
}

struct Place {
    root: tempfile::TempDir,
    log: Arc<MemoryLog>,
    config: Config,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

impl Place {
    fn new(receive: ReceiveConfig) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let config = Config { receive, cluster: Some("east".to_owned()), ..Config::default() };
        Self { root, log: Arc::default(), config }
    }

    async fn start(&self) -> Agent {
        self.try_start().await.expect("starts")
    }

    async fn try_start(&self) -> Result<Agent, StartError> {
        let topic = |name| Topic::new(name).expect("a topic");
        let topics =
            AgentTopics { logs: topic("t.logs"), spans: topic("t.spans"), metrics: topic("t.metrics") };
        let log = Arc::clone(&self.log) as Arc<dyn Append>;
        start(self.config.clone(), log, topics, self.state(), Handles::new("test")).await
    }

    fn state(&self) -> std::path::PathBuf {
        self.root.path().join("state")
    }

    async fn wait_for(&self, what: &str, condition: impl Fn() -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        assert!(waited.await.is_ok(), "{what}");
    }

    async fn wait_for_spans(&self, count: usize) {
        self.wait_for("spans", || self.log.numbers(Signal::Spans).len() >= count).await;
    }
}

async fn post(agent: &Agent, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
    post_to(agent.router(), path, headers, body).await
}

async fn post_to(router: Router, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body.into()).expect("a request");
    let response = router.oneshot(request).await.expect("answered");
    let (head, body) = response.into_parts();
    let collected = body.collect().await.expect("a body");
    let mut headers = head.headers;
    headers.extend(collected.trailers().cloned().unwrap_or_default());
    Answer { status: head.status, headers, body: collected.to_bytes() }
}

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");
const GZIP: (&str, &str) = ("content-encoding", "gzip");
const GRPC: (&str, &str) = ("content-type", "application/grpc");

fn request(spans: usize) -> ExportTraceServiceRequest {
    let span = |n: usize| Span {
        trace_id: vec![1; 16],
        span_id: (n as u64 + 1).to_be_bytes().to_vec(),
        name: format!("step {n}"),
        start_time_unix_nano: 1_767_225_600_000_000_000,
        end_time_unix_nano: 1_767_225_600_000_000_001,
        ..Span::default()
    };
    let spans = (0..spans).map(span).collect();
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }],
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).expect("packed");
    packed.finish().expect("packed")
}

/// A message as gRPC frames it.
fn framed(message: &[u8], is_compressed: bool) -> Vec<u8> {
    let mut frame = vec![u8::from(is_compressed)];
    frame.extend((message.len() as u32).to_be_bytes());
    frame.extend(message);
    frame
}

const ZIPKIN: &str = r#"[{"traceId":"a","id":"b","name":"get","timestamp":1767225600000000}]"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_sent_on_once_in_numbers_without_a_hole() {
    let place = Place::new(ReceiveConfig::default());
    let agent = place.start().await;
    for n in 0..20 {
        let body = request(3).encode_to_vec();
        let answer = match n % 4 {
            0 => post(&agent, "/v1/traces", &[PROTOBUF], body).await,
            1 => post(&agent, "/v1/traces", &[PROTOBUF, GZIP], gzip(&body)).await,
            2 => post(&agent, TRACES, &[GRPC], framed(&body, false)).await,
            _ => post(&agent, TRACES, &[GRPC, ("grpc-encoding", "gzip")], framed(&gzip(&body), true)).await,
        };
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        if n % 4 < 2 {
            let said = ExportTraceServiceResponse::decode(answer.body.clone()).expect("a response");
            assert_eq!(said.partial_success, None);
            assert_eq!(answer.header("content-type"), "application/x-protobuf");
        } else {
            assert_eq!(answer.header("grpc-status"), "0", "{:?}", answer.headers);
        }
    }
    let answer = post(&agent, "/api/v2/spans", &[JSON], ZIPKIN).await;
    assert_eq!((answer.status, answer.text().as_str()), (StatusCode::ACCEPTED, ""));
    place.wait_for_spans(61).await;
    agent.stop(PATIENCE).await.expect("stops");

    let batches = place.log.batches(Signal::Spans);
    let mut next = 0;
    let mut mark = 0;
    for batch in &batches {
        let said = batch.header.mark_micros.expect("every message says its mark");
        assert!(said >= mark, "{said} after {mark}");
        mark = said;
        for source in &batch.sources {
            assert_eq!(source.covered.start, next, "no hole");
            next = source.covered.end;
            let value =
                |key: &str| source.resource.iter().find(|(name, _)| name == key).map(|(_, v)| v.as_str());
            assert_eq!(value("weir.source"), Some("receiver/spans"));
            assert_eq!(value("k8s.cluster.name"), Some("east"));
        }
    }
    let numbers = place.log.numbers(Signal::Spans);
    let unique: BTreeMap<_, _> = numbers.iter().map(|number| (number, ())).collect();
    assert_eq!((numbers.len(), unique.len()), (61, 61));
    assert!(place.log.batches(Signal::Metrics).is_empty(), "a lane begins with its first record");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_cannot_be_stored_is_told_and_the_rest_is_stored() {
    let place = Place::new(ReceiveConfig::default());
    let agent = place.start().await;
    let mut bad = request(3);
    bad.resource_spans[0].scope_spans[0].spans[1].span_id = vec![0; 8];
    let answer = post(&agent, "/v1/traces", &[PROTOBUF], bad.encode_to_vec()).await;
    let said = ExportTraceServiceResponse::decode(answer.body.clone()).expect("a response");
    let partial = said.partial_success.expect("partial");
    assert_eq!((answer.status, partial.rejected_spans), (StatusCode::OK, 1));
    assert!(partial.error_message.contains("1 of 3 spans rejected"), "{}", partial.error_message);

    let json = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"00","spanId":"01"}]}]}]}"#;
    let answer = post(&agent, "/v1/traces", &[JSON], json).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"));
    assert!(answer.text().contains(r#""rejectedSpans":"1""#), "{}", answer.text());

    for (path, empty) in [("/v1/logs", ""), ("/v1/metrics", ""), ("/v1/traces", "")] {
        let answer = post(&agent, path, &[PROTOBUF], empty).await;
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, ""), "{path}");
        assert_eq!(post(&agent, path, &[JSON], "{}").await.text(), "{}", "{path}");
    }
    place.wait_for_spans(2).await;
    agent.stop(PATIENCE).await.expect("stops");
    assert_eq!(place.log.numbers(Signal::Spans).len(), 2);
    // Whoever asks hears of it, too, and of the request of which nothing was stored.
    assert_eq!(told(&place, Signal::Spans), [("rejected".to_owned(), 2)].into());
}

/// Events that a signal's messages tell as left out, by reason. Each message
/// must say how many events came before it.
fn told(place: &Place, signal: Signal) -> BTreeMap<String, u64> {
    let mut told = BTreeMap::new();
    let mut expected: Option<Counted> = None;
    for batch in place.log.batches(signal) {
        for source in &batch.sources {
            let counted = source.counted.expect("it is counted");
            assert_eq!(counted, expected.unwrap_or(Counted::from(source.covered.start)));
            let tables = batch.tables.iter().filter(|rows| rows.table.holds_events());
            expected = Some(counted.after(source, tables.map(|rows| rows.columns.num_rows() as u64).sum()));
            for drop in &source.drops {
                *told.entry(drop.reason.clone()).or_default() += drop.count;
            }
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_protocol_refuses_in_its_own_words() {
    let place = Place::new(ReceiveConfig { max_body: ByteSize(64 << 10), ..ReceiveConfig::default() });
    let agent = place.start().await;
    let large = vec![0; 64 * 1024 + 1];
    let bomb = gzip(&vec![0; 1 << 20]);
    assert!(bomb.len() < 64 * 1024);

    // OTLP over HTTP: google.rpc.Status in the request's encoding.
    let otlp =
        async |headers: &[(&str, &str)], body: Vec<u8>| post(&agent, "/v1/traces", headers, body).await;
    let is_json = |answer: &Answer, code: i32| {
        assert_eq!(answer.header("content-type"), "application/json");
        let body: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(body["code"], code, "{body}");
        assert!(body["message"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    };
    let answer = otlp(&[JSON], b"{\"resourceSpans\":7}".to_vec()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    is_json(&answer, 3);
    let answer = otlp(&[PROTOBUF], b"\xff\xff\xff".to_vec()).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (StatusCode::BAD_REQUEST, "application/x-protobuf")
    );
    let said = tonic_types::Status::decode(answer.body.clone()).expect("a status");
    assert_eq!(said.code, 3);
    assert!(said.message.contains("OTLP protobuf"), "{}", said.message);
    let answer = otlp(&[JSON, GZIP], b"{}".to_vec()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.text().contains("no gzip"), "{}", answer.text());
    for (headers, body) in [(vec![JSON], large.clone()), (vec![JSON, GZIP], bomb.clone())] {
        let answer = otlp(&headers, body).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", answer.text());
        assert_eq!(answer.header("retry-after"), "", "nobody shall repeat it");
        is_json(&answer, 8);
    }
    for headers in [vec![("content-type", "text/plain")], vec![], vec![JSON, ("content-encoding", "br")]] {
        let answer = otlp(&headers, b"{}".to_vec()).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{headers:?}");
        assert_eq!(answer.header("accept-encoding"), "gzip");
        is_json(&answer, 3);
    }

    // gRPC: a status in the headers.
    let gzipped = ("grpc-encoding", "gzip");
    for (headers, body, code) in [
        (vec![GRPC], framed(b"\xff\xff\xff", false), "3"),
        (vec![GRPC], framed(&large, false), "8"),
        (vec![GRPC, gzipped], framed(&bomb, true), "8"),
        (vec![GRPC, ("grpc-encoding", "snappy")], framed(b"x", true), "12"),
    ] {
        let answer = post(&agent, TRACES, &headers, body).await;
        assert_eq!((answer.status, answer.header("grpc-status")), (StatusCode::OK, code), "{headers:?}");
        assert!(!answer.headers.contains_key("grpc-status-details-bin"), "nobody shall repeat it");
    }

    // Zipkin: a text.
    for (headers, body, status, part) in [
        (vec![JSON], b"[{}]".to_vec(), 400, "traceId is missing"),
        (vec![JSON], b"{}".to_vec(), 400, ""),
        (vec![JSON], large, 413, "over the limit"),
        (vec![JSON, GZIP], bomb, 413, "once decompressed"),
        (vec![PROTOBUF], b"x".to_vec(), 415, "application/json"),
    ] {
        let answer = post(&agent, "/api/v2/spans", &headers, body).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
        assert!(answer.header("content-type").starts_with("text/plain"), "{:?}", answer.headers);
        assert!(answer.text().contains(part), "{}", answer.text());
    }
    agent.stop(PATIENCE).await.expect("stops");
    assert!(place.log.batches(Signal::Spans).is_empty(), "nothing of them is stored");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_away_fills_the_spool_and_then_clients_are_told_when_to_come_again() {
    let place = Place::new(ReceiveConfig { spool_bytes: ByteSize(4096), ..ReceiveConfig::default() });
    place.log.is_away.store(true, Ordering::SeqCst);
    let agent = place.start().await;
    let mut taken = 0;
    let refused = loop {
        let answer = post(
            &agent,
            "/v1/traces",
            &[JSON],
            r#"{"resourceSpans":[{"scopeSpans":[{"spans":
            [{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","startTimeUnixNano":"1767225600000000000"}]}]}]}"#,
        )
        .await;
        match answer.status {
            StatusCode::OK => taken += 1,
            _ => break answer,
        }
    };
    assert!(taken > 0);
    assert_eq!((refused.status, refused.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "5"));
    assert!(refused.text().contains("spool is full"), "{}", refused.text());
    let refused = post(&agent, TRACES, &[GRPC], framed(&request(1).encode_to_vec(), false)).await;
    assert_eq!(refused.header("grpc-status"), "14");
    assert!(refused.headers.contains_key("grpc-status-details-bin"), "with RetryInfo: {:?}", refused.headers);
    place.wait_for("trouble", || agent.health().check().is_err()).await;

    place.log.is_away.store(false, Ordering::SeqCst);
    place.wait_for_spans(taken).await;
    place.wait_for("health", || agent.health().check().is_ok()).await;
    let answer = post(&agent, "/v1/traces", &[PROTOBUF], request(1).encode_to_vec()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    agent.stop(PATIENCE).await.expect("stops");
    assert_eq!(place.log.numbers(Signal::Spans).len(), taken + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spool_outlives_its_process_and_a_deleted_one_is_another_source() {
    let place = Place::new(ReceiveConfig::default());
    place.log.is_away.store(true, Ordering::SeqCst);
    let agent = place.start().await;
    assert_eq!(post(&agent, "/v1/traces", &[PROTOBUF], request(5).encode_to_vec()).await.status, 200);
    let stopped = agent.stop(Duration::from_millis(50)).await;
    assert!(matches!(stopped, Err(StopError::Deadline)), "{stopped:?}");

    place.log.is_away.store(false, Ordering::SeqCst);
    let agent = loop {
        match place.try_start().await {
            Ok(agent) => break agent,
            Err(StartError::InUse { .. } | StartError::Spool(_)) => {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Err(other) => panic!("{other}"),
        }
    };
    place.wait_for_spans(5).await;
    agent.stop(PATIENCE).await.expect("stops");

    let agent = place.start().await;
    assert_eq!(post(&agent, "/v1/traces", &[PROTOBUF], request(1).encode_to_vec()).await.status, 200);
    place.wait_for_spans(6).await;
    agent.stop(PATIENCE).await.expect("stops");
    let numbers = place.log.numbers(Signal::Spans);
    let unique: BTreeMap<_, _> = numbers.iter().map(|number| (number, ())).collect();
    assert_eq!((numbers.len(), unique.len()), (6, 6), "the position was kept: {numbers:?}");

    std::fs::remove_dir_all(place.state().join("receive/spool")).expect("deleted");
    let agent = place.start().await;
    assert_eq!(post(&agent, "/v1/traces", &[PROTOBUF], request(1).encode_to_vec()).await.status, 200);
    place.wait_for_spans(7).await;
    agent.stop(PATIENCE).await.expect("stops");
    let last = place.log.numbers(Signal::Spans).pop().expect("a number");
    assert_eq!(last.1, 0, "its numbers begin again");
    assert!(numbers.iter().all(|(source, _)| *source != last.0), "so it is another source");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_lanes_say_their_mark_and_a_goodbye_ends_them() {
    let place = Place::new(ReceiveConfig::default());
    let agent = place.start().await;
    assert_eq!(post(&agent, "/api/v2/spans", &[], ZIPKIN).await.status, StatusCode::ACCEPTED);
    place.wait_for("an idle mark", || place.log.batches(Signal::Spans).len() >= 3).await;
    let batches = place.log.batches(Signal::Spans);
    let marks: Vec<_> = batches.iter().map(|batch| batch.header.mark_micros.expect("a mark")).collect();
    assert!(marks.is_sorted() && marks[0] < marks[2], "{marks:?}");
    assert!(batches[2].tables.is_empty() && batches[2].sources.is_empty());
    let router = agent.router();
    // The process ends some time before the agent is told how to.
    let shutdown = weir_runtime::Shutdown::new();
    shutdown.begin();
    agent.receivers.until(&shutdown).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    agent.retire(PATIENCE).await.expect("stops");
    let goodbyes = |signal| place.log.batches(signal).iter().filter(|batch| batch.header.goodbye).count();
    assert_eq!((goodbyes(Signal::Spans), goodbyes(Signal::Logs)), (1, 0));
    assert!(place.log.batches(Signal::Spans).last().expect("one").header.goodbye, "it is the last word");

    let late = Request::post("/api/v2/spans").body(Body::from(ZIPKIN)).expect("a request");
    let late = router.oneshot(late).await.expect("answered");
    assert_eq!(late.status(), StatusCode::SERVICE_UNAVAILABLE, "after the end nothing is taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_wait_for_memory_and_all_are_served() {
    let place = Place::new(ReceiveConfig { memory: ByteSize(64 << 10), ..ReceiveConfig::default() });
    let agent = Arc::new(place.start().await);
    let tasks = Tasks::new("clients", weir_runtime::Shutdown::new());
    for _ in 0..32 {
        let agent = Arc::clone(&agent);
        tasks.spawn("client", async move {
            let answer = post(&agent, "/v1/traces", &[PROTOBUF], request(200).encode_to_vec()).await;
            if answer.status == StatusCode::OK { Ok(()) } else { Err(answer.text().into()) }
        });
    }
    assert!(tasks.join(PATIENCE).await.is_empty());
    assert_eq!(tasks.failure(), None);
    place.wait_for_spans(32 * 200).await;
    Arc::into_inner(agent).expect("nobody else").stop(PATIENCE).await.expect("stops");
    assert_eq!(place.log.numbers(Signal::Spans).len(), 32 * 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_the_decoder_cannot_bear_is_refused_and_the_next_is_taken() {
    let place = Place::new(ReceiveConfig::default());
    let agent = place.start().await;
    let door = Arc::clone(&agent.receivers.door);
    let refused = door.take(Signal::Spans, |_, _| panic!("a defect")).await.expect_err("refused");
    assert_eq!(refused.why.status(), StatusCode::BAD_REQUEST);
    assert_eq!(post(&agent, "/api/v2/spans", &[], ZIPKIN).await.status, StatusCode::ACCEPTED);
    agent.stop(PATIENCE).await.expect("stops");
}

//! Over a real socket: formats, errors, headers.

mod zipkin;

use std::sync::Arc;

use arrow_ipc::reader::StreamReader;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use weir_runtime::server::{Listener, Server};
use weir_runtime::unix::UnixClient;
use weir_runtime::{ByteSize, Handles};

use super::router;
use crate::Config;
use crate::fixture::{NEW_YEAR, Row, World, row};

/// A query process.
struct Process {
    world: Arc<World>,
    client: UnixClient,
    _directory: TempDir,
    _server: Server,
    _handles: Handles,
}

/// What came back.
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

impl Process {
    async fn start(config: Config) -> Self {
        let world = World::new().await;
        let directory = tempfile::tempdir().expect("a directory");
        let socket = directory.path().join("query.sock");
        let handles = Handles::new("query");
        let router = router(Arc::new(world.engine(config)));
        let server = Server::start(Listener::unix(&socket).await.expect("bound"), router, &handles);
        let client = UnixClient::new(&socket);
        Self { world, client, _directory: directory, _server: server, _handles: handles }
    }

    async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.client.send(request).await.expect("answered");
        let (head, body) = response.into_parts();
        let body = to_bytes(body, 1 << 30).await.expect("read");
        let body = String::from_utf8(body.to_vec()).expect("text");
        Reply { status: head.status, headers: head.headers, body }
    }

    async fn sql(&self, query: &str, accept: &str) -> Reply {
        let request = Request::post("/api/v1/sql").header("host", "x").header("accept", accept);
        self.send(request.body(Body::from(query.to_owned())).expect("a request")).await
    }

    async fn get(&self, path: &str) -> Reply {
        let request = Request::get(path).header("host", "x").body(Body::empty()).expect("a request");
        self.send(request).await
    }
}

const ROWS: &str =
    "SELECT source_start AS n, body, timestamp, attributes, body_raw FROM logs ORDER BY source_start";

async fn process() -> Process {
    let process = Process::start(Config::default()).await;
    process.world.arrive(&[
        Row { attributes: vec![("user", "ann".to_owned())], ..row(NEW_YEAR, 0, "a,\"b\"") },
        Row { body_raw: Some(vec![0xff]), ..row(NEW_YEAR + 1, 1, "") },
    ]);
    process.world.lane(1, NEW_YEAR, i64::MAX);
    process.world.lane(2, NEW_YEAR + 5, 0);
    process
}

#[tokio::test]
async fn sql_as_json() {
    let reply = process().await.sql(ROWS, "*/*").await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(
        reply.json(),
        json!({
            "columns": [
                {"name": "n", "type": "int64"},
                {"name": "body", "type": "text"},
                {"name": "timestamp", "type": "timestamp"},
                {"name": "attributes", "type": "map"},
                {"name": "body_raw", "type": "bytes"},
            ],
            "rows": [
                [0, "a,\"b\"", "2026-01-01T00:00:00.000000Z", {"user": "ann"}, null],
                [1, "", "2026-01-01T00:00:00.000001Z", {}, "/w=="],
            ],
            "complete_until": "2026-01-01T00:00:00.000000Z",
            "held_by": ["00000000000000000000000002 weir.logs/0"],
        })
    );
}

#[tokio::test]
async fn every_format_says_how_complete_it_is() {
    let process = process().await;
    let formats = ["application/json", "application/x-ndjson", "text/csv"];
    for format in formats {
        let reply = process.sql("SELECT 1", format).await;
        assert_eq!(reply.header("content-type"), format);
        assert_eq!(reply.header("weir-complete-until"), "2026-01-01T00:00:00.000000Z", "{format}");
        assert_eq!(reply.header("weir-held-by"), "00000000000000000000000002 weir.logs/0", "{format}");
    }
}

#[tokio::test]
async fn sql_as_lines_and_as_csv() {
    let process = process().await;
    let lines = process.sql(ROWS, "application/x-ndjson").await;
    assert_eq!(
        lines.body,
        "{\"n\":0,\"body\":\"a,\\\"b\\\"\",\"timestamp\":\"2026-01-01T00:00:00.000000Z\",\
         \"attributes\":{\"user\":\"ann\"},\"body_raw\":null}\n\
         {\"n\":1,\"body\":\"\",\"timestamp\":\"2026-01-01T00:00:00.000001Z\",\
         \"attributes\":{},\"body_raw\":\"/w==\"}\n"
    );
    let csv = process.sql(ROWS, "text/csv").await;
    assert_eq!(
        csv.body,
        "n,body,timestamp,attributes,body_raw\n\
         0,\"a,\"\"b\"\"\",2026-01-01T00:00:00.000000Z,\"{\"\"user\"\":\"\"ann\"\"}\",\n\
         1,\"\",2026-01-01T00:00:00.000001Z,{},\"\"\"/w==\"\"\"\n"
    );
}

#[tokio::test]
async fn sql_as_arrow() {
    let process = process().await;
    let request = Request::post("/api/v1/sql").header("host", "x");
    let request = request.header("accept", "application/vnd.apache.arrow.stream");
    let response =
        process.client.send(request.body(Body::from(ROWS)).expect("a request")).await.expect("answered");
    let body = to_bytes(response.into_body(), 1 << 20).await.expect("read");
    let stream = StreamReader::try_new(body.as_ref(), None).expect("a stream");
    let batches: Vec<_> = stream.collect::<Result<_, _>>().expect("batches");
    assert_eq!(crate::fixture::column(&batches, 0), [0, 1]);
}

#[tokio::test]
async fn a_query_may_come_as_json() {
    let process = process().await;
    let post = |kind: &str, body: &str| {
        let request = Request::post("/api/v1/sql").header("host", "x").header("content-type", kind);
        request.body(Body::from(body.to_owned())).expect("a request")
    };
    let reply = process.send(post("application/json; charset=utf-8", r#"{"query": "SELECT 1 AS a"}"#)).await;
    assert_eq!(reply.json()["rows"], json!([[1]]));
    let reply = process.send(post("application/json", r#"{"sql": "SELECT 1"}"#)).await;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert!(
        reply.json()["error"]["hint"].as_str().is_some_and(|hint| hint.contains("query")),
        "{}",
        reply.body
    );
}

#[tokio::test]
async fn delivery_is_a_sum_and_its_sources() {
    let process = process().await;
    let empty = process.get("/api/v1/delivery").await;
    assert_eq!(empty.json()["totals"]["sources"], 0, "{}", empty.body);
    process.world.flush().await;
    let reply = process.get("/api/v1/delivery?limit=1").await;
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (StatusCode::OK, "application/json"),
        "{}",
        reply.body
    );
    assert_eq!(reply.header("weir-complete-until"), "2026-01-01T00:00:00.000000Z");
    let body = reply.json();
    assert_eq!(
        body["totals"],
        json!({"sources": 1, "events": 1, "duplicates": 2, "lost": 0, "left_out": 0, "lag_ms": body["totals"]["lag_ms"]})
    );
    let source = &body["sources"][0];
    assert_eq!(
        (&source["log_file_path"], &source["k8s_pod_name"]),
        (&json!("/var/log/app.log"), &Value::Null)
    );
    assert_eq!(source["last_appended"], "2026-01-01T00:00:00.000001Z");
    assert_eq!(source["last_event"], "2025-12-31T23:59:59.999999Z");
    assert_eq!(source["complete_until"], "2026-01-01T00:00:00.000000Z", "as its lane is");
    assert!(source["lag_ms"].as_i64().is_some_and(|lag| lag > 0), "{source}");
    assert_eq!((&body["truncated"], &body["losses"]), (&json!(false), &json!([])));
    assert_eq!(body["complete_until"], "2026-01-01T00:00:00.000000Z");
    for wrong in ["limit=0", "limit=10001", "limit=x", "start=-1h"] {
        let reply = process.get(&format!("/api/v1/delivery?{wrong}")).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test]
async fn an_answer_that_was_cut_says_so() {
    let process = Process::start(Config { max_rows: 3, ..Config::default() }).await;
    let cut = process.sql("SELECT value FROM generate_series(1, 100000)", "application/json").await.json();
    assert_eq!((&cut["rows"], &cut["truncated"]), (&json!([[1], [2], [3]]), &json!(true)));
    let whole = process.sql("SELECT value FROM generate_series(1, 3)", "application/json").await.json();
    assert_eq!((&whole["rows"], &whole["truncated"]), (&json!([[1], [2], [3]]), &Value::Null));
    let lines = process.sql("SELECT value FROM generate_series(1, 5)", "application/x-ndjson").await;
    assert_eq!(lines.body.lines().count(), 5);
}

#[tokio::test]
async fn a_large_answer_is_streamed_whole() {
    let process = Process::start(Config::default()).await;
    let reply = process.sql("SELECT value FROM generate_series(1, 200000)", "text/csv").await;
    let expected: String = std::iter::once("value".to_owned())
        .chain((1..=200_000).map(|n| n.to_string()))
        .map(|line| line + "\n")
        .collect();
    assert!(reply.body == expected, "{} bytes", reply.body.len());
}

#[tokio::test]
async fn what_fails_on_its_way_breaks_the_answer() {
    let process = Process::start(Config { max_answer_bytes: ByteSize::mib(1), ..Config::default() }).await;
    let query = "SELECT value, '0123456789abcdef' AS text FROM generate_series(1, 1000000)";
    for accept in ["text/csv", "application/x-ndjson"] {
        let request = Request::post("/api/v1/sql").header("host", "x").header("accept", accept);
        let response = process.client.send(request.body(Body::from(query)).expect("a request")).await;
        let body = to_bytes(response.expect("begun").into_body(), 1 << 30).await;
        assert!(body.is_err(), "{accept}: half an answer looked whole");
    }
}

#[tokio::test]
async fn errors_have_a_status_a_code_and_a_hint() {
    let process = process().await;
    let check = async |query: &str, status: u16, code: &str| {
        let reply = process.sql(query, "application/json").await;
        assert_eq!(reply.status.as_u16(), status, "{query}: {}", reply.body);
        let error = &reply.json()["error"];
        assert_eq!(error["code"], code, "{query}");
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{query}");
    };
    check("DROP TABLE logs", 400, "refused").await;
    check("SELEC 1", 400, "syntax").await;
    check("SELECT nothing FROM logs", 400, "plan").await;
    check("SELECT 1/0", 422, "rows").await;
    check(&"x".repeat(70_000), 413, "too_long").await;
    check(&"x".repeat(1 << 20), 413, "too_long").await;
    process.world.away(true);
    check("SELECT 1", 503, "live_rows_unavailable").await;
    let away = process.sql("SELECT 1", "application/json").await;
    assert_eq!(away.header("retry-after"), "1");
    let html = process.sql("SELECT 1", "text/html").await;
    assert_eq!(html.status, StatusCode::BAD_REQUEST);
    assert_eq!(process.get("/nothing").await.json()["error"]["code"], "not_found");
}

#[tokio::test]
async fn too_many_questions_are_told_to_come_back() {
    let process = Process::start(Config { concurrency: 1, waiting: 0, ..Config::default() }).await;
    let endless = "SELECT count(*) FROM generate_series(1, 10000000) a, generate_series(1, 10000000) b
        WHERE (a.value * b.value) % 7 = 3";
    let mut first = Box::pin(process.sql(endless, "application/json"));
    let busy = loop {
        tokio::select! {
            // The other one was first.
            refused = &mut first => {
                assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "{}", refused.body);
                first = Box::pin(process.sql(endless, "application/json"));
            }
            reply = process.sql("SELECT 1", "application/json") => {
                if reply.status != StatusCode::OK {
                    break reply;
                }
            }
        }
    };
    assert_eq!((busy.status, busy.header("retry-after")), (StatusCode::TOO_MANY_REQUESTS, "1"));
    // The client hangs up; the worker notices and lets the next one in.
    drop(first);
    while process.sql("SELECT 1", "application/json").await.status != StatusCode::OK {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn logs_as_json() {
    let process = process().await;
    let reply = process.get("/api/v1/logs?limit=5&explain=true").await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    let found = reply.json();
    assert_eq!(
        found["logs"][1],
        json!({
            "tenant": "default",
            "timestamp": "2026-01-01T00:00:00.000000Z",
            "timestamp_nanos": 0,
            "observed_timestamp": "2026-01-01T00:00:00.000001Z",
            "body": "a,\"b\"",
            "attributes": {"user": "ann"},
            "resource_attributes": {},
            "flags": 0,
            "source_id": "00000000000000000000000007",
            "source_start": 0,
            "source_end": 1,
        })
    );
    assert_eq!(found["logs"][0]["line_base64"], "/w==");
    assert_eq!(found["complete_until"], "2026-01-01T00:00:00.000000Z");
    assert!(found["sql"].as_str().is_some_and(|sql| sql.starts_with("SELECT * FROM logs ORDER BY")));
    let found = process.get("/api/v1/logs?query=user:ann").await.json();
    assert_eq!((found["logs"].as_array().map(Vec::len), &found["sql"]), (Some(1), &Value::Null));
    let none = process.get("/api/v1/logs?query=absent&start=-1h&end=now").await.json();
    assert_eq!(none["logs"], json!([]));
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    let process = process().await;
    let check = async |parameters: &str, part: &str| {
        let reply = process.get(&format!("/api/v1/logs?{parameters}")).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{parameters}: {}", reply.body);
        assert!(reply.body.contains(part), "{parameters}: {}", reply.body);
    };
    check("limit=0", "limit").await;
    check("limit=10001", "limit").await;
    check("limit=many", "limit").await;
    check("start=yesterday", "start").await;
    check("end=1h", "end").await;
    check("explain=maybe", "explain").await;
    check("wanted=1", "wanted").await;
    check("query=%22open", "quote is not closed").await;
}

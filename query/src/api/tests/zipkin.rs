//! Zipkin's API over spans that are live and spans that are stored: its
//! answers, its defaults, its words.

use super::*;
use crate::fixture::metrics::Point;
use crate::fixture::spans::{EventRow, SpanRow, child, root};

const SECOND: i64 = 1_000_000;

fn now() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

fn trace(number: u64) -> String {
    format!("{number:032x}")
}

impl Process {
    async fn names(&self, path: &str) -> Value {
        let reply = self.get(path).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.body);
        reply.json()
    }

    /// The traces that a search finds, by the last digit of their ids.
    async fn found(&self, query: &str) -> String {
        let traces = self.names(&format!("/api/v2/traces{query}")).await;
        let id =
            |trace: &Value| trace[0]["traceId"].as_str().expect("an id").chars().last().expect("a digit");
        traces.as_array().expect("traces").iter().map(id).collect()
    }
}

/// Three traces, the first stored, the others live.
async fn shop() -> (Process, i64) {
    let process = Process::start(Config::default()).await;
    let now = now();
    let tag = |key, value: &str| (key, value.to_owned());
    let order = SpanRow {
        name: Some("POST /Order"),
        kind: Some("SERVER"),
        ip: Some("10.0.0.1"),
        attributes: vec![tag("http.path", "/order")],
        resource: vec![tag("host.name", "n1")],
        scope: Some("shop"),
        events: vec![EventRow { micros: now - 59 * SECOND, name: "half way", ..EventRow::default() }],
        ..root(&trace(0xa), now - 60 * SECOND, "Checkout")
    };
    let call = SpanRow {
        kind: Some("CLIENT"),
        remote: Some("stock"),
        status: Some("ERROR"),
        message: Some("out of stock"),
        duration_ns: Some(20_000_000),
        ..child(&trace(0xa), 2, now - 59 * SECOND, "Checkout")
    };
    process.world.arrive_spans(&[order, call]);
    process.world.flush().await;
    process.world.arrive_spans(&[root(&trace(0xb), now - 30 * SECOND, "cart")]);
    process.world.arrive_spans(&[SpanRow {
        attributes: vec![tag("user", "O'Brien; DROP TABLE spans --")],
        ..root(&trace(0xc), now - 10 * SECOND, "cart")
    }]);
    (process, now)
}

#[tokio::test]
async fn a_trace_comes_back_as_zipkin_writes_it() {
    let (process, now) = shop().await;
    let spans = process.names(&format!("/api/v2/trace/{}", trace(0xa))).await;
    let of_kind = |kind: &str| {
        let found = spans.as_array().expect("spans").iter().find(|span| span["kind"] == kind);
        found.unwrap_or_else(|| panic!("{spans}")).clone()
    };
    let server = of_kind("SERVER");
    assert_eq!(server["timestamp"], now - 60 * SECOND);
    assert_eq!(server["duration"], 1000);
    assert_eq!(server["localEndpoint"]["ipv4"], "10.0.0.1");
    assert_eq!(server["tags"]["http.path"], "/order");
    assert_eq!(server["tags"]["host.name"], "n1");
    assert_eq!(server["tags"]["otel.scope.name"], "shop");
    assert_eq!(server["annotations"], json!([{"timestamp": now - 59 * SECOND, "value": "half way"}]));
    assert!(server.get("parentId").is_none(), "{server}");
    let client = of_kind("CLIENT");
    assert_eq!(client["parentId"], server["id"]);
    assert_eq!(client["remoteEndpoint"]["serviceName"], "stock");
    assert_eq!(client["tags"]["error"], "out of stock");
    assert_eq!(client["tags"]["otel.status_code"], "ERROR");

    let unknown = process.get("/api/v2/trace/00000000000000ff").await;
    assert_eq!(
        (unknown.status, unknown.body.as_str()),
        (StatusCode::NOT_FOUND, "00000000000000ff not found")
    );
    let many = process.names(&format!("/api/v2/traceMany?traceIds={},{}", trace(0xa), trace(0xb))).await;
    assert_eq!(many.as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn names_are_sorted_and_lower_case() {
    let (process, _) = shop().await;
    assert_eq!(process.names("/api/v2/services").await, json!(["cart", "checkout"]));
    assert_eq!(process.names("/api/v2/spans?serviceName=CHECKOUT").await, json!(["get", "post /order"]));
    assert_eq!(process.names("/api/v2/remoteServices?serviceName=checkout").await, json!(["stock"]));
    assert_eq!(process.names("/api/v2/autocompleteKeys").await, json!(["http.path", "user"]));
    assert_eq!(process.names("/api/v2/autocompleteValues?key=http.path").await, json!(["/order"]));
    // Few services are a beginning: nobody caches that.
    assert_eq!(process.get("/api/v2/services").await.header("cache-control"), "");
    let more: Vec<_> = ["d", "e"].map(|service| root(&trace(0xd), now(), service)).into();
    process.world.arrive_spans(&more);
    let cached = process.get("/api/v2/services").await;
    assert_eq!(cached.header("cache-control"), "max-age=300, must-revalidate");
}

#[tokio::test]
async fn a_search_finds_the_newest_traces_that_match() {
    let (process, now) = shop().await;
    let end = |micros: i64| micros / 1000;
    for (query, expected) in [
        (String::new(), "cba"),
        ("?limit=2".to_owned(), "cb"),
        ("?serviceName=cart".to_owned(), "cb"),
        ("?serviceName=Checkout&spanName=post%20/order".to_owned(), "a"),
        ("?serviceName=checkout&spanName=all".to_owned(), "a"),
        ("?spanName=no%20such".to_owned(), ""),
        ("?remoteServiceName=stock".to_owned(), "a"),
        ("?minDuration=15000".to_owned(), "a"),
        ("?minDuration=15000&maxDuration=19999".to_owned(), ""),
        ("?annotationQuery=error".to_owned(), "a"),
        ("?annotationQuery=half%20way".to_owned(), "a"),
        ("?annotationQuery=http.path%3D/order%20and%20error".to_owned(), "a"),
        ("?annotationQuery=http.path%3D/other".to_owned(), ""),
        ("?annotationQuery=user%3DO'Brien;%20DROP%20TABLE%20spans%20--".to_owned(), "c"),
        ("?serviceName=cart'%20OR%20'1'='1".to_owned(), ""),
        (format!("?endTs={}", end(now - 20 * SECOND)), "ba"),
        (format!("?endTs={}&lookback=20000", end(now - 20 * SECOND)), "b"),
        ("?lookback=1".to_owned(), ""),
    ] {
        assert_eq!(process.found(&query).await, expected, "{query}");
    }
    let reply = process.get("/api/v2/traces?limit=1").await;
    assert_eq!(reply.header("content-type"), "application/json");
}

#[tokio::test]
async fn bad_parameters_are_refused_in_plain_text() {
    let (process, _) = shop().await;
    for path in [
        "/api/v2/traces?limit=0",
        "/api/v2/traces?limit=-1",
        "/api/v2/traces?limit=many",
        "/api/v2/traces?endTs=abc",
        "/api/v2/traces?lookback=0",
        "/api/v2/traces?minDuration=0",
        "/api/v2/traces?maxDuration=5",
        "/api/v2/traces?minDuration=9&maxDuration=5",
        "/api/v2/spans",
        "/api/v2/trace/xyz",
        "/api/v2/trace/00000000000000000000000000000000",
        "/api/v2/traceMany?traceIds=",
        "/api/v2/traceMany?traceIds=1",
        "/api/v2/traceMany?traceIds=1,0000000000000001",
    ] {
        let reply = process.get(path).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{path}: {}", reply.body);
        assert!(reply.header("content-type").starts_with("text/plain") && !reply.body.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn what_grafana_calls_is_answered_as_it_decodes_it() {
    let (process, _) = shop().await;
    assert!(process.names("/api/v2/services").await.as_array().is_some(), "its health check");
    let traces = process.names("/api/v2/traces?serviceName=checkout&spanName=post%20/order").await;
    for span in traces.as_array().expect("traces").iter().flat_map(|trace| trace.as_array().expect("spans")) {
        assert!(span["timestamp"].is_u64() && span["duration"].is_u64(), "{span}");
        assert!(span["tags"].as_object().expect("tags").values().all(Value::is_string), "{span}");
    }
    let has_root =
        |trace: &Value| trace.as_array().expect("spans").iter().any(|span| span.get("parentId").is_none());
    assert!(traces.as_array().expect("traces").iter().all(has_root));
}

#[tokio::test]
async fn sql_reads_every_table_live_and_stored() {
    let (process, now) = shop().await;
    let point = |metric, series, label, value| Point { metric, series, label, micros: now, value };
    process.world.arrive_points(&[point("cpu", 1, "a", 0.5), point("cpu", 2, "b", 0.25)]);
    process.world.flush().await;
    process.world.arrive_points(&[point("cpu", 1, "a", 0.75)]);
    for (query, expected) in [
        ("SELECT count(*), count(DISTINCT trace_id) FROM spans", json!([[4, 3]])),
        (
            "SELECT service_name, count(*) FROM spans WHERE status_code = 'ERROR' GROUP BY 1",
            json!([["Checkout", 1]]),
        ),
        (
            "SELECT series_id, sum(value) FROM metric_samples GROUP BY 1 ORDER BY 1",
            json!([[1, 1.25], [2, 0.25]]),
        ),
        ("SELECT series_id, metric FROM metric_series ORDER BY 1", json!([[1, "cpu"], [2, "cpu"]])),
        (
            "SELECT (SELECT count(*) FROM spans) + (SELECT count(*) FROM logs) + \
             (SELECT count(*) FROM metric_samples)",
            json!([[7]]),
        ),
        (
            "SELECT a.span_id FROM spans a JOIN spans b ON a.parent_span_id = b.span_id AND a.trace_id = b.trace_id",
            json!([["0000000000000002"]]),
        ),
    ] {
        let reply = process.sql(query, "application/json").await;
        assert_eq!(reply.status, StatusCode::OK, "{query}: {}", reply.body);
        assert_eq!(reply.json()["rows"], expected, "{query}");
    }
}

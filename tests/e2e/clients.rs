//! OpenTelemetry's own SDKs as clients: what they sent is in the tables, all of
//! it, once, and means what they meant.

use serde_json::json;

use crate::harness::{Cluster, Node, Role, Scratch, Sdk, eventually};

const COUNT: u64 = 200;

const WAYS: [(Sdk, &str); 5] = [
    (Sdk::Python, "grpc"),
    (Sdk::Python, "http"),
    (Sdk::Node, "grpc"),
    (Sdk::Node, "json"),
    (Sdk::Node, "proto"),
];

/// Sends through one SDK and holds the tables to what it said it sent.
fn check(receiver: &Node, query: &Node, sdk: Sdk, protocol: &str) {
    let service = format!("{sdk:?}-{protocol}").to_lowercase();
    let sent = sdk.emit(&receiver.url(), protocol, &service, COUNT);
    let (logs, spans, series) = (&sent["logs"], &sent["spans"], &sent["series"]);
    let ask = |question: &str| query.try_rows(question).map_err(|error| format!("{question}: {error:#}"));
    let check = |what: &str, question: String, expected: serde_json::Value| {
        eventually(what, || {
            let rows = ask(&question)?;
            if json!(rows) == expected { Ok(()) } else { Err(format!("{service}: {rows:?}, not {expected}")) }
        });
    };
    let of = format!("WHERE service_name = '{service}'");
    check(
        "every log record is there once",
        format!(
            "SELECT count(*), count(DISTINCT body), min(severity_number), count(trace_id) FROM logs {of}"
        ),
        json!([[logs, logs, 13, logs]]),
    );
    check(
        "every span is there once",
        format!("SELECT count(*), count(DISTINCT span_id), count(DISTINCT trace_id) FROM spans {of}"),
        json!([[spans, spans, COUNT]]),
    );
    check(
        "kinds and errors are the sender's",
        format!("SELECT kind, count(*), count(status_code) FROM spans {of} GROUP BY 1 ORDER BY 1"),
        json!([["CLIENT", COUNT, COUNT / 10], ["SERVER", COUNT, 0]]),
    );
    check(
        "every metric point is there once",
        format!("SELECT count(*), count(DISTINCT series_id) FROM metrics {of}"),
        json!([[series, series]]),
    );
    check(
        "the counter says what was counted",
        format!("SELECT sum(value) FROM metrics {of} AND metric = 'emit.requests'"),
        json!([[(COUNT * (COUNT + 1) / 2) as f64]]),
    );
    // A log line leads to its trace, and Zipkin's API shows it.
    let line =
        ask(&format!("SELECT trace_id FROM logs {of} AND body LIKE 'line 7' LIMIT 1")).expect("a line");
    let id = line[0][0].as_str().expect("a trace id");
    let trace = query.get(&format!("/api/v2/trace/{id}")).expect("answered").json().expect("JSON");
    assert_eq!(trace.as_array().map(Vec::len), Some(2), "{trace}");
    assert!(trace.to_string().contains("step 7"), "{trace}");
}

#[test]
fn sdks_send_all_signals_to_one_process() {
    let scratch = Scratch::new("sdk");
    // Nothing becomes a file before the end: live rows are the whole answer.
    let node = Node::start_with(&scratch, Role::All, |command| {
        command.env("WEIR_INGEST_FLUSH_INTERVAL", "10m");
    });
    for (sdk, protocol) in WAYS {
        check(&node, &node, sdk, protocol);
    }
    assert!(node.rows("SELECT * FROM weir.gaps").is_empty());
    assert_eq!(node.number("SELECT count(*) FROM weir.files"), 0);
    assert!(node.terminate().success());
}

#[test]
fn sdks_send_all_signals_to_an_agent_and_they_come_through_kafka() {
    let cluster = Cluster::start("sdk-kafka");
    let _ingest = cluster.start_node("ingest", Role::Ingest);
    let query = cluster.start_node("query", Role::Query);
    let agent = cluster.start_node("agent", Role::Agent);
    agent.wait_until_ready();
    for (sdk, protocol) in [WAYS[0], WAYS[3]] {
        check(&agent, &query, sdk, protocol);
    }
    assert!(query.rows("SELECT * FROM weir.gaps").is_empty());
}

//! What is pushed is redacted before it is written to the spool.

use serde_json::{Value, json};
use weir_proto::model::drop_reason;

use super::*;
use crate::redact::RedactConfig;

/// In every place that a user may write to; none may be stored.
const SECRET: &str = "s3cr3t-of-bob";

fn text(value: &str) -> Value {
    json!({ "stringValue": value })
}

fn pair(key: &str, value: &Value) -> Value {
    json!({ "key": key, "value": value })
}

/// Attributes with the secret as deep as it goes.
fn attributes() -> Value {
    let hidden = format!("password={SECRET}");
    let list = json!({ "arrayValue": { "values": [text(&hidden), { "kvlistValue": { "values": [pair("ssn", &text(SECRET)), pair("db.password", &text(SECRET))] } }] } });
    json!([
        pair("a", &text(&hidden)),
        pair("password", &text(SECRET)),
        pair(
            "http.request.header.authorization",
            &json!({ "arrayValue": { "values": [text(&format!("Bearer {SECRET}"))] } })
        ),
        pair("ssn", &json!({ "intValue": "123456789" })),
        pair("pan", &json!({ "intValue": "4111111111111111" })),
        pair("json", &text(&json!({ "token": SECRET }).to_string())),
        pair("list", &list),
        pair("ok", &json!({ "boolValue": true })),
    ])
}

fn resource() -> Value {
    json!({ "attributes": [pair("service.name", &text("cart")), pair("process.command_line", &text(&format!("run --token {SECRET}")))] })
}

fn scope() -> Value {
    json!({ "name": "lib", "attributes": [pair("api_key", &text(SECRET))] })
}

const TIME: &str = "1767225600000000000";

fn logs(body: &Value) -> String {
    let record = json!({ "timeUnixNano": TIME, "body": body, "attributes": attributes() });
    json!({ "resourceLogs": [{ "resource": resource(), "scopeLogs": [{ "scope": scope(), "logRecords": [record] }] }] })
        .to_string()
}

fn spans() -> String {
    let span = json!({
        "traceId": "463ac35c9f6413ad48485a3953bb6124", "spanId": "a2fb4a1d1a96d312", "name": "get", "startTimeUnixNano": TIME,
        "attributes": attributes(),
        "status": { "code": 2, "message": format!("secret={SECRET}") },
        "events": [{ "timeUnixNano": TIME, "name": format!("login token={SECRET}"), "attributes": attributes() }],
        "links": [{ "traceId": "463ac35c9f6413ad48485a3953bb6124", "spanId": "a2fb4a1d1a96d313", "attributes": attributes() }],
    });
    json!({ "resourceSpans": [{ "resource": resource(), "scopeSpans": [{ "scope": scope(), "spans": [span] }] }] }).to_string()
}

fn metrics() -> String {
    let point = json!({ "timeUnixNano": TIME, "asInt": "1", "attributes": attributes(),
        "exemplars": [{ "timeUnixNano": TIME, "asInt": "1", "filteredAttributes": attributes() }] });
    let histogram = json!({ "timeUnixNano": TIME, "count": "1", "sum": 1.0, "bucketCounts": ["1"], "explicitBounds": [], "attributes": attributes() });
    let metrics = json!([
        { "name": "a", "gauge": { "dataPoints": [point] } },
        { "name": "b", "sum": { "aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [point] } },
        { "name": "c", "histogram": { "aggregationTemporality": 2, "dataPoints": [histogram] } },
    ]);
    json!({ "resourceMetrics": [{ "resource": resource(), "scopeMetrics": [{ "scope": scope(), "metrics": metrics }] }] }).to_string()
}

fn zipkin(tag: &str) -> String {
    json!([{ "traceId": "463ac35c9f6413ad48485a3953bb6124", "id": "a2fb4a1d1a96d312", "timestamp": 1_767_225_600_000_000_u64,
        "tags": { "http.url": tag, "error": format!("password={SECRET}"), "ssn": SECRET },
        "annotations": [{ "timestamp": 1_767_225_600_000_000_u64, "value": format!("token={SECRET}") }],
        "localEndpoint": { "serviceName": "cart", "ipv4": "10.1.2.3" } }])
    .to_string()
}

async fn push_all(place: &Place) {
    let agent = place.start().await;
    for (path, body) in [
        ("/v1/logs", logs(&text(&format!("password={SECRET}")))),
        (
            "/v1/logs",
            logs(
                &json!({ "kvlistValue": { "values": [pair("token", &text(SECRET)), pair("m", &text("kept"))] } }),
            ),
        ),
        ("/v1/traces", spans()),
        ("/v1/metrics", metrics()),
        ("/api/v2/spans", zipkin(&format!("https://bob:{SECRET}@example.org/"))),
    ] {
        let answer = post(&agent, path, &[JSON], body).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text());
        assert_eq!(answer.text().trim_end_matches("{}"), "", "{path}: everything is taken");
    }
    agent.stop(PATIENCE).await.expect("stops");
}

/// All that reached the event log, as text.
fn sent(place: &Place) -> String {
    let all = Signal::ALL.into_iter().flat_map(|signal| place.log.batches(signal));
    all.map(|batch| format!("{:?}", batch.tables)).collect()
}

fn spooled(place: &Place) -> Vec<u8> {
    let mut all = Vec::new();
    let mut open = vec![place.state()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { open.push(path) } else { all.extend(std::fs::read(path).expect("a file")) }
        }
    }
    all
}

fn place(redact: &Value) -> Place {
    let mut place = Place::new(ReceiveConfig::default());
    place.config.redact = serde_json::from_value::<RedactConfig>(redact.clone()).expect("a configuration");
    place
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_stored_or_sent_whatever_place_it_is_in() {
    // Without it, it is: the test would see it.
    let bare = place(&json!({}));
    push_all(&bare).await;
    assert!(sent(&bare).matches(SECRET).count() > 40);
    assert!(memchr::memmem::find(&spooled(&bare), SECRET.as_bytes()).is_some());

    let place = place(&json!({ "rules": ["default", "ip"], "keys": ["ssn"] }));
    push_all(&place).await;
    let sent = sent(&place);
    for gone in [SECRET, "123456789", "4111111111111111", "10.1.2.3"] {
        let at =
            sent.find(gone).map(|at| sent[at.saturating_sub(300)..].chars().take(400).collect::<String>());
        assert_eq!(at, None, "{gone}");
    }
    assert!(memchr::memmem::find(&spooled(&place), SECRET.as_bytes()).is_none());
    for stays in [
        "cart",
        "kept",
        "463ac35c9f6413ad48485a3953bb6124",
        "[redacted:keys]",
        "[redacted:card]",
        "[redacted:bearer]",
        "[redacted:basic]@example.org",
    ] {
        assert!(sent.contains(stays), "{stays}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_out_is_told_with_the_next_record() {
    let place = place(&json!({ "rules": ["card"], "action": "drop" }));
    let agent = place.start().await;
    let bad = "paid with 4111 1111 1111 1111";
    let record = |body: &str| json!({ "timeUnixNano": TIME, "body": text(body) });
    let mixed = json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [record(bad), record("fine"), record(bad)] }] }] });
    let answer = post(&agent, "/v1/logs", &[JSON], mixed.to_string()).await;
    assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, "{}"));
    // Nothing is left of these: there is a record all the same.
    let none = json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [record(bad)] }] }] });
    assert_eq!(post(&agent, "/v1/logs", &[JSON], none.to_string()).await.status, StatusCode::OK);
    assert_eq!(post(&agent, "/api/v2/spans", &[JSON], zipkin(bad)).await.status, StatusCode::ACCEPTED);
    agent.stop(PATIENCE).await.expect("stops");

    assert_eq!(told(&place, Signal::Logs), [("redacted".to_owned(), 3)].into());
    let drops = |signal| {
        let batches = place.log.batches(signal);
        let drops = batches.iter().flat_map(|batch| &batch.sources).flat_map(|source| {
            source.drops.iter().map(|drop| {
                assert_eq!(drop.range, source.covered);
                (drop.reason.clone(), drop.count)
            })
        });
        drops.collect::<Vec<_>>()
    };
    let reason = drop_reason::REDACTED.to_owned();
    assert_eq!(drops(Signal::Logs), [(reason.clone(), 2), (reason.clone(), 1)]);
    assert_eq!(drops(Signal::Spans), [(reason, 1)]);
    assert_eq!(place.log.numbers(Signal::Logs).len(), 1);
    assert_eq!(place.log.numbers(Signal::Spans).len(), 0);
}

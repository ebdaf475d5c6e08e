//! What clients push, over the public port: stored once it was answered, in the
//! tables and in Zipkin's API, and each protocol's words for what is refused.

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::harness::{Cluster, Node, Pushes, Role, Scratch, eventually, produce, seed};

const JSON: (&str, &str) = ("content-type", "application/json");

fn now_micros() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

#[test]
fn zipkins_spans_come_back_from_its_api_as_they_were_sent() {
    let scratch = Scratch::new("zipkin");
    let node = Node::start(&scratch);
    let at = now_micros();
    let sent = json!([
        {
            "traceId": "463ac35c9f6413ad48485a3953bb6124", "id": "a2fb4a1d1a96d312", "kind": "SERVER",
            "name": "get /cart", "timestamp": at, "duration": 207_000,
            "localEndpoint": { "serviceName": "front", "ipv4": "10.0.0.1", "port": 8080 },
            "remoteEndpoint": { "ipv4": "10.0.0.9", "port": 63_840 },
            "annotations": [{ "timestamp": at + 5, "value": "cache miss" }],
            "tags": { "http.path": "/cart", "error": "" },
        },
        {
            "traceId": "463ac35c9f6413ad48485a3953bb6124", "parentId": "a2fb4a1d1a96d312",
            "id": "b7ad6b7169203331", "kind": "CLIENT", "name": "get", "timestamp": at + 10, "duration": 1_000,
            "localEndpoint": { "serviceName": "front" }, "remoteEndpoint": { "serviceName": "stock" },
        },
    ]);
    let answer = node.post("/api/v2/spans", &[JSON], sent.to_string()).expect("answered");
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (202, ""));
    let get = |path: &str| node.get(path).expect("answered");
    let trace = eventually("the trace is there", || {
        let answer = get("/api/v2/trace/463ac35c9f6413ad48485a3953bb6124");
        let trace = answer.json().map_err(|_| answer.text())?;
        if trace.as_array().is_some_and(|spans| spans.len() == 2) {
            Ok(trace)
        } else {
            Err(trace.to_string())
        }
    });
    let mut spans: Vec<Value> = trace.as_array().expect("spans").clone();
    spans.sort_by_key(|span| span["timestamp"].as_i64());
    assert_eq!(json!(spans), sent);
    assert_eq!(get("/api/v2/services").json().expect("JSON"), json!(["front"]));
    assert_eq!(get("/api/v2/spans?serviceName=front").json().expect("JSON"), json!(["get", "get /cart"]));
    assert_eq!(get("/api/v2/remoteServices?serviceName=front").json().expect("JSON"), json!(["stock"]));
    for (query, found) in
        [("spanName=get%20/cart", 1), ("annotationQuery=error", 1), ("minDuration=300000", 0)]
    {
        let traces = get(&format!("/api/v2/traces?serviceName=front&{query}"));
        assert_eq!(traces.json().expect("JSON").as_array().map(Vec::len), Some(found), "{query}");
    }
    // How complete that is, a little later.
    eventually("the answer says until when it is complete", || {
        let answer = get("/api/v2/traces?serviceName=front");
        let until = answer.headers.get("weir-complete-until").and_then(|value| value.to_str().ok());
        let until: jiff::Timestamp = until.ok_or("no time")?.parse().map_err(|_| "no time")?;
        if until.as_microsecond() > at { Ok(()) } else { Err(until.to_string()) }
    });
    assert!(node.terminate().success());
}

#[test]
fn every_kind_of_metric_is_rows_that_sql_understands() {
    let scratch = Scratch::new("metrics");
    let node = Node::start(&scratch);
    let at = u64::try_from(now_micros()).expect("after 1970") * 1000;
    let (time, start) = (at.to_string(), (at - 60_000_000_000).to_string());
    let label = json!([{ "key": "path", "value": { "stringValue": "/cart" } }]);
    let point = |fields: Value| {
        let mut point = json!({ "timeUnixNano": time, "startTimeUnixNano": start, "attributes": label });
        point.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        point
    };
    let exemplar = json!([{
        "timeUnixNano": time, "asDouble": 9.5, "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": "eee19b7ec3c1b174",
    }]);
    let sent = json!({ "resourceMetrics": [{
        "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": "shop" } }] },
        "scopeMetrics": [{ "metrics": [
            { "name": "m.gauge", "unit": "By", "gauge": { "dataPoints": [
                point(json!({ "asInt": "9007199254740993" })), point(json!({ "flags": 1 })),
            ] } },
            { "name": "m.sum", "sum": { "aggregationTemporality": 2, "isMonotonic": true,
                "dataPoints": [point(json!({ "asDouble": 7.5 }))] } },
            { "name": "m.delta", "sum": { "aggregationTemporality": 1, "isMonotonic": false,
                "dataPoints": [point(json!({ "asInt": "-3" }))] } },
            { "name": "m.histogram", "histogram": { "aggregationTemporality": 1, "dataPoints": [point(json!({
                "count": "6", "sum": 21.5, "min": 0.5, "max": 9.5, "explicitBounds": [1, 5],
                "bucketCounts": ["1", "2", "3"], "exemplars": exemplar })) ] } },
            { "name": "m.exponential", "exponentialHistogram": { "aggregationTemporality": 2,
                "dataPoints": [point(json!({ "count": "5", "sum": 3.5, "scale": 2, "zeroCount": "1",
                    "positive": { "offset": -1, "bucketCounts": ["1", "3"] } }))] } },
            { "name": "m.summary", "summary": { "dataPoints": [point(json!({ "count": "4", "sum": 10,
                "quantileValues": [{ "quantile": 0.5, "value": 2 }, { "quantile": 0.99, "value": 4 }] }))] } },
        ] }],
    }] });
    let answer = node.post("/v1/metrics", &[JSON], sent.to_string()).expect("answered");
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "{}"));
    let check = |question: &str, expected: Value| {
        eventually(question, || {
            let rows = node.try_rows(question).map_err(|error| format!("{error:#}"))?;
            if json!(rows) == expected {
                Ok(())
            } else {
                Err(format!("{} instead of {expected}", json!(rows)))
            }
        });
    };
    let whole = "SELECT metric, kind, temporality, is_monotonic, value, value_int, is_stale FROM metrics
        WHERE service_name = 'shop' AND labels['path'] = '/cart' AND kind IN ('gauge', 'sum') ORDER BY 1, 5";
    let expected = json!([
        ["m.delta", "sum", "delta", false, -3.0, -3, false],
        ["m.gauge", "gauge", null, null, 9_007_199_254_740_992.0, 9_007_199_254_740_993_i64, false],
        ["m.gauge", "gauge", null, null, null, null, true],
        ["m.sum", "sum", "cumulative", true, 7.5, null, false],
    ]);
    check(whole, expected.clone());
    let others = "SELECT metric, count, sum, min, max, bucket_counts, explicit_bounds, scale, zero_count,
        positive_offset, positive_counts FROM metrics WHERE kind NOT IN ('gauge', 'sum') ORDER BY 1";
    let many = json!([
        ["m.exponential", 5, 3.5, null, null, null, null, 2, 1, -1, [1, 3]],
        ["m.histogram", 6, 21.5, 0.5, 9.5, [1, 2, 3], [1.0, 5.0], null, null, null, null],
        ["m.summary", 4, 10.0, null, null, null, null, null, null, null, null],
    ]);
    check(others, many.clone());
    let quantile = "SELECT quantiles[2]['value'] FROM metrics WHERE metric = 'm.summary'";
    check(quantile, json!([[4.0]]));
    let exemplar =
        "SELECT exemplars[1]['value'], exemplars[1]['trace_id'] FROM metrics WHERE metric = 'm.histogram'";
    check(exemplar, json!([[9.5, "5b8efff798038103d269b633813fc60c"]]));
    check("SELECT unit, count(*) FROM metric_series WHERE metric = 'm.gauge' GROUP BY 1", json!([["By", 1]]));
    // And the same from files.
    assert!(node.terminate().success());
    let node = Node::start(&scratch);
    assert!(node.number("SELECT count(*) FROM weir.files WHERE \"table\" LIKE 'metric%'") >= 2);
    for (question, expected) in [(whole, expected), (others, many)] {
        assert_eq!(json!(node.rows(question)), expected);
    }
}

#[test]
fn what_is_refused_says_why_and_leaves_nothing() {
    let scratch = Scratch::new("refused");
    let node = Node::start_with(&scratch, Role::All, |command| {
        command.env("WEIR_AGENT_RECEIVE_MAX_BODY", "64KiB");
    });
    let protobuf = ("content-type", "application/x-protobuf");
    for (path, headers, body, status, part) in [
        ("/v1/traces", vec![JSON], b"{\"resourceSpans\":7}".to_vec(), 400, "\"code\":3"),
        ("/v1/metrics", vec![JSON], b"[".to_vec(), 400, "\"code\":3"),
        ("/v1/logs", vec![protobuf], b"\xff\xff\xff".to_vec(), 400, "OTLP protobuf"),
        ("/v1/logs", vec![("content-type", "text/csv")], b"a".to_vec(), 415, "application/x-protobuf"),
        ("/v1/logs", vec![JSON, ("content-encoding", "gzip")], b"{}".to_vec(), 400, "no gzip"),
        ("/v1/logs", vec![JSON], vec![b' '; 65 * 1024], 413, "over the limit"),
        ("/api/v2/spans", vec![JSON], b"[{\"traceId\":\"x\"}]".to_vec(), 400, "traceId"),
        ("/api/v2/spans", vec![JSON], vec![b' '; 65 * 1024], 413, "over the limit"),
        ("/api/v2/spans", vec![("content-type", "application/x-thrift")], b"x".to_vec(), 415, "JSON"),
    ] {
        let answer = node.post(path, &headers, body).expect("answered");
        assert_eq!(answer.status.as_u16(), status, "{path} {headers:?}: {}", answer.text());
        assert!(answer.text().contains(part), "{path} {headers:?}: {}", answer.text());
    }
    assert_eq!(node.get("/v1/traces").expect("answered").status.as_u16(), 405);
    let metrics = node.get("/metrics").expect("answered").text();
    for reason in ["malformed", "too_large", "unsupported"] {
        assert!(metrics.contains(&format!("reason=\"{reason}\"")), "{reason} is counted: {metrics}");
    }
    for table in ["logs", "spans", "metrics"] {
        assert_eq!(node.number(&format!("SELECT count(*) FROM {table}")), 0);
    }
    assert!(node.terminate().success());
}

#[test]
fn pushes_outlive_their_agent_and_a_kafka_that_is_away() {
    let cluster = Cluster::start("pushes");
    cluster.set("WEIR_INGEST_FLUSH_INTERVAL", "500ms");
    let _ingest = cluster.start_node("ingest", Role::Ingest);
    let query = cluster.start_node("query", Role::Query);
    let mut agent = cluster.start_node("agent", Role::Agent);
    let mut pushes = Pushes::start(4);
    pushes.to(&agent);
    cluster.wait_for(&query, "spans", 100);
    for _ in 0..3 {
        agent.kill();
        agent = cluster.start_node("agent", Role::Agent);
        pushes.to(&agent);
        let seen = query.number("SELECT count(*) FROM spans");
        cluster.wait_for(&query, "spans", seen + 100);
    }
    // While Kafka is away, pushes are answered: they are durable on the host.
    cluster.kafka.kill();
    std::thread::sleep(Duration::from_secs(3));
    agent.kill();
    cluster.kafka.restart();
    agent = cluster.start_node("agent", Role::Agent);
    pushes.to(&agent);
    let seen = query.number("SELECT count(*) FROM spans");
    cluster.wait_for(&query, "spans", seen + 100);
    pushes.stop();
    let counted = pushes.judge(&query);
    println!("pushes_outlive_their_agent: {counted:?}");
    assert!(counted.answered > 400 && counted.refused == 0, "{counted:?}");
    assert!(counted.unanswered > 0, "no kill fell into a request: {counted:?}");
    assert!(query.rows("SELECT * FROM weir.gaps").is_empty());
    drop(agent);
}

/// The smallest valid request: one span.
fn otlp_span(name: &str) -> Vec<u8> {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use prost::Message;
    let start_time_unix_nano = u64::try_from(now_micros()).expect("after 1970") * 1000;
    let span = Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: name.to_owned(),
        start_time_unix_nano,
        end_time_unix_nano: start_time_unix_nano + 1,
        ..Span::default()
    };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

#[test]
fn a_collector_that_writes_to_the_topic_is_read_and_its_completeness_estimated() {
    let cluster = Cluster::start("collector");
    let _ingest = cluster.start_node("ingest", Role::Ingest);
    let query = cluster.start_node("query", Role::Query);
    let agent = cluster.start_node("agent", Role::Agent);
    agent.wait_until_ready();
    // As the Collector's Kafka exporter writes: OTLP protobuf, no header of ours.
    for n in 0..3 {
        produce(&cluster.kafka.brokers(), "weir.spans", 0, &[], &otlp_span(&format!("step {n}")));
    }
    cluster.wait_for(&query, "spans", 3);
    let rows = query.rows("SELECT name FROM spans ORDER BY name");
    assert_eq!(json!(rows), json!([["step 0"], ["step 1"], ["step 2"]]));
    let source = query.rows("SELECT DISTINCT source_start FROM spans ORDER BY 1");
    assert_eq!(json!(source), json!([[0], [1 << 20], [2 << 20]]), "the offset is the number");
    eventually("the lane is estimated", || {
        let rows = query.rows("SELECT estimated FROM weir.lanes WHERE partition = 'weir.spans/0'");
        if json!(rows) == json!([[true]]) { Ok(()) } else { Err(format!("{rows:?}")) }
    });
}

/// A body that was damaged on its way.
fn damaged(body: &[u8], random: &mut SmallRng) -> Vec<u8> {
    let mut body = body.to_vec();
    for _ in 0..random.random_range(1..6) {
        let at = random.random_range(0..body.len());
        match random.random_range(0..4) {
            0 => body[at] = random.random(),
            1 => body.truncate(at.max(1)),
            2 => body.insert(at, random.random()),
            _ => {
                let part = body[at..].to_vec();
                body.extend(part);
            }
        }
    }
    body
}

#[test]
fn damaged_requests_are_answered_and_what_was_taken_is_there() {
    let scratch = Scratch::new("damaged");
    let node = Node::start(&scratch);
    let seed = seed("damaged_requests");
    let mut random = SmallRng::seed_from_u64(seed);
    let protobuf = ("content-type", "application/x-protobuf");
    let otlp = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c",
        "spanId":"eee19b7ec3c1b174","name":"a","startTimeUnixNano":"1767225600000000000","kind":2}]}]}]}"#;
    let zipkin = r#"[{"traceId":"5b8efff798038103","id":"eee19b7ec3c1b174","name":"a","kind":"CLIENT",
        "timestamp":1767225600000000,"duration":10,"tags":{"a":"b"}}]"#;
    let logs = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"}}]}]}]}"#;
    let valid = [
        ("/v1/traces", protobuf, otlp_span("a")),
        ("/v1/traces", JSON, otlp.as_bytes().to_vec()),
        ("/v1/logs", JSON, logs.as_bytes().to_vec()),
        ("/api/v2/spans", JSON, zipkin.as_bytes().to_vec()),
        // Protobuf of another signal may well be valid for this one.
        ("/v1/metrics", protobuf, otlp_span("a")),
    ];
    let mut answered = std::collections::BTreeMap::new();
    for round in 0..600 {
        let (path, kind, body) = &valid[round % valid.len()];
        let answer = node.post(path, &[*kind], damaged(body, &mut random)).expect("answered");
        *answered.entry(answer.status.as_u16()).or_insert(0) += 1;
        assert!(
            matches!(answer.status.as_u16(), 200 | 202 | 400),
            "{path}: {} {}",
            answer.status,
            answer.text()
        );
    }
    println!("damaged_requests: {answered:?}");
    assert!(answered[&400] > 100, "hardly anything was damaged: {answered:?}");
    // Whatever was taken is there, and the receivers still work.
    let taken = |signal: &str| {
        let text = node.get("/metrics").expect("answered").text();
        let line = format!("weir_agent_receive_records_total{{signal=\"{signal}\"}} ");
        text.lines().find_map(|found| found.strip_prefix(&line)?.parse::<u64>().ok()).unwrap_or(0)
    };
    assert_eq!(node.post("/api/v2/spans", &[JSON], zipkin).expect("answered").status, 202);
    for (signal, table) in [("spans", "spans"), ("logs", "logs"), ("metrics", "metric_samples")] {
        let expected = taken(signal);
        eventually("what was taken is there", || {
            let rows =
                node.try_rows(&format!("SELECT count(*) FROM {table}")).map_err(|e| format!("{e:#}"))?;
            if rows[0][0] == expected { Ok(()) } else { Err(format!("{rows:?} of {expected} {signal}")) }
        });
    }
    assert!(node.terminate().success());
}

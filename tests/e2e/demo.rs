//! The demo reconciles what it wrote, sent and told with what is there.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use weir_storage::catalog::postgres::server::PostgresServer;
use weir_stream::kafka::server::{KafkaOptions, KafkaServer};

use crate::harness::{Demo, eventually, topics, weir};

#[test]
fn the_demo_loses_and_doubles_nothing() {
    let output = weir()
        .args(["demo", "--for", "6s", "--json", "--rate", "1500", "--listen", "127.0.0.1:0"])
        .output()
        .expect("the binary runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_str(&text).expect("one JSON object");
    let logs = &report["logs"];
    assert!(logs["emitted"].as_u64().expect("a count") > 2_000, "{report}");
    assert_eq!(logs["emitted"], logs["stored"], "{report}");
    assert_eq!(logs["lost"], 0, "{report}");
    assert_eq!(logs["duplicated"], 0, "{report}");
    assert!(
        report["freshness_ms"]["p50"].is_number() && report["freshness_ms"]["p99"].is_number(),
        "{report}"
    );
    assert!(report["wall_s"].is_number(), "{report}");
    let traces = &report["traces"];
    assert!(traces["emitted"].as_u64().expect("a count") > 30, "{report}");
    assert_eq!((&traces["emitted"], &traces["incomplete"]), (&traces["complete"], &json!(0)), "{report}");
    assert_eq!(report["traces_complete"], traces["complete"], "{report}");
    let alerts = &report["alerts"];
    assert!(alerts["webhooks"].as_u64() > Some(0) && alerts["mails"].as_u64() > Some(0), "{report}");
    assert!(report["alerts_delivered"].as_u64() >= Some(2), "{report}");
    assert!(report["breaker_opened"].as_u64() > Some(0), "{report}");
}

/// The calls that the shop's code makes.
const CALLS: [(&str, &str); 12] = [
    ("cart", "catalog"),
    ("cart", "redis"),
    ("catalog", "inventory"),
    ("catalog", "postgres"),
    ("checkout", "cart"),
    ("checkout", "inventory"),
    ("checkout", "payment"),
    ("checkout", "shipping"),
    ("frontend", "cart"),
    ("frontend", "catalog"),
    ("frontend", "checkout"),
    ("payment", "card-issuer"),
];

#[test]
fn the_demo_shows_its_shop_and_a_terminals_interrupt_ends_and_removes_it() {
    let mut demo = Demo::start(&["--rate", "100"]);
    let logs = demo.wait_until_said("containers' logs lie below");
    let (_, dir) = logs.rsplit_once(' ').expect("a path");
    assert!(Path::new(dir).is_dir(), "{dir}");
    demo.wait_until_said("the operator is told: firing PaymentDeclined");

    let expected: BTreeSet<_> = CALLS.into_iter().map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
    eventually("the graph is that of the code", || {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
        let (_, links) = demo.get(&format!("/api/v2/dependencies?endTs={now_ms}&lookback=600000"))?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let links = links.as_array().ok_or(links.to_string())?;
        let found: BTreeSet<_> =
            links.iter().map(|link| (text(&link["parent"]), text(&link["child"]))).collect();
        if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
    });
    let rows = demo.rows(
        "SELECT count(DISTINCT service_name) FROM spans WHERE trace_id IN \
         (SELECT trace_id FROM logs WHERE service_name = 'payment' AND trace_id IS NOT NULL)",
    );
    let services = rows[0][0].as_u64().expect("a count");
    assert!(services >= 5, "a line of payment leads to a trace of {services} services");
    let metrics = demo.rows(
        "SELECT count(DISTINCT metric) FROM metrics WHERE metric IN \
         ('http.server.request.duration', 'circuit_breaker.state', 'http.server.errors')",
    );
    assert_eq!(metrics[0][0], 3);

    let output = demo.interrupt();
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    assert!(!Path::new(dir).exists(), "{dir} is still there");
}

#[test]
fn the_demo_as_six_processes_on_kafka_and_postgres_counts_clean() {
    let kafka = KafkaServer::start(KafkaOptions::default());
    let postgres = PostgresServer::start();
    let output = weir()
        .args(["demo", "--split", "--for", "9s", "--json", "--listen", "127.0.0.1:0"])
        .args(["--kafka", &kafka.brokers(), "--postgres", &postgres.url()])
        .output()
        .expect("runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    let logs = &report["logs"];
    assert_eq!((&logs["lost"], &logs["duplicated"]), (&json!(0), &json!(0)), "{report}");
    assert!(logs["emitted"].as_u64().is_some_and(|lines| lines > 1000), "{report}");
    assert_eq!(logs["emitted"], logs["stored"]);
    assert!(report["freshness_ms"]["p50"].is_u64(), "{report}");
    assert!(report["traces_complete"].as_u64() > Some(30), "{report}");
    assert!(report["alerts_delivered"].as_u64() >= Some(2), "{report}");
    // It leaves nothing behind.
    let topics = topics(&kafka.brokers());
    assert!(topics.iter().all(|topic| !topic.starts_with("weir")), "{topics:?}");
    let question = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'weir%'";
    let schemas = Command::new("psql").args([&postgres.url(), "-Atc", question]).output().expect("psql runs");
    assert!(schemas.status.success() && schemas.stdout.is_empty(), "{schemas:?}");
}

//! The demo reconciles what it wrote with what is stored.

use std::process::Command;

use serde_json::{Value, json};
use weir_storage::catalog::postgres::server::PostgresServer;
use weir_stream::kafka::server::{KafkaOptions, KafkaServer};

use crate::harness::{topics, weir};

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
}

#[test]
fn the_demo_as_five_processes_on_kafka_and_postgres_counts_clean() {
    let kafka = KafkaServer::start(KafkaOptions::default());
    let postgres = PostgresServer::start();
    let output = weir()
        .args(["demo", "--split", "--for", "8s", "--json", "--listen", "127.0.0.1:0"])
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
    // It leaves nothing behind.
    let topics = topics(&kafka.brokers());
    assert!(topics.iter().all(|topic| !topic.starts_with("weir")), "{topics:?}");
    let question = "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'weir%'";
    let schemas = Command::new("psql").args([&postgres.url(), "-Atc", question]).output().expect("psql runs");
    assert!(schemas.status.success() && schemas.stdout.is_empty(), "{schemas:?}");
}

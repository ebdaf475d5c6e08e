//! Nobody's query can take the pipeline down.

use std::time::Instant;

use rustix::process::{Signal, kill_process};
use serde_json::json;

use crate::harness::{Node, Role, Scratch, append, eventually};

#[test]
fn a_killed_query_worker_is_back_and_nothing_else_notices() {
    let scratch = Scratch::new("worker");
    let file = scratch.input("a.log");
    append(&file, "before\n");
    let node = Node::start(&scratch);
    node.wait_for_rows(1);
    let worker = node.worker();
    kill_process(worker, Signal::KILL).expect("the worker can be killed");
    let killed = Instant::now();
    append(&file, "while the worker is down\n");
    // Whatever is answered meanwhile is a 503 that says so, never a wrong
    // answer.
    let mut refused = 0;
    eventually("the worker is back", || {
        let response =
            node.post_sql("SELECT count(*) FROM logs", "application/json").expect("the front answers");
        match response.status.as_u16() {
            200 => Ok(()),
            503 => {
                assert_eq!(response.headers["retry-after"], "1");
                refused += 1;
                Err(response.text())
            }
            other => panic!("{other}: {}", response.text()),
        }
    });
    println!("back after {:?}, {refused} answers were 503", killed.elapsed());
    assert_ne!(node.worker(), worker, "it is another process");
    assert_eq!(node.get("/healthz").expect("alive").status, 200);
    node.wait_for_rows(2);
}

#[test]
fn a_query_over_its_memory_fails_alone() {
    let scratch = Scratch::new("memory");
    append(&scratch.input("a.log"), "one\n");
    let node = Node::start_with(&scratch, Role::All, |command| {
        command.env("WEIR_QUERY_MEMORY", "256MiB").env("WEIR_QUERY_DEADLINE", "20s");
    });
    node.wait_for_rows(1);
    let text = "x".repeat(500);
    let greedy =
        format!("SELECT length(string_agg(concat(value, '{text}'), '')) FROM generate_series(1, 3000000)");
    let response = node.post_sql(&greedy, "application/json").expect("the front answers");
    // Refused by the budget, or ended by the process's limit: an error either way.
    assert!(matches!(response.status.as_u16(), 422 | 503), "{}: {}", response.status, response.text());
    assert!(!response.text().contains("panicked"), "{}", response.text());
    append(&scratch.input("a.log"), "two\n");
    node.wait_for_rows(2);
}

#[test]
fn a_query_over_its_time_ends() {
    let scratch = Scratch::new("deadline");
    let node = Node::start_with(&scratch, Role::All, |command| {
        command.env("WEIR_QUERY_DEADLINE", "1s");
    });
    let endless = "SELECT count(*) FROM generate_series(1, 200000) a, generate_series(1, 200000) b WHERE a.value + b.value = 7";
    let response = node.post_sql(endless, "application/json").expect("the front answers");
    assert_eq!(response.status.as_u16(), 504, "{}", response.text());
}

#[test]
fn the_gate_lets_questions_in_and_nothing_else() {
    let scratch = Scratch::new("gate");
    append(&scratch.input("a.log"), "one\n");
    let secret = scratch.path("secret.csv");
    append(&secret, "a,b\n1,2\n");
    let node = Node::start(&scratch);
    node.wait_for_rows(1);
    let secret = secret.display();
    let hostile = [
        "COPY logs TO '/tmp/weir-stolen.csv'".to_owned(),
        format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{secret}'"),
        format!("SELECT * FROM '{secret}'"),
        format!("SELECT * FROM \"{secret}\""),
        format!("SELECT * FROM 'file://{secret}'"),
        "SELECT * FROM 'http://127.0.0.1:1/x.parquet'".to_owned(),
        "CREATE TABLE t AS SELECT 1".to_owned(),
        "INSERT INTO logs SELECT * FROM logs".to_owned(),
        "DROP TABLE logs".to_owned(),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        "SELECT 1; SELECT 2".to_owned(),
        format!("SELECT {}", vec!["1"; 3000].join("+")),
        format!("SELECT * FROM logs WHERE {}", vec!["body = 'x'"; 3000].join(" OR ")),
        format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000)),
        "SELEKT 1".to_owned(),
        String::new(),
    ];
    for query in hostile {
        let shown: String = query.chars().take(60).collect();
        let response = node.post_sql(&query, "application/json").expect("the front answers");
        assert_eq!(response.status.as_u16(), 400, "{shown}: {}", response.text());
        let message = response.json().expect("an error is JSON")["error"]["message"].clone();
        assert!(message.as_str().is_some_and(|text| !text.is_empty()), "{shown}: {message}");
    }
    for query in ["SELECT 1", "WITH a AS (SELECT 2 AS b) SELECT b FROM a", "EXPLAIN SELECT * FROM logs"] {
        node.rows(query);
    }
    let response = node.post_sql("SELECT body FROM logs", "text/csv").expect("the front answers");
    assert_eq!(response.text(), "body\none\n");
    let response = node.post_sql("SELECT body FROM logs", "application/x-ndjson").expect("the front answers");
    assert_eq!(response.json().expect("one object"), json!({"body": "one"}));
    assert!(response.headers.contains_key("weir-complete-until"), "{:?}", response.headers);
}

//! `GET /api/v1/logs`: what people type into a search box.

use serde_json::Value;

use crate::harness::{Node, Scratch, append};

fn bodies(node: &Node, query: &str) -> Vec<String> {
    let response = node.get(&format!("/api/v1/logs?{query}")).expect("the front answers");
    assert_eq!(response.status.as_u16(), 200, "{query}: {}", response.text());
    let answer = response.json().expect("JSON");
    assert!(answer.get("complete_until").is_some(), "{answer}");
    let logs = answer["logs"].as_array().expect("logs").clone();
    logs.iter().map(|log: &Value| log["body"].as_str().expect("a body").to_owned()).collect()
}

#[test]
fn words_fields_and_times_find_the_newest_first() {
    let scratch = Scratch::new("search");
    append(
        &scratch.input("a.log"),
        concat!(
            r#"{"ts":"2026-01-01T00:00:01Z","level":"info","msg":"Payment accepted","user":"ann"}"#,
            "\n",
            r#"{"ts":"2026-01-01T00:00:02Z","level":"error","msg":"payment refused","user":"bob"}"#,
            "\n",
            r#"{"ts":"2026-01-01T00:00:03Z","level":"warn","msg":"payments are slow","user":"ann"}"#,
            "\n",
        ),
    );
    let node = Node::start(&scratch);
    node.wait_for_rows(3);
    assert_eq!(bodies(&node, ""), ["payments are slow", "payment refused", "Payment accepted"]);
    assert_eq!(bodies(&node, "query=payment"), ["payment refused", "Payment accepted"]);
    assert_eq!(bodies(&node, "query=user:ann"), ["payments are slow", "Payment accepted"]);
    assert_eq!(bodies(&node, "query=payment%20user:bob"), ["payment refused"]);
    assert_eq!(bodies(&node, "query=-user:ann"), ["payment refused"]);
    assert_eq!(bodies(&node, "query=%22payment%20refused%22"), ["payment refused"]);
    assert_eq!(bodies(&node, "limit=1"), ["payments are slow"]);
    assert_eq!(bodies(&node, "end=2026-01-01T00:00:02Z"), ["Payment accepted"]);
    assert_eq!(bodies(&node, "start=2026-01-01T00:00:02Z"), ["payments are slow", "payment refused"]);
    assert_eq!(bodies(&node, "query=absent"), Vec::<String>::new());
    let drawn = node.get("/api/v1/logs/histogram?start=2026-01-01T00:00:00Z&end=2026-01-01T00:00:10Z&step=5");
    let drawn = drawn.expect("the front answers").json().expect("JSON");
    let bars = serde_json::json!([
        { "timestamp": "2026-01-01T00:00:00.000000Z", "counts": { "error": 1, "info": 1, "warn": 1 } },
    ]);
    assert_eq!((&drawn["step_s"], &drawn["buckets"]), (&serde_json::json!(5), &bars), "{drawn}");
    let wrong = node.get("/api/v1/sql").expect("the front answers");
    assert_eq!(wrong.status.as_u16(), 405);
    assert_eq!(wrong.json().expect("an error is JSON")["error"]["code"], "wrong_method");
    let json = node.post_sql(" {\"query\": \"SELECT 1 AS one\"}", "text/csv").expect("the front answers");
    assert_eq!(json.text(), "one\n1\n", "a body with a brace is JSON, whatever it is called");
    for bad in ["start=yesterdayish", "limit=many", "limit=0", "query=%22open"] {
        let response = node.get(&format!("/api/v1/logs?{bad}")).expect("the front answers");
        assert_eq!(response.status.as_u16(), 400, "{bad}: {}", response.text());
    }
}

#[test]
fn a_rare_line_is_found_far_behind_the_newest() {
    let scratch = Scratch::new("rare");
    let line = |n: u32| {
        let (minute, second) = (n / 1000, n % 1000);
        format!("{{\"ts\":\"2026-01-01T00:{minute:02}:00.{second:03}Z\",\"msg\":\"m\",\"n\":{n}}}\n")
    };
    append(&scratch.input("a.log"), (0..50_000).map(line).collect::<String>());
    let node = Node::start(&scratch);
    node.wait_for_rows(50_000);
    let found = |query: &str| -> Vec<String> {
        let answer = node.get(&format!("/api/v1/logs?{query}")).expect("answered").json().expect("JSON");
        let logs = answer["logs"].as_array().expect("logs").clone();
        logs.iter().map(|log| log["attributes"]["n"].as_str().expect("a number").to_owned()).collect()
    };
    assert_eq!(found("query=n:7"), ["7"]);
    assert_eq!(found("query=n:20000%20OR%20n:7%20OR%20n:49999"), ["49999", "20000", "7"]);
    assert_eq!(found("query=n:20000%20OR%20n:7&limit=1"), ["20000"]);
    assert_eq!(found("query=n:absent"), Vec::<String>::new());
}

//! The roles as processes of their own on one host.

use serde_json::json;

use crate::harness::{Node, Role, Scratch, append, eventually, weir};

#[test]
fn three_processes_on_one_directory_do_what_one_does() {
    let scratch = Scratch::new("roles");
    let file = scratch.input("a.log");
    append(&file, "one\n");
    let agent = Node::start_with(&scratch, Role::Agent, |_| ());
    let ingest = Node::start_with(&scratch, Role::Ingest, |command| {
        command.env("WEIR_INGEST_FLUSH_INTERVAL", "300ms");
    });
    let query = Node::start_with(&scratch, Role::Query, |_| ());
    query.wait_for_rows(1);
    // Ingest dies: what is stored is answered, and the answer says what it
    // cannot hold.
    ingest.kill();
    append(&file, "two\n");
    let answer = query.post_sql("SELECT count(*) FROM logs", "application/json").expect("the front answers");
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text());
    let answer = answer.json().expect("JSON");
    let missing = "weir.logs/0: no ingester serves its newest rows";
    assert!(answer["held_by"].to_string().contains(missing), "{answer}");
    let _ingest = Node::start_with(&scratch, Role::Ingest, |_| ());
    query.wait_for_rows(2);
    // The agent dies and comes back.
    agent.kill();
    append(&file, "three\n");
    let _agent = Node::start_with(&scratch, Role::Agent, |_| ());
    query.wait_for_rows(3);
    let rows = query.rows("SELECT body FROM logs ORDER BY source_start");
    assert_eq!(rows, [[json!("one")], [json!("two")], [json!("three")]]);
    eventually("metrics are counted", || {
        let text = query.get("/metrics").map_err(|error| error.to_string())?.text();
        if text.contains("weir_") { Ok(()) } else { Err(text) }
    });
}

#[test]
fn a_second_writer_of_the_log_is_refused() {
    let scratch = Scratch::new("second");
    let _first = Node::start(&scratch);
    let second = weir()
        .args(["agent", "--listen", "127.0.0.1:0", "--data"])
        .arg(scratch.data())
        .output()
        .expect("runs");
    assert!(!second.status.success());
    let message = String::from_utf8_lossy(&second.stderr);
    assert!(message.contains("already") || message.contains("in use"), "{message}");
}

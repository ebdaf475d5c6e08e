//! A topic that is deleted and made anew, or another cluster in the place of the
//! one before, and it has grown past where it was read to: reading on would pass
//! over what came before. It is recognised, nothing is read until an operator says
//! so, and then everything is, once.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Cluster, Node, Role, append, eventually, recreate_topic, weir};

struct Site {
    cluster: Cluster,
    ingest: Node,
    query: Node,
    _agent: Node,
}

fn site(test: &str) -> Site {
    let cluster = Cluster::start(test);
    cluster.set("WEIR_LOG_PARTITIONS", "1");
    cluster.set("WEIR_INGEST_FLUSH_INTERVAL", "300ms");
    let ingest = cluster.start_node("ingest", Role::Ingest);
    let query = cluster.start_node("query", Role::Query);
    let agent = cluster.start_node("agent", Role::Agent);
    agent.wait_until_ready();
    ingest.wait_until_ready();
    append(&cluster.scratch.input("a.log"), "before\n");
    cluster.wait_for(&query, "logs", 1);
    Site { cluster, ingest, query, _agent: agent }
}

fn reset(cluster: &Cluster, more: &[&str]) -> Result<String, String> {
    let mut command = weir();
    command.args(["reset-offsets", "weir.logs"]).args(more).env("WEIR_CATALOG", cluster.postgres.url());
    let output = command.output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// How far the topic is stored.
fn next_offset(cluster: &Cluster) -> u32 {
    let said = eventually("something of it is stored", || reset(cluster, &[]));
    let (_, rest) = said.split_once("weir.logs/0: stored up to offset ").expect("it says so");
    rest.split(',').next().expect("a number").parse().expect("a number")
}

/// The new topic grows past where the old one was read to.
fn outgrow(cluster: &Cluster, lines: u32) {
    for line in 0..lines {
        append(&cluster.scratch.input("a.log"), format!("line {line}\n"));
        // A message of its own.
        std::thread::sleep(Duration::from_millis(250));
    }
}

/// Waits until the ingester says that it will not go on, then has it go on, and
/// finds every line that is in the new topic.
fn reset_and_judge(site: &Site, lines: u32) {
    eventually("the ingester says what is wrong and what to do", || {
        let answer = site.ingest.get("/readyz").map_err(|error| format!("{error:#}"))?;
        let said = answer.text();
        let is_said = said.contains("weir.logs/0") && said.contains("reset-offsets weir.logs");
        if answer.status == 503 && is_said { Ok(()) } else { Err(said) }
    });
    let rows = site.query.rows("SELECT body FROM logs");
    assert_eq!(rows, [[json!("before")]], "nothing was read past what came before");
    let said = reset(&site.cluster, &[]).expect("it says what it would do");
    assert!(said.contains("nothing was changed"), "{said}");
    assert_eq!(site.query.rows("SELECT body FROM logs").len(), 1, "a dry run changes nothing");
    let said = reset(&site.cluster, &["--execute"]).expect("it does it");
    assert!(said.contains("is read from its start"), "{said}");
    eventually("every line of the new topic is there once", || {
        let rows = site.query.try_rows("SELECT count(*), count(DISTINCT body) FROM logs");
        let rows = rows.map_err(|error| format!("{error:#}"))?;
        let all = json!(lines + 1);
        if rows[0][0] == all && rows[0][1] == all { Ok(()) } else { Err(format!("{rows:?} of {all}")) }
    });
    site.ingest.wait_until_ready();
    let gaps = site.query.rows("SELECT source_id, reason FROM weir.gaps WHERE reason = 'log_replaced'");
    assert_eq!(gaps, [[json!("weir.logs/0"), json!("log_replaced")]]);
}

#[test]
fn a_recreated_topic_is_recognised_by_an_ingester_that_reads_it() {
    let site = site("recreated");
    next_offset(&site.cluster);
    // It hears nothing of what happens.
    site.ingest.pause(true);
    recreate_topic(&site.cluster.kafka.brokers(), "weir.logs", 1);
    let lines = next_offset(&site.cluster) + 10;
    outgrow(&site.cluster, lines);
    site.ingest.pause(false);
    reset_and_judge(&site, lines);
}

#[test]
fn a_recreated_topic_is_recognised_by_an_ingester_that_starts() {
    let mut site = site("recreated-start");
    assert!(site.ingest.terminate().success());
    recreate_topic(&site.cluster.kafka.brokers(), "weir.logs", 1);
    let lines = next_offset(&site.cluster) + 10;
    outgrow(&site.cluster, lines);
    site.ingest = site.cluster.start_node("ingest", Role::Ingest);
    reset_and_judge(&site, lines);
}

#[test]
fn another_cluster_in_its_place_is_recognised() {
    let site = site("another-cluster");
    next_offset(&site.cluster);
    site.ingest.pause(true);
    site.cluster.kafka.kill();
    std::fs::remove_dir_all(site.cluster.kafka.dir().join("data")).expect("the old cluster is gone");
    site.cluster.kafka.restart();
    for topic in ["weir.logs", "weir.spans", "weir.metrics", "weir.dead-letter"] {
        recreate_topic(&site.cluster.kafka.brokers(), topic, 1);
    }
    let lines = next_offset(&site.cluster) + 10;
    outgrow(&site.cluster, lines);
    site.ingest.pause(false);
    reset_and_judge(&site, lines);
}

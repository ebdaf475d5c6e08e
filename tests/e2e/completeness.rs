//! Until when an answer is complete, and who holds it back: never later than
//! the truth, and not held back by what is gone.

use std::time::Duration;

use serde_json::Value;

use crate::harness::{Cluster, Node, Role, append, eventually, produce, weir};
use weir_proto::model::{AgentId, TenantId};
use weir_proto::wire::batch::LineBatchBuilder;
use weir_proto::wire::{BatchHeader, Codec};

fn now_micros() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}

/// What an answer over `logs` says of itself.
fn answer_of(query: &Node) -> Result<Value, String> {
    let answer =
        query.post_sql("SELECT count(*) FROM logs", "application/json").map_err(|error| error.to_string())?;
    if answer.status != 200 {
        return Err(answer.text());
    }
    answer.json().map_err(|error| error.to_string())
}

fn until(answer: &Value) -> Option<i64> {
    let time: jiff::Timestamp = answer["complete_until"].as_str()?.parse().expect("a time");
    Some(time.as_microsecond())
}

/// Waits until answers are complete until a time.
fn wait_until_complete(query: &Node, micros: i64) -> Value {
    eventually("answers are complete again", || {
        let answer = answer_of(query)?;
        if until(&answer).is_some_and(|until| until >= micros) { Ok(answer) } else { Err(answer.to_string()) }
    })
}

/// A cluster with one line stored, and its agent.
fn start(test: &str) -> (Cluster, Node, Node, Node) {
    let cluster = Cluster::start(test);
    cluster.set("WEIR_INGEST_FLUSH_INTERVAL", "500ms");
    cluster.set("WEIR_INGEST_LEASE", "2s");
    let ingest = cluster.start_node("ingest", Role::Ingest);
    let query = cluster.start_node("query", Role::Query);
    let agent = cluster.start_node("agent", Role::Agent);
    append(&cluster.scratch.input("a.log"), "one\n");
    cluster.wait_for(&query, "logs", 1);
    (cluster, ingest, query, agent)
}

#[test]
fn a_backlog_holds_answers_back_until_it_is_read() {
    let (cluster, ingest, query, _agent) = start("backlog");
    wait_until_complete(&query, now_micros());
    ingest.kill();
    append(&cluster.scratch.input("a.log"), "two\n");
    let written = now_micros();
    std::thread::sleep(Duration::from_secs(4));
    // What is stored is answered, and named as what it is.
    let held = eventually("whoever is missing is named", || {
        let answer = answer_of(&query)?;
        if answer["held_by"].to_string().contains("weir.logs/") {
            Ok(answer)
        } else {
            Err(answer.to_string())
        }
    });
    assert_eq!(held["rows"][0][0], 1);
    assert!(until(&held).is_none_or(|until| until <= written), "{held}, and a line was written at {written}");
    let _ingest = cluster.start_node("ingest", Role::Ingest);
    let answer = wait_until_complete(&query, written);
    assert_eq!(answer["rows"][0][0], 2);
    // A search says it as well.
    let found = query.get("/api/v1/logs?limit=1").expect("answered").json().expect("JSON");
    assert!(until(&found).is_some_and(|until| until >= written), "{found}");
    eventually("nobody is missing any more", || {
        let answer = answer_of(&query)?;
        if answer["held_by"] == serde_json::json!([]) { Ok(()) } else { Err(answer.to_string()) }
    });
}

#[test]
fn a_dead_agent_is_named_after_a_minute_and_holds_answers_where_it_died() {
    let (cluster, _ingest, query, agent) = start("dead-agent");
    let other = cluster.start_node_with("agent-2", Role::Agent, |command| {
        command.env("WEIR_AGENT_TAIL", cluster.scratch.path("elsewhere/*.log"));
    });
    wait_until_complete(&query, now_micros());
    agent.kill();
    let died = now_micros();
    let named = eventually("the dead agent is named", || {
        let answer = answer_of(&query)?;
        let until = until(&answer).ok_or("no time")?;
        assert!(until <= died + 1_000_000, "complete until {until}, and the agent died at {died}");
        if answer["held_by"].as_array().is_some_and(|held| held.len() == 1) {
            Ok(answer)
        } else {
            Err(answer.to_string())
        }
    });
    assert!(named["held_by"][0].as_str().is_some_and(|name| name.contains("weir.logs/")), "{named}");
    // It comes back and nobody is waited for.
    let _agent = cluster.start_node("agent", Role::Agent);
    let answer = wait_until_complete(&query, now_micros());
    assert_eq!(answer["held_by"], serde_json::json!([]));
    drop(other);
}

#[test]
fn a_retired_agent_is_named_until_an_operator_dismisses_it() {
    let cluster = Cluster::start("dismiss");
    cluster.set("WEIR_INGEST_FLUSH_INTERVAL", "500ms");
    cluster.set("WEIR_INGEST_LEASE", "2s");
    cluster.set("WEIR_INGEST_LANE_RETIRES_AFTER", "5s");
    let _ingest = cluster.start_node("ingest", Role::Ingest);
    let query = cluster.start_node("query", Role::Query);
    let agent = cluster.start_node("agent", Role::Agent);
    append(&cluster.scratch.input("a.log"), "one\n");
    cluster.wait_for(&query, "logs", 1);
    let _other = cluster.start_node_with("agent-2", Role::Agent, |command| {
        command.env("WEIR_AGENT_TAIL", cluster.scratch.path("elsewhere/*.log"));
    });
    agent.kill();
    let died = now_micros();
    // It no longer holds answers back, and they name it.
    let answer = wait_until_complete(&query, died + 6_000_000);
    assert_eq!(answer["held_by"], serde_json::json!([]));
    assert_eq!(answer["incomplete_since"].as_array().map(Vec::len), Some(1), "{answer}");
    assert_eq!(answer["rows"][0][0], 1);
    let retired = eventually("it has retired", || {
        let rows = query.try_rows("SELECT agent FROM weir.lanes WHERE status = 'retired'");
        let rows = rows.map_err(|error| format!("{error:#}"))?;
        rows.first().and_then(|row| row[0].as_str().map(str::to_owned)).ok_or_else(|| format!("{rows:?}"))
    });
    let dismiss = |agent: &str| {
        let mut command = weir();
        command.args(["dismiss", agent]).env("WEIR_CATALOG", cluster.postgres.url());
        command.output().expect("it runs")
    };
    let done = dismiss(&retired);
    assert!(done.status.success(), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stdout).contains("1 lane dismissed"), "{done:?}");
    eventually("it is named no more", || {
        let answer = answer_of(&query)?;
        if answer["incomplete_since"].is_null() { Ok(()) } else { Err(answer.to_string()) }
    });
    for (agent, part) in [(retired.as_str(), "no retired lane"), ("x", "is no agent")] {
        let done = dismiss(agent);
        assert!(!done.status.success());
        assert!(String::from_utf8_lossy(&done.stderr).contains(part), "{done:?}");
    }
}

#[test]
fn an_agent_that_says_goodbye_holds_no_answer_back() {
    let (cluster, _ingest, query, agent) = start("goodbye");
    let leaving = cluster.start_node_with("agent-2", Role::Agent, |command| {
        command.env("WEIR_AGENT_TAIL", cluster.scratch.path("elsewhere/*.log"));
        command.env("WEIR_AGENT_GOODBYE", "true");
    });
    // It has a lane of each kind: for files, and for what is pushed.
    let span = r#"[{"traceId":"1","id":"1","name":"a","timestamp":1767225600000000}]"#;
    let answer = leaving.post("/api/v2/spans", &[("content-type", "application/json")], span);
    assert_eq!(answer.expect("answered").status, 202);
    cluster.wait_for(&query, "spans", 1);
    wait_until_complete(&query, now_micros());
    assert!(leaving.terminate().success());
    let left = now_micros();
    // Later than any mark that it can have left.
    let answer = wait_until_complete(&query, left + 3_000_000);
    assert_eq!(answer["held_by"], serde_json::json!([]));
    let lanes = "SELECT count(*) FROM weir.lanes WHERE status = 'goodbye'";
    eventually("both lanes have said goodbye", || match query.number(lanes) {
        2 => Ok(()),
        other => Err(format!("{other} lanes")),
    });
    // Of spans there is no live lane any more: nothing is known of what comes.
    let found = query.get("/api/v2/traces?serviceName=x").expect("answered");
    let until = found.headers.get("weir-complete-until").and_then(|value| value.to_str().ok());
    let until: Option<jiff::Timestamp> = until.map(|text| text.parse().expect("a time"));
    assert!(until.is_none_or(|until| until.as_microsecond() <= left + 1_000_000), "{until:?}");
    // The same agent is welcome again.
    let back = cluster.start_node("agent-2", Role::Agent);
    back.wait_until_ready();
    eventually("its lanes are live again", || match query.number(lanes) {
        0 => Ok(()),
        other => Err(format!("{other} lanes are gone")),
    });
    drop(agent);
}

#[test]
fn a_clock_that_runs_ahead_does_not_complete_the_future() {
    let (cluster, _ingest, query, agent) = start("clock");
    agent.kill();
    let say = |agent: AgentId, mark_micros: i64| {
        let header = BatchHeader {
            tenant: TenantId::default(),
            agent,
            mark_micros: Some(mark_micros),
            goodbye: false,
            codec: Codec::None,
        };
        let batch = LineBatchBuilder::new().finish(&header, &[]);
        let headers: Vec<_> = batch
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), std::str::from_utf8(value).expect("text")))
            .collect();
        for partition in 0..4 {
            produce(&cluster.kafka.brokers(), "weir.logs", partition, &headers, &batch.payload);
        }
    };
    const HOUR: i64 = 3_600_000_000;
    // The dead agent's lane holds the answer; a goodbye of its own is not to
    // be had, so only what the fast clock does to the maximum is looked at.
    say(AgentId::generate(), now_micros() + HOUR);
    for _ in 0..20 {
        let answer = answer_of(&query).expect("answered");
        assert!(until(&answer).is_none_or(|until| until <= now_micros()), "{answer}");
        std::thread::sleep(Duration::from_millis(100));
    }
    // A clock that is late holds answers back, which is safe.
    let late = now_micros() - HOUR;
    say(AgentId::generate(), late);
    eventually("the late clock holds the answer", || {
        let answer = answer_of(&query)?;
        if until(&answer) == Some(late) { Ok(()) } else { Err(answer.to_string()) }
    });
}

#[test]
fn a_topic_that_is_gone_holds_answers_back_until_an_operator_dismisses_it() {
    let cluster = Cluster::start("gone-topic");
    cluster.set("WEIR_LOG_PARTITIONS", "1");
    cluster.set("WEIR_INGEST_FLUSH_INTERVAL", "500ms");
    cluster.set("WEIR_INGEST_LEASE", "2s");
    let roles = |prefix: &str| {
        [("ingest", Role::Ingest), ("agent", Role::Agent)].map(|(name, role)| {
            cluster.start_node_with(name, role, |command| {
                command.env("WEIR_LOG_TOPIC_PREFIX", prefix);
            })
        })
    };
    let [ingest, agent] = roles("old");
    let query = cluster.start_node("query", Role::Query);
    append(&cluster.scratch.input("a.log"), "one\n");
    cluster.wait_for(&query, "logs", 1);
    let dismiss = |what: &str| {
        let mut command = weir();
        command.args(["dismiss", what]).env("WEIR_CATALOG", cluster.postgres.url());
        command.output().expect("it runs")
    };
    let refused = dismiss("old.logs/0");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is leased to"), "{refused:?}");
    assert!(agent.terminate().success() && ingest.terminate().success());
    let ended = now_micros();
    // The same catalog, and topics of another name.
    let _nodes = roles("weir");
    append(&cluster.scratch.input("a.log"), "two\n");
    cluster.wait_for(&query, "logs", 2);
    std::thread::sleep(Duration::from_secs(3));
    let held = answer_of(&query).expect("answered");
    assert!(held["held_by"].to_string().contains("old.logs/0: no ingester serves"), "{held}");
    assert!(until(&held).is_none_or(|until| until <= ended), "{held}, and {ended}");
    let done = dismiss("old.logs/0");
    assert!(done.status.success(), "{done:?}");
    let answer = wait_until_complete(&query, now_micros());
    assert_eq!(answer["held_by"], serde_json::json!([]), "{answer}");
    assert_eq!(answer["rows"][0][0], 2);
    for (what, part) in [("old.logs/0", "nothing is known"), ("old.logs/x", "is no partition")] {
        let done = dismiss(what);
        assert!(!done.status.success() && String::from_utf8_lossy(&done.stderr).contains(part), "{done:?}");
    }
}

//! Messages that nobody's agent wrote: a broken one goes to the dead letters
//! and the partition goes on; one of a newer version holds the partition and
//! says so.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Cluster, Found, Role, append, eventually, messages, produce, weir};

const LINES: [(&str, &str); 6] = [
    ("content-type", "application/vnd.weir.lines+arrow"),
    ("weir-codec", "none"),
    ("weir-uncompressed-bytes", "7"),
    ("weir-tenant", "default"),
    ("weir-agent", "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
    ("weir-schema", "1"),
];

#[test]
fn a_poison_message_goes_to_the_dead_letters_and_the_partition_goes_on() {
    let cluster = Cluster::start("poison");
    cluster.set("WEIR_LOG_PARTITIONS", "1");
    let ingest = cluster.start_node("ingest", Role::Ingest);
    let query = cluster.start_node("query", Role::Query);
    let agent = cluster.start_node("agent", Role::Agent);
    agent.wait_until_ready();
    ingest.wait_until_ready();
    let file = cluster.scratch.input("a.log");
    append(&file, "before\n");
    cluster.wait_for(&query, "logs", 1);
    let brokers = cluster.kafka.brokers();
    produce(&brokers, "weir.logs", 0, &LINES, b"garbage");
    produce(&brokers, "weir.spans", 0, &[("content-type", "application/x-protobuf")], b"\xff\xff\xff");
    append(&file, "after\n");
    cluster.wait_for(&query, "logs", 2);
    let letters = eventually("both messages are kept", || {
        let letters = messages(&brokers, "weir.dead-letter");
        if letters.len() >= 2 { Ok(letters) } else { Err(format!("{letters:?}")) }
    });
    let of = |topic: &str| {
        let find = |letter: &&Found| letter.header("weir-dead-letter-topic") == Some(topic);
        letters.iter().find(find).unwrap_or_else(|| panic!("{letters:?}"))
    };
    let letter = of("weir.logs");
    assert_eq!(letter.payload, b"garbage", "the bytes are the original's");
    assert_eq!(letter.header("weir-agent"), Some("01ARZ3NDEKTSV4RRFFQ69G5FAV"), "and so are the headers");
    assert_eq!(letter.header("weir-dead-letter-partition"), Some("0"));
    assert!(letter.header("weir-dead-letter-reason").is_some_and(|reason| !reason.is_empty()), "{letter:?}");
    assert_eq!(of("weir.spans").payload, b"\xff\xff\xff");
    // And the loss is counted and named.
    eventually("the gaps are stored", || {
        let rows = query.rows("SELECT source_id, reason, \"end\" - start FROM weir.gaps ORDER BY source_id");
        let expected = [
            [json!("weir.logs/0"), json!("undecodable"), json!(1)],
            [json!("weir.spans/0"), json!("undecodable"), json!(1)],
        ];
        if rows == expected { Ok(()) } else { Err(format!("{rows:?}")) }
    });
}

#[test]
fn a_message_over_which_it_panics_is_put_away_and_the_process_goes_on() {
    is_put_away_and_replayed("panic", "ingest.decode.after", "panic");
}

#[test]
fn a_message_that_it_fails_to_read_is_put_away_and_the_process_goes_on() {
    is_put_away_and_replayed("error", "ingest.decode.before", "error");
}

fn is_put_away_and_replayed(name: &str, place: &str, action: &str) {
    let cluster = Cluster::start(name);
    cluster.set("WEIR_LOG_PARTITIONS", "1");
    cluster.set("FAILPOINTS", &format!("{place}={action}@4"));
    let ingest = cluster.start_node("ingest", Role::Ingest);
    let query = cluster.start_node("query", Role::Query);
    let agent = cluster.start_node("agent", Role::Agent);
    agent.wait_until_ready();
    let file = cluster.scratch.input("a.log");
    let brokers = cluster.kafka.brokers();
    let mut lines = 0;
    let letter = eventually("a message is put away", || {
        append(&file, format!("line {lines}\n"));
        lines += 1;
        messages(&brokers, "weir.dead-letter").pop().ok_or_else(|| format!("none after {lines} lines"))
    });
    let reason = letter.header("weir-dead-letter-reason").unwrap_or_default().to_owned();
    assert!(reason.contains(&format!("failpoint {place}")), "{reason}");
    append(&file, "the last\n");
    eventually("what follows is stored", || {
        match query.try_rows("SELECT count(*) FROM logs WHERE body = 'the last'") {
            Ok(rows) if rows[0][0] == 1 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    ingest.wait_until_ready();
    let rows = query.rows("SELECT count(*), count(DISTINCT body) FROM logs");
    assert_eq!(rows[0][0], rows[0][1], "a line is there twice");
    // The fault is over: what was put away is sent again, and nothing is missing.
    eventually("the losses are told", || {
        let gaps = query.rows("SELECT DISTINCT reason FROM weir.gaps ORDER BY reason");
        if gaps == [[json!("hole")], [json!("undecodable")]] { Ok(()) } else { Err(format!("{gaps:?}")) }
    });
    let run = |arguments: &[&str]| {
        let mut command = weir();
        command.arg("dead-letter").args(arguments).env("WEIR_LOG_KAFKA_BROKERS", &brokers);
        let output = command.env("WEIR_CATALOG", cluster.postgres.url()).output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let listed: serde_json::Value = serde_json::from_str(&run(&["list", "--json"])).expect("one letter");
    assert_eq!(listed["is_lost"], true, "{listed}");
    let id = listed["id"].as_str().expect("an id");
    let shown = run(&["show", id]);
    assert!(shown.contains(&reason) && shown.contains("weir-agent: "), "{shown}");
    let said = run(&["replay", id]);
    assert!(said.contains("1 dead letters replayed, 0 were already"), "{said}");
    let said = run(&["replay", "--all"]);
    assert!(said.contains("0 dead letters replayed, 1 were already"), "{said}");
    eventually("every line is there once, and no loss is left", || {
        let rows = query.rows("SELECT count(*), count(DISTINCT body) FROM logs");
        let gaps = query.rows("SELECT source_id, start, \"end\", reason FROM weir.gaps");
        let all = json!(lines + 1);
        if rows[0][0] == all && rows[0][1] == all && gaps.is_empty() {
            Ok(())
        } else {
            Err(format!("{rows:?} of {all}, {gaps:?}"))
        }
    });
}

#[test]
fn an_unknown_version_pauses_its_partition_and_says_so() {
    let cluster = Cluster::start("unknown-version");
    cluster.set("WEIR_LOG_PARTITIONS", "1");
    let ingest = cluster.start_node("ingest", Role::Ingest);
    let query = cluster.start_node("query", Role::Query);
    let agent = cluster.start_node("agent", Role::Agent);
    agent.wait_until_ready();
    let file = cluster.scratch.input("a.log");
    append(&file, "before\n");
    cluster.wait_for(&query, "logs", 1);
    let mut newer = LINES;
    newer[5].1 = "2";
    produce(&cluster.kafka.brokers(), "weir.logs", 0, &newer, b"garbage");
    append(&file, "after\n");
    eventually("the ingester says what it waits for", || {
        let answer = ingest.get("/readyz").map_err(|error| format!("{error:#}"))?;
        let said = answer.text();
        if answer.status == 503 && said.contains("upgrade") && said.contains("weir.logs/0") {
            Ok(())
        } else {
            Err(said)
        }
    });
    // Nothing behind it is read, nothing is thrown away, and answers say so.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(query.number("SELECT count(*) FROM logs"), 1);
    assert!(query.rows("SELECT * FROM weir.gaps").is_empty());
    let answer = query.post_sql("SELECT count(*) FROM logs", "application/json").expect("answered").json();
    let until: jiff::Timestamp =
        answer.expect("JSON")["complete_until"].as_str().expect("a time").parse().expect("a time");
    let behind = jiff::Timestamp::now().duration_since(until);
    assert!(behind.as_secs() >= 1, "complete until {until}, {behind} ago, with a paused partition");
}

//! Real losses: what Weir tells equals what is lost, in events.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::harness::{Cluster, Node, Role, Scratch, append, delete_records, eventually, produce, seed, weir};

/// `/api/v1/delivery`.
fn delivery(query: &Node) -> Value {
    let answer = query.get("/api/v1/delivery").expect("answered");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json().expect("JSON")
}

/// The losses of a reason.
fn of_reason(delivery: &Value, reason: &str) -> Value {
    let losses = delivery["losses"].as_array().expect("losses");
    losses.iter().find(|loss| loss["reason"] == reason).cloned().unwrap_or_default()
}

/// Waits until as many events are stored as were written, but for those that
/// are told as lost, and the last is among them; answers with both counts.
fn settle(query: &Node, written: u64, last: &str) -> (u64, Value) {
    eventually("what is not stored is told as lost", || {
        let rows = query.try_rows("SELECT count(*), count(DISTINCT body) FROM logs");
        let rows = rows.map_err(|error| format!("{error:#}"))?;
        let stored = rows[0][0].as_u64().expect("a count");
        assert_eq!(rows[0][0], rows[0][1], "a line is there twice");
        let found = query.try_rows(&format!("SELECT count(*) FROM logs WHERE body = '{last}'"));
        let found = found.map_err(|error| format!("{error:#}"))?;
        let told = delivery(query);
        let lost = told["totals"]["lost"].as_u64().unwrap_or(0);
        match stored + lost == written && found[0][0] == 1 {
            true => Ok((stored, told)),
            false => Err(format!("{written} written, {stored} stored, {told}")),
        }
    })
}

/// Waits until the agent has sent all that stands in its files.
fn sent(agent: &Node) {
    eventually("all is sent", || {
        let status = agent.get("/api/v1/agent/status").map_err(|error| format!("{error:#}"))?;
        let status = status.json().map_err(|error| format!("{error:#}"))?;
        let files = status["files"].as_array().filter(|files| !files.is_empty());
        match files.is_some_and(|files| files.iter().all(|file| file["lag_bytes"] == 0)) {
            true => Ok(()),
            false => Err(status.to_string()),
        }
    });
}

/// Writes numbered lines, in messages of their own.
fn write(file: &Path, from: u64, to: u64) {
    for part in (from..to).collect::<Vec<_>>().chunks(7) {
        append(file, part.iter().map(|n| format!("line {n}\n")).collect::<String>());
        std::thread::sleep(Duration::from_millis(250));
    }
}

#[test]
fn what_kafka_deleted_before_it_was_read_is_counted_exactly_and_once() {
    let cluster = Cluster::start("head-cut");
    cluster.set("WEIR_LOG_PARTITIONS", "1");
    cluster.set("WEIR_INGEST_FLUSH_INTERVAL", "500ms");
    let ingest = cluster.start_node("ingest", Role::Ingest);
    let query = cluster.start_node("query", Role::Query);
    let agent = cluster.start_node("agent", Role::Agent);
    let files = ["a.log", "b.log"].map(|name| cluster.scratch.input(name));
    write(&files[0], 0, 20);
    write(&files[1], 100, 110);
    let _ = settle(&query, 30, "line 109");
    assert!(ingest.terminate().success());
    // Nobody reads, and what is written meanwhile is gone before anybody does.
    write(&files[0], 20, 55);
    write(&files[1], 110, 124);
    sent(&agent);
    let brokers = cluster.kafka.brokers();
    let cut = delete_records(&brokers, "weir.logs", 0);
    produce(&brokers, "weir.logs", 0, &[("content-type", "application/vnd.weir.lines+arrow")], b"garbage");
    write(&files[0], 55, 60);
    write(&files[1], 124, 125);
    let ingest = cluster.start_node("ingest", Role::Ingest);
    let (stored, told) = settle(&query, 85, "line 124");
    assert_eq!(stored, 36);
    assert_eq!(told["totals"]["lost"], 49);
    let hole = of_reason(&told, "hole");
    assert_eq!((&hole["gaps"], &hole["events"], &hole["uncounted"]), (&json!(2), &json!(49), &json!(0)));
    // The causes are told of the partition, in messages, and add no events.
    let gap = of_reason(&told, "log_gap");
    assert_eq!((&gap["gaps"], &gap["events"]), (&json!(1), &json!(0)), "{told}");
    assert!(
        gap["messages"].as_u64().is_some_and(|messages| (7..=cut).contains(&messages)),
        "{told}, cut at {cut}"
    );
    assert_eq!(of_reason(&told, "undecodable")["messages"], 1, "{told}");
    let metrics = ingest.get("/metrics").expect("answered").text();
    for line in [
        "weir_ingest_lost_events_total{reason=\"hole\"} 49",
        "weir_ingest_losses_total{reason=\"log_gap\"} 1",
    ] {
        assert!(metrics.contains(line), "no {line} in {metrics}");
    }
    let until = metrics.lines().find_map(|line| line.strip_prefix("weir_ingest_complete_until_seconds "));
    let until: f64 = until.and_then(|text| text.parse().ok()).expect("a time");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs_f64();
    assert!((0.0..60.0).contains(&(now - until)), "complete until {until}, and it is {now}");
    // A restart tells nothing again.
    ingest.kill();
    let _ingest = cluster.start_node("ingest", Role::Ingest);
    write(&files[0], 60, 61);
    let (_, told) = settle(&query, 86, "line 60");
    assert_eq!(told["losses"].as_array().map(Vec::len), Some(3), "{told}");
    let row = |events, lost| {
        [json!(events), json!(lost), json!(1), json!(true), json!(null), json!(true), json!(true)].to_vec()
    };
    eventually("all of it is stored", || {
        let rows = query.rows(
            "SELECT events, lost, gaps, missing > 0, k8s_pod_name, agent IS NOT NULL, lag_ms < 60000 \
             FROM weir.delivery ORDER BY lost",
        );
        if rows == [row(11, 14), row(26, 35)] { Ok(()) } else { Err(format!("{rows:?}")) }
    });
    // And as a person sees it.
    let run = |args: &[&str]| {
        let output = weir().arg("delivery").args(args).args(["--url", &query.url()]).output().expect("runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    let table = run(&[]);
    assert!(
        table.contains("2 sources: 37 events stored, 0 came again and were refused, 49 lost, 0 left"),
        "{table}"
    );
    assert!(table.contains("a.log") && table.contains("undecodable"), "{table}");
    let answer: Value = serde_json::from_str(&run(&["--json", "--rows", "1"])).expect("JSON");
    assert_eq!((answer["sources"].as_array().map(Vec::len), &answer["truncated"]), (Some(1), &json!(true)));
    let refused = query.get("/api/v1/delivery?limit=0").expect("answered");
    assert_eq!(refused.status, 400);
    drop(agent);
}

/// The largest segment of the event log.
fn segment(directory: &Path) -> PathBuf {
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).expect("a directory").filter_map(Result::ok) {
            match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                true => open.push(entry.path()),
                false => found.push((entry.metadata().map_or(0, |data| data.len()), entry.path())),
            }
        }
    }
    found
        .into_iter()
        .filter(|(_, path)| path.to_string_lossy().contains("weir.logs"))
        .max()
        .expect("a segment")
        .1
}

#[test]
fn what_a_damaged_log_held_is_counted_exactly() {
    let scratch = Scratch::new("damaged");
    let file = scratch.input("a.log");
    append(&file, "");
    let agent = Node::start_with(&scratch, Role::Agent, |_| ());
    write(&file, 0, 70);
    sent(&agent);
    // A flipped bit, in the midst of what nobody has read yet.
    let path = segment(&scratch.data().join("log"));
    let mut damaged = fs::OpenOptions::new().read(true).write(true).open(&path).expect("the segment opens");
    let mut text = Vec::new();
    damaged.read_to_end(&mut text).expect("it is read");
    let end = text.iter().rposition(|byte| *byte != 0).expect("it holds something");
    let at = (end / 2) as u64;
    damaged.seek(SeekFrom::Start(at)).expect("sought");
    damaged.write_all(&[text[end / 2] ^ 0x10]).expect("damaged");
    let _ingest = Node::start_with(&scratch, Role::Ingest, |command| {
        command.env("WEIR_INGEST_FLUSH_INTERVAL", "300ms");
    });
    let query = Node::start_with(&scratch, Role::Query, |_| ());
    let (stored, told) = settle(&query, 70, "line 69");
    println!("{stored} of 70 stored: {told}");
    assert!(stored < 70, "nothing was damaged");
    assert_eq!(of_reason(&told, "hole")["uncounted"], 0, "{told}");
    assert!(
        of_reason(&told, "log_corrupt")["messages"].as_u64().is_some_and(|messages| messages > 0),
        "{told}"
    );
    drop(agent);
}

#[test]
fn lines_that_rotated_away_unread_are_counted_exactly() {
    const LINE: usize = 1_000;
    let cluster = Cluster::start("unread");
    cluster.set("WEIR_INGEST_FLUSH_INTERVAL", "500ms");
    let _ingest = cluster.start_node("ingest", Role::Ingest);
    let query = cluster.start_node("query", Role::Query);
    let agent = cluster.start_node_with("agent", Role::Agent, |command| {
        command.env("WEIR_AGENT_KEEP_BYTES", "12MB");
    });
    agent.wait_until_ready();
    let mut random = SmallRng::seed_from_u64(seed("lines_that_rotated_away_unread"));
    let mut fill = |name: &str, lines: usize| {
        let file = cluster.scratch.input(name);
        let mut text = Vec::with_capacity(lines * LINE);
        for line in 0..lines {
            let from = text.len();
            text.extend_from_slice(format!("{name} {line} ").as_bytes());
            // Text that hardly compresses: what is on its way is bounded in bytes.
            text.resize_with(from + LINE - 1, || random.random_range(b'0'..b'z'));
            text.push(b'\n');
        }
        append(&file, &text);
        // Nobody has written to it for a while.
        let opened = fs::File::options().append(true).open(&file).expect("it opens");
        opened.set_modified(SystemTime::now() - Duration::from_secs(60)).expect("a time");
        // It is found, and held open.
        std::thread::sleep(Duration::from_secs(3));
        fs::remove_file(file).expect("deleted");
    };
    append(&cluster.scratch.input("first.log"), "first\n");
    cluster.wait_for(&query, "logs", 1);
    // The event log takes nothing, and files go.
    cluster.kafka.pause();
    let telemetry = |wanted: &str| {
        eventually(wanted, || {
            let said = fs::read_to_string(cluster.scratch.path("agent.stderr")).unwrap_or_default();
            if said.contains(wanted) { Ok(()) } else { Err(said.lines().rev().take(5).collect()) }
        });
    };
    fill("a.log", 8_000);
    telemetry("its rest is kept");
    // Of two there is room for one copy.
    fill("b.log", 8_000);
    telemetry("counted as dropped");
    cluster.kafka.resume();
    append(&cluster.scratch.input("last.log"), "last\n");
    let (stored, told) = settle(&query, 16_002, "last");
    println!("{stored} of 16,002 stored, {} lost", told["totals"]["lost"]);
    let unread = of_reason(&told, "rotated_unread");
    assert_eq!((&unread["events"], &unread["uncounted"]), (&told["totals"]["lost"], &json!(0)), "{told}");
    assert!(unread["events"].as_u64().is_some_and(|lost| lost > 1_000), "{told}");
}

#[test]
fn spans_that_were_answered_and_not_stored_are_counted_exactly() {
    let scratch = Scratch::new("answered");
    let start = || {
        Node::start_with(&scratch, Role::All, |command| {
            command.env("WEIR_AGENT_RECEIVE_SAMPLE_TRACES", "0.5").env("WEIR_INGEST_FLUSH_INTERVAL", "300ms");
        })
    };
    let mut node = start();
    let json = [("content-type", "application/json")];
    let mut sent = 0;
    for round in 0..4_u64 {
        for n in 0..25 {
            let id = (round * 100 + n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let span =
                format!(r#"[{{"traceId":"{id:016x}","id":"1","name":"a","timestamp":1767225600000000}}]"#);
            assert_eq!(node.post("/api/v2/spans", &json, span).expect("answered").status, 202);
            sent += 1;
        }
        // One of three has no id, and none of these is left out by the share.
        let span = |id: u64| {
            format!(
                r#"{{"traceId":"{:032x}","spanId":"{id:016x}","name":"b","startTimeUnixNano":"1767225600000000000"}}"#,
                u128::MAX >> 8
            )
        };
        let spans = [span(1), span(0), span(2)].join(",");
        let request = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{spans}]}}]}}]}}"#);
        let answer = node.post("/v1/traces", &json, request).expect("answered");
        assert!(answer.text().contains(r#""rejectedSpans":"1""#), "{}", answer.text());
        sent += 3;
        // Whatever was answered is told, however it ends.
        node.kill();
        node = start();
    }
    let told = eventually("what is not stored is told", || {
        let stored = node.try_rows("SELECT count(*) FROM spans").map_err(|error| format!("{error:#}"))?;
        let stored = stored[0][0].as_u64().expect("a count");
        let told = delivery(&node);
        let [lost, left_out] = ["lost", "left_out"].map(|key| told["totals"][key].as_u64().unwrap_or(0));
        if stored + lost + left_out == sent {
            Ok(told)
        } else {
            Err(format!("{sent} sent, {stored} stored, {told}"))
        }
    });
    assert_eq!(of_reason(&told, "rejected")["events"], 4, "{told}");
    assert!(of_reason(&told, "sampled")["events"].as_u64().is_some_and(|left_out| left_out > 20), "{told}");
    assert_eq!(
        (&of_reason(&told, "sampled")["declared"], &told["totals"]["lost"]),
        (&json!(true), &json!(4))
    );
}

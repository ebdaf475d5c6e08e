//! From a line in a file to a row: complete, in order, byte for byte.

use std::fs;

use serde_json::json;

use crate::harness::{Node, Role, Scratch, append, eventually};

#[test]
fn plain_lines_arrive_in_order_with_their_file_named() {
    let scratch = Scratch::new("plain");
    let file = scratch.input("shop.log");
    append(&file, "first\nsecond \u{1f980}\r\n\nlast without newline");
    let node = Node::start(&scratch);
    node.wait_for_rows(4);
    let rows = node.rows(
        "SELECT body, service_name, resource_attributes['log.file.name'], source_start, source_end \
         FROM logs ORDER BY source_start",
    );
    let expected = [
        json!(["first", "shop", "shop.log", 0, 6]),
        json!(["second \u{1f980}", "shop", "shop.log", 6, 19]),
        json!(["", "shop", "shop.log", 19, 20]),
        json!(["last without newline", "shop", "shop.log", 20, 40]),
    ];
    assert_eq!(rows.into_iter().map(serde_json::Value::from).collect::<Vec<_>>(), expected);
    let paths = node.rows("SELECT DISTINCT resource_attributes['log.file.path'] FROM logs");
    assert_eq!(paths, [[json!(file.to_str().expect("text"))]]);
}

#[test]
fn a_line_that_was_cut_by_time_is_continued() {
    let scratch = Scratch::new("continued");
    let file = scratch.input("a.log");
    append(&file, "half");
    let node = Node::start(&scratch);
    node.wait_for_rows(1);
    append(&file, " and rest\nnext\nopen");
    node.wait_for_rows(4);
    // A late bare newline only ends the open line: no row of its own.
    append(&file, "\nafter\n");
    node.wait_for_rows(5);
    let rows =
        node.rows("SELECT body, source_start, flags & 4 > 0, flags & 8 > 0 FROM logs ORDER BY source_start");
    let expected = [
        json!(["half", 0, true, false]),
        json!([" and rest", 4, false, true]),
        json!(["next", 14, false, false]),
        json!(["open", 19, true, false]),
        json!(["after", 24, false, false]),
    ];
    assert_eq!(rows.into_iter().map(serde_json::Value::from).collect::<Vec<_>>(), expected);
}

#[test]
fn a_container_has_a_source_per_stream_and_its_partial_lines_are_joined() {
    let scratch = Scratch::new("cri");
    let file = scratch.input("c.log");
    append(
        &file,
        "2026-01-02T03:04:05.000000006Z stdout P half \n\
         2026-01-02T03:04:05.000000007Z stderr F error text\n\
         2026-01-02T03:04:05.000000008Z stdout F done\n",
    );
    let node = Node::start(&scratch);
    node.wait_for_rows(2);
    let rows = node.rows(
        "SELECT body, resource_attributes['log.iostream'], timestamp_nanos, source_start \
         FROM logs ORDER BY source_start",
    );
    let expected = [json!(["half done", "stdout", 6, 0]), json!(["error text", "stderr", 7, 46])];
    assert_eq!(rows.into_iter().map(serde_json::Value::from).collect::<Vec<_>>(), expected);
    assert_eq!(node.number("SELECT count(DISTINCT source_id) FROM logs"), 2);
}

#[test]
fn a_renamed_file_is_read_to_its_end_and_its_successor_from_its_start() {
    let scratch = Scratch::new("rotation");
    let file = scratch.input("a.log");
    append(&file, "");
    let node = Node::start(&scratch);
    for generation in 0..20 {
        for line in 0..50 {
            append(&file, format!("generation {generation} line {line}\n"));
        }
        fs::rename(&file, scratch.input(&format!("a.log.{generation}"))).expect("renamed");
    }
    append(&file, "end\n");
    node.wait_for_rows(1001);
    assert_eq!(node.number("SELECT count(*) FROM logs"), 1001);
    assert_eq!(node.number("SELECT count(DISTINCT body) FROM logs"), 1001);
    assert_eq!(node.rows("SELECT * FROM weir.gaps"), Vec::<Vec<serde_json::Value>>::new());
}

#[test]
fn files_rotated_while_nobody_looked_are_read() {
    let scratch = Scratch::new("missed");
    let file = scratch.input("a.log");
    append(&file, "seen\n");
    let node = Node::start(&scratch);
    node.wait_for_rows(1);
    node.kill();
    for generation in 0..3 {
        append(&file, format!("missed {generation}\n"));
        fs::rename(&file, scratch.input(&format!("a.log.{generation}"))).expect("renamed");
    }
    append(&file, "end\n");
    let node = Node::start(&scratch);
    node.wait_for_rows(5);
    let rows = node.rows("SELECT body FROM logs ORDER BY body");
    assert_eq!(rows, ["end", "missed 0", "missed 1", "missed 2", "seen"].map(|body| [json!(body)]));
}

#[test]
fn a_file_that_was_copied_and_cut_off_is_not_read_twice() {
    let scratch = Scratch::new("copytruncate");
    let file = scratch.input("a.log");
    let before: String = (0..200).map(|n| format!("line {n} before\n")).collect();
    append(&file, &before);
    let node = Node::start(&scratch);
    node.wait_for_rows(200);
    fs::copy(&file, scratch.input("a.log.1")).expect("copied");
    fs::OpenOptions::new().write(true).open(&file).expect("opens").set_len(0).expect("cut off");
    append(&file, "after\n");
    node.wait_for_rows(201);
    node.kill();
    append(&file, "later\n");
    let node = Node::start(&scratch);
    node.wait_for_rows(202);
    assert_eq!(node.number("SELECT count(*) FROM logs"), 202);
    assert_eq!(node.number("SELECT count(DISTINCT body) FROM logs"), 202);
}

#[test]
fn what_a_copy_has_more_than_was_read_is_read_from_it() {
    let scratch = Scratch::new("copy-rest");
    let file = scratch.input("a.log");
    append(&file, (0..100).map(|n| format!("line {n}\n")).collect::<String>());
    let node = Node::start(&scratch);
    node.wait_for_rows(100);
    assert!(node.terminate().success());
    append(&file, (100..150).map(|n| format!("line {n}\n")).collect::<String>());
    fs::copy(&file, scratch.input("a.log.1")).expect("copied");
    fs::OpenOptions::new().write(true).open(&file).expect("opens").set_len(0).expect("cut off");
    append(&file, "line 150\n");
    let node = Node::start(&scratch);
    node.wait_for_rows(151);
    assert_eq!(node.number("SELECT count(*) FROM logs"), 151);
    assert_eq!(node.number("SELECT count(DISTINCT body) FROM logs"), 151);
}

#[test]
fn files_that_begin_alike_are_not_taken_for_copies() {
    let scratch = Scratch::new("alike");
    let file = scratch.input("a.log");
    append(&file, "ts,level,message\n");
    let node = Node::start(&scratch);
    node.wait_for_rows(1);
    node.kill();
    fs::rename(&file, scratch.input("a.log.2")).expect("renamed");
    let lines: String = (0..20).map(|n| format!("line {n}\n")).collect();
    append(&scratch.input("a.log.1"), format!("ts,level,message\n{lines}"));
    append(&file, "ts,level,message\n");
    let node = Node::start(&scratch);
    node.wait_for_rows(23);
    assert_eq!(node.number("SELECT count(*) FROM logs WHERE body LIKE 'line %'"), 20);
}

#[test]
fn a_pattern_over_the_data_directory_reads_nothing_of_its_own() {
    let scratch = Scratch::new("own");
    append(&scratch.input("a.log"), "one\n");
    let everything = format!("{}/**/*", scratch.path("").display());
    let node = Node::start_with(&scratch, crate::harness::Role::All, |command| {
        command.arg("--tail").arg(&everything);
    });
    node.wait_for_rows(1);
    let own =
        node.number("SELECT count(*) FROM logs WHERE resource_attributes['log.file.path'] LIKE '%/data/%'");
    assert_eq!(own, 0);
}

#[test]
fn a_restart_goes_on_where_the_last_one_ended() {
    let scratch = Scratch::new("restart");
    let file = scratch.input("a.log");
    append(&file, "one\n");
    let node = Node::start(&scratch);
    node.wait_for_rows(1);
    assert!(node.terminate().success(), "a told node ends well");
    append(&file, "two\n");
    let node = Node::start(&scratch);
    node.wait_for_rows(2);
    let rows = node.rows("SELECT body FROM logs ORDER BY source_start");
    assert_eq!(rows, [[json!("one")], [json!("two")]]);
    assert_eq!(node.number("SELECT count(DISTINCT source_id) FROM logs"), 1, "the source is the same");
}

#[test]
fn a_structured_line_is_taken_apart_and_rebuilds_exactly() {
    let scratch = Scratch::new("structured");
    let lines = [
        r#"{"ts":"2026-03-04T05:06:07.123456Z","level":"error","msg":"card \"4\" declined","user":17,"deep":{"a":[1, 2]},"trace_id":"0af7651916cd43dd8448eb211c80319c"}"#,
        r#"{ "level" : "info", "message" : "spaces" }"#,
        r#"level=warn msg="slow query" took=1.5s"#,
        "2026-03-04 05:06:07,250 ERROR plain text",
    ];
    append(&scratch.input("a.log"), format!("{}\n", lines.join("\n")));
    let node = Node::start(&scratch);
    node.wait_for_rows(4);
    let rows = node.rows(
        "SELECT body, severity_number, attributes['user'], attributes['deep'], trace_id \
         FROM logs ORDER BY source_start",
    );
    assert_eq!(rows[0][0], json!("card \"4\" declined"));
    assert_eq!(
        rows[0][1..],
        [json!(17), json!("17"), json!(r#"{"a":[1, 2]}"#), json!("0af7651916cd43dd8448eb211c80319c")]
    );
    assert_eq!(rows[1][..2], [json!("spaces"), json!(9)]);
    assert_eq!(rows[2][..2], [json!("slow query"), json!(13)]);
    assert_eq!(rows[3][..2], [json!(lines[3]), json!(17)]);
    let rebuilt = node.rows("SELECT arrow_cast(line, 'Utf8') FROM log_lines ORDER BY source_start");
    assert_eq!(rebuilt, lines.map(|line| [json!(line)]));
}

#[test]
fn lines_of_other_formats_are_read_and_rebuild_exactly() {
    let scratch = Scratch::new("formats");
    let events = [
        r#"I1127 10:11:12.123456   12345 a.go:123] "Pod updated" pod="kube-system/dns""#,
        r#"10.0.0.7 - ann [10/Oct/2025:13:55:36 -0700] "GET /cart?id=7 HTTP/1.1" 502 2326 "-" "curl/8.5""#,
        r#"[2025-11-25T21:26:18.409Z] "GET /a HTTP/1.1" 503 UF via_upstream - "-" 0 1 3 - "-" "c" "i" "a:8" "1.1.1.1:80" x|8|| - 1.1.1.1:1 1.1.1.2:3 - d"#,
        "2026-03-04 05:06:07 ERROR cart - cannot place\njava.io.IOException: disk full\n\tat a.B.c(B.java:1)\n\t... 2 more",
    ];
    append(&scratch.input("a.log"), format!("{}\n", events.join("\n")));
    let node = Node::start(&scratch);
    node.wait_for_rows(4);
    let rows = node.rows(
        "SELECT body, attributes['pod'], attributes['url.path'], attributes['http.response.status_code'], \
         attributes['exception.type'], attributes['exception.message'] FROM logs ORDER BY source_start",
    );
    let none = json!(null);
    let row = |body: &str, values: [&str; 5]| {
        let values = values.map(|value| if value.is_empty() { none.clone() } else { json!(value) });
        [vec![json!(body)], values.to_vec()].concat()
    };
    assert_eq!(rows[0], row("Pod updated", ["kube-system/dns", "", "", "", ""]));
    assert_eq!(rows[1], row(events[1], ["", "/cart", "502", "", ""]));
    assert_eq!(rows[2], row(events[2], ["", "/a", "503", "", ""]));
    let body = "2026-03-04 05:06:07 ERROR cart - cannot place";
    assert_eq!(rows[3], row(body, ["", "", "", "java.io.IOException", "disk full"]));
    let rebuilt = node.rows("SELECT arrow_cast(line, 'Utf8') FROM log_lines ORDER BY source_start");
    assert_eq!(rebuilt, events.map(|event| [json!(event)]));
}

#[test]
fn rows_are_the_same_live_flushed_and_after_a_restart() {
    let scratch = Scratch::new("same");
    let text: String =
        (0..500).map(|n| format!("{{\"level\":\"info\",\"msg\":\"m{n}\",\"n\":{n}}}\n")).collect();
    append(&scratch.input("a.log"), &text);
    let all = "SELECT body, attributes['n'], severity_number, source_start, source_end FROM logs ORDER BY source_start";
    let node = Node::start_with(&scratch, crate::harness::Role::All, |command| {
        command.env("WEIR_INGEST_FLUSH_INTERVAL", "1h");
    });
    node.wait_for_rows(500);
    let live = node.rows(all);
    assert_eq!(node.number("SELECT count(*) FROM weir.files"), 0, "nothing is flushed yet");
    assert!(node.terminate().success());
    let node = Node::start(&scratch);
    let flushed = eventually("the flushed rows are there", || match node.try_rows(all) {
        Ok(rows) if rows.len() == 500 => Ok(rows),
        other => Err(format!("{:?}", other.map(|rows| rows.len()))),
    });
    assert_eq!(live, flushed);
    assert_eq!(node.number("SELECT count(*) FROM weir.files"), 1);
}

#[test]
fn a_parser_that_is_named_for_a_file_is_used() {
    let scratch = Scratch::new("parsers");
    let plain = scratch.input("plain.log");
    for file in [&plain, &scratch.input("other.log")] {
        append(file, "{\"msg\":\"hello\"}\n");
    }
    let node = Node::start_with(&scratch, Role::All, |command| {
        command.env("WEIR_AGENT_PARSERS", format!("{{\"{}\": plain}}", plain.display()));
    });
    node.wait_for_rows(2);
    let rows = node.rows("SELECT body FROM logs ORDER BY body");
    assert_eq!(rows, [[json!("hello")], [json!("{\"msg\":\"hello\"}")]]);
    assert!(node.terminate().success());
}

//! What becomes of exceptions, colours and ids in rows.

use super::*;

const TYPE: &str = "exception.type";
const MESSAGE: &str = "exception.message";
const TRACE: &str = "exception.stacktrace";

const JAVA: &str = "java.io.IOException: disk full\n\tat a.B.c(B.java:1)\nCaused by: x.Y: z\n\t... 2 more";

fn check(line: &str, kept_as: Kept, body: &str, expected: &[(&str, &str)]) -> Parsed {
    let parsed = parse(line.as_bytes());
    assert_eq!(parsed.text(column::BODY, 0), Some(body), "{line}");
    let expected: Vec<_> = expected.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    assert_eq!(parsed.attributes(column::ATTRIBUTES, 0), expected, "{line}");
    assert_eq!(kept(&parsed, 0), kept_as, "{line}");
    assert_eq!(String::from_utf8_lossy(&parsed.line(0)), line);
    parsed
}

#[test]
fn a_trace_is_stored_once() {
    let java = [(TRACE, JAVA), (TYPE, "java.io.IOException"), (MESSAGE, "disk full")];
    let line = format!("2026-01-02 03:04:05 ERROR shop - cannot store\n{JAVA}");
    let parsed = check(&line, Kept::Layout, "2026-01-02 03:04:05 ERROR shop - cannot store", &java);
    assert_eq!((parsed.severity(0), parsed.time(0).as_str()), (Some(17), "2026-01-02T03:04:05Z"));
    check(&format!("a\n\n\n{JAVA}"), Kept::Layout, "a", &java);
    check(&format!("a\nb\r\n{JAVA}"), Kept::Layout, "a\nb", &java);
    check(JAVA, Kept::Layout, "java.io.IOException: disk full", &java);
    check(&format!("\n\n{JAVA}"), Kept::Layout, "java.io.IOException: disk full", &java);
    let python = "Traceback (most recent call last):\n  File \"a\", line 1, in b\nKeyError: 1";
    check(python, Kept::Layout, "KeyError: 1", &[(TRACE, python), (TYPE, "KeyError"), (MESSAGE, "1")]);
    // One layout for all that have the same shape.
    let lines: Vec<String> = (0..50).map(|n| format!("line {n}\n{JAVA}{n}")).collect();
    let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    assert_eq!(parse_with(Parser::Auto, None, &lines).layouts.len(), 1);
}

#[test]
fn every_event_of_the_corpus_comes_back_exactly() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/src/join/fixtures");
    let mut count = 0;
    for file in std::fs::read_dir(directory).expect("fixtures") {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("readable");
        let mut events: Vec<String> = Vec::new();
        for line in text.lines().filter(|line| !line.starts_with("===")) {
            match events.last_mut() {
                Some(event) if line.starts_with("| ") => event.extend(["\n", &line[2..]]),
                _ => events.push(line[2..].to_owned()),
            }
        }
        let crlf: Vec<String> = events.iter().map(|event| event.replace('\n', "\r\n")).collect();
        let json = events.iter().map(|event| serde_json::json!({"msg": event, "n": 1}).to_string());
        let stack = events.iter().map(|event| serde_json::json!({"msg": "x", "stack": event}).to_string());
        let klog = events.iter().map(|event| format!("E0310 10:11:12.123456       1 a.go:3] {event}"));
        let all: Vec<String> = klog.chain(json).chain(stack).chain(crlf).chain(events.clone()).collect();
        let lines: Vec<&[u8]> = all.iter().map(String::as_bytes).collect();
        let parsed = parse_with(Parser::Auto, None, &lines);
        for (row, line) in lines.iter().enumerate() {
            assert_eq!(String::from_utf8_lossy(&parsed.line(row)), String::from_utf8_lossy(line));
            assert!(parsed.raw(row).is_none(), "{}", String::from_utf8_lossy(line));
        }
        // A trace is found wherever it stands.
        for (at, event) in events.iter().enumerate() {
            let kind = |row: usize| {
                let attributes = parsed.attributes(column::ATTRIBUTES, row);
                attributes.into_iter().find(|(key, _)| key == TYPE).map(|(_, value)| value)
            };
            let found = kind(events.len() * 4 + at);
            count += usize::from(found.is_some());
            for place in (1..4).filter(|_| event.contains('\n')) {
                assert_eq!(kind(events.len() * place + at), found, "{place}: {event}");
            }
        }
    }
    assert!(count >= 25, "{count}");
}

#[test]
fn traces_in_structured_lines() {
    let stack = r"Error: boom\n    at f (/a.js:1:2)";
    let text = "Error: boom\n    at f (/a.js:1:2)";
    for key in ["stack", "stack_trace", "exception", "error.stack", "exc_info", "@x", "error"] {
        check(
            &format!(r#"{{"a":1,"{key}":"{stack}","msg":"x","b":2}}"#),
            Kept::Layout,
            "x",
            &[("a", "1"), (TRACE, text), ("b", "2"), (TYPE, "Error"), (MESSAGE, "boom")],
        );
    }
    check(
        &format!(r#"msg=x stack="{stack}" b=2"#),
        Kept::Layout,
        "x",
        &[(TRACE, text), ("b", "2"), (TYPE, "Error"), (MESSAGE, "boom")],
    );
    // OpenTelemetry's own names are not doubled.
    check(
        &format!(r#"{{"msg":"x","exception.type":"E","exception.stacktrace":"{stack}"}}"#),
        Kept::Layout,
        "x",
        &[("exception.type", "E"), (TRACE, text), (MESSAGE, "boom")],
    );
    // zap does not say what was thrown; the error is beside it.
    check(
        r#"{"msg":"x","error":"no stock","stacktrace":"main.f\n\t/app/main.go:11"}"#,
        Kept::Layout,
        "x",
        &[("error", "no stock"), (TRACE, "main.f\n\t/app/main.go:11"), (MESSAGE, "no stock")],
    );
    // pino and others have an object: its fields stand for it, the trace among them.
    check(
        &format!(
            r#"{{"msg":"x","err":{{ "type":"TypeError", "code":5,"a":null,"message":"\"boom\"","stack":"{stack}"}},"b":2}}"#
        ),
        Kept::Layout,
        "x",
        &[
            ("err.type", "TypeError"),
            ("err.code", "5"),
            ("err.message", "\"boom\""),
            (TRACE, text),
            ("b", "2"),
            (TYPE, "TypeError"),
            (MESSAGE, "\"boom\""),
        ],
    );
    check(
        &format!(r#"{{"msg":"x","exception":{{"stack_trace":"{stack}"}}}}"#),
        Kept::Layout,
        "x",
        &[(TRACE, text), (TYPE, "Error"), (MESSAGE, "boom")],
    );
    let frames = r#"{"class":"E","trace":["a","b"]}"#;
    check(&format!(r#"{{"msg":"x","exception":{frames}}}"#), Kept::Layout, "x", &[("exception", frames)]);
    // Type and message alone; and fields that are only named alike.
    check(
        r#"{"msg":"x","exception":"java.io.IOException: no"}"#,
        Kept::Layout,
        "x",
        &[("exception", "java.io.IOException: no"), (TYPE, "java.io.IOException"), (MESSAGE, "no")],
    );
    check(r#"{"msg":"x","error":"two\nlines"}"#, Kept::Layout, "x", &[("error", "two\nlines")]);
    check(r#"{"msg":"x","error":"no stock"}"#, Kept::Layout, "x", &[("error", "no stock")]);
    check(r#"{"msg":"x","exception":true}"#, Kept::Layout, "x", &[("exception", "true")]);
    check(r#"{"msg":"x","error":{"code":5}}"#, Kept::Layout, "x", &[("error", r#"{"code":5}"#)]);
}

#[test]
fn a_trace_in_a_message() {
    let trace = [(TRACE, "x.Error: y\n\tat a(b)"), (TYPE, "x.Error"), (MESSAGE, "y")];
    let expected = [trace[0], ("n", "1"), trace[1], trace[2]];
    check(r#"{"msg":"no \"stock\"\nx.Error: y\n\tat a(b)","n":1}"#, Kept::Layout, "no \"stock\"", &expected);
    check(r#"{"msg":"a\nb\n\n\nx.Error: y\n\tat a(b)","n":1}"#, Kept::Layout, "a\nb", &expected);
    check(r#"{"msg":"a\r\nx.Error: y\n\tat a(b)","n":1}"#, Kept::Layout, "a", &expected);
    check(r#"{"msg":"a\\r\nx.Error: y\n\tat a(b)","n":1}"#, Kept::Layout, "a\\r", &expected);
    check(r#"{"msg":"x.Error: y\n\tat a(b)","n":1}"#, Kept::Layout, "x.Error: y", &expected);
    check("msg=\"a\\nx.Error: y\\n\\tat a(b)\" n=1", Kept::Layout, "a", &expected);
    // Not escaped as any layout does it: the bytes stay.
    check(r#"{"msg":"a\/\nx.Error: y\n\tat a(b)","n":1}"#, Kept::Raw, "a/", &expected);
    check(r#"{"msg":"two\nlines"}"#, Kept::Layout, "two\nlines", &[]);
}

#[test]
fn colours_are_left_out_of_what_is_read() {
    let severity = |line: &str, kept_as: Kept, body: &str| {
        let parsed = check(line, kept_as, body, &[]);
        assert_eq!(
            (parsed.text(column::SEVERITY_TEXT, 0), parsed.severity(0)),
            (Some("info"), Some(9)),
            "{line}"
        );
    };
    severity(r#"{"level":"\u001b[32minfo\u001b[39m","message":"hi"}"#, Kept::Layout, "hi");
    severity(
        r#"{"level":"\u001B[1m\u001B[32minfo","message":"\u001b[36mhi \"x\"\u001b[39m"}"#,
        Kept::Layout,
        "hi \"x\"",
    );
    severity(r#"level="\x1b[32minfo\x1b[0m" msg="hi""#, Kept::Layout, "hi");
    severity("level=\"\x1b[32minfo\x1b[0m\" msg=\"\x1b[1mhi\"", Kept::Layout, "hi");
    // Within a message they cannot be made again: the bytes stay.
    severity(r#"{"level":"info","message":"a \u001b[32mb\u001b[39m c"}"#, Kept::Raw, "a b c");
    severity("level=info msg=\"a \x1b[32mb\x1b[39m c\"", Kept::Raw, "a b c");
    // Other fields are as they are.
    check(r#"{"message":"hi","a":"\u001b[32mb"}"#, Kept::Layout, "hi", &[("a", "\u{1b}[32mb")]);
}

#[test]
fn ids_in_structured_lines() {
    const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN_ID: &str = "00f067aa0ba902b7";
    let check = |fields: &str, trace: Option<&str>, span: Option<&str>, names: &[&str]| {
        let fields = fields.replace("TRACE", TRACE_ID).replace("SPAN", SPAN_ID);
        let line = format!(r#"{{"msg":"x",{fields}}}"#);
        let parsed = parse(line.as_bytes());
        assert_eq!(
            (parsed.text(column::TRACE_ID, 0), parsed.text(column::SPAN_ID, 0)),
            (trace, span),
            "{line}"
        );
        let keys: Vec<_> = parsed.attributes(column::ATTRIBUTES, 0).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, names, "{line}");
        assert_eq!((kept(&parsed, 0), parsed.line(0)), (Kept::Layout, line.into_bytes()));
    };
    let both = (Some(TRACE_ID), Some(SPAN_ID));
    for (trace, span) in [
        ("trace_id", "span_id"),
        ("TraceId", "SpanId"),
        ("otelTraceID", "otelSpanID"),
        ("trace.id", "span.id"),
    ] {
        check(&format!(r#""{trace}":"TRACE","{span}":"SPAN""#), both.0, both.1, &[]);
    }
    // Not as the column has it: beside the column.
    let upper = format!(r#""trace_id":"{}","span_id":"{}""#, TRACE_ID.to_uppercase(), SPAN_ID.to_uppercase());
    check(&upper, both.0, both.1, &["trace_id", "span_id"]);
    check(
        r#""logging.googleapis.com/trace":"projects/shop/traces/TRACE""#,
        both.0,
        None,
        &["logging.googleapis.com/trace"],
    );
    check(r#""traceparent":"00-TRACE-SPAN-01""#, both.0, both.1, &["traceparent"]);
    check(
        r#""traceparent":"00-TRACE-SPAN-01","span_id":"1111111111111111""#,
        both.0,
        Some("1111111111111111"),
        &["traceparent"],
    );
    // Of 64 bits, as spans have them.
    check(r#""trace_id":"SPAN""#, Some(SPAN_ID), None, &[]);
    // Datadog: decimal numbers are not taken for hexadecimal ones.
    check(r#""dd.trace_id":"1234567890123456""#, None, None, &["dd.trace_id"]);
    check(r#""dd.trace_id":"TRACE""#, both.0, None, &[]);
    // One level deeper.
    check(r#""mdc":{"traceId":"TRACE","spanId":"SPAN"}"#, both.0, both.1, &["mdc"]);
    check(r#""contextMap":{"a":{},"trace_id":"TRACE"}"#, both.0, None, &["contextMap"]);
    check(r#""trace":{"id":"TRACE"}"#, both.0, None, &["trace"]);
    check(r#""context":{"traceparent":"00-TRACE-SPAN-01"}"#, both.0, both.1, &["context"]);
    check(r#""context":{"a":"trace_id"},"trace_id":"none""#, None, None, &["context", "trace_id"]);
    check(r#""traceparent":"00-TRACE-01""#, None, None, &["traceparent"]);
}

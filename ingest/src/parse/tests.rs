mod damage;
mod exceptions;
mod formats;

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int16Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use jiff::Timestamp;
use proptest::prelude::*;
use weir_proto::limit::{FIELDS_MAX, JSON_DEPTH_MAX};
use weir_proto::model::{ByteRange, Source, SourceId, TenantId, flags};
use weir_proto::schema::log::column;
use weir_proto::wire::layout::{Layout, LineParts};

use super::*;

const OBSERVED: i64 = 1_773_144_000_000_000; // 2026-03-10T12:00:00Z

/// The rows of some lines, and the layouts they name.
struct Parsed {
    rows: RecordBatch,
    layouts: BTreeMap<LayoutId, Layout>,
}

fn source() -> Source {
    let resource = [("a.b", "c"), ("host.name", "h1"), ("log.file.path", "/x"), ("service.name", "shop")];
    Source {
        id: SourceId::from_u128(7),
        resource: resource.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
        parser: "auto".to_owned(),
        min_severity: None,
        covered: ByteRange::new(0, u64::MAX >> 1),
        drops: Vec::new(),
        counted: None,
    }
}

fn parse_with(parser: Parser, framing_nanos: Option<i64>, lines: &[&[u8]]) -> Parsed {
    let mut columns = Columns::with_capacity(lines.len(), 0);
    let mut parse = LineParser::default();
    let mut at = 0;
    for text in lines {
        let range = ByteRange::new(at, at + text.len() as u64 + 1);
        at = range.end;
        let line = Line {
            source: 0,
            range,
            observed_micros: OBSERVED,
            timestamp_nanos: framing_nanos,
            flags: 0,
            text,
        };
        parse.parse(&line, parser, &mut columns);
    }
    let read = |(id, json): (LayoutId, Arc<str>)| (id, Layout::from_json(&json).expect("a layout"));
    let layouts = parse.take_layouts().into_iter().map(read).collect();
    Parsed { rows: columns.finish(&TenantId::default(), &[source()]), layouts }
}

fn parse(line: &[u8]) -> Parsed {
    parse_with(Parser::Auto, None, &[line])
}

impl Parsed {
    fn text(&self, name: &str, row: usize) -> Option<&str> {
        let column = self.rows[name].as_string::<i32>();
        column.is_valid(row).then(|| column.value(row))
    }

    fn attributes(&self, name: &str, row: usize) -> Vec<(String, String)> {
        let entries = self.rows[name].as_map().value(row);
        let (keys, values) = (entries.column(0).as_string::<i32>(), entries.column(1).as_string::<i32>());
        (0..entries.len()).map(|entry| (keys.value(entry).into(), values.value(entry).into())).collect()
    }

    fn micros(&self, row: usize) -> i64 {
        self.rows[column::TIMESTAMP].as_primitive::<TimestampMicrosecondType>().value(row)
    }

    fn nanos(&self, row: usize) -> i16 {
        self.rows[column::TIMESTAMP_NANOS].as_primitive::<Int16Type>().value(row)
    }

    fn time(&self, row: usize) -> String {
        let nanos = i128::from(self.micros(row)) * 1_000 + i128::from(self.nanos(row));
        Timestamp::from_nanosecond(nanos).expect("in range").to_string()
    }

    fn flags(&self, row: usize) -> i32 {
        self.rows[column::FLAGS].as_primitive::<Int32Type>().value(row)
    }

    fn severity(&self, row: usize) -> Option<i16> {
        let column = self.rows[column::SEVERITY_NUMBER].as_primitive::<Int16Type>();
        column.is_valid(row).then(|| column.value(row))
    }

    fn raw(&self, row: usize) -> Option<&[u8]> {
        let column = self.rows[column::BODY_RAW].as_binary::<i32>();
        column.is_valid(row).then(|| column.value(row))
    }

    fn layout(&self, row: usize) -> Option<&Layout> {
        let column = self.rows[column::LAYOUT_ID].as_primitive::<Int64Type>();
        column.is_valid(row).then(|| &self.layouts[&LayoutId(column.value(row))])
    }

    /// The exact line, by the rule of `docs/formats/layout-v1.md`.
    fn line(&self, row: usize) -> Vec<u8> {
        if let Some(raw) = self.raw(row) {
            return raw.to_vec();
        }
        let body = self.text(column::BODY, row).expect("never null");
        let Some(layout) = self.layout(row) else { return body.as_bytes().to_vec() };
        let attributes = self.attributes(column::ATTRIBUTES, row);
        let attributes: Vec<_> = attributes.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let parts = LineParts {
            body,
            severity_text: self.text(column::SEVERITY_TEXT, row),
            trace_id: self.text(column::TRACE_ID, row),
            span_id: self.text(column::SPAN_ID, row),
            timestamp_micros: self.micros(row),
            timestamp_nanos: self.nanos(row),
            attributes: &attributes,
        };
        let mut line = Vec::new();
        assert!(layout.rebuild(&parts, &mut line), "the parts fit");
        line
    }
}

/// How the exact line is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kept {
    Body,
    Layout,
    Raw,
}

fn kept(parsed: &Parsed, row: usize) -> Kept {
    match (parsed.raw(row), parsed.layout(row)) {
        (Some(_), None) => Kept::Raw,
        (None, Some(_)) => Kept::Layout,
        (None, None) => Kept::Body,
        (Some(_), Some(_)) => panic!("bytes and layout: one is wasted"),
    }
}

#[test]
fn lines_become_columns() {
    let check = |line: &str, kept_as: Kept, body: &str, attributes: &[(&str, &str)]| {
        let parsed = parse(line.as_bytes());
        assert_eq!(parsed.text(column::BODY, 0), Some(body), "{line}");
        let expected: Vec<_> = attributes.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        assert_eq!(parsed.attributes(column::ATTRIBUTES, 0), expected, "{line}");
        assert_eq!(kept(&parsed, 0), kept_as, "{line}");
        assert_eq!(String::from_utf8_lossy(&parsed.line(0)), line);
    };
    use Kept::*;
    check("", Body, "", &[]);
    check("hello", Body, "hello", &[]);
    check("nul \0 byte", Body, "nul \0 byte", &[]);
    check("{}", Body, "{}", &[]);
    check(r#"{"msg":"hi"}"#, Layout, "hi", &[]);
    check(r#"  { "msg" : "hi" }  "#, Layout, "hi", &[]);
    check(
        r#"{"msg":"hi","n":1E400,"b":true,"o":{"a": [1, 2]}}"#,
        Layout,
        "hi",
        &[("n", "1E400"), ("b", "true"), ("o", r#"{"a": [1, 2]}"#)],
    );
    // A null is no value; the layout remembers it.
    check(r#"{"msg":"hi","n":null}"#, Layout, "hi", &[]);
    check(r#"{"a":1,"msg":"hi","a":2,"":3}"#, Layout, "hi", &[("a", "1"), ("a", "2"), ("", "3")]);
    check(r#"{"msg":"a","message":"b","log":"c"}"#, Layout, "b", &[("msg", "a"), ("log", "c")]);
    check(r#"{"msg":"a","msg":"b"}"#, Layout, "a", &[("msg", "b")]);
    check(r#"{"msg":5,"log":"c"}"#, Layout, "c", &[("msg", "5")]);
    check(r#"{"a":"b"}"#, Body, r#"{"a":"b"}"#, &[("a", "b")]);
    check(r#"{"msg":{"a":1}}"#, Body, r#"{"msg":{"a":1}}"#, &[("msg", r#"{"a":1}"#)]);
    // Escapes of three dialects, and of none.
    check(r#"{"msg":"a\n\"b\"\\ \u0000"}"#, Layout, "a\n\"b\"\\ \0", &[]);
    check(r#"{"msg":"caf\u00e9 \ud83d\ude00"}"#, Layout, "café 😀", &[]);
    check(r#"{"msg":"\u003ca\u003e café"}"#, Layout, "<a> café", &[]);
    check(r#"{"msg":"a\/b"}"#, Raw, "a/b", &[]);
    check(r#"{"msg":"\u00E9"}"#, Raw, "é", &[]);
    check(r#"{"msg":"\ud800"}"#, Raw, "\u{fffd}", &[]);
    check(r#"{"\u006dsg":"x","msg":"y"}"#, Layout, "y", &[("msg", "x")]);
    // Not JSON: cut off, two objects, a control character in a string.
    check(r#"{"msg":"hi""#, Body, r#"{"msg":"hi""#, &[]);
    check(r#"{"msg":"hi"} {}"#, Body, r#"{"msg":"hi"} {}"#, &[]);
    check("{\"msg\":\"a\tb\"}", Body, "{\"msg\":\"a\tb\"}", &[]);
    // logfmt.
    check(r#"msg="two words" a=1 b="" c="#, Layout, "two words", &[("a", "1"), ("b", ""), ("c", "")]);
    check(r#"msg=one  a="x\"y\n""#, Layout, "one", &[("a", "x\"y\n")]);
    check(r#"msg="\x1f[0m" a=1"#, Layout, "\u{1f}[0m", &[("a", "1")]);
    check(r#"msg="\q" a=1"#, Raw, "\\q", &[("a", "1")]);
    check("a=1 b=2", Body, "a=1 b=2", &[("a", "1"), ("b", "2")]);
}

#[test]
fn fields_with_a_column_of_their_own() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let span = "00f067aa0ba902b7";
    let line = format!(
        r#"{{"time":"2026-01-02T03:04:05.123456789+02:00","level":"WARN","message":"hi","traceId":"{trace}","span_id":"{span}","service":"s"}}"#
    );
    let parsed = parse(line.as_bytes());
    assert_eq!(parsed.time(0), "2026-01-02T01:04:05.123456789Z");
    assert_eq!((parsed.text(column::SEVERITY_TEXT, 0), parsed.severity(0)), (Some("WARN"), Some(13)));
    assert_eq!(parsed.text(column::TRACE_ID, 0), Some(trace));
    assert_eq!(parsed.text(column::SPAN_ID, 0), Some(span));
    assert_eq!(parsed.attributes(column::ATTRIBUTES, 0), [("service".to_owned(), "s".to_owned())]);
    assert_eq!(parsed.flags(0), 0);
    assert_eq!(kept(&parsed, 0), Kept::Layout);
    assert_eq!(parsed.line(0), line.as_bytes());
}

#[test]
fn values_that_do_not_fit_their_column_stay_attributes() {
    let check = |line: &str, attribute: &str| {
        let parsed = parse(line.as_bytes());
        let attributes = parsed.attributes(column::ATTRIBUTES, 0);
        assert!(attributes.iter().any(|(key, _)| key == attribute), "{line}: {attributes:?}");
        assert_eq!(kept(&parsed, 0), Kept::Layout, "{line}");
        assert_eq!(parsed.line(0), line.as_bytes());
    };
    check(r#"{"msg":"x","trace_id":"4BF92F3577B34DA6A3CE929D0E0E4736"}"#, "trace_id");
    check(r#"{"msg":"x","trace_id":"00000000000000000000000000000000"}"#, "trace_id");
    check(r#"{"msg":"x","span_id":"12"}"#, "span_id");
    check(r#"{"msg":"x","level":{"a":1}}"#, "level");
    check(r#"{"msg":"x","time":"yesterday"}"#, "time");
    check(r#"{"msg":"x","time":"2026/01/02 03:04:05"}"#, "time");
    check(r#"{"msg":"x","ts":1.7e9}"#, "ts");
    check(r#"{"msg":"x","timestamp":"no","time":"2026-01-02T03:04:05Z"}"#, "timestamp");
}

#[test]
fn times_and_what_was_assumed() {
    const ZONE: i32 = flags::ZONE_ASSUMED;
    let cri = Timestamp::new(1_700_000_000, 5).expect("in range");
    let check = |line: &str, framing: Option<Timestamp>, time: &str, flags: i32| {
        let nanos = framing.map(|time| time.as_nanosecond() as i64);
        let parsed = parse_with(Parser::Auto, nanos, &[line.as_bytes()]);
        assert_eq!((parsed.time(0).as_str(), parsed.flags(0)), (time, flags), "{line}");
        assert_eq!(parsed.line(0), line.as_bytes());
    };
    check("hello", None, "2026-03-10T12:00:00Z", flags::TIME_ASSUMED);
    check("hello", Some(cri), "2023-11-14T22:13:20.000000005Z", 0);
    check("2026-01-02 03:04:05 x", Some(cri), "2026-01-02T03:04:05Z", ZONE);
    check("Jun 14 15:16:01 combo x", None, "2025-06-14T15:16:01Z", ZONE | flags::YEAR_ASSUMED);
    check(r#"{"msg":"x","ts":1700000000.25}"#, None, "2023-11-14T22:13:20.25Z", 0);
    check(r#"{"ts":"2026-01-02 03:04:05,042"}"#, None, "2026-01-02T03:04:05.042Z", ZONE);
    check("ts=2026-01-02T03:04:05.5Z level=info msg=x", None, "2026-01-02T03:04:05.5Z", 0);
}

#[test]
fn bytes_that_are_no_text_are_kept_and_marked() {
    let parsed = parse(b"caf\xe9 \xff");
    assert_eq!(parsed.text(column::BODY, 0), Some("caf\u{fffd} \u{fffd}"));
    assert_eq!(parsed.flags(0) & flags::INVALID_UTF8, flags::INVALID_UTF8);
    assert_eq!(parsed.line(0), b"caf\xe9 \xff");
    let json = parse(b"{\"msg\":\"caf\xe9\",\"level\":\"info\"}");
    assert_eq!(json.text(column::BODY, 0), Some("caf\u{fffd}"));
    assert_eq!(json.severity(0), Some(9));
    assert_eq!(kept(&json, 0), Kept::Raw);
    assert_eq!(json.line(0), b"{\"msg\":\"caf\xe9\",\"level\":\"info\"}");
}

#[test]
fn limits_keep_the_line_and_mark_it() {
    let fields: Vec<String> = (0..=FIELDS_MAX).map(|n| format!("\"k{n}\":{n}")).collect();
    let wide = format!("{{\"msg\":\"x\",{}}}", fields.join(","));
    let parsed = parse(wide.as_bytes());
    assert_eq!(parsed.flags(0) & flags::LIMITED, flags::LIMITED);
    assert_eq!(parsed.attributes(column::ATTRIBUTES, 0).len(), FIELDS_MAX - 1);
    assert_eq!((parsed.text(column::BODY, 0), kept(&parsed, 0)), (Some("x"), Kept::Raw));
    assert_eq!(parsed.line(0), wide.as_bytes());
    for depth in [JSON_DEPTH_MAX, 100_000] {
        let deep = format!("{{\"msg\":\"x\",\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
        let parsed = parse(deep.as_bytes());
        assert_eq!(parsed.flags(0) & flags::LIMITED, flags::LIMITED);
        assert_eq!(parsed.text(column::BODY, 0), Some(deep.as_str()));
        assert_eq!(parsed.line(0), deep.as_bytes());
    }
}

#[test]
fn a_parser_by_name_keeps_to_its_syntax() {
    let body = |parser: &str, line: &str| {
        let parsed = parse_with(Parser::of_name(parser), None, &[line.as_bytes()]);
        assert_eq!(parsed.line(0), line.as_bytes());
        parsed.text(column::BODY, 0).map(str::to_owned)
    };
    let (json, logfmt) = (r#"{"msg":"x"}"#, "msg=x a=1");
    assert_eq!(body("json", json).as_deref(), Some("x"));
    assert_eq!(body("json", logfmt).as_deref(), Some(logfmt));
    assert_eq!(body("logfmt", logfmt).as_deref(), Some("x"));
    assert_eq!(body("logfmt", json).as_deref(), Some(json));
    assert_eq!(body("plain", json).as_deref(), Some(json));
    assert_eq!(body("from the future", json).as_deref(), Some("x"));
    let klog = "I0310 10:11:12.123456       1 a.go:3] x";
    assert_eq!(body("klog", klog).as_deref(), Some("x"));
    assert_eq!(body("nginx", klog).as_deref(), Some(klog));
    for name in weir_proto::model::parser::NAMES {
        let is_auto = name == weir_proto::model::parser::AUTO;
        assert_eq!(Parser::of_name(name) == Parser::Auto, is_auto, "{name}");
    }
}

#[test]
fn plain_lines_are_read_through_colours_and_keep_them() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let line =
        format!("\x1b[90m2026-01-02T03:04:05Z\x1b[0m \x1b[33mWARN\x1b[0m trace_id=\x1b[1m{trace}\x1b[0m hi");
    let parsed = parse(line.as_bytes());
    assert_eq!((parsed.time(0).as_str(), parsed.flags(0)), ("2026-01-02T03:04:05Z", 0));
    assert_eq!((parsed.text(column::SEVERITY_TEXT, 0), parsed.severity(0)), (Some("WARN"), Some(13)));
    assert_eq!(parsed.text(column::TRACE_ID, 0), Some(trace));
    assert_eq!((parsed.text(column::BODY, 0), kept(&parsed, 0)), (Some(line.as_str()), Kept::Body));
    let second = format!("one\nERROR trace_id={trace}");
    let second = parse(second.as_bytes());
    assert_eq!((second.text(column::TRACE_ID, 0), second.severity(0)), (None, None));
    let upper = parse(b"TRACE_ID=4BF92F3577B34DA6A3CE929D0E0E4736 hi");
    assert_eq!(upper.text(column::TRACE_ID, 0), Some(trace));
}

#[test]
fn what_the_source_says_stands_in_every_row() {
    let parsed = parse_with(Parser::Auto, None, &[b"a", b"b"]);
    for row in 0..2 {
        assert_eq!(parsed.text(column::SERVICE_NAME, row), Some("shop"));
        assert_eq!(parsed.text(column::HOST_NAME, row), Some("h1"));
        assert_eq!(parsed.text(column::K8S_POD_NAME, row), None);
        assert_eq!(parsed.text(column::TENANT, row), Some("default"));
        assert_eq!(parsed.text(column::SOURCE_ID, row), Some(SourceId::from_u128(7).to_string().as_str()));
        let others = [("a.b", "c"), ("log.file.path", "/x")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(parsed.attributes(column::RESOURCE_ATTRIBUTES, row), others);
    }
    let starts = parsed.rows[column::SOURCE_START].as_primitive::<Int64Type>().values().to_vec();
    let ends = parsed.rows[column::SOURCE_END].as_primitive::<Int64Type>().values().to_vec();
    assert_eq!((starts, ends), (vec![0, 2], vec![2, 4]));
}

#[test]
fn lines_of_one_shape_share_a_layout() {
    let lines: Vec<String> = (0..100).map(|n| format!(r#"{{"msg":"m{n}","n":{n}}}"#)).collect();
    let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    let parsed = parse_with(Parser::Auto, None, &lines);
    assert_eq!(parsed.layouts.len(), 1);
    assert_eq!(parsed.rows[column::LAYOUT_ID].null_count(), 0);
}

#[test]
fn keys_that_are_identifiers_do_not_fill_the_catalog() {
    let lines: Vec<String> = (0..2_000).map(|n| format!(r#"{{"msg":"m","id-{n}":1}}"#)).collect();
    let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    let parsed = parse_with(Parser::Auto, None, &lines);
    assert!(parsed.layouts.len() < 300, "{} layouts", parsed.layouts.len());
    for (row, line) in lines.iter().enumerate() {
        assert_eq!(parsed.line(row), *line);
    }
}

fn json_text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        any::<String>(),
        Just("info".to_owned()),
        Just("2026-01-02T03:04:05.678Z".to_owned()),
        Just("1700000000.123".to_owned()),
        Just("4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
    ];
    let string = (word, 0u8..4).prop_map(|(word, dialect)| {
        let mut text = vec![b'"'];
        let quoting = [Quoting::Json, Quoting::JsonAscii, Quoting::JsonHtml][usize::from(dialect % 3)];
        quoting.write(&word, &mut text);
        text.push(b'"');
        String::from_utf8(text).expect("escapes are text")
    });
    let number = prop_oneof![
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(|n| n.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        Just("1700000000123".to_owned()),
        Just("1E400".to_owned()),
    ];
    let leaf = prop_oneof![3 => string.clone(), 2 => number, 1 => Just("null".to_owned()), 1 => Just("true".to_owned())];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        let fields = prop::collection::vec((string.clone(), inner.clone()), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(" , "))),
            fields.prop_map(|fields| object(&fields, "")),
        ]
    })
}

fn object(fields: &[(String, String)], space: &str) -> String {
    let fields: Vec<_> = fields.iter().map(|(k, v)| format!("{space}{k}{space}:{space}{v}{space}")).collect();
    format!("{space}{{{}}}{space}", fields.join(","))
}

fn key() -> impl Strategy<Value = String> {
    let known = ["msg", "message", "log", "level", "severity", "ts", "time", "trace_id", "span_id", "a"];
    prop_oneof![
        4 => prop::sample::select(known.to_vec()).prop_map(|key| format!("\"{key}\"")),
        1 => any::<String>().prop_map(|key| serde_json::to_string(&key).expect("text")),
    ]
}

use weir_proto::wire::layout::Quoting;

proptest! {
    #[test]
    fn any_json_object_comes_back_exactly(
        objects in prop::collection::vec((prop::collection::vec((key(), json_text()), 0..6), " {0,2}"), 1..5),
    ) {
        let lines: Vec<String> = objects.iter().map(|(fields, space)| object(fields, space)).collect();
        // Twice: made anew, and from the layouts that are known by then.
        let lines: Vec<&[u8]> = lines.iter().chain(&lines).map(String::as_bytes).collect();
        let parsed = parse_with(Parser::Auto, None, &lines);
        for (row, line) in lines.iter().enumerate() {
            prop_assert!(parsed.line(row) == *line, "{}", String::from_utf8_lossy(line));
            kept(&parsed, row);
        }
    }

    #[test]
    fn any_bytes_come_back_exactly(
        lines in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..60),
                "[{}\":,\\\\a-c0-9= \\[\\]]{0,40}".prop_map(String::into_bytes),
                "( ?[a-d]=(\"([a-z ]|\\\\[\"nx])*\"|[a-z0-9]*)){1,5}".prop_map(String::into_bytes),
            ],
            1..8,
        ),
    ) {
        let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        let parsed = parse_with(Parser::Auto, None, &lines);
        for (row, line) in lines.iter().enumerate() {
            prop_assert!(parsed.line(row) == *line, "{}", String::from_utf8_lossy(line));
        }
    }
}

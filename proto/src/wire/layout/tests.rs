use proptest::prelude::*;

use super::*;

fn text(text: &str) -> Piece {
    Piece::Text(text.to_owned())
}

fn hole(value: Hole, quoting: Quoting) -> Piece {
    Piece::Hole { value, quoting }
}

fn rfc3339(digits: u8, zone: &str) -> TimeFormat {
    TimeFormat::Rfc3339 { digits, point: '.', zone: zone.to_owned(), separator: 'T' }
}

fn example() -> Layout {
    Layout {
        pieces: vec![
            text("{\"ts\":\""),
            hole(Hole::Timestamp(rfc3339(3, "Z")), Quoting::Raw),
            text("\",\"level\":\""),
            hole(Hole::SeverityText, Quoting::Json),
            text("\",\"msg\":\""),
            hole(Hole::Body, Quoting::Json),
            text("\",\"n\":"),
            hole(Hole::Attribute(0), Quoting::Raw),
            text("}"),
        ],
    }
}

fn parts<'a>(attributes: &'a [(&'a str, &'a str)]) -> LineParts<'a> {
    LineParts {
        body: "say \"hi\"\n",
        severity_text: Some("info"),
        trace_id: None,
        span_id: None,
        timestamp_micros: 1_700_000_000_123_000,
        timestamp_nanos: 0,
        attributes,
    }
}

#[test]
fn golden_json_and_id_of_version_1() {
    let golden = r#"{"pieces":[{"text":"{\"ts\":\""},{"hole":{"value":{"timestamp":{"rfc3339":{"digits":3,"point":".","zone":"Z","separator":"T"}}},"quoting":"raw"}},{"text":"\",\"level\":\""},{"hole":{"value":"severity_text","quoting":"json"}},{"text":"\",\"msg\":\""},{"hole":{"value":"body","quoting":"json"}},{"text":"\",\"n\":"},{"hole":{"value":{"attribute":0},"quoting":"raw"}},{"text":"}"}]}"#;
    assert_eq!(example().to_json(), golden);
    assert_eq!(Layout::from_json(golden).expect("golden text decodes"), example());
    assert_eq!(example().id(), LayoutId(756_293_103_834_841_303));

    let every = Layout {
        pieces: vec![
            hole(Hole::TraceId, Quoting::JsonAscii),
            hole(Hole::SpanId, Quoting::JsonHtml),
            hole(Hole::Timestamp(TimeFormat::EpochSeconds { digits: 6 }), Quoting::Logfmt),
            hole(Hole::Timestamp(TimeFormat::EpochMillis), Quoting::Raw),
            hole(Hole::Timestamp(TimeFormat::EpochMicros), Quoting::Raw),
            hole(Hole::Timestamp(TimeFormat::EpochNanos), Quoting::Raw),
        ],
    };
    let golden = r#"{"pieces":[{"hole":{"value":"trace_id","quoting":"json_ascii"}},{"hole":{"value":"span_id","quoting":"json_html"}},{"hole":{"value":{"timestamp":{"epoch_seconds":{"digits":6}}},"quoting":"logfmt"}},{"hole":{"value":{"timestamp":"epoch_millis"},"quoting":"raw"}},{"hole":{"value":{"timestamp":"epoch_micros"},"quoting":"raw"}},{"hole":{"value":{"timestamp":"epoch_nanos"},"quoting":"raw"}}]}"#;
    assert_eq!(every.to_json(), golden);
    assert_eq!(Layout::from_json(golden).expect("golden text decodes"), every);
}

#[test]
fn a_line_comes_back() {
    let mut line = Vec::new();
    assert!(example().rebuild(&parts(&[("n", "1E400")]), &mut line));
    let expected = r#"{"ts":"2023-11-14T22:13:20.123Z","level":"info","msg":"say \"hi\"\n","n":1E400}"#;
    assert_eq!(String::from_utf8_lossy(&line), expected);
}

#[test]
fn parts_that_do_not_fit_are_refused() {
    let mut line = Vec::new();
    assert!(!example().rebuild(&parts(&[]), &mut line), "attribute 0 is missing");
    let without = LineParts { severity_text: None, ..parts(&[("n", "1")]) };
    assert!(!example().rebuild(&without, &mut line), "the severity is missing");
    let bad = |format: TimeFormat, micros: i64, nanos: i16| !format.write(micros, nanos, &mut Vec::new());
    assert!(bad(rfc3339(10, "Z"), 0, 0));
    assert!(bad(rfc3339(3, "Mars"), 0, 0));
    assert!(bad(rfc3339(3, "Z"), i64::MAX, 0));
    assert!(bad(rfc3339(3, "Z"), 0, 1_000));
    assert!(bad(TimeFormat::EpochMillis, -1, 0));
}

#[test]
fn text_that_is_no_layout_is_refused() {
    for bad in ["", "{}", "[]", r#"{"pieces":[{"text":1}]}"#, r#"{"pieces":[],"more":1}"#] {
        assert!(Layout::from_json(bad).is_err(), "{bad}");
    }
}

#[test]
fn times_as_programs_write_them() {
    let check = |format: TimeFormat, micros: i64, nanos: i16, expected: &str| {
        let mut line = Vec::new();
        assert!(format.write(micros, nanos, &mut line), "{expected}");
        assert_eq!(String::from_utf8_lossy(&line), expected);
    };
    check(rfc3339(0, "Z"), 0, 0, "1970-01-01T00:00:00Z");
    check(rfc3339(0, ""), -1, 0, "1969-12-31T23:59:59");
    check(rfc3339(9, "+02:00"), 951_782_400_000_001, 999, "2000-02-29T02:00:00.000001999+02:00");
    check(rfc3339(6, "-0330"), 1_709_251_199_999_999, 0, "2024-02-29T20:29:59.999999-0330");
    check(rfc3339(0, "Z"), 253_402_300_799_000_000, 0, "9999-12-31T23:59:59Z");
    let python = TimeFormat::Rfc3339 { digits: 3, point: ',', zone: String::new(), separator: ' ' };
    check(python, 1_700_000_000_042_000, 0, "2023-11-14 22:13:20,042");
    check(TimeFormat::EpochSeconds { digits: 0 }, 1_700_000_000_000_000, 0, "1700000000");
    check(TimeFormat::EpochSeconds { digits: 3 }, 1_700_000_000_042_000, 0, "1700000000.042");
    check(TimeFormat::EpochMillis, 1_700_000_000_042_000, 0, "1700000000042");
    check(TimeFormat::EpochMicros, 1_700_000_000_042_001, 0, "1700000000042001");
    check(TimeFormat::EpochNanos, 1_700_000_000_042_001, 7, "1700000000042001007");
}

#[test]
fn values_as_programs_escape_them() {
    let check = |quoting: Quoting, value: &str, expected: &str| {
        let mut line = Vec::new();
        quoting.write(value, &mut line);
        assert_eq!(String::from_utf8_lossy(&line), expected);
    };
    check(Quoting::Raw, "a\"\n", "a\"\n");
    check(
        Quoting::Json,
        "a\"\\/\u{8}\u{c}\n\r\t\0\u{1f}\u{7f}é<",
        "a\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\u{7f}é<",
    );
    check(Quoting::JsonAscii, "é\u{7f}😀<x", "\\u00e9\\u007f\\ud83d\\ude00<x");
    check(
        Quoting::JsonHtml,
        "<a>&\u{2028}\u{2029}\u{2027}é",
        "\\u003ca\\u003e\\u0026\\u2028\\u2029\u{2027}é",
    );
    check(Quoting::Logfmt, "\u{7}\u{b}\u{1b}\u{7f}\n é", "\\a\\v\\x1b\\x7f\\n é");
}

proptest! {
    #[test]
    fn json_escapes_are_what_json_readers_undo(value in any::<String>()) {
        for quoting in [Quoting::Json, Quoting::JsonAscii, Quoting::JsonHtml] {
            let mut line = vec![b'"'];
            quoting.write(&value, &mut line);
            line.push(b'"');
            prop_assert_eq!(&serde_json::from_slice::<String>(&line).unwrap(), &value);
            if quoting == Quoting::JsonAscii {
                prop_assert!(line.is_ascii());
            }
        }
    }

    #[test]
    fn any_layout_survives_its_stored_form(
        words in prop::collection::vec((any::<String>(), 0u32..9, 0u8..10), 0..8),
    ) {
        let pieces = words.into_iter().flat_map(|(word, index, digits)| [
            text(&word),
            hole(Hole::Attribute(index), Quoting::Json),
            hole(Hole::Timestamp(rfc3339(digits, &word)), Quoting::Raw),
        ]);
        let layout = Layout { pieces: pieces.collect() };
        let read = Layout::from_json(&layout.to_json()).unwrap();
        prop_assert_eq!(read.id(), layout.id());
        prop_assert!(layout.id().0 >= 0);
        prop_assert_eq!(read, layout);
    }
}

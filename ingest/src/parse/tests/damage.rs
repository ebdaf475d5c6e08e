//! Lines that are damaged, huge, or of no format: each comes back exactly.

use super::*;

#[test]
fn lines_of_megabytes() {
    let long = "x".repeat(3 << 20);
    for line in [
        format!(r#"10.0.0.7 - - [10/Oct/2000:13:55:36 -0700] "GET /{long} HTTP/1.1" 200 1 "-" "{long}""#),
        format!("I0310 10:11:12.123456       1 a.go:3] {long}"),
        format!(r#"I0310 10:11:12.123456       1 a.go:3] "{long}" a={}"#, "[".repeat(1 << 20)),
        format!(r#"[2016-04-15T20:17:00.310Z] "GET /{long} HTTP/2" 204 - 1"#),
        format!("java.lang.Error: {long}\n{}", "\tat a.B.c(B.java:1)\n".repeat(100_000)),
        "[".repeat(3 << 20),
        "\n".repeat(1 << 20),
        "Error: ".repeat(400_000),
        format!("{}\n\tat a.B.c(B.java:1)", "Error".repeat(600_000)),
        format!("{}\n\tat a.B.c(B.java:1)", "x: Error y\n".repeat(200_000)),
        format!("2023/10/11 14:32:52 [error] 7#8: {}", ", client: x, host: \"".repeat(100_000)),
        format!(r#"{{"msg":"{}"}}"#, r"\u001b[1m".repeat(300_000)),
        format!(r#"{{"msg":"{}"}}"#, r"a\n".repeat(300_000)),
    ] {
        assert_eq!(parse(line.as_bytes()).line(0), line.as_bytes());
    }
}

/// Lines of every format, to be damaged.
const LINES: [&str; 12] = [
    r#"I0310 10:11:12.123456   12345 a.go:3] "m \"x\"" pod="a/b" n=3 l=["a","b"]"#,
    "E0310 10:11:12.123456   12345 a.go:3] x\ngoroutine 1 [running]:\nmain.main()",
    r#"127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a?b HTTP/1.0" 200 2326 "-" "a \" b" "10.1.1.1""#,
    r#"a:1 10.0.0.7 - - [10/Oct/2000:13:55:36 +0000] "GET /a HTTP/1.1" 200 12 "-" "c" 331 0.005 [s] [] 1:80 0 0 200 4b"#,
    r#"2023/10/11 14:32:52 [error] 7#8: *1 x, client: 10.0.0.7, server: a, request: "GET /x?y HTTP/1.1", host: "a""#,
    "[Wed Oct 11 14:32:52.123456 2023] [core:error] [pid 7:tid 139] [client 10.0.0.7:51312] AH00035: denied",
    r#"[2016-04-15T20:17:00.310Z] "POST /a HTTP/2" 204 - 154 0 226 100 "1.1.1.1" "n" "cc" "l:1" "1.1.1.1:80""#,
    r#"[2020-11-25T21:26:18.409Z] "- - -" 0 UF via{a b} - "-" 0 1 3 - "-" "-" "-" "-" "-" i|8|| - 1.1.1.1:1 [::1]:3 - d"#,
    "12:00 ERROR x\njava.lang.Error: y\n\tat a.B.c(B.java:1)\nCaused by: b.C: z\n\t... 2 more",
    "Traceback (most recent call last):\n  File \"a\", line 1\nKeyError: 1",
    "{\"level\":\"\\u001b[32minfo\\u001b[39m\",\"msg\":\"a\\n\\nx.Error: y\\n\\tat a(b)\",\"err\":{\"stack\":\"E: x\\n  at\"}}",
    "level=\"\\x1b[32minfo\" msg=\"a\\x1b[1mb\" stack=\"Error: b\\n    at a(b:1)\" trace_id=4BF92F3577B34DA6A3CE929D0E0E4736",
];

proptest! {
    #[test]
    fn damaged_lines_come_back_exactly(
        lines in prop::collection::vec(
            (
                prop::sample::select(LINES.to_vec()),
                prop::collection::vec((any::<prop::sample::Index>(), prop_oneof![
                    prop::sample::select(b" \"\\[]{}:=-/.\n\r\t|1aZ\x1b\x00\xff\xc3".to_vec()),
                    any::<u8>(),
                ], 0u8..3), 0..4),
                any::<prop::sample::Index>(),
            ),
            1..6,
        ),
        name in prop::sample::select(weir_proto::model::parser::NAMES.to_vec()),
    ) {
        let damaged = |(line, changes, cut): &(&str, Vec<(prop::sample::Index, u8, u8)>, prop::sample::Index)| {
            let mut line = line.as_bytes().to_vec();
            for (at, byte, how) in changes {
                let at = at.index(line.len().max(1)).min(line.len().saturating_sub(1));
                match how {
                    0 if !line.is_empty() => line[at] = *byte,
                    1 => line.insert(at, *byte),
                    _ => line.truncate(cut.index(line.len() + 1)),
                }
            }
            line
        };
        let lines: Vec<Vec<u8>> = lines.iter().map(damaged).collect();
        let lines: Vec<&[u8]> = lines.iter().map(Vec::as_slice).collect();
        let parsed = parse_with(Parser::of_name(name), None, &lines);
        for (row, line) in lines.iter().enumerate() {
            prop_assert!(parsed.line(row) == *line, "{}", String::from_utf8_lossy(line));
            kept(&parsed, row);
        }
    }
}

proptest! {
    #[test]
    fn words_and_punctuation_are_of_no_format(
        lines in prop::collection::vec("[IWE]?([0-9]{1,8}|[a-zA-Z]{1,8}|[\\[\\]\":/.#,-]| ){0,60}", 1..8),
    ) {
        let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
        let parsed = parse_with(Parser::Auto, None, &lines);
        for (row, line) in lines.iter().enumerate() {
            prop_assert!(parsed.attributes(column::ATTRIBUTES, row).is_empty());
            prop_assert_eq!(kept(&parsed, row), Kept::Body);
            prop_assert!(parsed.text(column::BODY, row).map(str::as_bytes) == Some(*line));
        }
    }
}

/// Real logs, where there are some: `WEIR_LOGS` names a directory.
#[test]
fn real_lines_come_back_exactly() {
    let Some(directory) = std::env::var_os("WEIR_LOGS") else {
        println!("not run: WEIR_LOGS names no directory of logs");
        return;
    };
    for file in std::fs::read_dir(directory).expect("a directory") {
        let path = file.expect("a file").path();
        let content = std::fs::read(&path).expect("readable");
        let lines: Vec<&[u8]> = content.split(|byte| *byte == b'\n').collect();
        let parsed = parse_with(Parser::Auto, None, &lines);
        let mut beside = 0;
        for (row, line) in lines.iter().enumerate() {
            assert_eq!(parsed.line(row), *line, "{}", path.display());
            beside += usize::from(!parsed.attributes(column::ATTRIBUTES, row).is_empty());
        }
        println!(
            "{}: {} lines, {beside} with attributes, {} layouts",
            path.display(),
            lines.len(),
            parsed.layouts.len()
        );
    }
}

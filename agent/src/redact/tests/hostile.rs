//! Texts made to be slow: each byte is looked at a bounded number of times,
//! however they are put together.

use super::*;
use crate::redact::edge::steps::LOOKED;

/// How often a byte may be looked at, by all rules together.
const LOOKS_MAX: u64 = 150;

fn looks(redactor: &Redactor, text: &[u8]) -> u64 {
    LOOKED.with(|looked| looked.set(0));
    redacted(redactor, text);
    LOOKED.with(std::cell::Cell::get)
}

#[test]
fn no_text_is_looked_at_more_than_so_often() {
    let redactor = redactor(r#"{"rules": ["default", "ip"], "keys": ["ssn*", "a_key"]}"#);
    let pieces = [
        "a",
        "@",
        "a@",
        "a@a.",
        "a@b.co",
        "%40",
        "1",
        "4111",
        "4111 ",
        "4-",
        "1 ",
        "A",
        "AB12",
        "DE89 ",
        "eyJ",
        "eyJ.",
        "eyJaaaaaaaaaa.",
        "bearer ",
        "Bearer",
        "basic ",
        "basic a",
        "authorization",
        "authorization:",
        "://",
        "a://a:",
        "a://a:@",
        "AKIA",
        "ghp_",
        "xox",
        "xoxb-",
        "sig=",
        "?sig=",
        "k_live_",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\\",
        "pass",
        "password",
        "password=",
        "password:",
        "password=\"",
        "password='",
        "password=\\\"",
        "\"password\":",
        "\"password\":[",
        "\"password\":{",
        "\"ssn\":[",
        "\"ssn\":{",
        "{\"ssn\":",
        "ssn=",
        "ssn=\"",
        "ssn='a\"",
        "\\",
        "\"",
        "\\\"",
        "\\\\\\\"",
        "'",
        "<password>",
        "--password ",
        ",",
        "a,",
        "a&",
        "password=a,",
        "password=,",
        "::",
        "1:",
        "1.",
        "1.1.1.1",
        "[",
        "{",
        "{\"",
        " ",
        "\n",
        "\\n",
        "%",
        "%3D",
        "\\u0041",
        "\u{e4}",
        "key",
        "Key",
        "_key",
        "token",
        "token=Bearer ",
        "secret>",
        "[redacted:",
        "[redacted:password:",
    ];
    let mut worst = (0, String::new());
    let mut try_text = |text: String| {
        let looked = looks(&redactor, text.as_bytes()) / text.len().max(1) as u64;
        if looked > worst.0 {
            worst = (looked, text.chars().take(80).collect());
        }
    };
    for first in pieces {
        for begin in ["", "{\"", "[\"", "{"] {
            try_text(format!("{begin}{}", first.repeat(4_000 / first.len())));
        }
        for second in pieces {
            let pair = format!("{first}{second}");
            try_text(pair.repeat(1_000 / pair.len()));
            try_text(format!("{{\"m\":\"{}", pair.repeat(1_000 / pair.len())));
        }
    }
    assert!(worst.0 <= LOOKS_MAX, "{} looks a byte at {:?}", worst.0, worst.1);
}

/// The same text ten times as long costs ten times as much, not a hundred.
#[test]
fn long_lines_cost_what_they_are_long() {
    let redactor = all();
    for piece in [
        "password=\"",
        "a@b.",
        "eyJaaaaaaaaaa.",
        "{\"token\":[",
        "1234 ",
        "\\\"",
        "://a:",
        "Bearer A1",
        "password='x\"",
    ] {
        let cost = |bytes: usize| looks(&redactor, piece.repeat(bytes / piece.len()).as_bytes());
        let (short, long) = (cost(5_000), cost(50_000));
        assert!(long < short * 12, "{piece:?}: {short} for 5 kB, {long} for 50 kB");
    }
    let mut line = "x".repeat(1 << 20);
    line.push_str(" bob@example.org");
    assert!(text(&redactor, &line).ends_with("x [redacted:email]"));
}

//! What holds for any text.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::*;

/// Texts in which nothing sensitive can be: no digits, no signs, no names.
fn clean() -> impl Strategy<Value = String> {
    "[a-jl-np-rt-z ,.(){}\\[\\]\"'\\\\ä漢\\t-]{0,200}"
}

/// Anything, with what rules look for in it.
fn anything() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[ -~]{0,12}",
        "\\PC{0,6}",
        select(vec![
            "password=",
            "\"token\":",
            "bob@example.org",
            "4111111111111111",
            "DE89370400440532013000",
            "Bearer ",
            "Authorization: ",
            "://a:b@c",
            "\\\"",
            "\\",
            "\"",
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "'",
            "\\n",
            "AKIAIOSFODNN7EXAMPLE",
            JWT,
            "-----BEGIN PRIVATE KEY-----",
            "[redacted:email]",
            "ssn",
            "10.0.0.1",
            "%40",
            "=",
            " ",
            "--secret ",
            "null",
            "123456",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

fn value() -> impl Strategy<Value = Value> {
    let name = select(vec!["a", "password", "ssn", "user email", "token", "x\"y", "n", "Authorization"]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        Just(json!(4111111111111111_u64)),
        anything().prop_map(Value::String),
        // JSON in JSON, twice.
        anything().prop_map(|text| Value::String(
            json!({ "password": text, "n": 4111111111111111_u64 }).to_string()
        )),
        anything().prop_map(|text| Value::String(
            json!([json!({ "ssn": [text, 1], "m": "x" }).to_string()]).to_string()
        )),
    ];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::vec((name.clone(), inner), 0..5).prop_map(|entries| Value::Object(
                entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            )),
        ]
    })
}

fn everything() -> Arc<Redactor> {
    redactor(
        r#"{"rules": ["default", "ip"], "keys": ["ssn", "*email"], "patterns": [{"name": "digits", "regex": "[0-9]{6}"}]}"#,
    )
}

/// Secrets that must not survive, with what may stand around each.
fn planted() -> impl Strategy<Value = (String, &'static str)> {
    let separators = select(vec![" ", "\n", "\t", ", ", "; ", "(", "\"", "'", "<", "|"]);
    let secret = select(vec![
        ("bob.secret@example.org", "secret@example"),
        ("4111 1111 1111 1111", "1111 1111"),
        ("5555555555554444", "555555555555"),
        ("GB82WEST12345698765432", "WEST1234"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJwbGFudGVkIjoxfQ.c2lnbmF0dXJl", "eyJwbGFu"),
        ("Authorization: Bearer s3cr3t-token-value", "s3cr3t"),
        ("Authorization: Basic dXNlcjpzM2NyM3Q=", "dXNlcjpz"),
        ("postgres://weir:s3cr3t@db/weir", "s3cr3t"),
        ("AKIAPLANTEDPLANTED22", "PLANTED"),
        ("password=s3cr3t", "s3cr3t"),
        ("api_key: s3cr3t", "s3cr3t"),
        ("\"client_secret\":\"s3\\\"cr3t\"", "cr3t"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEs3cr3t\n-----END PRIVATE KEY-----", "MIIEs3cr3t"),
    ]);
    (anything(), separators.clone(), secret, separators, anything()).prop_map(
        |(before, left, (secret, part), right, after)| {
            // What was opened before must not swallow the beginning of a name.
            (format!("{before}{left} {secret} {right}{after}"), part)
        },
    )
}

proptest! {
    // More with PROPTEST_CASES.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(2000)))]

    #[test]
    fn clean_text_is_unchanged(input in clean()) {
        prop_assert_eq!(text(&all(), &input), input);
    }

    #[test]
    fn json_stays_json(value in value()) {
        let line = json!({ "v": value }).to_string();
        let changed = text(&everything(), &line);
        prop_assert!(serde_json::from_str::<Value>(&changed).is_ok(), "{line}\nbecame\n{changed}");
    }

    #[test]
    fn twice_is_enough(input in prop_oneof![anything(), value().prop_map(|value| value.to_string())]) {
        let redactor = redactor(r#"{"rules": ["default", "ip"], "keys": ["ssn", "*email"]}"#);
        // What was part of a longer word may be an address beside a mask.
        let twice = text(&redactor, &text(&redactor, &input));
        prop_assert_eq!(text(&redactor, &twice), twice.clone(), "{} became {}", input, twice);
    }

    #[test]
    fn what_is_planted_does_not_survive((input, secret) in planted()) {
        let changed = text(&all(), &input);
        prop_assert!(!changed.contains(secret), "{input}\nbecame\n{changed}");
    }

    #[test]
    fn what_is_planted_in_json_does_not_survive((input, secret) in planted(), depth in 0..3_usize) {
        let mut line = json!({ "message": input, "n": 1 }).to_string();
        for _ in 0..depth {
            line = json!({ "body": line }).to_string();
        }
        let changed = text(&all(), &line);
        prop_assert!(serde_json::from_str::<Value>(&changed).is_ok(), "{line}\nbecame\n{changed}");
        prop_assert!(!changed.contains(secret), "{line}\nbecame\n{changed}");
    }

    #[test]
    fn no_bytes_make_it_panic(input in prop::collection::vec(any::<u8>(), 0..300), text in anything()) {
        let redactor = everything();
        redacted(&redactor, &input);
        let mut both = text.into_bytes();
        both.extend_from_slice(&input);
        let once = redacted(&redactor, &both);
        prop_assert!(once.len() <= both.len() * 40 + 64);
    }
}

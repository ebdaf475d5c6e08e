//! JSON stays JSON, and what overlaps is one.

use serde_json::Value;

use super::*;

#[test]
fn a_number_becomes_a_string() {
    let check = |input: &str, expected: &str| {
        assert_eq!(text(&all(), input), expected);
        serde_json::from_str::<Value>(expected).expect("JSON");
    };
    check(r#"{"pan":4111111111111111,"x":1}"#, r#"{"pan":"[redacted:card]","x":1}"#);
    check(r#"{"pan": -4111111111111111 }"#, r#"{"pan": "[redacted:card]" }"#);
    check(r#"[4111111111111111,"4111111111111111"]"#, r#"["[redacted:card]","[redacted:card]"]"#);
    check(r#"{"password":12345}"#, r#"{"password":"[redacted:password]"}"#);
    check(r#"{"token":["a",{"b":"]"}],"x":1}"#, r#"{"token":"[redacted:password]","x":1}"#);
    check(r#"{"m":"{\"password\":12345}"}"#, r#"{"m":"{\"password\":\"[redacted:password]\"}"}"#);
}

#[test]
fn a_list_that_does_not_end_is_taken_to_the_end_of_its_string() {
    for tail in ["\\", "\\\\", "\\'", "x\\\\\\", "[\"\\"] {
        let mut line = serde_json::json!({ "m": format!("\"token\":[{tail}"), "n": 1 }).to_string();
        for depth in 0..5 {
            let changed = text(&all(), &line);
            serde_json::from_str::<Value>(&changed)
                .unwrap_or_else(|error| panic!("at depth {depth}: {error}\n{line}\nbecame\n{changed}"));
            line = serde_json::json!({ "body": line }).to_string();
        }
    }
}

#[test]
fn a_quote_within_a_string_opens_nothing_beyond_it() {
    let redactor = redactor(r#"{"rules": [], "keys": ["ssn"]}"#);
    let line = r#"{"v":["ssn':"],"ssn":"x"}"#;
    assert_eq!(text(&redactor, line), r#"{"v":["ssn':"],"ssn":"[redacted:keys]"}"#);
}

#[test]
fn what_follows_a_mask_in_the_same_value_is_looked_at() {
    assert_eq!(
        text(&all(), r#"password="[redacted:email] password=hunter2 x"#),
        r#"password="[redacted:email] password=[redacted:password] x"#
    );
    assert_eq!(text(&all(), "a://a:b@cÀbob@example.org"), "a://a:[redacted:basic]@[redacted:email]");
}

#[test]
fn what_overlaps_is_one() {
    let check = |input: &str, expected: &str| assert_eq!(text(&all(), input), expected);
    check("https://bob:hunter2@example.org/", "https://bob:[redacted:basic]@example.org/");
    check("password=x+bob@example.org! x", "password=[redacted:password] x");
    check(&format!("Authorization: Bearer {JWT}"), "Authorization: Bearer [redacted:jwt]");
    check(r#"{"api_key":"AKIAIOSFODNN7EXAMPLE"}"#, r#"{"api_key":"[redacted:cloud_key]"}"#);
}

#[test]
fn an_event_with_what_is_dropped_goes_whole_unless_it_may_not() {
    let redactor = redactor(r#"{"rules": ["email", "password", "card"], "actions": {"card": "drop"}}"#);
    assert!(redactor.drops());
    assert_eq!(text(&redactor, "bob@example.org 4111111111111111"), "(dropped)");
    assert_eq!(text(&redactor, "password=4111111111111111"), "(dropped)");
    assert_eq!(text(&redactor, "bob@example.org"), "[redacted:email]");
    let mut scratch = Scratch::default();
    assert_eq!(
        redactor.redact(b"no 4111111111111111", false, &mut scratch),
        Outcome::Changed(b"no [redacted:card]")
    );
    let counts: Vec<_> = redactor.counts().collect();
    assert_eq!(counts, [("email", 2), ("card", 3), ("password", 0)]);
}

#[test]
fn bytes_that_are_no_text_are_left_as_they_are() {
    let redactor = all();
    let mut line = b"\xff\xfe bob@example.org \x80 password=a\xffb \xc3".to_vec();
    assert_eq!(
        redacted(&redactor, &line),
        b"\xff\xfe [redacted:email] \x80 password=[redacted:password] \xc3"
    );
    line.insert(0, b'{');
    redacted(&redactor, &line);
}

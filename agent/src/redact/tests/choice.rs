//! Which rules hold for whom, and what of a configuration is refused.

use std::fs;

use super::*;

fn names(redactor: &Redactor) -> Vec<String> {
    redactor.counts().map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn nothing_is_redacted_unless_it_is_asked_for() {
    let redaction = Redaction::open(&RedactConfig::default()).expect("valid");
    assert!(redaction.base().is_none());
    assert!(redaction.asked("").expect("nothing is asked").is_none());
    let asked = redaction.asked("email, card").expect("allowed").expect("some");
    assert_eq!(names(&asked), ["email", "card"]);
    assert!(
        Arc::ptr_eq(&asked, &redaction.asked("card,email").expect("allowed").expect("some")),
        "one for all who ask"
    );
}

#[test]
fn a_source_can_ask_for_more_of_what_is_allowed_and_never_for_less() {
    let config = config(
        r#"{"rules": ["password"], "allow": ["email", "mine"], "keys": ["ssn"],
            "patterns": [{"name": "mine", "regex": "m[0-9]+"}, {"name": "ours", "regex": "o[0-9]+"}]}"#,
    );
    let redaction = Redaction::open(&config).expect("valid");
    assert_eq!(names(&redaction.base().expect("some")), ["password", "keys", "ours"]);
    let asked = redaction.asked("email,mine,password").expect("allowed").expect("some");
    assert_eq!(names(&asked), ["email", "password", "keys", "mine", "ours"]);
    let refused = redaction.asked("card").expect_err("not allowed");
    assert_eq!(refused, "card is not among those that agent.redact.allow has: email, mine");
    assert!(
        redaction
            .asked("emial")
            .expect_err("not known")
            .contains("\"emial\" is no rule: use default, email, card")
    );
}

#[test]
fn default_is_all_but_addresses_of_hosts() {
    let names = names(&of("default"));
    assert_eq!(names.len(), 9);
    assert!(!names.iter().any(|name| name == "ip"));
}

#[test]
fn what_makes_no_sense_is_said() {
    let check = |json: &str, expected: &str| {
        let error = Redaction::check(&config(json)).expect_err(json).to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(r#"{"rules": ["emial"]}"#, "agent.redact.rules: \"emial\" is no rule: use default, email");
    check(r#"{"allow": ["none"]}"#, "agent.redact.allow: \"none\" is no rule");
    check(r#"{"actions": {"mail": "drop"}}"#, "agent.redact.actions: \"mail\" is no rule");
    check(r#"{"keys": ["*"]}"#, "agent.redact.keys[0]: \"*\" names nothing in particular");
    check(r#"{"keys": ["ssn", "[a-z]mail"]}"#, "agent.redact.keys[1]");
    check(r#"{"keys": ["a{b"]}"#, "is no glob");
    check(r#"{"patterns": [{"name": "x", "regex": "("}]}"#, "agent.redact.patterns[0].regex");
    check(r#"{"patterns": [{"name": "x", "regex": "a*"}]}"#, "fits where nothing stands");
    check(r#"{"patterns": [{"name": "x", "regex": "(a{1000}){1000}"}]}"#, "agent.redact.patterns[0].regex");
    check(r#"{"patterns": [{"name": "email", "regex": "a"}]}"#, "is the name of a rule of Weir's");
    check(r#"{"patterns": [{"name": "a b", "regex": "a"}]}"#, "is no name");
    check(r#"{"patterns": [{"name": "a", "regex": "a"}, {"name": "a", "regex": "b"}]}"#, "is there twice");
    check(r#"{"rules": ["email"], "action": "hash"}"#, "agent.redact.secret_file: is not set");
}

#[test]
fn hashes_join_what_is_equal_and_need_the_secret() {
    let place = tempfile::tempdir().expect("a directory");
    let hashing = |secret: &str| {
        let file = place.path().join("secret");
        fs::write(&file, secret).expect("written");
        let json = serde_json::json!({ "rules": ["default"], "action": "hash", "secret_file": file, "keys": ["who"] });
        Redaction::open(&config(&json.to_string()))
    };
    let redactor = hashing("0123456789abcdef\n").expect("valid").base().expect("some");
    let hash = |redactor: &Redactor, input: &str| {
        let hashed = text(redactor, input);
        assert_eq!(text(redactor, &hashed), hashed, "a second time");
        let digits = hashed.rsplit_once(':').expect("a hash").1.trim_end_matches(|letter| letter != ']');
        digits.trim_end_matches(']').to_owned()
    };
    let first = hash(&redactor, "to bob@example.org");
    assert_eq!(first.len(), 16);
    assert_eq!(first, hash(&redactor, r#"{"a":"BOB@example.org"}"#));
    assert_eq!(hash(&redactor, "4111 1111 1111 1111"), hash(&redactor, "4111111111111111"));
    assert_ne!(first, hash(&redactor, "to eve@example.org"));
    // Known, so that no later version hashes otherwise: HMAC-SHA256 of the address.
    assert_eq!(first, "ebb15e992b3a80da");
    let other = hashing("fedcba9876543210").expect("valid").base().expect("some");
    assert_ne!(first, hash(&other, "to bob@example.org"));
    let error = hashing("short").expect_err("too short");
    assert!(error.to_string().contains("agent.redact.secret_file"), "{error}");
}

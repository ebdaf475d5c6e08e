//! Redactors as their users have them.

mod choice;
mod hostile;
mod json;
mod property;
mod rules;

use super::*;

/// Secrets as they are made for tests, never issued.
const JWT: &str =
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// A private key's text is never one here.
fn pem(label: &str, end: &str) -> String {
    let body = [
        "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7",
        "VJTUt9Us8cKjMzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDu",
    ];
    format!("-----BEGIN {label}-----{end}{}{end}{}{end}-----END {label}-----", body[0], body[1])
}

fn config(json: &str) -> RedactConfig {
    let mut config = RedactConfig::default();
    for (key, value) in json_object(json) {
        match key.as_str() {
            "rules" => config.rules = serde_json::from_value(value).expect("names"),
            "allow" => config.allow = serde_json::from_value(value).expect("names"),
            "action" => config.action = serde_json::from_value(value).expect("an action"),
            "actions" => config.actions = serde_json::from_value(value).expect("actions"),
            "keys" => config.keys = serde_json::from_value(value).expect("globs"),
            "patterns" => config.patterns = serde_json::from_value(value).expect("patterns"),
            "secret_file" => config.secret_file = serde_json::from_value(value).expect("a path"),
            other => panic!("no setting {other}"),
        }
    }
    config
}

fn json_object(text: &str) -> serde_json::Map<String, serde_json::Value> {
    serde_json::from_str(text).expect("an object")
}

fn redactor(json: &str) -> Arc<Redactor> {
    Redaction::open(&config(json)).expect("valid").base().expect("something to look for")
}

/// Redactors of all rules, `ip` included.
fn all() -> Arc<Redactor> {
    redactor(r#"{"rules": ["default", "ip"]}"#)
}

fn of(rules: &str) -> Arc<Redactor> {
    let rules: Vec<_> = rules.split(',').collect();
    redactor(&serde_json::json!({ "rules": rules }).to_string())
}

fn redacted(redactor: &Redactor, text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut scratch = Scratch::default();
    match redactor.redact(text.as_ref(), true, &mut scratch) {
        Outcome::Clean => text.as_ref().to_vec(),
        Outcome::Changed(changed) => changed.to_vec(),
        Outcome::Dropped => b"(dropped)".to_vec(),
    }
}

fn text(redactor: &Redactor, input: &str) -> String {
    String::from_utf8(redacted(redactor, input)).expect("text stays text")
}

/// Replaces what stands in `<...>` and nothing else; `{}` is where it goes.
#[track_caller]
fn finds(rules: &str, marked: &str) {
    let redactor = of(rules);
    let rule = rules.split(',').next().expect("a rule");
    let (mut plain, mut expected, mut rest) = (String::new(), String::new(), marked);
    while let Some((before, more)) = rest.split_once('⟨') {
        let (secret, after) = more.split_once('⟩').expect("a mark that is closed");
        plain += before;
        plain += secret;
        expected += before;
        expected += &format!("[redacted:{rule}]");
        rest = after;
    }
    plain += rest;
    expected += rest;
    assert_eq!(text(&redactor, &plain), expected, "in {plain:?}");
    assert_eq!(text(&redactor, &expected), expected, "a second time");
}

/// Finds nothing.
#[track_caller]
fn passes(rules: &str, input: &str) {
    let redactor = of(rules);
    assert_eq!(text(&redactor, input), input);
    assert_eq!(redactor.counts().map(|(_, count)| count).sum::<u64>(), 0);
}

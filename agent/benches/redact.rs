//! What redaction costs a line: `cargo bench -p weir-agent --bench redact`.
//!
//! Lines of about 250 bytes, JSON as services write it; times are the best of
//! several runs over all lines.

#![allow(missing_docs, clippy::print_stdout, reason = "a program that prints")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use weir_agent::{Outcome, RedactConfig, RedactPattern, Redaction, Redactor, Scratch};

/// Few enough that a run is over before anything else gets the core.
const LINES: usize = 500;
const ROUNDS: usize = 500;

fn lines(extra: &str) -> Vec<String> {
    let methods = ["GET", "POST", "PUT", "DELETE"];
    let paths = ["/cart/items", "/checkout/confirm", "/api/v1/products/list", "/healthz"];
    let line = |number: usize| {
        let seed = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!(
            r#"{{"ts":"2026-11-29T01:{:02}:{:02}.{:06}Z","level":"info","service":"checkout","trace_id":"{seed:016x}{:016x}","msg":"{} {}/{} answered in {} ms{extra}","status":200,"bytes":{},"agent":"okhttp/4.12.0 (Linux; Android 14)","upstream":"cart-7d9f8b-x2k4p"}}"#,
            number / 60 % 60,
            number % 60,
            seed % 1_000_000,
            seed.rotate_left(17),
            methods[number % 4],
            paths[number / 4 % 4],
            seed % 10_000,
            seed % 300,
            seed % 100_000,
        )
    };
    (0..LINES).map(line).collect()
}

fn redactor(config: &RedactConfig) -> Option<std::sync::Arc<Redactor>> {
    Redaction::open(config).expect("valid").base()
}

fn measure(name: &str, redactor: Option<&Redactor>, lines: &[String]) {
    let bytes: usize = lines.iter().map(String::len).sum();
    let mut scratch = Scratch::default();
    let mut best = Duration::MAX;
    let mut changed = 0;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        changed = 0;
        for line in lines {
            let outcome = match redactor {
                Some(redactor) => redactor.redact(black_box(line.as_bytes()), true, &mut scratch),
                None => black_box(Outcome::Clean),
            };
            changed += usize::from(outcome != Outcome::Clean);
        }
        best = best.min(began.elapsed());
    }
    let nanos = best.as_nanos() as f64 / lines.len() as f64;
    let rate = bytes as f64 / best.as_secs_f64() / 1e6;
    println!("{name:<44} {nanos:>8.1} ns/line {rate:>9.0} MB/s   {changed} of {} changed", lines.len());
}

fn main() {
    let clean = lines("");
    println!("{} bytes a line", clean.iter().map(String::len).sum::<usize>() / clean.len());
    let rules = |names: &[&str]| RedactConfig {
        rules: names.iter().map(|name| (*name).to_owned()).collect(),
        ..RedactConfig::default()
    };
    let default = redactor(&rules(&["default"]));
    measure("no rule", redactor(&RedactConfig::default()).as_deref(), &clean);
    for rule in
        ["email", "card", "iban", "jwt", "bearer", "basic", "cloud_key", "private_key", "password", "ip"]
    {
        measure(&format!("clean, {rule}"), redactor(&rules(&[rule])).as_deref(), &clean);
    }
    measure("clean, default", default.as_deref(), &clean);
    measure("clean, default and ip", redactor(&rules(&["default", "ip"])).as_deref(), &clean);
    let keys = RedactConfig { keys: vec!["ssn".to_owned(), "*_phone".to_owned()], ..rules(&["default"]) };
    measure("clean, default and two keys", redactor(&keys).as_deref(), &clean);
    let pattern = RedactPattern { name: "order".to_owned(), regex: "ord-[0-9]{8}".to_owned() };
    let patterns = RedactConfig { patterns: vec![pattern], ..rules(&["default"]) };
    measure("clean, default and an expression", redactor(&patterns).as_deref(), &clean);
    for (name, extra) in [
        ("an address in each, default", " for bob.smith@example.org"),
        ("a password in each, default", " for password=hunter2"),
        ("a card number in each, default", " for 4111 1111 1111 1111"),
        ("a URL in each, default", " from https://example.org/x"),
    ] {
        measure(name, default.as_deref(), &lines(extra));
    }
}

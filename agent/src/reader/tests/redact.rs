//! What is sensitive is in no batch and on no disk of the agent's, and what is
//! left out for it is counted, whatever dies in between.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use weir_proto::limit::LINE_BYTES_MAX;
use weir_proto::model::drop_reason;

use super::limit::dropped;
use super::*;
use crate::redact::RedactConfig;

fn config(json: &str) -> RedactConfig {
    serde_json::from_str(json).expect("a configuration")
}

fn redacting(json: &str) -> Bed {
    let mut bed = Bed::new(&["*.log", "pods/*/*/*.log"]);
    bed.reader = None;
    bed.redact = config(json);
    bed.start();
    bed
}

/// Bytes of everything that the agent keeps on disk.
fn kept(bed: &Bed) -> Vec<u8> {
    let mut all = Vec::new();
    let mut open = vec![bed.state()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { open.push(path) } else { all.extend(fs::read(path).expect("a file")) }
        }
    }
    all
}

fn holds(bytes: &[u8], part: &str) -> bool {
    memchr::memmem::find(bytes, part.as_bytes()).is_some()
}

#[test]
fn a_row_has_the_place_of_its_bytes_and_another_text() {
    let mut bed = redacting(r#"{"rules": ["default"]}"#);
    let lines = ["to bob@example.org", "plain", r#"{"password":"hunter2","n":1}"#];
    bed.write("a.log", format!("{}\n", lines.join("\n")));
    bed.settle();
    assert_eq!(
        bed.texts("a.log"),
        ["to [redacted:email]", "plain", r#"{"password":"[redacted:password]","n":1}"#]
    );
    let rows = bed.rows();
    let places: Vec<_> = rows.rows.values().flatten().map(|row| row.start).collect();
    assert_eq!(places, [0, 19, 25]);
    let covered = rows.covered.values().next().expect("a source");
    assert_eq!(covered.end(), fs::metadata(bed.path("a.log")).expect("a file").len());
    assert!(!holds(&kept(&bed), "hunter2"));
    assert_eq!(bed.measured.redacted("email").get(), 1);
    assert_eq!(bed.measured.redacted("card").get(), 0);
}

#[test]
fn a_trace_is_redacted_as_one_event() {
    let mut bed = redacting(r#"{"rules": ["default"]}"#);
    let trace = "java.lang.IllegalStateException: no user bob@example.org\n\tat shop.Cart.add(Cart.java:7)\n\
                 Caused by: java.io.IOException: password=hunter2\n\tat shop.Store.get(Store.java:1)\n";
    bed.write("a.log", format!("{trace}next\n"));
    bed.settle();
    let texts = bed.texts("a.log");
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(
        texts[0].contains("no user [redacted:email]\n\tat")
            && texts[0].contains("password=[redacted:password]\n\tat")
    );
}

#[test]
fn a_private_key_over_several_lines_is_one_event() {
    let mut bed = redacting(r#"{"rules": ["default"]}"#);
    let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n";
    let key = format!(
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n{}-----END RSA PRIVATE KEY-----\n",
        body.repeat(9)
    );
    bed.write("a.log", format!("before\nloaded {key}after\n-----BEGIN PUBLIC KEY-----\n"));
    bed.settle();
    let expected = ["before", "loaded [redacted:private_key]", "after", "-----BEGIN PUBLIC KEY-----"];
    assert_eq!(bed.texts("a.log"), expected);
}

#[test]
fn lines_that_are_read_again_are_redacted_alike() {
    let mut bed = redacting(r#"{"rules": ["default"]}"#);
    let lines: String = (0..300).map(|n| format!("{n} of bob{n}@example.org with token=t{n}\n")).collect();
    bed.write("pods/shop_cart_uid/cart/0.log", &lines);
    bed.write("a.log", &lines);
    for arrived in [1, 0, 2] {
        bed.turn(500, true);
        bed.turn(500, true);
        bed.crash(arrived);
        bed.start();
    }
    bed.settle();
    let texts = bed.rows().all();
    assert_eq!(texts.len(), 600);
    assert!(texts.iter().all(|text| text.ends_with(" of [redacted:email] with token=[redacted:password]")));
}

#[test]
fn what_becomes_longer_than_a_line_is_cut_marked_and_counted() {
    let mut bed = redacting(r#"{"rules": ["email"]}"#);
    let line = "ä a@b.co ".repeat(LINE_BYTES_MAX / 10 - 1);
    bed.write("a.log", format!("{line}\nnext\n"));
    bed.settle();
    let texts = bed.texts("a.log");
    assert_eq!(texts.len(), 2);
    assert!(texts[0].len() > LINE_BYTES_MAX - 4 && texts[0].len() <= LINE_BYTES_MAX);
    assert_eq!(bed.rows().flagged(flags::TRUNCATED), 1);
    assert_eq!(dropped(&bed, drop_reason::LINE_TOO_LONG), 1);
    assert_eq!(texts[1], "next");
}

#[test]
fn what_is_dropped_is_counted_and_what_may_have_been_sent_is_masked() {
    let mut bed = redacting(r#"{"rules": ["default"], "actions": {"card": "drop"}}"#);
    let line = "paid with 4111111111111111\n";
    bed.write("a.log", format!("first\n{}last\n", line.repeat(10)));
    bed.turn(200, true);
    bed.turn(200, true);
    bed.deliver();
    assert_eq!(dropped(&bed, drop_reason::REDACTED), 10);
    bed.write("a.log", line.repeat(5));
    bed.turn(500, true);
    bed.crash(0);
    bed.start();
    bed.settle();
    assert_eq!(dropped(&bed, drop_reason::REDACTED), 10, "what is below the reach is a row");
    let texts = bed.rows().all();
    assert_eq!(texts.len(), 2 + 5);
    assert!(texts[2..].iter().all(|text| text == "paid with [redacted:card]"), "{texts:?}");
}

/// Writers, crashes and acknowledgements at random: what was written is a row
/// or a counted drop, and no secret is in any row.
#[test]
fn events_are_rows_or_counted_drops_through_any_crash() {
    let (mut crashes, mut drops) = (0, 0);
    for seed in 0..30 {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut bed = redacting(r#"{"rules": ["default"], "actions": {"card": "drop", "jwt": "drop"}}"#);
        let mut written = 0;
        for _ in 0..50 {
            match random.random_range(0..10) {
                0..4 => {
                    for _ in 0..random.random_range(1..400) {
                        let text = match random.random_range(0..4) {
                            0 => "card 4111 1111 1111 1111",
                            1 => "login password=hunter2",
                            _ => "nothing of interest",
                        };
                        let filler = "x".repeat(random.random_range(0..1_500));
                        bed.write("a.log", format!("{text} {filler}\n"));
                        written += 1;
                    }
                }
                4..7 => drop(bed.turn(random.random_range(50..700), true)),
                7 => bed.append(random.random_range(0..3)),
                8 => bed.acknowledge(random.random_range(0..3)),
                _ => {
                    bed.crash(random.random_range(0..3));
                    bed.start();
                    crashes += 1;
                }
            }
        }
        bed.settle();
        let rows = bed.rows().all();
        let counted = dropped(&bed, drop_reason::REDACTED);
        assert_eq!(rows.len() as u64 + counted, written, "seed {seed}");
        assert!(!rows.iter().any(|row| row.contains("4111") || row.contains("hunter2")), "seed {seed}");
        drops += counted;
    }
    assert!(crashes > 50 && drops > 1_000, "{crashes} crashes, {drops} drops");
}

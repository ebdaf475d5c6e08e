//! What is dropped is counted, exactly: lines that were written are rows or
//! drops, whatever dies in between.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use weir_proto::model::drop_reason;

use super::*;
use crate::limit::LimitsConfig;

fn limits(json: &str) -> LimitsConfig {
    serde_json::from_str(json).expect("limits")
}

fn limited(tail: &[&str], json: &str) -> Bed {
    let mut bed = Bed::new(tail);
    bed.reader = None;
    bed.limits = limits(json);
    bed.start();
    bed
}

/// Events that an ingester counts as dropped for a reason: as its ledger does,
/// a drop that begins in what is covered is one that was told before.
pub(super) fn dropped(bed: &Bed, reason: &str) -> u64 {
    let mut covered: BTreeMap<SourceId, RangeSet> = BTreeMap::new();
    let mut count = 0;
    for batch in &bed.log {
        let batch = LineBatch::decode(&batch.headers, &batch.payload).expect("decodes");
        for source in &batch.sources {
            let covered = covered.entry(source.id).or_default();
            for drop in source.drops.iter().filter(|drop| drop.reason == reason) {
                assert!(source.covered.start <= drop.range.start && drop.range.end <= source.covered.end);
                if !covered.contains(drop.range.start) {
                    assert!(drop.range.start >= covered.end(), "a drop lies across what is covered");
                    count += drop.count;
                }
            }
            covered.insert(source.covered);
        }
    }
    count
}

#[test]
fn what_is_over_the_limit_is_one_drop_of_each_batch() {
    let mut bed = limited(&["*.log"], r#"{"pod": {"lines_per_second": 10, "burst": "1s"}}"#);
    bed.write("a.log", "0123456789\n".repeat(1_000));
    bed.write("b.log", "other\n".repeat(5));
    bed.settle();
    assert_eq!(bed.texts("a.log").len(), 10);
    assert_eq!(bed.texts("b.log").len(), 5, "another service has a limit of its own");
    let drops = Ingested::drops(&bed.log);
    assert_eq!(drops.len(), 1, "{drops:?}");
    assert_eq!((drops[0].count, drops[0].reason.as_str()), (990, drop_reason::RATE_LIMITED));
    assert_eq!((drops[0].range.start, drops[0].range.end), (110, 11_000));
    let told = bed.losses.as_mut().expect("a receiver").try_recv();
    assert!(told.is_err(), "ten seconds are not over");
    for _ in 0..20 {
        bed.turn(500, true);
    }
    let told = bed.losses.as_mut().expect("a receiver").try_recv().expect("told");
    assert_eq!((told.len(), told[0].lines, told[0].bytes), (1, 990, 990 * 11));
}

#[test]
fn sampled_lines_are_the_same_after_a_crash() {
    let mut bed = limited(&["*.log"], r#"{"sample": 0.5}"#);
    let lines: String = (0..500).map(|n| format!("line {n}\n")).collect();
    bed.write("a.log", &lines);
    bed.turn(500, true);
    bed.turn(500, true);
    // Nothing of it arrived.
    bed.crash(0);
    bed.start();
    bed.write("a.log", &lines);
    bed.settle();
    let rows = bed.rows().all().len() as u64;
    assert_eq!(rows + dropped(&bed, drop_reason::SAMPLED), 1_000);
}

#[test]
fn what_was_sent_before_there_were_limits_is_not_told_as_dropped() {
    let mut bed = limited(&["*.log"], "{}");
    bed.write("a.log", "0123456789\n".repeat(100));
    for _ in 0..3 {
        bed.turn(200, true);
    }
    bed.crash(usize::MAX);
    bed.limits = limits(r#"{"pod": {"lines_per_second": 1, "burst": "1s"}}"#);
    bed.start();
    bed.turn(500, true);
    bed.write("a.log", "0123456789\n".repeat(100));
    bed.settle();
    let dropped = dropped(&bed, drop_reason::RATE_LIMITED);
    assert!(dropped > 90, "{dropped}");
    assert_eq!(bed.rows().all().len() as u64 + dropped, 200);
}

#[test]
fn nothing_that_may_have_been_sent_is_dropped_after_a_crash() {
    let mut bed = limited(&["*.log"], r#"{"pod": {"lines_per_second": 1, "burst": "1s"}}"#);
    bed.write("a.log", "0123456789\n".repeat(100));
    for _ in 0..3 {
        bed.turn(200, true);
    }
    bed.crash(usize::MAX);
    let told = dropped(&bed, drop_reason::RATE_LIMITED);
    assert_eq!(told, 99, "the first batch tells all of it");
    bed.start();
    bed.write("a.log", "0123456789\n".repeat(100));
    bed.settle();
    let rows = bed.rows();
    assert_eq!(dropped(&bed, drop_reason::RATE_LIMITED), 99, "below the reach all are rows");
    assert_eq!(rows.all().len(), 101);
    assert_eq!(rows.duplicates, 99 + 1, "and those that were dropped before stay dropped");
}

/// Writers, crashes and acknowledgements at random, on files far larger than a
/// reach.
#[test]
fn lines_are_rows_or_counted_drops_through_any_crash() {
    let (mut crashes, mut drops, mut rows_in_all) = (0, 0, 0);
    for seed in 0..40 {
        let mut random = SmallRng::seed_from_u64(seed);
        let json = match seed % 3 {
            0 => r#"{"pod": {"lines_per_second": 200, "burst": "1s"}}"#,
            1 => r#"{"sample": 0.3}"#,
            _ => r#"{"sample": 0.6, "namespace": {"bytes_per_second": "64KiB", "burst": "1s"}}"#,
        };
        let mut bed = limited(&["*.log", "pods/*/*/*.log"], json);
        let pod = "pods/shop_cart_uid/cart/0.log";
        let mut written = 0;
        for _ in 0..60 {
            match random.random_range(0..10) {
                0..4 => {
                    let (lines, width) = (random.random_range(1..400), random.random_range(1..2_000));
                    let text = "x".repeat(width);
                    let mut plain = String::new();
                    for _ in 0..lines {
                        plain.push_str(&text);
                        plain.push('\n');
                    }
                    bed.write("a.log", &plain);
                    let stream = if random.random_bool(0.5) { "stdout" } else { "stderr" };
                    let cri = plain.lines().map(|line| format!("2033-05-18T03:33:20Z {stream} F {line}\n"));
                    bed.write(pod, cri.collect::<String>());
                    written += 2 * lines;
                }
                4..7 => {
                    bed.turn([0, 120, 700][random.random_range(0..3)], true);
                }
                7 => bed.append(random.random_range(0..4)),
                8 => bed.acknowledge(random.random_range(0..4)),
                _ => {
                    let arrived = random.random_range(0..=bed.pending.len());
                    bed.crash(arrived);
                    // An operator sets limits, takes them back, and sets them again.
                    bed.limits = limits(if random.random_bool(0.5) { json } else { "{}" });
                    bed.start();
                    crashes += 1;
                }
            }
        }
        for _ in 0..10 {
            bed.settle();
        }
        let rows = bed.rows().all().len() as u64;
        let dropped = dropped(&bed, drop_reason::RATE_LIMITED) + dropped(&bed, drop_reason::SAMPLED);
        assert_eq!(rows + dropped, written, "seed {seed}");
        (drops, rows_in_all) = (drops + dropped, rows_in_all + rows);
    }
    assert!(crashes > 100 && drops > 10_000 && rows_in_all > 10_000, "{crashes} {drops} {rows_in_all}");
}

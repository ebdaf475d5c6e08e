//! Files of pods: they wait, their metadata changes, they are excluded; and
//! still every line is one row or one counted drop.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use weir_proto::model::drop_reason;

use super::*;
use crate::kube::tests::{pods, tell};

const FILE: &str = "pods/shop_cart_u1/main/0.log";

fn pod(annotations: &Value, label: u32) -> Value {
    json!({
        "metadata": {
            "name": "cart", "namespace": "shop", "uid": "u1", "annotations": annotations,
            "labels": { "app.kubernetes.io/name": format!("cart-{label}") },
        },
        "spec": { "containers": [{ "name": "main", "image": "cart" }] },
    })
}

/// An agent that asks about pods.
fn asking(told: &[Value]) -> Bed {
    let mut bed = Bed::new(&["*.log", "pods/*/*/*.log"]);
    bed.reader = None;
    bed.pods = Some(pods(told));
    bed.start();
    bed
}

fn cri(from: usize, lines: usize) -> String {
    (from..from + lines).map(|n| format!("2033-05-18T03:33:20Z stdout F line {n}\n")).collect()
}

#[test]
fn a_file_waits_for_its_pod_holds_the_mark_and_nobody_else() {
    let mut bed = asking(&[]);
    bed.write(FILE, cri(0, 2));
    bed.write("plain.log", "beside\n");
    for _ in 0..4 {
        bed.turn(1_000, true);
        bed.deliver();
    }
    assert_eq!(bed.rows().all(), ["beside"]);
    let held = bed.last_mark();
    assert!(held.is_none_or(|mark| mark < bed.now.wall - 3_000_000), "{held:?} says that all is sent");
    tell(bed.pods.as_ref().expect("asked"), &pod(&json!({}), 1));
    bed.settle();
    assert_eq!(bed.texts(FILE), ["line 0", "line 1"]);
    assert_eq!(bed.rows().flagged(flags::METADATA_PENDING), 0);
    assert!(bed.last_mark() >= Some(bed.now.wall - 2_000_000));
}

#[test]
fn a_wait_in_vain_ends_after_its_time_to_the_turn() {
    let mut bed = asking(&[]);
    bed.write(FILE, cri(0, 2));
    bed.turn(0, true);
    let mut waited = Duration::ZERO;
    while bed.rows().all().is_empty() {
        let wait = bed.turn(100, false);
        assert!(wait <= Duration::from_secs(1));
        bed.deliver();
        waited += Duration::from_millis(100);
        assert!(waited < Duration::from_secs(7), "it waits for ever");
    }
    assert!(waited >= Duration::from_millis(4_900), "{waited:?}");
    assert_eq!(bed.rows().flagged(flags::METADATA_PENDING), 2);
    tell(bed.pods.as_ref().expect("asked"), &pod(&json!({}), 1));
    bed.write(FILE, cri(2, 1));
    bed.settle();
    assert_eq!(bed.texts(FILE).len(), 3);
    assert_eq!(bed.rows().flagged(flags::METADATA_PENDING), 2, "later lines are whole");
}

/// Events that an ingester counts as dropped.
fn dropped(bed: &Bed) -> u64 {
    [drop_reason::RATE_LIMITED, drop_reason::SAMPLED]
        .into_iter()
        .map(|reason| super::limit::dropped(bed, reason))
        .sum()
}

/// What is asked for and what is known change at any time, the agent dies at any
/// time, and the API server is away at some of its starts.
#[test]
fn lines_are_rows_or_counted_drops_through_changes_and_crashes() {
    let wishes = [
        json!({}),
        json!({ "weir.dev/rate-limit": "200/s" }),
        json!({ "weir.dev/sample": "0.4", "weir.dev/parser": "json" }),
        json!({ "weir.dev/multiline": "none", "weir.dev/rate-limit.main": "64KiB/s" }),
        json!({ "weir.dev/min-level": "info", "weir.dev/sample": "senseless" }),
    ];
    let (mut crashes, mut drops, mut pending, mut described) = (0, 0, 0, 0);
    for seed in 0..40 {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut now = pod(&wishes[0], 0);
        let mut bed = asking(&[]);
        let mut written = 0;
        for step in 0..60 {
            match random.random_range(0..12) {
                0..4 => {
                    let lines = random.random_range(1..300);
                    let text = "x".repeat(random.random_range(1..1_500));
                    let line = format!("2033-05-18T03:33:20Z stdout F {text}\n");
                    bed.write(FILE, line.repeat(lines));
                    written += lines as u64;
                }
                4..7 => {
                    bed.turn([0, 120, 700][random.random_range(0..3)], true);
                }
                7 => bed.append(random.random_range(0..4)),
                8 => bed.acknowledge(random.random_range(0..4)),
                9 | 10 => {
                    now = pod(&wishes[random.random_range(0..wishes.len())], step);
                    tell(bed.pods.as_ref().expect("asked"), &now);
                    described += 1;
                }
                _ => {
                    let arrived = random.random_range(0..=bed.pending.len());
                    bed.crash(arrived);
                    let is_away = random.random_bool(0.4);
                    bed.pods = Some(pods(if is_away { &[] } else { std::slice::from_ref(&now) }));
                    bed.start();
                    crashes += 1;
                }
            }
        }
        for _ in 0..10 {
            bed.settle();
        }
        let rows = bed.rows();
        let (sent, dropped) = (rows.all().len() as u64, dropped(&bed));
        assert_eq!(sent + dropped, written, "seed {seed}");
        drops += dropped;
        pending += rows.flagged(flags::METADATA_PENDING);
    }
    // What was not exercised was not shown.
    assert!(crashes > 50 && drops > 2_000, "{crashes} {drops}");
    assert!(pending > 500 && described > 200, "{pending} {described}");
}

/// The container is excluded and included again, its file is rotated, the agent
/// dies, with and without an API server to ask at its start.
#[test]
fn what_is_written_while_it_is_excluded_is_never_sent_and_all_else_once() {
    let (mut excluded_lines, mut away) = (0, 0);
    for seed in 0..30 {
        let mut random = SmallRng::seed_from_u64(seed);
        let told = |exclude: bool| pod(&json!({ "weir.dev/exclude": exclude.to_string() }), 0);
        let mut exclude = random.random_bool(0.5);
        let mut bed = asking(&[told(exclude)]);
        let (mut expected, mut number, mut rotations) = (Vec::new(), 0, 0);
        for _ in 0..25 {
            match random.random_range(0..10) {
                0..5 => {
                    let lines = random.random_range(1..40);
                    bed.write(FILE, cri(number, lines));
                    if exclude {
                        excluded_lines += lines;
                    } else {
                        expected.extend((number..number + lines).map(|n| format!("line {n}")));
                    }
                    number += lines;
                    bed.turn([0, 120][random.random_range(0..2)], random.random_bool(0.5));
                }
                5 | 6 => {
                    // What was written before is read before: whoever asks for it
                    // says nothing of a moment.
                    bed.settle();
                    exclude = !exclude;
                    tell(bed.pods.as_ref().expect("asked"), &told(exclude));
                    bed.turn(0, false);
                }
                7 if bed.path(FILE).exists() => {
                    bed.find(FILE);
                    rotations += 1;
                    bed.rename(FILE, &format!("{FILE}.2033051{rotations}"));
                }
                8 if exclude => {
                    // Gone with all that was never read.
                    let _ = fs::remove_file(bed.path(FILE));
                    bed.turn(100, true);
                }
                _ => {
                    bed.find(FILE);
                    // That it is excluded may not be known to the checkpoint yet: then it is asked again.
                    bed.turn(1_100, true);
                    let arrived = random.random_range(0..=bed.pending.len());
                    bed.crash(arrived);
                    let is_away = random.random_bool(0.5);
                    away += usize::from(is_away);
                    bed.pods = Some(pods(&[]));
                    if !is_away {
                        tell(bed.pods.as_ref().expect("asked"), &told(exclude));
                    }
                    bed.start();
                    bed.settle();
                    tell(bed.pods.as_ref().expect("asked"), &told(exclude));
                    bed.turn(0, false);
                }
            }
        }
        for _ in 0..4 {
            bed.settle();
        }
        let mut found = bed.rows().all();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "seed {seed}");
        let drops = Ingested::drops(&bed.log);
        assert!(drops.is_empty(), "seed {seed}: a choice is no loss: {drops:?}");
    }
    assert!(excluded_lines > 1_000 && away > 30, "{excluded_lines} {away}");
}

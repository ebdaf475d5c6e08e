use std::time::Duration;

use globset::Glob;
use serde_json::Value;
use weir_proto::model::ByteRange;
use weir_runtime::HumanDuration;

use super::*;
use crate::frame::Stream;
use crate::limit::RateLimit;

fn wanted(sample: u64) -> Wanted {
    let burst = HumanDuration(Duration::from_secs(1));
    let limit = RateLimit { lines_per_second: Some(sample), burst, ..RateLimit::default() };
    Wanted {
        stage: Stage::Framed,
        pod: None,
        service: None,
        contains: None,
        rate: Rate::new(&limit).expect("a rate"),
    }
}

fn offer(tap: &Tap, stage: Stage, pod: &str, text: &[u8]) {
    let subject = Arc::new(Subject {
        namespace: Some("shop".to_owned()),
        pod: Some(pod.to_owned()),
        container: None,
        service: Some("cart".to_owned()),
    });
    let range = ByteRange::new(0, text.len() as u64);
    let frame =
        Frame { stream: Stream::Stdout, range, text, timestamp_nanos: Some(7), flags: 0, dropped: None };
    tap.offer(stage, Some(&subject), &frame, Moment { wall: 1, steady: Duration::from_secs(1) });
}

fn shown(lines: &mut mpsc::Receiver<Bytes>) -> Vec<Value> {
    let mut shown = Vec::new();
    while let Ok(line) = lines.try_recv() {
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
        shown.push(serde_json::from_slice(&line).expect("JSON"));
    }
    shown
}

#[test]
fn a_watcher_sees_what_it_asked_for_and_nothing_else() {
    let tap = Tap::default();
    let glob = |pattern: &str| Some(Glob::new(pattern).expect("a glob").compile_matcher());
    let mut all = tap.watch(wanted(1_000)).expect("watches");
    let some = Wanted { pod: glob("cart-*"), contains: Some("fail".to_owned()), ..wanted(1_000) };
    let mut some = tap.watch(some).expect("watches");
    let other = Wanted { service: glob("bank"), ..wanted(1_000) };
    let mut other = tap.watch(other).expect("watches");
    offer(&tap, Stage::Framed, "cart-1", b"it failed\x1b[31m \xff\nagain");
    offer(&tap, Stage::Framed, "cart-1", b"fine");
    offer(&tap, Stage::Framed, "till-1", b"failed");
    offer(&tap, Stage::Batched, "cart-1", b"failed");
    assert_eq!(shown(&mut all).len(), 3);
    let seen = shown(&mut some);
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0]["text"], "it failed\u{1b}[31m \u{fffd}\nagain");
    assert_eq!((&seen[0]["pod"], &seen[0]["stream"]), (&Value::from("cart-1"), &Value::from("stdout")));
    assert!(shown(&mut other).is_empty());
}

#[test]
fn a_slow_watcher_is_told_what_it_missed_and_holds_up_nobody() {
    let tap = Tap::default();
    let mut lines = tap.watch(wanted(100_000)).expect("watches");
    for _ in 0..QUEUE_LINES + 10 {
        offer(&tap, Stage::Framed, "cart-1", b"x");
    }
    assert_eq!(shown(&mut lines).len(), QUEUE_LINES);
    offer(&tap, Stage::Framed, "cart-1", b"y");
    let seen = shown(&mut lines);
    assert_eq!((&seen[0]["skipped"], &seen[1]["text"]), (&Value::from(10), &Value::from("y")));
}

#[test]
fn a_sample_is_no_more_than_asked_for_and_long_text_is_cut() {
    let tap = Tap::default();
    let mut lines = tap.watch(wanted(5)).expect("watches");
    for _ in 0..100 {
        offer(&tap, Stage::Framed, "cart-1", &[b'x'; TEXT_BYTES_MAX + 1]);
    }
    let seen = shown(&mut lines);
    assert_eq!(seen.len(), 5);
    assert_eq!(seen[0]["cut"], true);
    assert_eq!(seen[0]["text"].as_str().map(str::len), Some(TEXT_BYTES_MAX));
}

#[test]
fn few_may_watch_who_went_away_makes_room_and_an_end_is_for_all() {
    let tap = Tap::default();
    let mut watching: Vec<_> = (0..WATCHERS_MAX).map(|_| tap.watch(wanted(1)).expect("watches")).collect();
    assert_eq!(tap.watch(wanted(1)).err(), Some(Unwatched::TooMany));
    watching.pop();
    watching.push(tap.watch(wanted(1)).expect("room again"));
    watching.truncate(1);
    offer(&tap, Stage::Framed, "cart-1", b"x");
    assert_eq!(tap.count.load(Ordering::Relaxed), 1, "the others are forgotten");
    tap.close();
    assert_eq!(tap.watch(wanted(1)).err(), Some(Unwatched::Stopping));
    offer(&tap, Stage::Framed, "cart-1", b"x");
    assert_eq!(shown(&mut watching[0]).len(), 1);
    assert!(watching[0].is_closed());
}

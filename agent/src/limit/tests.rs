use proptest::prelude::*;
use weir_proto::model::ByteRange;
use weir_runtime::{ByteSize, HumanDuration};

use super::*;

const SECOND: u64 = 1_000_000_000;

fn rate(lines: Option<u64>, bytes: Option<u64>, burst: Duration) -> Rate {
    let limit = RateLimit {
        lines_per_second: lines,
        bytes_per_second: bytes.map(ByteSize),
        burst: HumanDuration(burst),
    };
    Rate::new(&limit).expect("a rate")
}

fn at(nanos: u64) -> Moment {
    let steady = Duration::from_nanos(nanos);
    Moment { wall: 1_767_225_600_000_000 + i64::try_from(nanos / 1_000).expect("small"), steady }
}

fn frame(start: u64, bytes: u64) -> Frame<'static> {
    let range = ByteRange::new(start, start + bytes);
    Frame { stream: Stream::File, range, text: b"x", timestamp_nanos: None, flags: 0, dropped: None }
}

fn subject(namespace: Option<&str>, pod: Option<&str>, container: &str) -> Arc<Subject> {
    Arc::new(Subject {
        namespace: namespace.map(str::to_owned),
        pod: pod.map(str::to_owned),
        container: pod.map(|_| container.to_owned()),
        service: Some(container.to_owned()),
    })
}

fn limiter(yaml: &str) -> Limiter {
    Limiter::new(&serde_json::from_str(yaml).expect("limits")).expect("valid")
}

proptest! {
    /// Arrivals come at any time, some of them out of order, of any size.
    #[test]
    fn in_no_window_passes_more_than_the_burst_and_its_share(
        lines in proptest::option::of(1_u64..2_000),
        bytes in proptest::option::of(100_u64..1_000_000),
        burst_ms in 1_000_u64..10_000,
        arrivals in proptest::collection::vec((0_u64..400_000_000, 0_u64..50_000_000, 1_u64..5_000), 1..400),
    ) {
        prop_assume!(lines.is_some() || bytes.is_some());
        let rate = rate(lines, bytes, Duration::from_millis(burst_ms));
        let mut meter = Meter::default();
        let (mut clock, mut latest) = (SECOND, 0);
        let mut passed: Vec<(u64, u64)> = Vec::new();
        for (later, back, size) in arrivals {
            clock += later;
            let now = clock.saturating_sub(back);
            latest = now.max(latest);
            let cost = Cost { lines: 1, bytes: size };
            if meter.has_room(&rate, cost, i64::try_from(now).expect("small")) {
                meter.charge(&rate, cost);
                passed.push((latest, size));
            }
        }
        for from in 0..passed.len() {
            let (mut count, mut size) = (0, 0);
            for &(time, bytes_of) in &passed[from..] {
                (count, size) = (count + 1, size + bytes_of);
                let window = u128::from(time - passed[from].0) + u128::from(burst_ms) * 1_000_000;
                let may = |per_second: u64| u128::from(per_second) * window / u128::from(SECOND);
                if let Some(lines) = lines {
                    prop_assert!(u128::from(count as u64) <= may(lines), "{count} lines");
                }
                if let Some(bytes) = bytes {
                    prop_assert!(u128::from(size) <= may(bytes), "{size} bytes");
                }
            }
        }
    }

    #[test]
    fn sampling_decides_by_place_alone_and_a_larger_share_keeps_what_a_smaller_does(
        source in any::<u128>(),
        starts in proptest::collection::vec(any::<u64>(), 1..50),
        share in 0.0_f64..=1.0,
    ) {
        let source = SourceId::from_u128(source);
        let share = Share::try_from(share).expect("a share");
        for start in starts {
            let first = keeps(source, start, share);
            prop_assert_eq!(first, keeps(source, start, share));
            prop_assert!(!first || keeps(source, start, Share::ALL));
            prop_assert!(keeps(source, start, Share::ALL));
        }
    }
}

#[test]
fn a_share_of_lines_is_about_as_many() {
    let share = Share::try_from(0.1).expect("a share");
    let source = SourceId::from_u128(0x0190_0000_0000_0000_0000_0000_0000_0001);
    let kept = (0..100_000).filter(|line| keeps(source, line * 80, share)).count();
    assert!((9_000..11_000).contains(&kept), "{kept}");
}

#[test]
fn a_steady_writer_at_its_limit_loses_nothing_and_a_burst_passes_once() {
    let rate = rate(Some(10), None, Duration::from_secs(2));
    let mut meter = Meter::default();
    let mut passes = |millis: i64| {
        let cost = Cost { lines: 1, bytes: 1 };
        let passes = meter.has_room(&rate, cost, millis * 1_000_000);
        if passes {
            meter.charge(&rate, cost);
        }
        passes
    };
    assert_eq!((0..100).filter(|_| passes(1_000)).count(), 20, "the burst");
    assert!((1..1_000).all(|n| passes(1_000 + n * 100)), "one every 100 ms");
    assert!(!passes(1_000 + 999 * 100));
}

#[test]
fn lines_written_while_no_agent_ran_are_no_burst() {
    let mut limiter = limiter(r#"{"pod": {"lines_per_second": 10, "burst": "1s"}}"#);
    let mut gate = Gate::default();
    limiter.admit(&mut gate, subject(Some("shop"), Some("cart-1"), "cart"), Asked::default());
    let now = at(SECOND);
    let mut refused = 0;
    // An hour's lines, five in a second, read at once; then as many of now.
    for n in 0..18_000_i64 {
        let written = now.wall * 1_000 - (18_000 - n) * 200_000_000;
        let frame = Frame { timestamp_nanos: Some(written), ..frame(n as u64 * 10, 10) };
        let judged = limiter.judge(&mut gate, SourceId::from_u128(1), &frame, now);
        refused += usize::from(judged.refused.is_some());
    }
    assert_eq!(refused, 0);
    for n in 0..100 {
        let frame = Frame { timestamp_nanos: Some(i64::MAX), ..frame(180_000 + n * 10, 10) };
        refused +=
            usize::from(limiter.judge(&mut gate, SourceId::from_u128(1), &frame, now).refused.is_some());
    }
    assert!(refused >= 90, "the future is now: {refused}");
}

#[test]
fn the_containers_of_a_pod_share_its_limit_and_pods_share_their_namespace() {
    let mut limiter = limiter(
        r#"{
            "pod": {"lines_per_second": 5, "burst": "1s"},
            "namespace": {"lines_per_second": 8, "burst": "1s"},
            "overrides": [{"namespaces": "free-*"}, {"namespaces": "thin-*", "sample": 0.0}]
        }"#,
    );
    let mut passed = |namespace: Option<&str>, pod: Option<&str>, container: &str| {
        let mut gate = Gate::default();
        limiter.admit(&mut gate, subject(namespace, pod, container), Asked::default());
        let judge =
            |n: u64| limiter.judge(&mut gate, SourceId::from_u128(1), &frame(n * 10_u64, 10), at(SECOND));
        (0..10).map(judge).filter(|judged| judged.refused.is_none()).count()
    };
    assert_eq!(passed(Some("shop"), Some("cart"), "main"), 5);
    assert_eq!(passed(Some("shop"), Some("cart"), "side"), 0, "the same pod");
    assert_eq!(passed(Some("shop"), Some("till"), "main"), 3, "what its namespace has left");
    assert_eq!(passed(Some("bank"), Some("cart"), "main"), 5, "another namespace's pod");
    assert_eq!(passed(Some("free-1"), Some("cart"), "main"), 10);
    assert_eq!(passed(Some("thin-1"), Some("cart"), "main"), 0);
    assert_eq!(passed(None, None, "web"), 5, "a service");
    assert_eq!(passed(None, None, "api"), 5, "another");
}

#[test]
fn what_a_source_asks_for_lets_less_pass_and_never_more() {
    let passed = |asked: &[(&str, u64, bool)]| {
        let mut limiter = limiter(r#"{"pod": {"lines_per_second": 8, "burst": "1s"}}"#);
        let mut gates: Vec<_> = Vec::new();
        for (container, lines, is_own) in asked {
            let limit = Some(rate(Some(*lines), None, Duration::from_secs(1)));
            let asked = Asked { limit, is_own: *is_own, sample: None };
            let mut gate = Gate::default();
            limiter.admit(&mut gate, subject(Some("shop"), Some("cart"), container), asked);
            gates.push(gate);
        }
        let mut judge = |gate: &mut Gate, n: u64| {
            limiter.judge(gate, SourceId::from_u128(1), &frame(n * 10, 10), at(SECOND)).refused.is_none()
        };
        let one = |gate: &mut Gate| (0..50).filter(|n| judge(gate, *n)).count();
        gates.iter_mut().map(one).collect::<Vec<_>>()
    };
    assert_eq!(passed(&[("main", 100, false)]), [8], "more than the pod may");
    assert_eq!(passed(&[("main", 4, false)]), [4]);
    assert_eq!(passed(&[("main", 4, false), ("proxy", 4, false)]), [4, 0], "the pod asks for all of it");
    assert_eq!(passed(&[("main", 4, true), ("proxy", 2, true)]), [4, 2], "each for itself");
    assert_eq!(passed(&[("main", 5, true), ("proxy", 5, true)]), [5, 3], "the pod's holds all the same");
}

#[test]
fn of_two_shares_the_smaller_is_kept() {
    let kept = |configured: &str, asked: f64| {
        let mut limiter = limiter(&format!(r#"{{"sample": {configured}}}"#));
        let asked = Asked { sample: Share::try_from(asked).ok(), ..Asked::default() };
        let mut gate = Gate::default();
        limiter.admit(&mut gate, subject(Some("shop"), Some("cart"), "main"), asked);
        let source = SourceId::from_u128(1);
        (0..2_000)
            .filter(|n| limiter.judge(&mut gate, source, &frame(n * 10, 10), at(SECOND)).refused.is_none())
            .count()
    };
    assert_eq!(kept("0.5", 1.0), kept("0.5", 0.5));
    assert_eq!(kept("1", 0.1), kept("0.5", 0.1));
}

#[test]
fn losses_are_told_once_in_a_while_and_in_words() {
    let mut limiter = limiter(r#"{"pod": {"lines_per_second": 1, "burst": "1s"}}"#);
    let mut gate = Gate::default();
    limiter.admit(&mut gate, subject(Some("shop"), Some("cart-7d9"), "cart"), Asked::default());
    for n in 0..1_001 {
        limiter.judge(&mut gate, SourceId::from_u128(1), &frame(n * 3_200, 3_200), at(SECOND));
    }
    assert!(limiter.take_losses(at(9 * SECOND)).is_empty(), "too early");
    let told = limiter.take_losses(at(10 * SECOND));
    assert_eq!(told.len(), 1);
    assert_eq!(
        told[0].describe(),
        "dropped 1000 lines (3.2 MB) of pod shop/cart-7d9 in 10 s: over the limit of 1 lines/s"
    );
    limiter.give_back(told);
    assert_eq!(limiter.take_losses(at(20 * SECOND))[0].lines, 1_000, "not lost when nobody took them");
    assert!(limiter.take_losses(at(30 * SECOND)).is_empty());
}

#[test]
fn settings_without_sense_are_named() {
    let check = |yaml: &str, part: &str| {
        let config: LimitsConfig = serde_json::from_str(yaml).expect("parsed");
        let error = Limiter::new(&config).expect_err(yaml).to_string();
        assert!(error.contains(part), "{yaml}: {error}");
    };
    check(r#"{"pod": {}}"#, "agent.limits.pod: a limit has lines_per_second");
    check(r#"{"namespace": {"lines_per_second": 0}}"#, "agent.limits.namespace: a rate of 0");
    check(r#"{"pod": {"lines_per_second": 1, "burst": "10ms"}}"#, "burst is too short");
    check(r#"{"overrides": [{"namespaces": "[a"}]}"#, "agent.limits.overrides[0].namespaces");
    for yaml in [r#"{"sample": 1.5}"#, r#"{"sample": -0.1}"#, r#"{"pods": {}}"#, r#"{"pod": {"lines": 1}}"#] {
        assert!(serde_json::from_str::<LimitsConfig>(yaml).is_err(), "{yaml}");
    }
}

#[test]
fn meters_that_are_full_again_are_forgotten() {
    let mut limiter = limiter(r#"{"pod": {"lines_per_second": 1, "burst": "5s"}}"#);
    for pod in 0..100 {
        let mut gate = Gate::default();
        limiter.admit(&mut gate, subject(Some("shop"), Some(&format!("job-{pod}")), "job"), Asked::default());
        limiter.judge(&mut gate, SourceId::from_u128(1), &frame(0, 10), at(SECOND));
    }
    assert_eq!(limiter.pods.len(), 100);
    limiter.take_losses(at(SECOND));
    assert_eq!(limiter.pods.len(), 100, "not full yet");
    limiter.take_losses(at(100 * SECOND));
    assert_eq!(limiter.pods.len(), 0);
}

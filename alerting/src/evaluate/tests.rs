use proptest::prelude::*;

use super::*;
use crate::label::Labels;

const SECOND: i64 = 1_000_000;

fn timing(for_s: i64, keep_s: i64, repeat_s: i64) -> Timing {
    Timing {
        for_micros: for_s * SECOND,
        keep_firing_micros: keep_s * SECOND,
        repeat_micros: repeat_s * SECOND,
        limit: 100,
    }
}

fn sample(name: &str, value: f64) -> Sample {
    let labels = Labels::from([("service_name".to_owned(), name.to_owned())]);
    Sample { labels, annotations: Labels::new(), value, row: None }
}

/// Evaluates once a second: `x` is true, a space is not. Answers with what is
/// told: `F` fires, `R` is over, `r` is told again, `.` nothing.
fn told(timing: Timing, truth: &str) -> String {
    let mut instances = Instances::new();
    let tell = |(second, is_true): (usize, char)| {
        let samples = if is_true == 'x' { vec![sample("cart", 1.0)] } else { Vec::new() };
        let outcome = timing.evaluate(&mut instances, samples, second as i64 * SECOND, true);
        match outcome.transitions.as_slice() {
            [] => '.',
            [one] => match one.news {
                News::Fired => 'F',
                News::Resolved => 'R',
                News::Repeated => 'r',
            },
            more => panic!("one instance has one transition: {more:?}"),
        }
    };
    truth.chars().enumerate().map(tell).collect()
}

#[test]
fn instances_fire_and_resolve() {
    let check = |timing: Timing, truth: &str, expected: &str| {
        assert_eq!(told(timing, truth), expected, "{timing:?} {truth:?}");
    };
    check(timing(0, 0, 100), "x  ", "FR.");
    check(timing(0, 0, 100), "xxx x", "F..RF");
    // Shorter than `for`: nobody hears of it.
    check(timing(2, 0, 100), "xx xx ", "......");
    check(timing(2, 0, 100), "xxx ", "..FR");
    // It fires on, and a gap shorter than that is none.
    check(timing(0, 3, 100), "x  x    ", "F.....R.");
    check(timing(0, 0, 3), "xxxxxxx ", "F..r..rR");
}

#[test]
fn instances_beyond_the_limit_are_counted_and_known_ones_go_on() {
    let timing = Timing { limit: 2, ..timing(0, 0, 100) };
    let mut instances = Instances::new();
    let all = || vec![sample("a", 1.0), sample("b", 1.0), sample("c", 1.0)];
    let outcome = timing.evaluate(&mut instances, all(), 0, true);
    assert_eq!((outcome.transitions.len(), outcome.beyond_limit), (2, 1));
    let outcome = timing.evaluate(&mut instances, all(), SECOND, true);
    assert_eq!((outcome.transitions.len(), outcome.beyond_limit), (0, 1));
}

#[test]
fn counts_add_up_while_an_instance_lasts() {
    let timing = timing(0, 5, 100);
    let mut instances = Instances::new();
    for (second, value) in [(0, 3.0), (1, 4.0)] {
        timing.seen(&mut instances, vec![sample("a", value)], second * SECOND, true, Values::Add);
    }
    assert_eq!(instances.values().next().map(|instance| instance.value), Some(7.0));
}

#[test]
fn what_was_judged_too_early_is_marked() {
    let timing = timing(0, 0, 100);
    let mut instances = Instances::new();
    let outcome = timing.evaluate(&mut instances, vec![sample("a", 1.0)], 0, false);
    assert!(outcome.transitions[0].instance.incomplete);
}

proptest! {
    /// Whatever happens, fires and ends alternate, and an end comes only when
    /// it was not true for long enough.
    #[test]
    fn fires_and_ends_alternate(
        truth in proptest::collection::vec(any::<bool>(), 1..200),
        for_s in 0i64..4,
        keep_s in 0i64..4,
    ) {
        let text: String = truth.iter().map(|is_true| if *is_true { 'x' } else { ' ' }).collect();
        let told = told(timing(for_s, keep_s, 1_000), &text);
        let mut fires = false;
        for (at, c) in told.chars().enumerate() {
            match c {
                'F' => {
                    prop_assert!(!fires);
                    fires = true;
                    let since = at.saturating_sub(for_s as usize);
                    prop_assert!(truth[since..=at].iter().all(|is_true| *is_true));
                }
                'R' => {
                    prop_assert!(fires);
                    fires = false;
                    let since = at.saturating_sub((keep_s as usize).saturating_sub(1));
                    prop_assert!(truth[since..=at].iter().all(|is_true| !*is_true));
                }
                _ => {}
            }
        }
    }
}

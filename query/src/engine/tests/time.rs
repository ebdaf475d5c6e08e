//! Files are left out by time, never wrongly.

use proptest::prelude::*;
use weir_storage::catalog::TimeRange;

use super::runtime;
use crate::Config;
use crate::fixture::{Call, NEW_YEAR, World, numbers, row};
use crate::search::rfc3339;

/// The span that the catalog was asked for.
async fn asked(condition: &str) -> TimeRange {
    let world = World::new().await;
    let engine = world.engine(Config::default());
    numbers(&engine, &format!("SELECT source_start FROM logs WHERE {condition}")).await;
    match world.calls().as_slice() {
        [Call::Snapshot(time)] => *time,
        calls => panic!("{condition}: {calls:?}"),
    }
}

#[tokio::test]
async fn the_catalog_is_asked_for_the_span_of_the_condition() {
    const SECOND: i64 = 1_000_000;
    let check = async |condition: &str, min: i64, max: i64| {
        let time = asked(condition).await;
        assert_eq!((time.min_micros, time.max_micros), (min, max), "{condition}");
    };
    let (low, high) = (i64::MIN, i64::MAX);
    let at = NEW_YEAR;
    check("true", low, high).await;
    check("timestamp >= '2026-01-01T00:00:00Z'", at, high).await;
    check("timestamp > '2026-01-01T01:00:00+01:00'", at, high).await;
    check("'2026-01-01T00:00:00Z' <= timestamp", at, high).await;
    check("timestamp < TIMESTAMP '2026-01-01 00:00:00'", low, at).await;
    check("timestamp = '2026-01-01'", at, at).await;
    check("timestamp BETWEEN '2026-01-01T00:00:00Z' AND '2026-01-01T00:00:01Z'", at, at + SECOND).await;
    check("timestamp >= '2026-01-01' AND timestamp < '2026-01-01T00:00:01Z' AND body = 'x'", at, at + SECOND)
        .await;
    check("timestamp < '2026-01-01' OR timestamp > '2026-01-02'", low, high).await;
    check("(timestamp = '2026-01-01' OR timestamp = '2026-01-01T00:00:02Z')", at, at + 2 * SECOND).await;
    check("timestamp = '2026-01-01' OR body = 'x'", low, high).await;
    check("NOT (timestamp = '2026-01-01')", low, high).await;
    check("observed_timestamp = '2026-01-01'", low, high).await;
    check("timestamp <> '2026-01-01'", low, high).await;
    check("timestamp >= to_timestamp_micros(1767225600000000)", at, high).await;
    check("timestamp >= to_timestamp_seconds(1767225600)", at, high).await;
}

#[tokio::test]
async fn relative_times_are_bounds_too() {
    let time = asked("timestamp >= now() - INTERVAL '1 hour'").await;
    assert!(time.min_micros > NEW_YEAR - 400 * 86_400_000_000 && time.max_micros == i64::MAX, "{time:?}");
}

#[tokio::test]
async fn a_query_without_the_table_asks_for_no_file() {
    let world = World::new().await;
    let engine = world.engine(Config::default());
    numbers(&engine, "SELECT 1").await;
    // What is read is how complete the answer is.
    assert_eq!(world.calls(), [Call::Snapshot(TimeRange::NEVER)]);
}

#[tokio::test]
async fn all_scans_of_a_query_share_one_snapshot() {
    let world = World::new().await;
    let engine = world.engine(Config::default());
    world.arrive(&[row(NEW_YEAR, 0, "a"), row(NEW_YEAR + 5, 1, "b")]);
    world.flush().await;
    world.calls();
    let query = "SELECT count(*) FROM logs WHERE timestamp >= '2026-01-01T00:00:00.000005Z'
        AND source_start > (SELECT min(source_start) FROM logs WHERE timestamp <= '2026-01-01')";
    assert_eq!(numbers(&engine, query).await, [1]);
    assert_eq!(world.calls().len(), 1);
}

/// A comparison of the time, in SQL and in Rust.
#[derive(Clone, Debug)]
struct Condition {
    sql: String,
    matches: Vec<bool>,
}

const TIMES: std::ops::Range<i64> = 0..40;

/// Times are 100 ms apart, so that casts to seconds round.
fn time(index: i64) -> i64 {
    NEW_YEAR + index * 100_000
}

fn leaf() -> impl Strategy<Value = Condition> {
    let op = prop::sample::select(&["<", "<=", "=", ">=", ">", "<>"][..]);
    (op, TIMES, 0..6u8).prop_map(|(op, index, spelling)| {
        let at = time(index);
        let text = rfc3339(at).expect("a time");
        let seconds = at.div_euclid(1_000_000);
        let (sql, unit) = match spelling {
            0 => (format!("timestamp {op} '{text}'"), 1),
            1 => (format!("timestamp {op} TIMESTAMP '{text}'"), 1),
            2 => (format!("timestamp {op} to_timestamp_micros({at})"), 1),
            3 => (format!("CAST(timestamp AS TIMESTAMP) {op} CAST('{text}' AS TIMESTAMP)"), 1),
            4 => (
                format!(
                    "arrow_cast(timestamp, 'Timestamp(Second, None)') {op} to_timestamp_seconds({seconds})"
                ),
                1_000_000,
            ),
            _ => (format!("timestamp {op} arrow_cast({at}000, 'Timestamp(Nanosecond, Some(\"UTC\"))')"), 1),
        };
        let compare = |found: i64| match op {
            "<" => found < at.div_euclid(unit),
            "<=" => found <= at.div_euclid(unit),
            "=" => found == at.div_euclid(unit),
            ">=" => found >= at.div_euclid(unit),
            ">" => found > at.div_euclid(unit),
            _ => found != at.div_euclid(unit),
        };
        Condition { sql, matches: TIMES.map(|index| compare(time(index).div_euclid(unit))).collect() }
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    leaf().prop_recursive(3, 8, 2, |inner| {
        (inner.clone(), inner, 0..3u8).prop_map(|(left, right, kind)| {
            let both = left.matches.iter().zip(&right.matches);
            match kind {
                0 => Condition {
                    matches: both.map(|(l, r)| *l && *r).collect(),
                    sql: format!("({} AND {})", left.sql, right.sql),
                },
                1 => Condition {
                    matches: both.map(|(l, r)| *l || *r).collect(),
                    sql: format!("({} OR {})", left.sql, right.sql),
                },
                _ => Condition {
                    matches: left.matches.iter().map(|l| !l).collect(),
                    sql: format!("(NOT {})", left.sql),
                },
            }
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn pruning_by_time_equals_brute_force(
        conditions in prop::collection::vec(condition(), 12),
        file_of in prop::collection::vec(0usize..6, TIMES.end as usize),
    ) {
        runtime().block_on(async {
            let world = World::new().await;
            let engine = world.engine(Config::default());
            for file in 0..6 {
                let rows: Vec<_> = TIMES
                    .filter(|index| file_of[*index as usize] == file)
                    .map(|index| row(time(index), index, "x"))
                    .collect();
                if !rows.is_empty() {
                    world.arrive(&rows);
                }
                if file < 5 {
                    world.flush().await;
                }
            }
            for condition in conditions {
                let expected: Vec<i64> = TIMES.filter(|index| condition.matches[*index as usize]).collect();
                for columns in ["source_start", "source_start, body"] {
                    let query = format!("SELECT {columns} FROM logs WHERE {} ORDER BY 1", condition.sql);
                    assert_eq!(numbers(&engine, &query).await, expected, "{query}");
                }
            }
        });
    }
}

//! What one question may take from the others.

use std::time::Duration;

use weir_runtime::{ByteSize, HumanDuration};

use crate::fixture::metrics::Point;
use crate::fixture::{NEW_YEAR, World, ask, numbers, row, rows};
use crate::{Config, QueryError};

/// Computes for longer than any test waits, in small steps.
const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 10000000) a, generate_series(1, 10000000) b
    WHERE (a.value * b.value) % 7 = 3";

#[tokio::test]
async fn memory_runs_out_for_the_question_only() {
    let world = World::new().await;
    let config = Config { memory: ByteSize::mib(4), spill: ByteSize(0), ..Config::default() };
    let engine = world.engine(config);
    let query = "SELECT value, count(*) FROM generate_series(1, 3000000) GROUP BY value ORDER BY 2, 1";
    let error = rows(engine.sql(ask(query)).await).await.expect_err("too much");
    assert!(matches!(error, QueryError::Memory { .. }), "{error:?}");
    assert_eq!(numbers(&engine, "SELECT 1").await, [1]);
}

#[tokio::test]
async fn the_labels_of_thousands_of_series_fit() {
    let world = World::new().await;
    for stored in 0..2 {
        let series = (0..8000).map(|number| 8000 * stored + number);
        let label = "a label of forty characters, more or less";
        let point = |series| Point { metric: "cpu", series, label, micros: NEW_YEAR, value: 1.0 };
        world.arrive_points(&series.map(point).collect::<Vec<_>>());
        world.flush().await;
    }
    let engine = world.engine(Config { memory: ByteSize::mib(256), ..Config::default() });
    assert_eq!(numbers(&engine, "SELECT count(labels['label']) FROM metric_series").await, [16_000]);
}

#[tokio::test]
async fn a_sort_spills_when_it_may() {
    let world = World::new().await;
    let text = "x".repeat(200);
    let sorted =
        format!("SELECT value, '{text}' || value AS text FROM generate_series(1, 600000) ORDER BY -value");
    let sorted = sorted.as_str();
    let little = Config { memory: ByteSize::mib(128), ..Config::default() };
    let engine = world.engine(Config { spill: ByteSize(0), ..little.clone() });
    let error = rows(engine.sql(ask(sorted)).await).await.expect_err("does not fit");
    assert!(matches!(error, QueryError::Memory { .. }), "{error:?}");
    let engine = world.engine(little);
    let sorted = numbers(&engine, sorted).await;
    assert!(sorted.into_iter().eq((1..=600_000).rev()), "all of them, in order");
}

#[tokio::test]
async fn the_deadline_ends_what_computes() {
    let world = World::new().await;
    let config = Config { deadline: HumanDuration(Duration::from_millis(50)), ..Config::default() };
    let engine = world.engine(config);
    let error = rows(engine.sql(ask(ENDLESS)).await).await.expect_err("endless");
    assert!(matches!(error, QueryError::Deadline { .. }), "{error:?}");
}

#[tokio::test]
async fn whoever_goes_away_makes_room() {
    let world = World::new().await;
    let engine = world.engine(Config { concurrency: 1, waiting: 0, ..Config::default() });
    let answer = engine.sql(ask(ENDLESS)).await.expect("begun");
    let error = engine.sql(ask("SELECT 1")).await.expect_err("no room");
    assert!(matches!(error, QueryError::Busy { running: 1, .. }), "{error:?}");
    drop(answer);
    loop {
        match rows(engine.sql(ask("SELECT 1")).await).await {
            Ok(_) => break,
            Err(QueryError::Busy { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// The largest that the gate lets pass must not overflow a stack.
#[tokio::test]
async fn the_deepest_question_is_answered() {
    let world = World::new().await;
    let engine = world.engine(Config::default());
    world.arrive(&[row(NEW_YEAR, 0, "a")]);
    let sum = format!("SELECT CAST({} AS BIGINT) FROM logs", vec!["source_end"; 990].join("+"));
    assert_eq!(numbers(&engine, &sum).await, [990]);
    let any: Vec<_> = (0..490).map(|number| format!("source_start={number}")).collect();
    let any = format!("SELECT source_start FROM logs WHERE {}", any.join(" OR "));
    assert_eq!(numbers(&engine, &any).await, [0]);
    let all: Vec<_> = (1..490).map(|number| format!("body<>'{number}'")).collect();
    let all = format!("SELECT source_start FROM logs WHERE {}", all.join(" AND "));
    assert_eq!(numbers(&engine, &all).await, [0]);
    let nested = format!("SELECT {}source_end{} FROM logs", "(".repeat(64), ")".repeat(64));
    assert_eq!(numbers(&engine, &nested).await, [1]);
    let list: Vec<_> = (0..10_000).map(|number| number.to_string()).collect();
    let list = format!("SELECT source_start FROM logs WHERE source_start IN ({})", list.join(","));
    assert_eq!(numbers(&engine, &list).await, [0]);
    let union = vec!["SELECT source_end FROM logs"; 32].join(" UNION ALL ");
    assert_eq!(numbers(&engine, &union).await, [1; 32]);
}

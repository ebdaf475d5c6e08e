//! The engine over real files, a real catalog and scripted live rows.

mod limits;
mod lines;
mod newest;
mod time;

use arrow_array::cast::AsArray;
use proptest::prelude::*;
use weir_proto::model::TenantId;

use crate::error::Kind;
use crate::fixture::{NEW_YEAR, Row, Then, World, ask, numbers, row, rows};
use crate::{Config, QueryError, SqlRequest};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

#[tokio::test]
async fn files_and_live_rows_are_one_table() {
    let world = World::new().await;
    let engine = world.engine(Config::default());
    assert_eq!(numbers(&engine, "SELECT count(*) FROM logs").await, [0]);
    world.arrive(&[row(NEW_YEAR, 0, "a"), row(NEW_YEAR + 1, 1, "b")]);
    assert_eq!(numbers(&engine, "SELECT count(*) FROM logs").await, [2]);
    world.flush().await;
    assert_eq!(numbers(&engine, "SELECT count(*) FROM logs").await, [2]);
    world.arrive(&[row(NEW_YEAR - 5, 2, "c")]);
    let in_order = "SELECT source_start FROM logs ORDER BY timestamp";
    assert_eq!(numbers(&engine, in_order).await, [2, 0, 1]);
    assert_eq!(numbers(&engine, "SELECT source_start FROM logs WHERE body = 'b'").await, [1]);
    assert_eq!(numbers(&engine, "SELECT source_start FROM logs WHERE body = 'c'").await, [2]);
    let join = "SELECT count(*) FROM logs a JOIN logs b ON a.source_start = b.source_start";
    assert_eq!(numbers(&engine, join).await, [3]);
}

#[tokio::test]
async fn a_tenant_sees_only_its_rows() {
    let world = World::new().await;
    let other = TenantId::new("other").expect("a tenant");
    let engine = world.engine(Config::default());
    world.arrive(&[row(NEW_YEAR, 0, "mine")]);
    world.arrive_for(&other, &[row(NEW_YEAR, 1, "theirs"), row(NEW_YEAR, 2, "theirs")]);
    for _ in 0..2 {
        assert_eq!(numbers(&engine, "SELECT source_start FROM logs").await, [0]);
        assert_eq!(numbers(&engine, "SELECT source_start FROM logs WHERE tenant = 'other'").await, [0i64; 0]);
        let request = SqlRequest { tenant: other.clone(), query: "SELECT * FROM logs".to_owned() };
        let theirs = rows(engine.sql(request).await).await.expect("answered");
        assert_eq!(theirs.iter().map(arrow_array::RecordBatch::num_rows).sum::<usize>(), 2);
        world.flush().await;
    }
    assert_eq!(numbers(&engine, "SELECT count(*) FROM weir.files").await, [1]);
}

#[tokio::test]
async fn maps_are_asked_by_key() {
    let world = World::new().await;
    let engine = world.engine(Config::default());
    let user =
        |number, name: &str| Row { attributes: vec![("user", name.to_owned())], ..row(NEW_YEAR, number, "") };
    world.arrive(&[user(0, "ann"), user(1, "bob")]);
    let query = "SELECT source_start FROM logs WHERE attributes['user'] = 'bob'";
    assert_eq!(numbers(&engine, query).await, [1]);
    world.flush().await;
    assert_eq!(numbers(&engine, query).await, [1]);
    let with_body =
        "SELECT source_start, body, attributes FROM logs WHERE attributes['user'] = 'bob' AND body = ''";
    assert_eq!(numbers(&engine, with_body).await, [1]);
    let missing = "SELECT source_start FROM logs WHERE attributes['nobody'] IS NULL ORDER BY 1";
    assert_eq!(numbers(&engine, missing).await, [0, 1]);
}

#[tokio::test]
async fn the_catalog_is_a_set_of_tables() {
    let world = World::new().await;
    let engine = world.engine(Config::default());
    world.arrive(&[row(NEW_YEAR, 0, "a")]);
    world.flush().await;
    assert_eq!(numbers(&engine, "SELECT rows FROM weir.files").await, [1]);
    assert_eq!(numbers(&engine, "SELECT count(*) FROM weir.gaps").await, [0]);
    let delivery = "SELECT covered_end FROM weir.delivery WHERE resource['log.file.path'] = log_file_path";
    assert_eq!(numbers(&engine, delivery).await, [1]);
    assert_eq!(
        numbers(&engine, "SELECT duplicates FROM weir.delivery WHERE events = 1 AND lost = 0").await,
        [2]
    );
    let tables = "SELECT table_schema || '.' || table_name AS name FROM information_schema.tables
        WHERE table_schema <> 'information_schema' ORDER BY 1";
    let names = rows(engine.sql(ask(tables)).await).await.expect("answered");
    let names: Vec<_> =
        names.iter().flat_map(|batch| batch.column(0).as_string::<i32>().iter().flatten()).collect();
    let expected = [
        "public.log_lines",
        "public.logs",
        "public.metric_samples",
        "public.metric_series",
        "public.metrics",
        "public.spans",
        "weir.delivery",
        "weir.files",
        "weir.gaps",
        "weir.lanes",
        "weir.matches",
        "weir.service_edges",
    ];
    assert_eq!(names, expected);
}

#[tokio::test]
async fn without_live_rows_there_is_no_answer() {
    let world = World::new().await;
    let engine = world.engine(Config::default());
    world.away(true);
    let error = engine.sql(ask("SELECT count(*) FROM logs")).await.expect_err("half an answer");
    assert_eq!(error.kind(), Kind::Away);
    assert!(!error.to_string().contains("secret"), "{error}");
    world.away(false);
    assert_eq!(numbers(&engine, "SELECT count(*) FROM logs").await, [0]);
}

#[tokio::test]
async fn mistakes_are_told_without_secrets() {
    let world = World::new().await;
    let engine = world.engine(Config::default());
    world.arrive(&[row(NEW_YEAR, 0, "a")]);
    let check = async |query: &str, kind: Kind, part: &str| {
        let error = rows(engine.sql(ask(query)).await).await.expect_err(query);
        assert_eq!(error.kind(), kind, "{query}: {error:?}");
        assert!(error.to_string().contains(part), "{query}: {error}");
    };
    check("SELECT nothing FROM logs", Kind::Wrong, "nothing").await;
    check("SELECT * FROM nowhere", Kind::Wrong, "nowhere").await;
    check("SELECT no_such(body) FROM logs", Kind::Wrong, "no_such").await;
    check("SELECT 1/0", Kind::TooMuch, "ivide by zero").await;
    check("SELECT CAST(body AS BIGINT) FROM logs", Kind::TooMuch, "'a'").await;
    world.flush().await;
    assert_eq!(world.lose_files_before(i64::MAX).await, 1);
    check("SELECT body FROM logs", Kind::Broken, "a stored file cannot be read").await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is flushed, released and arrives between the pin and the
    /// snapshot: every row that was there at the pin is there once, and what
    /// came later at most once.
    #[test]
    fn a_handover_neither_loses_nor_doubles(
        messages in 1usize..8,
        flushed in 0usize..8,
        released in any::<bool>(),
        steps in prop::collection::vec(prop_oneof![
            (0usize..4).prop_map(Then::Flush),
            Just(Then::Arrive),
            Just(Then::Release),
        ], 0..6),
    ) {
        runtime().block_on(async {
            let world = World::new().await;
            let engine = world.engine(Config::default());
            let mut expected = Vec::new();
            for number in 0..messages as i64 {
                world.arrive(&[row(NEW_YEAR + number, number * 2, "x"), row(NEW_YEAR, number * 2 + 1, "y")]);
                expected.extend([number * 2, number * 2 + 1]);
            }
            world.store(flushed).await;
            if released {
                world.release();
            }
            world.then(steps);
            let all = "SELECT source_start FROM logs WHERE source_start >= 0 ORDER BY 1";
            assert_eq!(numbers(&engine, all).await, expected);
            // Without a filter the count may come from statistics alone.
            world.then(vec![Then::Flush(1), Then::Release]);
            let late = numbers(&engine, "SELECT count(*) FROM logs WHERE source_start < 0").await;
            let count = numbers(&engine, "SELECT count(*) FROM logs").await;
            assert_eq!(count[0], late[0] + expected.len() as i64);
        });
    }
}

#[tokio::test]
async fn plans_can_be_seen() {
    let world = World::new().await;
    let engine = world.engine(Config::default());
    world.arrive(&[row(NEW_YEAR, 0, "a")]);
    world.flush().await;
    for query in
        ["EXPLAIN SELECT body FROM logs WHERE body = 'a'", "EXPLAIN ANALYZE SELECT count(*) FROM logs"]
    {
        let plan = rows(engine.sql(ask(query)).await).await.expect("explained");
        assert!(plan.iter().any(|batch| batch.num_rows() > 0), "{query}");
    }
}

#[test]
fn an_engine_can_be_dropped_inside_a_runtime() {
    runtime().block_on(async {
        let world = World::new().await;
        let engine = world.engine(Config::default());
        let answer =
            engine.sql(ask("SELECT value FROM generate_series(1, 1000000000)")).await.expect("begun");
        drop(engine);
        let ended = rows(Ok(answer)).await.expect_err("the engine is gone");
        assert!(matches!(ended, QueryError::Internal { .. }), "{ended}");
    });
}

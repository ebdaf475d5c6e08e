//! The view `log_lines`.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use weir_proto::wire::layout::{Hole, Layout, Piece, Quoting};

use crate::Config;
use crate::fixture::{Call, NEW_YEAR, Row, World, ask, numbers, row, rows};

fn layout() -> Layout {
    let text = |text: &str| Piece::Text(text.to_owned());
    let hole = |value| Piece::Hole { value, quoting: Quoting::Json };
    Layout {
        pieces: vec![
            text(r#"{"msg":""#),
            hole(Hole::Body),
            text(r#"","user":""#),
            hole(Hole::Attribute(0)),
            text(r#""}"#),
        ],
    }
}

async fn lines(engine: &crate::Engine) -> Vec<Option<String>> {
    let query = "SELECT line FROM log_lines ORDER BY source_start";
    let batches = rows(engine.sql(ask(query)).await).await.expect("answered");
    let lines = batches.iter().flat_map(|batch| batch.column(0).as_binary::<i32>().iter());
    lines.map(|line| line.map(|line| String::from_utf8_lossy(line).into_owned())).collect()
}

#[tokio::test]
async fn the_exact_line_comes_back() {
    let world = World::new().await;
    let engine = world.engine(Config::default());
    let layout = layout();
    world.layout(layout.id(), layout.to_json());
    let ann = vec![("user", "an\"n".to_owned())];
    world.arrive(&[
        row(NEW_YEAR, 0, "plain"),
        Row { layout: Some(layout.id().0), attributes: ann, ..row(NEW_YEAR, 1, "hi") },
        Row { body_raw: Some(b"raw \x41".to_vec()), ..row(NEW_YEAR, 2, "lossy") },
        Row { layout: Some(42), ..row(NEW_YEAR, 3, "unknown layout") },
        Row { layout: Some(layout.id().0), ..row(NEW_YEAR, 4, "does not fit") },
    ]);
    let expected = [Some("plain"), Some(r#"{"msg":"hi","user":"an\"n"}"#), Some("raw A"), None, None];
    let expected = expected.map(|line| line.map(str::to_owned));
    assert_eq!(lines(&engine).await, expected);
    world.flush().await;
    assert_eq!(lines(&engine).await, expected);
}

#[tokio::test]
async fn a_line_that_nobody_selects_costs_nothing() {
    let world = World::new().await;
    let engine = world.engine(Config::default());
    world.arrive(&[row(NEW_YEAR, 0, "a")]);
    world.flush().await;
    world.calls();
    assert_eq!(numbers(&engine, "SELECT count(*) FROM logs").await, [1]);
    assert!(!world.calls().contains(&Call::Layouts));
    let plan = "EXPLAIN SELECT source_start FROM log_lines WHERE timestamp > '2020-01-01'";
    let plan = rows(engine.sql(ask(plan)).await).await.expect("explained");
    let plan: Vec<_> =
        plan.iter().flat_map(|batch| batch.column(1).as_string::<i32>().iter().flatten()).collect();
    assert!(!plan.is_empty() && plan.iter().all(|text| !text.contains("line(")), "{plan:?}");
    assert!(plan.iter().all(|text| !text.contains("body_raw")), "{plan:?}");
}

#[tokio::test]
async fn the_function_has_no_name_of_its_own() {
    let world = World::new().await;
    let engine = world.engine(Config::default());
    assert!(engine.sql(ask("SELECT line(1)")).await.is_err());
    let columns = rows(engine.sql(ask("SELECT * FROM log_lines")).await).await.expect("answered");
    assert_eq!(columns.iter().map(|batch| batch.column(0).len()).sum::<usize>(), 0);
}

use std::collections::BTreeMap;

use weir_storage::catalog::Catalog;

use super::settle::settle_due;
use super::*;
use crate::Config;
use crate::fixture::spans::{SpanRow, child, root};
use crate::fixture::{NEW_YEAR, World};

/// A trace in which `web` calls `app`.
fn call(number: u64, micros: i64) -> Vec<SpanRow> {
    let trace = format!("{number:032x}");
    let client = SpanRow { kind: Some("CLIENT"), ..child(&trace, 2, micros + 1, "Web") };
    let server = SpanRow {
        kind: Some("SERVER"),
        parent: Some(client.id.clone()),
        status: (number == 1).then_some("ERROR"),
        ..child(&trace, 3, micros + 2, "app")
    };
    vec![SpanRow { kind: Some("SERVER"), ..root(&trace, micros, "Web") }, client, server]
}

fn text(calls: &Calls) -> String {
    let edge = |edge: ServiceEdge| format!("{}>{} {} {}", edge.parent, edge.child, edge.calls, edge.errors);
    calls.edges().into_iter().map(edge).collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn calls_are_the_same_settled_or_not_and_late_spans_are_counted() {
    let world = World::new().await;
    let engine = world.engine(Config::default());
    let tenant = TenantId::default();
    for number in 1..=6 {
        world.arrive_spans(&call(number, NEW_YEAR + (number as i64 / 3) * MINUTE));
    }
    let time = TimeRange { min_micros: NEW_YEAR, max_micros: NEW_YEAR + 3 * MINUTE };
    let ask = async || text(&engine.dependencies(&tenant, time).await.expect("answered").0);
    assert_eq!(ask().await, "web>app 6 1");
    world.flush().await;

    // Two minutes are complete, the third is not.
    let catalog: &dyn Catalog = &world.catalog.catalog;
    let counts = BTreeMap::from([(NEW_YEAR, 6), (NEW_YEAR + MINUTE, 9), (NEW_YEAR + 2 * MINUTE, 3)]);
    let settle = async |counts: &BTreeMap<i64, u64>| {
        settle_due(&engine, catalog, &tenant, time, counts, NEW_YEAR + 3 * MINUTE).await.expect("settled");
        let settled = catalog.settled(&tenant, TimeRange::ALL).await.expect("read");
        settled.iter().map(|minute| (minute.spans, minute.edges.len())).collect::<Vec<_>>()
    };
    assert_eq!(settle(&counts).await, [(6, 1), (9, 1)]);
    assert_eq!(ask().await, "web>app 6 1");

    // A late trace reopens its minute.
    world.arrive_spans(&call(7, NEW_YEAR + 1));
    assert_eq!(ask().await, "web>app 6 1", "not before it is settled again");
    let counts = BTreeMap::from([(NEW_YEAR, 9), (NEW_YEAR + MINUTE, 9), (NEW_YEAR + 2 * MINUTE, 3)]);
    assert_eq!(settle(&counts).await, [(9, 1), (9, 1)]);
    assert_eq!(ask().await, "web>app 7 1");
    let later = TimeRange { min_micros: NEW_YEAR + MINUTE, ..time };
    assert_eq!(text(&engine.dependencies(&tenant, later).await.expect("answered").0), "web>app 4 0");
}

use futures::TryStreamExt;
use weir_proto::model::TenantId;

use super::*;
use crate::SearchRequest;
use crate::fixture::{NEW_YEAR, Row, World, batch, row};

fn rows() -> Vec<Row> {
    let pay = Row {
        service: Some("payment"),
        severity: Some(17),
        trace: Some("00000000000000000000000000000abc"),
        attributes: vec![("user", "ann".to_owned()), ("took", "70".to_owned())],
        ..row(NEW_YEAR, 0, "payment declined: card issuer unavailable")
    };
    let cart = Row {
        service: Some("cart"),
        severity: Some(9),
        attributes: vec![("note", "Payment declined yesterday".to_owned())],
        resource: vec![("log.file.path", "/var/log/cart".to_owned())],
        ..row(NEW_YEAR + 1, 1, "added to cart")
    };
    vec![pay, cart, row(NEW_YEAR + 2, 2, "")]
}

/// A search finds in hand what it finds in the table.
#[tokio::test]
async fn a_search_and_its_predicate_agree() {
    let rows = rows();
    let in_hand = batch(&TenantId::default(), &rows);
    let world = World::new().await;
    world.arrive(&rows);
    let engine = world.engine(crate::Config::default());
    for (search, expected) in [
        ("", 3),
        ("declined", 2),
        ("DECLINED severity>=error", 1),
        ("\"payment declined\"", 2),
        ("body:declined", 1),
        ("service_name:cart", 1),
        ("service.name:cart OR user:ann", 2),
        ("-service_name:cart", 2),
        ("took>9", 1),
        ("log.file.path:/var/log/cart", 1),
        ("trace_id:*", 1),
        ("nowhere", 0),
    ] {
        let predicate = LogPredicate::compile(search).expect(search);
        let found = predicate.matches(&in_hand).expect(search).true_count();
        let request = SearchRequest {
            tenant: TenantId::default(),
            query: search.to_owned(),
            start: None,
            end: None,
            limit: 100,
        };
        let answer = engine.search(request).await.expect(search);
        let batches: Vec<RecordBatch> = answer.batches.try_collect().await.expect(search);
        let searched: usize = batches.iter().map(RecordBatch::num_rows).sum();
        assert_eq!((found, searched), (expected, expected), "{search}");
    }
}

#[test]
fn a_search_that_is_none_is_refused() {
    for search in ["(", "severity>=loud", "timestamp:now"] {
        assert!(LogPredicate::compile(search).is_err(), "{search}");
    }
}

//! Minutes are settled whole, and with ever more spans.

use super::{SECOND, Store, tenant};
use crate::catalog::{ServiceEdge, SettledMinute, TimeRange};

const MINUTE: i64 = 60 * SECOND;

fn minute(number: i64, spans: u64, edges: &[(&str, &str, u64, u64)]) -> SettledMinute {
    let edge = |&(parent, child, calls, errors): &(&str, &str, u64, u64)| ServiceEdge {
        parent: parent.to_owned(),
        child: child.to_owned(),
        calls,
        errors,
    };
    SettledMinute {
        minute_micros: number * MINUTE,
        spans,
        settled_micros: 9 * MINUTE,
        edges: edges.iter().map(edge).collect(),
    }
}

pub(super) async fn minutes_are_settled_whole(store: &impl Store) {
    let catalog = store.open().await;
    let first = minute(1, 10, &[("a", "b", 3, 1), ("b", "c", 3, 0)]);
    let second = minute(2, 0, &[]);
    catalog.settle(&tenant(), &[first.clone(), second.clone()]).await.expect("settled");
    let other = store.open().await;
    let all = async || other.settled(&tenant(), TimeRange::ALL).await.expect("read");
    assert_eq!(all().await, [first.clone(), second.clone()]);
    let within = TimeRange { min_micros: 2 * MINUTE, max_micros: 5 * MINUTE };
    assert_eq!(other.settled(&tenant(), within).await.expect("read"), std::slice::from_ref(&second));

    // Fewer spans than somebody has seen are not the whole of it.
    catalog.settle(&tenant(), &[minute(1, 9, &[("x", "y", 1, 0)])]).await.expect("settled");
    assert_eq!(all().await, [first, second.clone()]);
    let reopened = minute(1, 11, &[("a", "b", 4, 1)]);
    catalog.settle(&tenant(), std::slice::from_ref(&reopened)).await.expect("settled");
    assert_eq!(all().await, [reopened, second]);
}

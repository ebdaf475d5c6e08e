//! One owner at a time, and each new owner a higher epoch.

use std::time::Duration;

use futures::future::join_all;

use super::{LASTS, SECOND, Store, flush, partition, take};
use crate::catalog::CatalogError;

pub(super) async fn a_running_lease_keeps_others_out(store: &impl Store) {
    let (a, b) = (store.open().await, store.open().await);
    let first = take(&*a, 0, "a", 0).await;
    assert_eq!(first.until_micros, 10 * SECOND);
    let refused = b.lease(&partition(0), "b", 9 * SECOND, LASTS).await.expect_err("it runs");
    match &refused {
        CatalogError::LeaseHeld { partition: of, owner, remaining } => {
            assert_eq!((of, owner.as_str(), *remaining), (&partition(0), "a", Duration::from_secs(1)));
        }
        other => panic!("{other:?}"),
    }
    assert!(refused.is_fenced());
    take(&*b, 1, "b", 9 * SECOND).await;
    let second = take(&*b, 0, "b", 10 * SECOND).await;
    assert_eq!(second.epoch, first.epoch + 1);
    let refused = a.lease(&partition(0), "a", 11 * SECOND, LASTS).await;
    assert!(matches!(refused, Err(CatalogError::LeaseHeld { .. })), "{refused:?}");
    let nobody = a.lease(&partition(0), "", 99 * SECOND, LASTS).await;
    assert!(matches!(nobody, Err(CatalogError::Invalid(_))), "{nobody:?}");
}

pub(super) async fn renewal_keeps_the_epoch(store: &impl Store) {
    let catalog = store.open().await;
    let first = take(&*catalog, 0, "a", 0).await;
    let renewed = take(&*catalog, 0, "a", 5 * SECOND).await;
    assert_eq!((renewed.epoch, renewed.until_micros), (first.epoch, 15 * SECOND));
    // Late, and nobody came in between: still one's own.
    let late = take(&*catalog, 0, "a", 99 * SECOND).await;
    assert_eq!(late.epoch, first.epoch);
    catalog.publish(&flush(&first, None, 1, 1)).await.expect("the epoch is the same");
}

pub(super) async fn a_released_lease_is_free_and_spent(store: &impl Store) {
    let catalog = store.open().await;
    let first = take(&*catalog, 0, "a", 0).await;
    catalog.release(&first).await.expect("release");
    let refused = catalog.publish(&flush(&first, None, 1, 1)).await.expect_err("given back");
    assert!(refused.is_fenced(), "{refused:?}");
    let second = take(&*catalog, 0, "b", SECOND).await;
    assert!(second.epoch > first.epoch, "{} after {}", second.epoch, first.epoch);
    // A late release of the old lease does not take the new one away.
    catalog.release(&first).await.expect("release");
    catalog.publish(&flush(&second, None, 1, 1)).await.expect("publish");
    catalog.release(&second).await.expect("release");
    let third = take(&*catalog, 0, "b", SECOND).await;
    assert!(third.epoch > second.epoch, "even for the same owner: {} after {}", third.epoch, second.epoch);
}

pub(super) async fn of_concurrent_takers_exactly_one_wins(store: &impl Store) {
    let mut catalogs = Vec::new();
    for _ in 0..4 {
        catalogs.push(store.open().await);
    }
    let mut epoch = 0;
    for round in 0..8 {
        let now = round * 100 * SECOND;
        let attempts = catalogs.iter().enumerate().map(|(index, catalog)| {
            let owner = format!("{round}-{index}");
            async move { catalog.lease(&partition(0), &owner, now, LASTS).await }
        });
        let outcomes = join_all(attempts).await;
        let taken: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok()).collect();
        assert_eq!(taken.len(), 1, "round {round}: {outcomes:?}");
        assert!(taken[0].epoch > epoch, "round {round}: epoch {} after {epoch}", taken[0].epoch);
        epoch = taken[0].epoch;
    }
}

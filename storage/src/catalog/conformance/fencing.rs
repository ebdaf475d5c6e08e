//! Who does not own a partition any more cannot move it.

use futures::future::join_all;

use super::publishing::everything;
use super::{SECOND, Store, advance, flush, partition, take};
use crate::catalog::CatalogError;

pub(super) async fn an_unexpected_offset_is_fenced(store: &impl Store) {
    let catalog = store.open().await;
    let lease = take(&*catalog, 0, "a", 0).await;
    let refused = catalog.publish(&flush(&lease, Some(0), 5, 1)).await;
    assert!(matches!(refused, Err(CatalogError::Fenced { .. })), "no row yet: {refused:?}");
    catalog.publish(&flush(&lease, None, 5, 1)).await.expect("publish");
    let before = everything(&*catalog).await;
    for from in [None, Some(0), Some(4), Some(6)] {
        let refused = catalog.publish(&flush(&lease, from, 9, 2)).await.expect_err("an old offset");
        assert!(refused.is_fenced() && !refused.is_unknown(), "{refused:?}");
        assert!(refused.to_string().contains("found offset 5"), "{refused}");
        assert_eq!(everything(&*catalog).await, before);
    }
}

pub(super) async fn an_older_epoch_is_fenced(store: &impl Store) {
    let (zombie, catalog) = (store.open().await, store.open().await);
    let old = take(&*zombie, 0, "zombie", 0).await;
    zombie.publish(&flush(&old, None, 5, 1)).await.expect("publish");
    let new = take(&*catalog, 0, "heir", 11 * SECOND).await;
    assert!(new.epoch > old.epoch, "{} after {}", new.epoch, old.epoch);
    let before = everything(&*catalog).await;

    // The offset is still the expected one: only the epoch tells.
    let refused = zombie.publish(&flush(&old, Some(5), 9, 2)).await.expect_err("an old epoch");
    assert!(matches!(refused, CatalogError::Fenced { .. }), "{refused:?}");
    assert!(refused.to_string().contains("heir"), "who has it is named: {refused}");
    assert_eq!(everything(&*catalog).await, before);
    catalog.publish(&flush(&new, Some(5), 9, 2)).await.expect("the heir goes on");

    let mut future = flush(&new, Some(9), 10, 3);
    future.advances[0].epoch += 1;
    assert!(catalog.publish(&future).await.expect_err("an epoch nobody was given").is_fenced());
    let mut unleased = flush(&new, None, 10, 3);
    unleased.covered.clear();
    unleased.advances[0].partition = partition(7);
    assert!(catalog.publish(&unleased).await.expect_err("a partition without lease").is_fenced());
}

pub(super) async fn one_fenced_partition_refuses_the_whole_commit(store: &impl Store) {
    let catalog = store.open().await;
    let leases = [take(&*catalog, 0, "a", 0).await, take(&*catalog, 1, "a", 0).await];
    let before = everything(&*catalog).await;
    let mut commit = flush(&leases[0], None, 5, 1);
    commit.advances.push(advance(&leases[1], Some(3), 5));
    assert!(catalog.publish(&commit).await.expect_err("the second is fenced").is_fenced());
    assert_eq!(everything(&*catalog).await, before);
}

pub(super) async fn of_concurrent_publishers_exactly_one_wins(store: &impl Store) {
    let first = store.open().await;
    let lease = take(&*first, 0, "a", 0).await;
    let mut catalogs = vec![first.clone(), first];
    for _ in 0..3 {
        catalogs.push(store.open().await);
    }
    for round in 0..8u64 {
        let attempts = catalogs.iter().enumerate().map(|(index, catalog)| {
            let from = (round > 0).then_some(round);
            let number = u128::from(round) * 100 + index as u128;
            let commit = flush(&lease, from, round + 1, number);
            async move { (number, catalog.publish(&commit).await) }
        });
        let mut winners = Vec::new();
        for (number, outcome) in join_all(attempts).await {
            match outcome {
                Ok(_) => winners.push(number),
                Err(error) => assert!(error.is_fenced(), "{error:?}"),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}: {winners:?}");
        let paths = catalogs[0].paths().await.expect("paths");
        assert_eq!(paths.len() as u64, round + 1, "one file a round is visible");
    }
}

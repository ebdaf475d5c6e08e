//! Who does not own a partition any more cannot move it.

use futures::future::{join, join_all};
use weir_proto::model::{ByteRange, LayoutId};

use super::publishing::everything;
use super::{LASTS, SECOND, Store, advance, file, flush, partition, take, tenant};
use crate::catalog::{Anchor, CatalogError, Commit};

pub(super) async fn an_unexpected_offset_is_fenced(store: &impl Store) {
    let catalog = store.open().await;
    let lease = take(store, &*catalog, 0, "a").await;
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
    let old = take(store, &*zombie, 0, "zombie").await;
    zombie.publish(&flush(&old, None, 5, 1)).await.expect("publish");
    store.pass(LASTS).await;
    let new = take(store, &*catalog, 0, "heir").await;
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
    let leases = [take(store, &*catalog, 0, "a").await, take(store, &*catalog, 1, "a").await];
    let before = everything(&*catalog).await;
    let mut commit = flush(&leases[0], None, 5, 1);
    commit.advances.push(advance(&leases[1], Some(3), 5));
    assert!(catalog.publish(&commit).await.expect_err("the second is fenced").is_fenced());
    assert_eq!(everything(&*catalog).await, before);
}

pub(super) async fn a_restarted_partition_is_nobodys_and_begins_anew(store: &impl Store) {
    let catalog = store.open().await;
    let (lease, other) = (take(store, &*catalog, 0, "a").await, take(store, &*catalog, 1, "a").await);
    let anchor = Anchor { offset: 6, fingerprint: u64::MAX - 3 };
    let mut commit = flush(&lease, None, 7, 1);
    commit.advances[0].anchor = Some(anchor);
    catalog.publish(&commit).await.expect("published");
    catalog.publish(&flush(&other, None, 9, 2)).await.expect("published");
    let before = catalog.progress(&partition(0)).await.expect("progress");
    assert_eq!((before.anchor, before.generation), (Some(anchor), 0));
    // A step without a message leaves the anchor where it was.
    let step = Commit { advances: vec![advance(&lease, Some(7), 8)], ..Commit::default() };
    catalog.publish(&step).await.expect("published");
    assert_eq!(catalog.progress(&partition(0)).await.expect("progress").anchor, Some(anchor));

    let restarted = catalog.restart("weir.logs", Some(&[0, 5]), SECOND).await.expect("restarted");
    assert_eq!(restarted, [(partition(0), 8)]);
    let after = catalog.progress(&partition(0)).await.expect("progress");
    assert_eq!((after.next_offset, after.anchor, after.generation), (None, None, 1));
    assert_eq!(after.covered, before.covered, "what is known of each source stays");
    let step = Commit { advances: vec![advance(&lease, None, 1)], ..Commit::default() };
    let refused = catalog.publish(&step).await.expect_err("the owner lost it");
    assert!(refused.is_fenced(), "{refused:?}");
    let lease = take(store, &*catalog, 0, "b").await;
    catalog.publish(&flush(&lease, None, 3, 4)).await.expect("it begins anew");
    let gaps = catalog.gaps(&tenant()).await.expect("gaps");
    let told: Vec<_> = gaps.iter().map(|gap| (gap.source.as_str(), gap.range, gap.reason.as_str())).collect();
    assert_eq!(told, [("weir.logs/0", ByteRange::new(8, 8), "log_replaced")]);
    // The other partition goes on as it was.
    catalog.publish(&flush(&other, Some(9), 10, 3)).await.expect("published");
    assert_eq!(catalog.restart("weir.spans", None, SECOND).await.expect("nothing of it"), []);
}

pub(super) async fn of_concurrent_publishers_exactly_one_wins(store: &impl Store) {
    let first = store.open().await;
    let lease = take(store, &*first, 0, "a").await;
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

pub(super) async fn publications_that_cross_do_not_wait_for_each_other(store: &impl Store) {
    let (a, b) = (store.open().await, store.open().await);
    let leases = [take(store, &*a, 0, "a").await, take(store, &*a, 1, "a").await];
    for round in 0..20u64 {
        let from = (round > 0).then_some(round);
        let crossing = |first: usize, number: u128| Commit {
            advances: vec![
                advance(&leases[first], from, round + 1),
                advance(&leases[1 - first], from, round + 1),
            ],
            layouts: (0..50).map(|id| (LayoutId(id + 1000 * round as i64), "[]".to_owned())).collect(),
            files: vec![file(number, 0, 1)],
            ..Commit::default()
        };
        let number = u128::from(round) * 2;
        let (there, back) = (crossing(0, number), crossing(1, number + 1));
        let (one, other) = join(a.publish(&there), b.publish(&back)).await;
        let (won, lost) = if one.is_ok() { (one, other) } else { (other, one) };
        won.expect("one goes through");
        assert!(lost.as_ref().is_err_and(CatalogError::is_fenced), "round {round}: {lost:?}");
    }
}

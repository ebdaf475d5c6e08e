//! One owner at a time, and each new owner a higher epoch.

use futures::future::{join, join_all};

use super::{LASTS, Store, flush, partition, take};
use crate::catalog::CatalogError;

pub(super) async fn a_running_lease_keeps_others_out(store: &impl Store) {
    let (a, b) = (store.open().await, store.open().await);
    let first = take(store, &*a, 0, "a").await;
    assert_eq!(first.until_micros, store.now() + LASTS.as_micros() as i64, "by the caller's clock");
    store.pass(LASTS / 2).await;
    let refused = b.lease(&partition(0), "b", store.now(), LASTS).await.expect_err("it runs");
    match &refused {
        CatalogError::LeaseHeld { partition: of, owner, remaining } => {
            assert_eq!((of, owner.as_str()), (&partition(0), "a"));
            assert!(*remaining <= LASTS / 2 && *remaining > LASTS / 4, "{remaining:?}");
        }
        other => panic!("{other:?}"),
    }
    assert!(refused.is_fenced());
    take(store, &*b, 1, "b").await;
    store.pass(LASTS / 2).await;
    let second = take(store, &*b, 0, "b").await;
    assert_eq!(second.epoch, first.epoch + 1);
    let refused = a.lease(&partition(0), "a", store.now(), LASTS).await;
    assert!(matches!(refused, Err(CatalogError::LeaseHeld { .. })), "{refused:?}");
    let nobody = a.lease(&partition(0), "", store.now(), LASTS).await;
    assert!(matches!(nobody, Err(CatalogError::Invalid(_))), "{nobody:?}");
}

pub(super) async fn renewal_keeps_the_epoch(store: &impl Store) {
    let catalog = store.open().await;
    let first = take(store, &*catalog, 0, "a").await;
    store.pass(LASTS / 2).await;
    let renewed = take(store, &*catalog, 0, "a").await;
    assert_eq!(renewed.epoch, first.epoch);
    store.pass(LASTS * 3 / 4).await;
    let refused = catalog.lease(&partition(0), "b", store.now(), LASTS).await;
    assert!(matches!(refused, Err(CatalogError::LeaseHeld { .. })), "it was prolonged: {refused:?}");
    // Late, and nobody came in between: still one's own.
    store.pass(LASTS * 9).await;
    let late = take(store, &*catalog, 0, "a").await;
    assert_eq!(late.epoch, first.epoch);
    catalog.publish(&flush(&first, None, 1, 1)).await.expect("the epoch is the same");
}

pub(super) async fn a_released_lease_is_free_and_spent(store: &impl Store) {
    let catalog = store.open().await;
    let first = take(store, &*catalog, 0, "a").await;
    catalog.release(&first).await.expect("release");
    let refused = catalog.publish(&flush(&first, None, 1, 1)).await.expect_err("given back");
    assert!(refused.is_fenced(), "{refused:?}");
    let second = take(store, &*catalog, 0, "b").await;
    assert!(second.epoch > first.epoch, "{} after {}", second.epoch, first.epoch);
    // A late release of the old lease does not take the new one away.
    catalog.release(&first).await.expect("release");
    catalog.publish(&flush(&second, None, 1, 1)).await.expect("publish");
    catalog.release(&second).await.expect("release");
    let third = take(store, &*catalog, 0, "b").await;
    assert!(third.epoch > second.epoch, "even for the same owner: {} after {}", third.epoch, second.epoch);
}

pub(super) async fn of_concurrent_takers_exactly_one_wins(store: &impl Store) {
    let mut catalogs = Vec::new();
    for _ in 0..4 {
        catalogs.push(store.open().await);
    }
    let mut epoch = 0;
    for round in 0..8 {
        store.pass(LASTS).await;
        let now = store.now();
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

pub(super) async fn a_publication_and_a_taker_never_both_win(store: &impl Store) {
    let (zombie, heir) = (store.open().await, store.open().await);
    for round in 0..20u64 {
        store.pass(LASTS).await;
        let old = take(store, &*zombie, 0, "zombie").await;
        let stored = zombie.progress(&partition(0)).await.expect("progress").next_offset;
        store.pass(LASTS).await;
        // At one moment: the old owner publishes, the new one takes and reads.
        let commit = flush(&old, stored, stored.unwrap_or(0) + 1, u128::from(round));
        let (published, seen) = join(zombie.publish(&commit), async {
            take(store, &*heir, 0, "heir").await;
            heir.progress(&partition(0)).await.expect("progress").next_offset
        })
        .await;
        let now = heir.progress(&partition(0)).await.expect("progress").next_offset;
        assert_eq!(now, seen, "round {round}: nothing was published after the heir read {seen:?}");
        match published {
            Ok(_) => assert_eq!(seen, Some(commit.advances[0].to), "round {round}"),
            Err(error) => assert!(error.is_fenced() && seen == stored, "round {round}: {error:?}, {seen:?}"),
        }
    }
}

//! What is known of lanes moves with the offsets, under the same fence.

use weir_proto::model::AgentId;

use super::{LASTS, SECOND, Store, advance, flush, partition, take, tenant};
use crate::catalog::{Catalog, CatalogError, Commit, LaneState, LaneStatus, Lease, TimeRange};

fn lane(lease: &Lease, agent: u128, mark_micros: Option<i64>, status: LaneStatus) -> LaneState {
    LaneState {
        partition: lease.partition.clone(),
        agent: AgentId::from_u128(agent),
        mark_micros,
        heard_micros: mark_micros.unwrap_or(0) + SECOND,
        status,
        is_estimated: agent.is_multiple_of(2),
    }
}

async fn in_snapshot(catalog: &dyn Catalog) -> Vec<LaneState> {
    catalog.snapshot(&tenant(), "logs", TimeRange::ALL).await.expect("snapshot").lanes
}

pub(super) async fn lanes_are_as_of_what_is_stored(store: &impl Store) {
    let catalog = store.open().await;
    let leases = [take(store, &*catalog, 0, "a").await, take(store, &*catalog, 1, "a").await];
    let mut commit = flush(&leases[0], None, 5, 1);
    commit.advances.push(advance(&leases[1], None, 2));
    let goodbye = lane(&leases[1], 1, Some(i64::MIN + SECOND), LaneStatus::Goodbye);
    let retired = lane(&leases[0], 2, Some(7 * SECOND), LaneStatus::Retired);
    commit.lanes = vec![goodbye.clone(), retired.clone(), lane(&leases[0], 1, None, LaneStatus::Live)];
    catalog.publish(&commit).await.expect("publish");
    let mut sorted = commit.lanes.clone();
    sorted.sort_by_key(|lane| (lane.partition.clone(), lane.agent));
    assert_eq!(in_snapshot(&*catalog).await, sorted);

    // One lane goes on, without a row: the others keep their state.
    let marked = lane(&leases[0], 1, Some(9 * SECOND), LaneStatus::Live);
    let commit = Commit {
        advances: vec![advance(&leases[0], Some(5), 5)],
        lanes: vec![marked.clone()],
        ..Commit::default()
    };
    catalog.publish(&commit).await.expect("publish");
    assert_eq!(in_snapshot(&*catalog).await, [marked.clone(), retired.clone(), goodbye.clone()]);
    let progress = catalog.progress(&partition(0)).await.expect("progress");
    assert_eq!(progress.lanes, [marked, retired], "each partition has its own");
    let heir = store.open().await;
    assert_eq!(heir.progress(&partition(1)).await.expect("progress").lanes, [goodbye]);

    let many: Vec<_> = (10..1_010).map(|agent| lane(&leases[1], agent, None, LaneStatus::Live)).collect();
    let advances = vec![advance(&leases[1], Some(2), 3)];
    let commit = Commit { advances, lanes: many, ..Commit::default() };
    catalog.publish(&commit).await.expect("publish");
    assert_eq!(catalog.progress(&partition(1)).await.expect("progress").lanes.len(), 1_001);
}

pub(super) async fn lanes_are_guarded_by_the_fence(store: &impl Store) {
    let (zombie, heir) = (store.open().await, store.open().await);
    let old = take(store, &*zombie, 0, "zombie").await;
    let mut commit = flush(&old, None, 5, 1);
    commit.lanes = vec![lane(&old, 1, Some(SECOND), LaneStatus::Live)];
    zombie.publish(&commit).await.expect("publish");
    let other = take(store, &*zombie, 1, "zombie").await;
    store.pass(LASTS).await;
    take(store, &*heir, 0, "heir").await;

    let advances = vec![advance(&old, Some(5), 5)];
    let late =
        Commit { advances, lanes: vec![lane(&old, 1, None, LaneStatus::Retired)], ..Commit::default() };
    let refused = zombie.publish(&late).await;
    assert!(matches!(refused, Err(CatalogError::Fenced { .. })), "{refused:?}");
    let advances = vec![advance(&other, None, 0)];
    let unguarded = Commit { advances: advances.clone(), ..late };
    let twice = lane(&other, 1, None, LaneStatus::Live);
    let twice = Commit { advances, lanes: vec![twice.clone(), twice], ..Commit::default() };
    for commit in [unguarded, twice] {
        let refused = zombie.publish(&commit).await;
        assert!(matches!(refused, Err(CatalogError::Invalid(_))), "{commit:?}: {refused:?}");
    }
    assert_eq!(in_snapshot(&*heir).await, commit.lanes);
}

pub(super) async fn a_dismissed_lane_is_forgotten(store: &impl Store) {
    let catalog = store.open().await;
    let leases = [take(store, &*catalog, 0, "a").await, take(store, &*catalog, 1, "a").await];
    let mut commit = flush(&leases[0], None, 5, 1);
    commit.advances.push(advance(&leases[1], None, 2));
    let live = lane(&leases[1], 1, None, LaneStatus::Live);
    let other = lane(&leases[1], 2, None, LaneStatus::Retired);
    commit.lanes = vec![lane(&leases[0], 1, None, LaneStatus::Retired), live.clone(), other.clone()];
    catalog.publish(&commit).await.expect("publish");
    assert_eq!(catalog.dismiss(AgentId::from_u128(1)).await.expect("dismiss"), 1);
    assert_eq!(in_snapshot(&*catalog).await, [live, other], "what lives stays, and so do others");
    assert_eq!(catalog.dismiss(AgentId::from_u128(1)).await.expect("dismiss"), 0);
}

pub(super) async fn a_partition_that_is_gone_is_forgotten(store: &impl Store) {
    let (zombie, catalog) = (store.open().await, store.open().await);
    let gone = take(store, &*zombie, 0, "zombie").await;
    let mut commit = flush(&gone, None, 5, 1);
    commit.lanes = vec![lane(&gone, 1, Some(SECOND), LaneStatus::Live)];
    zombie.publish(&commit).await.expect("publish");
    let kept = take(store, &*zombie, 1, "zombie").await;
    let held = catalog.abandon(&partition(0), store.now()).await;
    assert!(matches!(held, Err(CatalogError::LeaseHeld { .. })), "somebody reads it: {held:?}");
    store.pass(LASTS).await;

    assert!(catalog.abandon(&partition(0), store.now()).await.expect("abandoned"));
    let snapshot = catalog.snapshot(&tenant(), "logs", TimeRange::ALL).await.expect("snapshot");
    assert_eq!((snapshot.lanes, snapshot.next_offsets.len(), snapshot.files.len()), (vec![], 0, 1));
    let owners = catalog.owners().await.expect("owners");
    assert_eq!(owners.iter().map(|owner| &owner.lease.partition).collect::<Vec<_>>(), [&partition(1)]);
    assert!(!catalog.abandon(&partition(0), store.now()).await.expect("again"), "nothing is known of it");
    // Who wakes up is refused, and what was covered is not forgotten.
    let refused = zombie.publish(&flush(&gone, Some(5), 6, 2)).await;
    assert!(matches!(refused, Err(CatalogError::Fenced { .. })), "{refused:?}");
    let progress = catalog.progress(&partition(0)).await.expect("progress");
    assert_eq!((progress.next_offset, progress.covered.len()), (None, 1));
    zombie.publish(&flush(&kept, None, 1, 3)).await.expect("another one is as it was");
}

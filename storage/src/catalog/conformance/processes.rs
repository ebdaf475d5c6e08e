//! Several processes at once, each with a catalog of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::{join, join_all, join3};

use super::{Store, advance, file, partition, take, tenant};
use crate::catalog::{Catalog, Commit, Lease, TimeRange};

pub(super) async fn an_empty_store_can_be_opened_by_several_at_once(store: &impl Store) {
    let catalogs = join_all((0..4).map(|_| store.open())).await;
    take(store, &*catalogs[0], 0, "a").await;
    for catalog in catalogs {
        assert_eq!(catalog.owners().await.expect("owners").len(), 1, "all opened the same");
    }
}

/// Publishes a file with each offset.
async fn publish_up_to(catalog: &dyn Catalog, lease: &Lease, to: u64) {
    for offset in 0..to {
        let number = u128::from(lease.partition.partition) << 64 | u128::from(offset);
        let commit = Commit {
            files: vec![file(number, 0, 1)],
            advances: vec![advance(lease, (offset > 0).then_some(offset), offset + 1)],
            ..Commit::default()
        };
        catalog.publish(&commit).await.expect("nobody else has the partition");
    }
}

pub(super) async fn two_processes_publish_at_once(store: &impl Store) {
    const FLUSHES: u64 = 40;
    let (a, b) = (store.open().await, store.open().await);
    let leases = [take(store, &*a, 0, "a").await, take(store, &*b, 1, "b").await];
    join(publish_up_to(&*a, &leases[0], FLUSHES), publish_up_to(&*b, &leases[1], FLUSHES)).await;
    let snapshot = a.snapshot(&tenant(), "logs", TimeRange::ALL).await.expect("snapshot");
    assert_eq!(snapshot.files.len() as u64, 2 * FLUSHES);
    assert_eq!(
        (snapshot.next_offset(&partition(0)), snapshot.next_offset(&partition(1))),
        (FLUSHES, FLUSHES)
    );
}

pub(super) async fn a_snapshot_is_of_one_instant(store: &impl Store) {
    const FLUSHES: u64 = 60;
    let (a, b, reader) = (store.open().await, store.open().await, store.open().await);
    let leases = [take(store, &*a, 0, "a").await, take(store, &*b, 1, "b").await];
    let done = Arc::new(AtomicBool::new(false));
    let writers = async {
        join(publish_up_to(&*a, &leases[0], FLUSHES), publish_up_to(&*b, &leases[1], FLUSHES)).await;
        done.store(true, Ordering::SeqCst);
    };
    // A file with each offset: more or fewer files than offsets are of two
    // instants.
    let watch = || async {
        let mut seen = 0;
        loop {
            let last = done.load(Ordering::SeqCst);
            let snapshot = reader.snapshot(&tenant(), "logs", TimeRange::ALL).await.expect("snapshot");
            let offsets: u64 = snapshot.next_offsets.values().sum();
            assert_eq!(snapshot.files.len() as u64, offsets);
            seen += 1;
            if last {
                return seen;
            }
        }
    };
    let ((), one, other) = join3(writers, watch(), watch()).await;
    assert!(one + other > 4, "the snapshots were taken while there was something to see: {one}, {other}");
}

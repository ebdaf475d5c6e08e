//! A publication is all or nothing, and what it wrote is what is read.

use std::collections::BTreeMap;

use weir_proto::model::{ByteRange, LayoutId, SourceId, TenantId};

use super::{HOUR, SECOND, Store, advance, cover, file, flush, partition, ranges_of, take, tenant};
use crate::catalog::{Catalog, CatalogError, Commit, Gap, Progress, TimeRange};

pub(super) async fn what_was_published_is_read_back(store: &impl Store) {
    let catalog = store.open().await;
    assert_eq!(catalog.progress(&partition(0)).await.expect("progress"), Progress::default());
    let lease = take(store, &*catalog, 0, "a").await;
    let mut commit = flush(&lease, None, 5, 1);
    commit.files.push(file(2, -HOUR, i64::MAX));
    let first = catalog.publish(&commit).await.expect("publish");
    let second = catalog.publish(&flush(&lease, Some(5), 9, 3)).await.expect("publish");
    assert!(first < second, "commits are numbered upwards: {first}, {second}");

    let progress = catalog.progress(&partition(0)).await.expect("progress");
    assert_eq!(progress.next_offset, Some(9));
    let sources: Vec<_> = progress.covered.keys().copied().collect();
    assert_eq!(sources, [SourceId::from_u128(1), SourceId::from_u128(3)]);

    let snapshot = catalog.snapshot(&tenant(), "logs", TimeRange::ALL).await.expect("snapshot");
    assert_eq!(snapshot.files, [file(2, -HOUR, i64::MAX), file(3, HOUR, 2 * HOUR), file(1, HOUR, 2 * HOUR)]);
    assert_eq!(snapshot.next_offset(&partition(0)), 9);
    assert_eq!(snapshot.next_offset(&partition(1)), 0);
    let mut paths: Vec<_> = snapshot.files.iter().map(|file| file.path.clone()).collect();
    paths.sort();
    assert_eq!(catalog.paths().await.expect("paths"), paths);
}

pub(super) async fn covered_ranges_are_replaced_and_counted_per_source(store: &impl Store) {
    let catalog = store.open().await;
    let lease = take(store, &*catalog, 0, "a").await;
    let mut commit = flush(&lease, None, 1, 1);
    commit.covered = vec![cover(&lease, 1, &[(0, 10), (20, 30)]), cover(&lease, 2, &[])];
    catalog.publish(&commit).await.expect("publish");
    let mut commit = flush(&lease, Some(1), 2, 2);
    commit.covered = vec![cover(&lease, 1, &[(0, 40)])];
    commit.covered[0].resource.push(("k8s.pod.name".to_owned(), "shop-1".to_owned()));
    commit.now_micros = 9 * SECOND;
    catalog.publish(&commit).await.expect("publish");

    let progress = catalog.progress(&partition(0)).await.expect("progress");
    assert_eq!(progress.covered[&SourceId::from_u128(1)], ranges_of(&[(0, 40)]));
    let delivery = catalog.delivery(&tenant()).await.expect("delivery");
    assert_eq!(delivery.len(), 2, "one entry per source");
    assert_eq!(delivery[0].cover, commit.covered[0]);
    assert_eq!(delivery[0].committed_micros, 9 * SECOND);
    assert_eq!(delivery[1].cover, cover(&lease, 2, &[]));
    assert_eq!(delivery[1].committed_micros, 6 * SECOND);
    let other = TenantId::new("other").expect("a tenant");
    assert_eq!(catalog.delivery(&other).await.expect("delivery"), []);
}

pub(super) async fn many_sources_fit_into_one_commit(store: &impl Store) {
    const SOURCES: u128 = 1_234;
    let catalog = store.open().await;
    let lease = take(store, &*catalog, 0, "a").await;
    for step in 0..2u64 {
        let mut commit = flush(&lease, (step > 0).then_some(step), step + 1, u128::from(step));
        let end = 10 * (step + 1);
        commit.covered =
            (0..SOURCES).map(|source| cover(&lease, source, &[(0, end), (100, 100 + end)])).collect();
        catalog.publish(&commit).await.expect("publish");
    }
    let progress = catalog.progress(&partition(0)).await.expect("progress");
    assert_eq!(progress.covered.len(), 1_234);
    assert!(progress.covered.values().all(|ranges| *ranges == ranges_of(&[(0, 20), (100, 120)])));
    assert_eq!(catalog.delivery(&tenant()).await.expect("delivery").len(), 1_234);
}

pub(super) async fn a_snapshot_holds_the_files_of_its_time(store: &impl Store) {
    let catalog = store.open().await;
    let lease = take(store, &*catalog, 0, "a").await;
    let mut commit = flush(&lease, None, 1, 1);
    commit.files = vec![file(1, 10, 20), file(2, 20, 30), file(3, 40, 50)];
    let other = TenantId::new("other").expect("a tenant");
    commit.files[2].tenant = other.clone();
    catalog.publish(&commit).await.expect("publish");

    for (min_micros, max_micros, expected) in
        [(0, 9, vec![]), (0, 10, vec![1]), (20, 20, vec![2, 1]), (21, 99, vec![2]), (31, 99, vec![])]
    {
        let time = TimeRange { min_micros, max_micros };
        let snapshot = catalog.snapshot(&tenant(), "logs", time).await.expect("snapshot");
        let ids: Vec<_> = snapshot.files.iter().map(|file| file.id.as_u128()).collect();
        assert_eq!(ids, expected, "files of {time:?}");
    }
    let spans = catalog.snapshot(&tenant(), "spans", TimeRange::ALL).await.expect("snapshot");
    assert!(spans.files.is_empty(), "another table has no files");
    assert_eq!(spans.next_offset(&partition(0)), 1, "offsets are of all tables");
    let foreign = catalog.snapshot(&other, "logs", TimeRange::ALL).await.expect("snapshot");
    assert_eq!(foreign.files.len(), 1, "each tenant sees its own");
}

pub(super) async fn gaps_and_layouts_are_kept(store: &impl Store) {
    let catalog = store.open().await;
    let lease = take(store, &*catalog, 0, "a").await;
    let gap = |noticed_micros, count| Gap {
        tenant: tenant(),
        source: SourceId::from_u128(1).to_string(),
        range: ByteRange::new(10, 20),
        count,
        reason: "hole".to_owned(),
        noticed_micros,
    };
    let mut commit = flush(&lease, None, 1, 1);
    commit.gaps = vec![gap(9, Some(1)), gap(8, Some(2)), gap(10, None), gap(10, Some(0))];
    commit.layouts = BTreeMap::from([(LayoutId(-1), "[\"a\"]".to_owned())]);
    catalog.publish(&commit).await.expect("publish");
    let mut commit = flush(&lease, Some(1), 2, 2);
    commit.gaps = vec![gap(8, Some(3))];
    commit.layouts =
        BTreeMap::from([(LayoutId(-1), "[\"a\"]".to_owned()), (LayoutId(i64::MAX), "[\"b\"]".to_owned())]);
    catalog.publish(&commit).await.expect("publish");

    let counts: Vec<_> = catalog.gaps(&tenant()).await.expect("gaps").iter().map(|gap| gap.count).collect();
    assert_eq!(counts, [Some(2), Some(3), Some(1), None], "oldest first; no events are no loss");
    assert_eq!(catalog.gaps(&tenant()).await.expect("gaps")[0], gap(8, Some(2)));
    assert_eq!(catalog.layouts().await.expect("layouts"), commit.layouts);
    let other = TenantId::new("other").expect("a tenant");
    assert_eq!(catalog.gaps(&other).await.expect("gaps"), []);
}

pub(super) async fn reopening_keeps_everything(store: &impl Store) {
    let catalog = store.open().await;
    let lease = take(store, &*catalog, 0, "a").await;
    let mut commit = flush(&lease, None, 5, 1);
    commit.layouts = BTreeMap::from([(LayoutId(1), "[]".to_owned())]);
    catalog.publish(&commit).await.expect("publish");
    catalog.tombstone("default/logs/orphan.parquet", 0).await.expect("tombstone");
    let before = everything(&*catalog).await;
    drop(catalog);

    let catalog = store.open().await;
    assert_eq!(everything(&*catalog).await, before);
    let held = catalog.lease(&partition(0), "b", store.now(), super::LASTS).await;
    assert!(matches!(held, Err(CatalogError::LeaseHeld { .. })), "the lease runs on: {held:?}");
    let mut commit = flush(&lease, Some(5), 6, 2);
    commit.files[0].path = "default/logs/orphan.parquet".to_owned();
    let refused = catalog.publish(&commit).await;
    assert!(matches!(refused, Err(CatalogError::PathInUse(_))), "given up for good: {refused:?}");
}

pub(super) async fn a_refused_publication_leaves_nothing(store: &impl Store) {
    let catalog = store.open().await;
    let lease = take(store, &*catalog, 0, "a").await;
    catalog.publish(&flush(&lease, None, 5, 1)).await.expect("publish");
    let before = everything(&*catalog).await;

    // The second file's path is taken: by then the offset, the first file and
    // its commit are already written in the transaction.
    let mut commit = flush(&lease, Some(5), 9, 2);
    commit.files.push(file(1, 0, 1));
    commit.layouts = BTreeMap::from([(LayoutId(1), "[]".to_owned())]);
    let refused = catalog.publish(&commit).await;
    assert!(matches!(refused, Err(CatalogError::PathInUse(_))), "{refused:?}");
    assert_eq!(everything(&*catalog).await, before);

    commit.files.pop();
    catalog.publish(&commit).await.expect("the same flush without the taken path goes through");
}

pub(super) async fn a_path_is_committed_or_given_up_never_both(store: &impl Store) {
    let catalog = store.open().await;
    let lease = take(store, &*catalog, 0, "a").await;
    let commit = flush(&lease, None, 1, 1);
    let path = &commit.files[0].path;
    catalog.tombstone(path, 0).await.expect("tombstone");
    catalog.tombstone(path, 1).await.expect("giving up twice is giving up");
    let refused = catalog.publish(&commit).await.expect_err("a path that was given up");
    assert!(matches!(&refused, CatalogError::PathInUse(used) if used == path), "{refused:?}");
    assert!(refused.is_fenced(), "the files are to be discarded");
    assert_eq!(catalog.paths().await.expect("paths"), Vec::<String>::new());

    let commit = flush(&lease, None, 1, 2);
    let path = &commit.files[0].path;
    catalog.publish(&commit).await.expect("publish");
    let refused = catalog.tombstone(path, 0).await;
    assert!(matches!(refused, Err(CatalogError::PathInUse(_))), "{refused:?}");
    let mut commit = flush(&lease, Some(1), 2, 3);
    commit.files[0].path.clone_from(path);
    let refused = catalog.publish(&commit).await;
    assert!(matches!(refused, Err(CatalogError::PathInUse(_))), "another file of that path: {refused:?}");
}

pub(super) async fn what_contradicts_itself_is_refused(store: &impl Store) {
    let catalog = store.open().await;
    let lease = take(store, &*catalog, 0, "a").await;
    catalog.publish(&flush(&lease, None, 5, 1)).await.expect("publish");
    let before = everything(&*catalog).await;
    let other = take(store, &*catalog, 1, "a").await;

    let backwards = flush(&lease, Some(5), 4, 2);
    let mut twice = flush(&lease, Some(5), 6, 2);
    twice.advances.push(advance(&lease, Some(6), 7));
    let mut unguarded = flush(&lease, Some(5), 6, 2);
    unguarded.covered.push(cover(&other, 3, &[(0, 1)]));
    let mut covered_twice = flush(&lease, Some(5), 6, 2);
    covered_twice.covered.push(covered_twice.covered[0].clone());
    let too_far = flush(&lease, Some(5), u64::MAX, 2);
    for commit in [backwards, twice, unguarded, covered_twice, too_far] {
        let refused = catalog.publish(&commit).await;
        assert!(matches!(refused, Err(CatalogError::Invalid(_))), "{commit:?}: {refused:?}");
        assert_eq!(everything(&*catalog).await, before);
    }
    let empty = Commit { now_micros: 7 * SECOND, ..Commit::default() };
    catalog.publish(&empty).await.expect("a commit of nothing harms nobody");
}

/// All that can be read of partition 0, to compare before and after.
pub(super) async fn everything(catalog: &dyn Catalog) -> impl PartialEq + std::fmt::Debug + use<> {
    let snapshot = catalog.snapshot(&tenant(), "logs", TimeRange::ALL).await.expect("snapshot");
    (
        (snapshot.files, snapshot.next_offsets, snapshot.lanes),
        catalog.progress(&partition(0)).await.expect("progress"),
        catalog.gaps(&tenant()).await.expect("gaps"),
        catalog.delivery(&tenant()).await.expect("delivery"),
        catalog.layouts().await.expect("layouts"),
        catalog.paths().await.expect("paths"),
    )
}

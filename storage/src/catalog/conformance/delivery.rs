//! What came of each source, and what is missing of it.

use weir_proto::model::{AgentId, ByteRange, Counted, SourceId, drop_reason};

use super::{SECOND, Store, cover, flush, partition, take, tenant};
use crate::catalog::{Catalog, Commit, Filled, Gap, Losses, Tally};

fn gap(source: &str, start: u64, end: u64, count: Option<u64>, reason: &str) -> Gap {
    Gap {
        tenant: tenant(),
        source: source.to_owned(),
        range: ByteRange::new(start, end),
        count,
        reason: reason.to_owned(),
        noticed_micros: SECOND,
    }
}

fn source(number: u128) -> SourceId {
    SourceId::from_u128(number)
}

/// Where the gaps are, and how many events each holds.
async fn gaps(catalog: &dyn Catalog) -> Vec<(u64, u64, Option<u64>)> {
    let gaps = catalog.gaps(&tenant()).await.expect("gaps");
    gaps.iter().map(|gap| (gap.range.start, gap.range.end, gap.count)).collect()
}

pub(super) async fn what_came_of_a_source_adds_up(store: &impl Store) {
    let catalog = store.open().await;
    let lease = take(store, &*catalog, 0, "a").await;
    let tally = |agent: u128, appended_micros, event_micros, events, duplicates, counted| Tally {
        agent: Some(AgentId::from_u128(agent)),
        appended_micros: Some(appended_micros),
        event_micros,
        events,
        duplicates,
        counted,
    };
    let counted = Counted { from: 0, to: 10, events: 4 };
    let steps = [
        tally(1, 5, Some(100), 3, 0, Some(counted)),
        tally(2, 6, None, 0, 2, None),
        tally(2, 7, Some(90), 1, 1, Some(Counted { from: 10, to: 20, events: 1 })),
    ];
    for (step, tally) in (0..).zip(steps) {
        let mut commit = flush(&lease, (step > 0).then_some(step), step + 1, u128::from(step));
        commit.covered = vec![cover(&lease, 1, &[(0, 10 + step)])];
        commit.covered[0].tally = tally;
        catalog.publish(&commit).await.expect("publish");
        let progress = catalog.progress(&partition(0)).await.expect("progress");
        assert_eq!(progress.counted.get(&source(1)).copied(), commit.covered[0].tally.counted);
    }
    let delivery = catalog.delivery(&tenant()).await.expect("delivery");
    let all = tally(2, 7, Some(100), 4, 3, Some(Counted { from: 10, to: 20, events: 1 }));
    assert_eq!((delivery.len(), &delivery[0].cover.tally), (1, &all));
}

pub(super) async fn losses_are_summed_by_source(store: &impl Store) {
    let catalog = store.open().await;
    let lease = take(store, &*catalog, 0, "a").await;
    let mut commit = flush(&lease, None, 1, 1);
    commit.covered = vec![cover(&lease, 1, &[(0, 10)]), cover(&lease, 2, &[(0, 10)])];
    let one = source(1).to_string();
    commit.gaps = vec![
        gap(&one, 10, 20, Some(3), drop_reason::HOLE),
        gap(&one, 30, 40, Some(4), drop_reason::ROTATED_UNREAD),
        gap(&one, 50, 60, None, drop_reason::HOLE),
        gap(&one, 0, 60, Some(70), drop_reason::SAMPLED),
        gap("weir.logs/0", 0, 1, None, drop_reason::LOG_GAP),
    ];
    catalog.publish(&commit).await.expect("publish");
    let delivery = catalog.delivery(&tenant()).await.expect("delivery");
    let losses: Vec<_> = delivery.iter().map(|source| source.losses).collect();
    assert_eq!(losses, [Losses { gaps: 3, uncounted: 1, events: 7, left_out: 70 }, Losses::default()]);
}

pub(super) async fn a_hole_closes_as_its_events_come(store: &impl Store) {
    let catalog = store.open().await;
    let lease = take(store, &*catalog, 0, "a").await;
    let one = source(1).to_string();
    let mut next = None;
    let mut publish = async |ranges: &[(u64, u64)], gaps: Vec<Gap>, filled: Option<(u64, u64, u64)>| {
        let to = next.unwrap_or(0) + 1;
        let mut commit = Commit { gaps, ..flush(&lease, next, to, u128::from(to)) };
        commit.covered = vec![cover(&lease, 1, ranges)];
        let filled = filled.map(|(start, end, events)| (ByteRange::new(start, end), events));
        let filled = filled.map(|(range, events)| Filled { source: source(1), range, events });
        commit.filled = filled.into_iter().collect();
        catalog.publish(&commit).await.expect("publish");
        next = Some(to);
    };
    let hole = |start, end, count| gap(&one, start, end, count, drop_reason::HOLE);
    let told = vec![
        hole(10, 20, Some(5)),
        hole(30, 40, None),
        hole(60, 70, Some(2)),
        gap(&one, 10, 20, Some(9), drop_reason::STRADDLE),
    ];
    publish(&[(0, 10), (20, 30), (40, 60), (70, 80)], told, None).await;
    publish(&[(0, 15), (20, 30), (40, 60), (70, 80)], vec![], Some((10, 15, 2))).await;
    let straddle = (10, 20, Some(9));
    let open = gaps(&*catalog).await;
    assert_eq!(open, [(10, 20, Some(3)), (30, 40, None), (60, 70, Some(2)), straddle]);
    // All of its events came; that some bytes did not means nothing.
    publish(&[(0, 18), (20, 30), (40, 60), (70, 80)], vec![], Some((15, 18, 3))).await;
    assert_eq!(gaps(&*catalog).await, [(30, 40, None), (60, 70, Some(2)), straddle]);
    publish(&[(0, 18), (20, 35), (40, 60), (70, 80)], vec![], Some((30, 35, 1))).await;
    assert_eq!(gaps(&*catalog).await, [(30, 40, None), (60, 70, Some(2)), straddle]);
    // Several holes by one message, and one that the same commit told of.
    let told = vec![hole(80, 90, Some(6))];
    publish(&[(0, 18), (20, 100)], told, Some((35, 90, 4))).await;
    assert_eq!(gaps(&*catalog).await, [straddle]);
}

pub(super) async fn gaps_within_a_range_are_closed(store: &impl Store) {
    let catalog = store.open().await;
    let lease = take(store, &*catalog, 0, "a").await;
    let mut commit = flush(&lease, None, 9, 1);
    let lost = |start, end| gap("weir.logs/0", start, end, None, drop_reason::UNDECODABLE);
    commit.gaps = vec![lost(1, 2), lost(2, 3), lost(5, 9), gap("weir.logs/1", 1, 2, None, "undecodable")];
    catalog.publish(&commit).await.expect("publish");
    assert_eq!(catalog.close_gaps("weir.logs/0", ByteRange::new(2, 6)).await.expect("closed"), 1);
    assert_eq!(gaps(&*catalog).await, [(1, 2, None), (5, 9, None), (1, 2, None)]);
    assert_eq!(catalog.close_gaps("weir.logs/0", ByteRange::new(2, 6)).await.expect("closed"), 0);
}

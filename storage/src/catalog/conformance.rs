//! What every catalog must keep, as tests that any implementation runs.
//!
//! The suite speaks only through [`Catalog`]. Each promise gets a fresh store;
//! a store can be opened several times, as several processes would.

mod delivery;
mod edges;
mod fencing;
mod lanes;
mod leases;
mod members;
mod processes;
mod publishing;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use weir_proto::model::{ByteRange, FileId, RangeSet, SourceId, TenantId};

use super::{Advance, Catalog, Commit, FileEntry, Lease, LogPartition, SourceCover, Tally, TimeRange};

/// Where a catalog is kept, so that it can be opened more than once.
#[async_trait]
pub trait Store: Send + Sync {
    /// Opens the catalog; the first time it is empty.
    async fn open(&self) -> Arc<dyn Catalog>;

    /// The time that the suite passes as now, microseconds.
    fn now(&self) -> i64;

    /// Lets time pass, by the clock that judges leases and members.
    async fn pass(&self, time: Duration);
}

/// Runs the whole suite. `make` gives a fresh, empty store each time.
///
/// # Panics
/// When a promise is broken.
pub async fn suite<S: Store>(make: impl AsyncFn() -> S) {
    publishing::what_was_published_is_read_back(&make().await).await;
    publishing::covered_ranges_are_replaced_and_counted_per_source(&make().await).await;
    publishing::many_sources_fit_into_one_commit(&make().await).await;
    publishing::a_snapshot_holds_the_files_of_its_time(&make().await).await;
    publishing::gaps_and_layouts_are_kept(&make().await).await;
    delivery::what_came_of_a_source_adds_up(&make().await).await;
    delivery::losses_are_summed_by_source(&make().await).await;
    delivery::a_hole_closes_as_its_events_come(&make().await).await;
    delivery::gaps_within_a_range_are_closed(&make().await).await;
    publishing::reopening_keeps_everything(&make().await).await;
    publishing::a_refused_publication_leaves_nothing(&make().await).await;
    publishing::a_path_is_committed_or_given_up_never_both(&make().await).await;
    publishing::what_contradicts_itself_is_refused(&make().await).await;
    edges::minutes_are_settled_whole(&make().await).await;
    fencing::an_unexpected_offset_is_fenced(&make().await).await;
    fencing::an_older_epoch_is_fenced(&make().await).await;
    fencing::one_fenced_partition_refuses_the_whole_commit(&make().await).await;
    fencing::a_restarted_partition_is_nobodys_and_begins_anew(&make().await).await;
    fencing::of_concurrent_publishers_exactly_one_wins(&make().await).await;
    fencing::publications_that_cross_do_not_wait_for_each_other(&make().await).await;
    lanes::lanes_are_as_of_what_is_stored(&make().await).await;
    lanes::lanes_are_guarded_by_the_fence(&make().await).await;
    lanes::a_dismissed_lane_is_forgotten(&make().await).await;
    lanes::a_partition_that_is_gone_is_forgotten(&make().await).await;
    leases::a_running_lease_keeps_others_out(&make().await).await;
    leases::renewal_keeps_the_epoch(&make().await).await;
    leases::a_released_lease_is_free_and_spent(&make().await).await;
    leases::of_concurrent_takers_exactly_one_wins(&make().await).await;
    leases::a_publication_and_a_taker_never_both_win(&make().await).await;
    members::members_are_those_whose_time_runs(&make().await).await;
    members::owners_are_found_by_their_address(&make().await).await;
    processes::an_empty_store_can_be_opened_by_several_at_once(&make().await).await;
    processes::two_processes_publish_at_once(&make().await).await;
    processes::a_snapshot_is_of_one_instant(&make().await).await;
}

/// One microsecond-second, for legible times.
const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3600 * SECOND;
/// Longer than any of these tests takes: where the database's clock judges,
/// time also passes by itself.
const LASTS: Duration = Duration::from_secs(1000);

fn tenant() -> TenantId {
    TenantId::default()
}

fn partition(number: u32) -> LogPartition {
    LogPartition { topic: "weir.logs".to_owned(), partition: number }
}

async fn take(store: &impl Store, catalog: &dyn Catalog, number: u32, owner: &str) -> Lease {
    catalog.lease(&partition(number), owner, store.now(), LASTS).await.expect("the partition is free")
}

fn advance(lease: &Lease, from: Option<u64>, to: u64) -> Advance {
    Advance { partition: lease.partition.clone(), epoch: lease.epoch, from, to, anchor: None }
}

fn file(number: u128, min_micros: i64, max_micros: i64) -> FileEntry {
    let id = FileId::from_u128(number);
    FileEntry {
        id,
        tenant: tenant(),
        table: "logs".to_owned(),
        path: format!("default/logs/{id}.parquet"),
        rows: 7,
        bytes: 512,
        time: TimeRange { min_micros, max_micros },
        observed: TimeRange {
            min_micros: min_micros.saturating_add(1),
            max_micros: max_micros.saturating_add(1),
        },
        level: 0,
        created_micros: 5 * SECOND,
        crc32c: None,
    }
}

fn cover(lease: &Lease, source: u128, ranges: &[(u64, u64)]) -> SourceCover {
    SourceCover {
        partition: lease.partition.clone(),
        tenant: tenant(),
        source: SourceId::from_u128(source),
        ranges: ranges_of(ranges),
        resource: vec![("log.file.path".to_owned(), format!("/var/log/\"{source}\".log"))],
        last_observed_micros: 4 * SECOND,
        tally: Tally::default(),
    }
}

fn ranges_of(ranges: &[(u64, u64)]) -> RangeSet {
    ranges.iter().map(|&(start, end)| ByteRange::new(start, end)).collect()
}

/// A flush of one file that advances one partition.
fn flush(lease: &Lease, from: Option<u64>, to: u64, number: u128) -> Commit {
    Commit {
        files: vec![file(number, HOUR, 2 * HOUR)],
        advances: vec![advance(lease, from, to)],
        covered: vec![cover(lease, number, &[(0, 10)])],
        now_micros: 6 * SECOND,
        ..Commit::default()
    }
}

//! Live rows of several ingesters over real sockets, and what is made of them.

use std::path::Path;

use weir_proto::model::{AgentId, LayoutId};
use weir_runtime::Handles;
use weir_runtime::server::{Listener, Server};
use weir_storage::catalog::{LaneState, LaneStatus, SqliteCatalog};
use weir_storage::live::LiveBatch;
use weir_storage::live::flight::{self, LiveSource};
use weir_storage::live::wire::{LiveRequest, LiveResponse};

use super::*;
use crate::fixture::{NEW_YEAR, batch, row};

const SECOND: Duration = Duration::from_secs(1);

/// An ingester that says what it is told to, and remembers what it was asked.
#[derive(Default)]
struct Ingest {
    asked: Mutex<Vec<LiveRequest>>,
    says: Mutex<LiveResponse>,
}

impl LiveSource for Ingest {
    fn answer(&self, request: &LiveRequest) -> LiveResponse {
        self.asked.lock().expect("free").push(request.clone());
        self.says.lock().expect("free").clone()
    }
}

fn partition(number: u32) -> LogPartition {
    LogPartition { topic: "weir.logs".to_owned(), partition: number }
}

fn live_batch(number: u32, offset: u64) -> LiveBatch {
    LiveBatch {
        partition: partition(number),
        offset,
        tenant: TenantId::default(),
        table: Table::Logs,
        rows: batch(&TenantId::default(), &[row(NEW_YEAR, offset as i64, "x")]),
    }
}

fn range(number: u32, epoch: i64, floor: u64, next: u64) -> LiveRange {
    LiveRange { partition: partition(number), epoch, floor, next, is_caught_up: true }
}

/// An ingester on a Unix socket.
async fn serve(path: &Path) -> (Arc<Ingest>, Handles) {
    let ingest = Arc::new(Ingest::default());
    let handles = Handles::new("ingest");
    Server::start(Listener::unix(path).await.expect("bound"), flight::service(ingest.clone()), &handles);
    (ingest, handles)
}

/// A catalog in which each of these owns a partition.
async fn catalog(directory: &Path, owners: &[(&str, String)]) -> Arc<dyn Catalog> {
    let catalog = SqliteCatalog::open(&directory.join("catalog.db")).await.expect("opens");
    for (number, (name, address)) in owners.iter().enumerate() {
        let number = u32::try_from(number).expect("few");
        catalog.announce(name, address, 0, 3600 * SECOND).await.expect("announced");
        catalog.lease(&partition(number), name, 0, 3600 * SECOND).await.expect("leased");
    }
    Arc::new(catalog)
}

async fn pin(live: &ClusterLive) -> (Vec<(u32, u64)>, Vec<u32>) {
    let pinned = live.pin(&TenantId::default(), &[Table::Logs]).await.expect("pinned");
    let places = pinned.batches.iter().map(|batch| (batch.partition.partition, batch.offset)).collect();
    (places, pinned.ranges.iter().map(|range| range.partition.partition).collect())
}

#[tokio::test]
async fn only_what_is_new_is_asked_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("ingest.sock");
    let (ingest, _handles) = serve(&socket).await;
    let address = format!("unix:{}", socket.display());
    let live = ClusterLive::new(catalog(directory.path(), &[("a", address)]).await);
    let say = |instance: &str, offsets: &[u64], next: u64| {
        *ingest.says.lock().expect("free") = LiveResponse {
            instance: instance.to_owned(),
            ranges: vec![range(0, 1, 0, next)],
            batches: offsets.iter().map(|offset| live_batch(0, *offset)).collect(),
            layouts: BTreeMap::from([(LayoutId(1), "{}".to_owned())]),
            ..LiveResponse::default()
        };
    };
    say("one", &[0, 1], 2);
    assert_eq!(pin(&live).await.0, [(0, 0), (0, 1)]);
    say("one", &[2], 3);
    assert_eq!(pin(&live).await.0, [(0, 0), (0, 1), (0, 2)]);
    // Restarted: it answers with everything it has, and the old rows go.
    say("two", &[2, 3], 4);
    assert_eq!(pin(&live).await.0, [(0, 2), (0, 3)]);
    let asked = std::mem::take(&mut *ingest.asked.lock().expect("free"));
    let have = |next| BTreeMap::from([(partition(0), next)]);
    let expected = [
        LiveRequest { instance: None, have: BTreeMap::new() },
        LiveRequest { instance: Some("one".to_owned()), have: have(2) },
        LiveRequest { instance: Some("one".to_owned()), have: have(3) },
    ];
    assert_eq!(asked, expected);
}

#[tokio::test]
async fn an_ingester_that_is_away_takes_its_partitions_and_no_others() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("here.sock");
    let (ingest, _handles) = serve(&socket).await;
    *ingest.says.lock().expect("free") = LiveResponse {
        ranges: vec![range(0, 1, 0, 1)],
        batches: vec![live_batch(0, 0)],
        ..LiveResponse::default()
    };
    let away = directory.path().join("away.sock");
    // Somebody who takes connections and never answers.
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let owners = [
        ("a", format!("unix:{}", socket.display())),
        ("b", format!("unix:{}", away.display())),
        ("c", format!("http://{}", mute.local_addr().expect("an address"))),
    ];
    let live = ClusterLive::new(catalog(directory.path(), &owners).await);
    let begun = Instant::now();
    let pinned = live.pin(&TenantId::default(), &[Table::Logs]).await.expect("pinned");
    assert!(begun.elapsed() < 2 * PATIENCE, "{:?}", begun.elapsed());
    assert_eq!((pinned.batches.len(), pinned.ranges.len(), pinned.leased.len()), (1, 1, 3));
    // The next question does not wait for who was silent.
    let begun = Instant::now();
    assert_eq!(pin(&live).await.1, [0]);
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}

#[test]
fn the_newest_lease_counts_alone() {
    let lane = |agent: u128, mark: i64| LaneState {
        partition: partition(0),
        agent: AgentId::from_u128(agent),
        mark_micros: Some(mark),
        heard_micros: mark,
        status: LaneStatus::Live,
        is_estimated: false,
    };
    let answer = |ranges: Vec<LiveRange>, offsets: &[u64], mark| PinnedRows {
        batches: offsets.iter().map(|offset| live_batch(0, *offset)).collect(),
        lanes: vec![lane(1, mark)],
        ranges,
        ..PinnedRows::default()
    };
    // A zombie that still serves what it read, and the new owner behind it.
    let zombie = answer(vec![range(0, 1, 3, 9)], &[3, 4, 8], 90);
    let owner = answer(vec![range(0, 2, 5, 7)], &[5, 6], 60);
    for answers in [vec![zombie.clone(), owner.clone()], vec![owner, zombie]] {
        let merged = merge(answers, vec![partition(0)]);
        assert_eq!(merged.batches.iter().map(|batch| batch.offset).collect::<Vec<_>>(), [5, 6]);
        assert_eq!(merged.lanes, [lane(1, 60)]);
        assert_eq!(merged.ranges, [range(0, 2, 5, 7)]);
    }
    // Rows that its range does not vouch for are left out.
    let stale = answer(vec![range(0, 1, 5, 6)], &[4, 5, 6], 10);
    assert_eq!(merge(vec![stale], Vec::new()).batches.len(), 1);
}

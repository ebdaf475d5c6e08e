//! Several ingesters on one catalog and one log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_proto::schema::Table;
use weir_runtime::Handles;

use super::doubles::{FaultyCatalog, GatedLog, State};
use super::site::{self, Site, message, until};
use crate::Ingest;

/// An ingester with all that can be done to it.
pub(super) struct Actor {
    pub(super) ingest: Ingest,
    pub(super) handles: Handles,
    pub(super) catalog: Arc<FaultyCatalog>,
}

impl Actor {
    pub(super) async fn start(site: &Site, name: &str) -> Self {
        let catalog = FaultyCatalog::new(site.catalog.clone()).await;
        let log = Arc::new(GatedLog::new(Arc::new(site.log.reader()), catalog.gate()));
        let handles = Handles::new("actor");
        let ingest = site.start_on(log, catalog.clone(), name, handles.clone()).await;
        Self { ingest, handles, catalog }
    }

    /// Its world stands still, or moves again.
    pub(super) fn set(&self, state: State) {
        self.catalog.gate().send_replace(state);
    }

    pub(super) async fn stop(self) {
        self.ingest.stop(Duration::from_secs(30)).await;
    }

    pub(super) async fn kill(self) {
        site::kill(&self.handles).await;
    }

    /// A counter of its own.
    pub(super) fn count(&self, name: &str) -> u64 {
        let text = self.handles.metrics.encode();
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("weir_{name}_total ")));
        line.unwrap_or_else(|| panic!("no counter {name} in {text}")).trim().parse().unwrap()
    }
}

/// How many partitions each ingester has.
async fn shares(site: &Site) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for owner in site.catalog.owners().await.unwrap() {
        if !owner.lease.owner.is_empty() {
            *shares.entry(owner.lease.owner).or_default() += 1;
        }
    }
    shares
}

async fn shared(site: &Site, expected: &[(&str, usize)]) -> Duration {
    let expected: BTreeMap<String, usize> =
        expected.iter().map(|(name, count)| (format!("ingester {name}"), *count)).collect();
    let since = Instant::now();
    until("the shares are so", async || shares(site).await == expected).await;
    since.elapsed()
}

async fn quick_site() -> Site {
    let mut site = Site::new(2).await;
    site.config.lease.0 = Duration::from_secs(1);
    site
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_move_when_one_joins_leaves_and_dies() {
    let site = quick_site().await;
    let first = Actor::start(&site, "a").await;
    shared(&site, &[("a", 6)]).await;
    for partition in 0..2 {
        site.append(partition, message(u128::from(partition), 0, &["one", "two"])).await;
    }
    until("rows are live", async || site.live(&first.ingest).await.len() == 4).await;
    let second = Actor::start(&site, "b").await;
    let joined = shared(&site, &[("a", 3), ("b", 3)]).await;
    // What was handed over is stored, what was not is live where it was.
    let epochs = |of: &Actor| of.count("ingest_terms_lost");
    assert_eq!((first.count("ingest_handovers"), epochs(&first), epochs(&second)), (3, 0, 0));
    assert_eq!(site.stored().await.len() + site.live(&first.ingest).await.len(), 4);
    second.stop().await;
    let left = shared(&site, &[("a", 6)]).await;
    let third = Actor::start(&site, "c").await;
    shared(&site, &[("a", 3), ("c", 3)]).await;
    third.kill().await;
    let died = shared(&site, &[("a", 6)]).await;
    for partition in 0..2 {
        site.append(partition, message(u128::from(partition), 8, &["three"])).await;
    }
    let threes = async || site.live(&first.ingest).await.iter().filter(|row| *row == "three").count();
    until("both are live", async || threes().await == 2).await;
    println!("joined after {joined:?}, left after {left:?}, died after {died:?}");
    first.stop().await;
    assert_eq!(site.stored().await, ["one", "one", "three", "three", "two", "two"]);
    assert_eq!(site.gaps().await, []);
    assert_eq!(shares(&site).await, BTreeMap::new(), "all is given back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_paused_wakes_up_refused_and_takes_part_again() {
    let site = quick_site().await;
    let sleeper = Actor::start(&site, "a").await;
    shared(&site, &[("a", 6)]).await;
    site.append(0, message(1, 0, &["a", "b"])).await;
    until("rows are live", async || site.live(&sleeper.ingest).await == ["a", "b"]).await;
    sleeper.set(State::Paused);
    let other = Actor::start(&site, "b").await;
    shared(&site, &[("b", 6)]).await;
    until("the other has its rows", async || site.live(&other.ingest).await == ["a", "b"]).await;
    site.append(0, message(1, 4, &["c"])).await;
    until("and those after", async || site.live(&other.ingest).await == ["a", "b", "c"]).await;
    assert_eq!(site.live(&sleeper.ingest).await, ["a", "b"], "it does not know yet");
    sleeper.set(State::Open);
    shared(&site, &[("a", 3), ("b", 3)]).await;
    until("it knows", async || sleeper.count("ingest_terms_lost") > 0).await;
    until("nothing is seen twice", async || {
        let mut rows = site.live(&sleeper.ingest).await;
        rows.extend(site.live(&other.ingest).await);
        rows.extend(site.stored().await);
        rows.sort();
        rows == ["a", "b", "c"]
    })
    .await;
    sleeper.stop().await;
    other.stop().await;
    assert_eq!((site.stored().await, site.gaps().await), (vec!["a".into(), "b".into(), "c".into()], vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalog_that_is_away_takes_nothing_from_anybody() {
    let mut site = quick_site().await;
    site.config.flush_interval.0 = Duration::from_millis(50);
    let actors = [Actor::start(&site, "a").await, Actor::start(&site, "b").await];
    shared(&site, &[("a", 3), ("b", 3)]).await;
    let owners = site.catalog.owners().await.unwrap();
    for actor in &actors {
        actor.set(State::Away);
    }
    for partition in 0..2 {
        site.append(partition, message(u128::from(partition), 0, &["x"])).await;
    }
    for actor in &actors {
        until("it is said", async || actor.ingest.health().check().is_err_and(|why| why.contains("members")))
            .await;
    }
    // All words and leases run out.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(site.stored().await, [""; 0]);
    // One comes back first, and is alone for a moment.
    for actor in &actors {
        actor.set(State::Open);
    }
    until("all is stored", async || site.stored().await == ["x", "x"]).await;
    shared(&site, &[("a", 3), ("b", 3)]).await;
    let epochs = |owners: Vec<weir_storage::catalog::Owner>| -> Vec<_> {
        owners.into_iter().map(|owner| (owner.lease.partition, owner.lease.epoch)).collect()
    };
    assert_eq!(epochs(site.catalog.owners().await.unwrap()), epochs(owners), "nobody was robbed");
    for actor in actors {
        until("it is fine", async || actor.ingest.health().check().is_ok()).await;
        assert_eq!((actor.count("ingest_terms_lost"), actor.count("ingest_handovers") % 3), (0, 0));
        actor.stop().await;
    }
    assert_eq!(site.stored_of(Table::Spans).await, [""; 0]);
}

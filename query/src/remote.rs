//! The live rows of every ingester, as one.
//!
//! Who has which partition stands in the catalog. A question asks each owner
//! for what is new since the last one, and keeps the rest. Of each partition it
//! takes the rows of one ingester: of those that serve it, the one with the
//! newest lease.
//!
//! Why that is right, whatever moves meanwhile. A served range is all rows of
//! the offsets `floor..next`, `floor` being stored when it was asked for; the
//! snapshot is read later, so it reaches at least to `floor`, and pinned rows
//! below what it stores are dropped: nothing is missing up to the further of
//! the two, nothing is there twice.
//!
//! | meanwhile | so |
//! |---|---|
//! | the owner flushed | the snapshot holds the rows as files, the pinned ones are dropped |
//! | the partition moved, the new owner has read on | its range has the newer lease and counts |
//! | the partition moved, nobody serves it yet | it is missing: complete as far as it is stored, and named |
//! | a paused ingester woke and serves an old lease | the rows of an offset are the same whoever read them, and stored ones are dropped; whoever has the newer lease counts |
//! | an ingester died or cannot be reached | its partitions are missing until others have them |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use tokio::time::{Instant, timeout};
use weir_proto::model::TenantId;
use weir_proto::schema::Table;
use weir_runtime::telemetry::error_chain;
use weir_storage::catalog::{Catalog, LogPartition, Owner};
use weir_storage::live::flight::FlightClient;
use weir_storage::live::{LiveCache, LiveError, LiveRange, LiveRows, PinnedRows};

/// How long an ingester may take to answer. An answer without it is honest
/// about that; one that waits longer helps nobody.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long one that did not answer is left alone, so that not every question
/// waits for it. Shorter than a lease: when it is back, so are its rows.
const LEFT_ALONE: Duration = Duration::from_secs(1);

/// The live rows of all ingesters.
pub struct ClusterLive {
    catalog: Arc<dyn Catalog>,
    ingesters: Mutex<BTreeMap<String, Arc<Ingester>>>,
}

impl std::fmt::Debug for ClusterLive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterLive").finish_non_exhaustive()
    }
}

/// One ingester, and what is known of its rows.
///
/// Exchanges take turns: of two questions at once, the second then asks for
/// what is newer than the first's answer instead of for the same rows again.
struct Ingester {
    client: FlightClient,
    cache: tokio::sync::Mutex<LiveCache>,
    silent_since: Mutex<Option<Instant>>,
}

impl ClusterLive {
    /// Live rows of the ingesters that the catalog names.
    pub fn new(catalog: Arc<dyn Catalog>) -> Self {
        Self { catalog, ingesters: Mutex::default() }
    }

    /// The ingesters of these owners, each once; those that own nothing any
    /// more are forgotten with their rows.
    fn ingesters(&self, owners: &[Owner]) -> Result<Vec<Arc<Ingester>>, LiveError> {
        let addresses: BTreeSet<&String> = owners.iter().filter_map(|owner| owner.address.as_ref()).collect();
        let mut known = self.ingesters.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|address, _| addresses.contains(address));
        for address in addresses {
            if !known.contains_key(address) {
                known.insert(address.clone(), Arc::new(Ingester::new(address)?));
            }
        }
        Ok(known.values().cloned().collect())
    }
}

#[async_trait]
impl LiveRows for ClusterLive {
    async fn pin(&self, tenant: &TenantId, tables: &[Table]) -> Result<PinnedRows, LiveError> {
        let owners = self.catalog.owners().await;
        let owners = owners.map_err(|error| LiveError { reason: error_chain(&error) })?;
        let ingesters = self.ingesters(&owners)?;
        let answers = join_all(ingesters.iter().map(|ingester| ingester.pin(tenant, tables))).await;
        let leased = owners.into_iter().map(|owner| owner.lease.partition).collect();
        Ok(merge(answers.into_iter().flatten().collect(), leased))
    }
}

impl Ingester {
    fn new(address: &str) -> Result<Self, LiveError> {
        Ok(Self {
            client: FlightClient::new(address)?,
            cache: tokio::sync::Mutex::new(LiveCache::new()),
            silent_since: Mutex::new(None),
        })
    }

    /// Its rows; none when it does not answer.
    async fn pin(&self, tenant: &TenantId, tables: &[Table]) -> Option<PinnedRows> {
        if self.silent_since().is_some_and(|since| since.elapsed() < LEFT_ALONE) {
            return None;
        }
        let exchanged = timeout(PATIENCE, self.exchange(tenant, tables)).await;
        let late = || LiveError { reason: format!("no answer within {PATIENCE:?}") };
        let failure = match exchanged.unwrap_or_else(|_| Err(late())) {
            Ok(pinned) => {
                self.set_silent_since(None);
                return Some(pinned);
            }
            Err(error) => error,
        };
        if self.silent_since().is_none() {
            tracing::warn!(ingester = ?self.client, error = %failure, "live rows could not be had");
        }
        self.set_silent_since(Some(Instant::now()));
        None
    }

    async fn exchange(&self, tenant: &TenantId, tables: &[Table]) -> Result<PinnedRows, LiveError> {
        let mut cache = self.cache.lock().await;
        let request = cache.request();
        let response = self.client.ask(&request).await?;
        cache.apply(&request, response).map_err(|error| LiveError { reason: error_chain(&error) })?;
        Ok(cache.pin(tenant, tables))
    }

    fn silent_since(&self) -> Option<Instant> {
        *self.silent_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_silent_since(&self, since: Option<Instant>) {
        *self.silent_since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

/// Of each partition, the rows and lanes of the one with the newest lease.
fn merge(answers: Vec<PinnedRows>, leased: Vec<LogPartition>) -> PinnedRows {
    let mut best: BTreeMap<LogPartition, (usize, LiveRange)> = BTreeMap::new();
    for (index, answer) in answers.iter().enumerate() {
        for range in &answer.ranges {
            let is_better =
                |(_, held): &(usize, LiveRange)| (range.epoch, range.next) > (held.epoch, held.next);
            if best.get(&range.partition).is_none_or(is_better) {
                best.insert(range.partition.clone(), (index, range.clone()));
            }
        }
    }
    let mut merged = PinnedRows { leased, ..PinnedRows::default() };
    for (index, answer) in answers.into_iter().enumerate() {
        let range_of = |partition: &LogPartition| best.get(partition).filter(|(from, _)| *from == index);
        let is_live = |partition: &LogPartition, offset: u64| {
            range_of(partition).is_some_and(|(_, range)| (range.floor..range.next).contains(&offset))
        };
        merged
            .batches
            .extend(answer.batches.into_iter().filter(|batch| is_live(&batch.partition, batch.offset)));
        merged.lanes.extend(answer.lanes.into_iter().filter(|lane| range_of(&lane.partition).is_some()));
        merged.layouts.extend(answer.layouts);
    }
    merged.ranges = best.into_values().map(|(_, range)| range).collect();
    merged
        .batches
        .sort_by(|left, right| (&left.partition, left.offset).cmp(&(&right.partition, right.offset)));
    merged
}

#[cfg(test)]
mod tests;

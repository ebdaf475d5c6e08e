//! The commit path: what is live becomes files, all of it or nothing.
//!
//! One flush at a time; reading the log goes on meanwhile. The order is: put
//! the objects (synced), publish, release the live rows, trim the log.
//!
//! | died after | a restart sees | so |
//! |---|---|---|
//! | rows accepted | the last commit's offsets and ranges | reads the messages again |
//! | some objects put | objects that no commit names | reads again, writes others; these are orphans |
//! | published | files, offsets, ranges, gaps | goes on behind them |
//! | released | the same | the same |
//! | log trimmed | the same, fewer segments | the same |
//!
//! What an attempt can meet:
//!
//! | outcome | so |
//! |---|---|
//! | object store full or failing | rows stay live, files of the attempt are removed, tried again later |
//! | catalog failing, nothing changed | the same |
//! | fenced | somebody else has that partition: its rows are dropped, its reader starts anew, the others are tried again |
//! | unknown | the catalog is asked how far the partitions are until it answers, then one of the above; no file is removed |

use std::sync::Arc;
use std::time::Duration;

use weir_proto::schema::Table;
use weir_runtime::telemetry::error_chain;
use weir_runtime::{Clock, failpoint, planted};
use weir_storage::catalog::{Advance, Catalog, CatalogError, Commit, FileEntry, LogPartition};
use weir_storage::object::Objects;
use weir_stream::{Offset, Partition, ReadError, Subscribe, Topic};

use crate::backoff::Backoff;
use crate::error::FlushError;
use crate::flush;
use crate::gaps;
use crate::health::Health;
use crate::live::{Extent, Live, Take};
use crate::metrics::IngestMetrics;

/// The part of this process's health that speaks of flushes.
const HEALTH: &str = "flush";

/// Stores what is live: all of it when that is due, one partition before it is
/// handed over.
pub(crate) struct Committer {
    pub(crate) live: Arc<Live>,
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) objects: Arc<dyn Objects>,
    pub(crate) log: Arc<dyn Subscribe>,
    /// Held during an attempt: who takes a partition anew waits, so that it
    /// does not read a progress that an attempt is about to change.
    pub(crate) gate: tokio::sync::Mutex<()>,
    pub(crate) clock: Clock,
    pub(crate) health: Health,
    pub(crate) metrics: IngestMetrics,
}

/// What became of a publication.
enum Outcome {
    Published,
    /// These partitions are somebody else's.
    Fenced(Vec<LogPartition>),
}

impl Committer {
    /// Flushes until an attempt leaves nothing to do about what it took: it was
    /// stored, or is somebody else's. What fails is tried again, for ever.
    pub(crate) async fn flush(&self, extent: &Extent) {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let mut is_away = false;
        loop {
            match self.attempt(extent, is_away).await {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => {
                    let why = error_chain(&error);
                    is_away = error.is_of_catalog();
                    self.metrics.flush_failures.inc();
                    if self.health.wrong(HEALTH, &why) {
                        tracing::error!(error = %why, "flush failed, its rows stay live, trying again");
                    }
                    backoff.wait().await;
                }
            }
        }
        self.health.fine(HEALTH);
    }

    /// One attempt. False: a part of it was somebody else's, the rest is yet to
    /// be stored. A catalog that was away is asked first whether it is back:
    /// files are not written over and over for nothing.
    async fn attempt(&self, extent: &Extent, was_away: bool) -> Result<bool, FlushError> {
        let _gate = self.gate.lock().await;
        let take = self.live.take(extent);
        let Some(first) = take.advances.first() else { return Ok(true) };
        if was_away {
            let answer = self.catalog.progress(&first.partition).await;
            answer.map_err(|source| FlushError::Away { source })?;
        }
        let mut files = Vec::new();
        let now_micros = self.clock.now_micros();
        if planted::is("commit-offsets-first") && !take.tables.is_empty() {
            self.publish(&take, &files, now_micros).await?;
        }
        if let Err(error) = flush::store(&take, &*self.objects, now_micros, &mut files).await {
            self.remove(&files).await;
            return Err(error);
        }
        match self.publish(&take, &files, now_micros).await? {
            Outcome::Published => {
                self.live.release(&take);
                self.count(&take, &files);
                self.trim(&take.advances).await;
                Ok(true)
            }
            Outcome::Fenced(partitions) => {
                for partition in partitions {
                    self.metrics.terms_lost.inc();
                    tracing::warn!(%partition, "somebody else has the partition, its live rows are dropped");
                    self.live.fence(&take, &partition);
                }
                Ok(false)
            }
        }
    }

    async fn publish(
        &self,
        take: &Take,
        files: &[FileEntry],
        now_micros: i64,
    ) -> Result<Outcome, FlushError> {
        let layouts = take.tables.values().flat_map(|table| &table.layouts);
        let mut commit = Commit {
            files: files.to_vec(),
            advances: take.advances.clone(),
            covered: take.covered.clone(),
            gaps: gaps::merged(&take.gaps),
            filled: take.filled.clone(),
            layouts: layouts.map(|(id, json)| (*id, json.to_string())).collect(),
            lanes: take.lanes.clone(),
            now_micros,
        };
        if planted::is("commit-offsets-first") && !files.is_empty() {
            commit = Commit { files: commit.files, now_micros, ..Commit::default() };
        }
        match self.catalog.publish(&commit).await {
            Ok(_) => Ok(Outcome::Published),
            Err(CatalogError::Fenced { partition, .. }) => {
                self.remove(files).await;
                Ok(Outcome::Fenced(vec![partition]))
            }
            Err(error) if error.is_unknown() => {
                tracing::warn!(
                    error = error_chain(&error),
                    "outcome of a commit unknown, asking the catalog"
                );
                self.outcome(take, FlushError::Publish { source: error }).await
            }
            // Names are never drawn twice, so this cannot be; if it is, the
            // object may be somebody's and is left alone.
            Err(source @ CatalogError::PathInUse(_)) => Err(FlushError::Publish { source }),
            Err(source) => {
                // Refused or failed: nothing was changed.
                self.remove(files).await;
                Err(FlushError::Publish { source })
            }
        }
    }

    /// Asks the catalog how far it is. `unknown` is the answer when nothing of
    /// the commit happened: it is tried again. Its files are left: what may
    /// have been committed is not deleted.
    async fn outcome(&self, take: &Take, unknown: FlushError) -> Result<Outcome, FlushError> {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
        let mut published = 0;
        let mut elsewhere = Vec::new();
        // Where only lanes changed, the offset says nothing.
        let moves = |advance: &&Advance| advance.from != Some(advance.to);
        for advance in take.advances.iter().filter(moves) {
            let next_offset = loop {
                match self.catalog.progress(&advance.partition).await {
                    Ok(progress) => break progress.next_offset,
                    Err(source) => {
                        let error = FlushError::Outcome { source };
                        if self.health.wrong(HEALTH, &error_chain(&error)) {
                            tracing::error!(error = error_chain(&error), "asking again");
                        }
                        backoff.wait().await;
                    }
                }
            };
            if next_offset == Some(advance.to) {
                published += 1;
            } else if next_offset != advance.from {
                elsewhere.push(advance.partition.clone());
            }
        }
        // All of it or nothing: where another process has gone on from our
        // commit, or committed instead of us, only the epoch could tell; both
        // are right when the partition starts anew. The files stay: in the
        // first case the catalog names them.
        if published > 0 && published == take.advances.iter().filter(moves).count() {
            Ok(Outcome::Published)
        } else if published > 0 || !elsewhere.is_empty() {
            let is_ours = |advance: &&Advance| !elsewhere.contains(&advance.partition);
            let ours = take.advances.iter().filter(is_ours).map(|advance| advance.partition.clone());
            let all: Vec<_> = if published > 0 { ours.collect() } else { Vec::new() };
            Ok(Outcome::Fenced(elsewhere.into_iter().chain(all).collect()))
        } else {
            Err(unknown)
        }
    }

    /// Removes objects that were put and certainly not committed. What cannot
    /// be removed is an orphan.
    async fn remove(&self, files: &[FileEntry]) {
        for file in files {
            if let Err(error) = self.objects.delete(&file.path).await {
                tracing::warn!(
                    path = file.path,
                    error = error_chain(&error),
                    "uncommitted object not removed"
                );
            }
        }
    }

    /// Gives the leases back, so that whoever comes next need not wait.
    pub(crate) async fn give_back(&self) {
        for lease in self.live.leases() {
            if let Err(error) = self.catalog.release(&lease).await {
                tracing::warn!(partition = %lease.partition, error = error_chain(&error), "lease runs out by itself");
            }
        }
    }

    async fn trim(&self, advances: &[Advance]) {
        for advance in advances {
            let LogPartition { topic, partition } = &advance.partition;
            // It was a topic before it was text.
            let Ok(topic) = Topic::new(topic) else { continue };
            let partition = Partition::new(topic, *partition);
            let trim = async {
                failpoint::reach("ingest.trim.before")?;
                self.log.trim(&partition, Offset(advance.to)).await?;
                Ok::<_, ReadError>(failpoint::reach("ingest.trim.after")?)
            };
            if let Err(error) = trim.await {
                tracing::warn!(%partition, error = error_chain(&error), "the event log keeps what is stored");
            }
        }
    }

    fn count(&self, take: &Take, files: &[FileEntry]) {
        let rows = take.rows();
        self.metrics.flushes.inc();
        for (table, rows) in &rows {
            self.metrics.stored_rows.get_or_create(&[("table", table.name())]).inc_by(*rows);
        }
        for file in files {
            if let Some(table) = Table::of_name(&file.table) {
                self.metrics.stored_bytes.get_or_create(&[("table", table.name())]).inc_by(file.bytes);
            }
        }
        tracing::debug!(?rows, files = files.len(), "flushed");
    }
}

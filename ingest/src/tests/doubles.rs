//! A catalog that fails on demand, a log that stands still, and one with holes.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, watch};
use weir_storage::catalog::double::Double;
use weir_storage::catalog::sqlite::SqliteCatalog;
use weir_storage::catalog::{Advance, Catalog, CatalogError, Commit};
use weir_stream::{
    Offset, Partition, ReadError, ReadLimit, Record, StoredRecord, Subscribe, Topic, Watermarks,
};

/// What happens to a publication.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// It fails, nothing is changed.
    Unreachable,
    /// It is committed and nobody hears of it.
    UnknownDone,
    /// It is committed, nobody hears of it, and when the test says so somebody
    /// else goes on from it.
    UnknownDoneAndOvertaken,
    /// It is not committed, and nobody hears of that.
    UnknownNotDone,
    /// Somebody else takes the partitions first, and advances them as far.
    Overtaken,
}

/// What happens to every call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing.
    Open,
    /// It waits, as if the process stood still.
    Paused,
    /// It fails.
    Away,
}

/// A catalog whose next publications fail in a chosen way.
pub(super) struct FaultyCatalog {
    inner: Arc<dyn Catalog>,
    /// Every call of it fails.
    closed: SqliteCatalog,
    faults: Mutex<VecDeque<Fault>>,
    gate: watch::Sender<State>,
    go_on: Notify,
}

impl FaultyCatalog {
    pub(super) async fn new(inner: Arc<dyn Catalog>) -> Arc<Self> {
        let directory = tempfile::tempdir().unwrap();
        let closed = SqliteCatalog::open(&directory.path().join(Path::new("closed"))).await.unwrap();
        closed.close().await;
        Arc::new(Self {
            inner,
            closed,
            faults: Mutex::default(),
            gate: watch::Sender::new(State::Open),
            go_on: Notify::new(),
        })
    }

    pub(super) fn gate(&self) -> watch::Sender<State> {
        self.gate.clone()
    }

    /// Somebody else goes on.
    pub(super) fn go_on(&self) {
        self.go_on.notify_one();
    }

    pub(super) fn faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().unwrap().extend(faults);
    }

    pub(super) fn is_spent(&self) -> bool {
        self.faults.lock().unwrap().is_empty()
    }

    async fn unreachable(&self, commit: &Commit) -> CatalogError {
        self.closed.publish(commit).await.expect_err("it is closed")
    }

    async fn unknown(&self, commit: &Commit) -> CatalogError {
        match self.unreachable(commit).await {
            CatalogError::Query { source, .. } => CatalogError::CommitUnknown { source },
            other => other,
        }
    }

    async fn overtake(&self, commit: &Commit) {
        let mut other = Commit { now_micros: commit.now_micros, ..Commit::default() };
        let mut leases = Vec::new();
        let lasts = Duration::from_secs(1);
        for advance in &commit.advances {
            let lease =
                self.inner.lease(&advance.partition, "other", i64::MAX - 1_000_000, lasts).await.unwrap();
            other.advances.push(Advance { epoch: lease.epoch, ..advance.clone() });
            leases.push(lease);
        }
        self.inner.publish(&other).await.unwrap();
        for lease in &leases {
            self.inner.release(lease).await.unwrap();
        }
    }
}

#[async_trait]
impl Double for FaultyCatalog {
    fn inner(&self) -> &dyn Catalog {
        &*self.inner
    }

    async fn before(&self) -> Result<(), CatalogError> {
        let mut gate = self.gate.subscribe();
        let state = *gate.wait_for(|state| *state != State::Paused).await.expect("the sender is ours");
        match state {
            State::Away => Err(self.closed.owners().await.expect_err("it is closed")),
            State::Open | State::Paused => Ok(()),
        }
    }

    async fn on_publish(&self, commit: &Commit) -> Result<i64, CatalogError> {
        let fault = self.faults.lock().unwrap().pop_front();
        match fault {
            None => self.inner.publish(commit).await,
            Some(Fault::Unreachable) => Err(self.unreachable(commit).await),
            Some(Fault::UnknownDone) => {
                self.inner.publish(commit).await.unwrap();
                Err(self.unknown(commit).await)
            }
            Some(Fault::UnknownDoneAndOvertaken) => {
                self.inner.publish(commit).await.unwrap();
                self.go_on.notified().await;
                let mut further = commit.clone();
                for advance in &mut further.advances {
                    (advance.from, advance.to) = (Some(advance.to), advance.to + 1);
                }
                self.overtake(&further).await;
                Err(self.unknown(commit).await)
            }
            Some(Fault::UnknownNotDone) => Err(self.unknown(commit).await),
            Some(Fault::Overtaken) => {
                self.overtake(commit).await;
                self.inner.publish(commit).await
            }
        }
    }
}

/// A log that stands still or is away with its reader's catalog.
pub(super) struct GatedLog {
    inner: Arc<dyn Subscribe>,
    gate: watch::Sender<State>,
}

impl GatedLog {
    pub(super) fn new(inner: Arc<dyn Subscribe>, gate: watch::Sender<State>) -> Self {
        Self { inner, gate }
    }

    async fn pass(&self) {
        let mut gate = self.gate.subscribe();
        gate.wait_for(|state| *state != State::Paused).await.expect("the sender is ours");
    }
}

#[async_trait]
impl Subscribe for GatedLog {
    async fn read(
        &self,
        partition: &Partition,
        from: Offset,
        limit: ReadLimit,
    ) -> Result<Vec<StoredRecord>, ReadError> {
        let read = self.inner.read(partition, from, limit).await;
        self.pass().await;
        read
    }

    async fn watermarks(&self, partition: &Partition) -> Result<Watermarks, ReadError> {
        self.pass().await;
        self.inner.watermarks(partition).await
    }

    async fn trim(&self, partition: &Partition, before: Offset) -> Result<(), ReadError> {
        self.pass().await;
        self.inner.trim(partition, before).await
    }

    async fn partitions(&self, topic: &Topic) -> Result<u32, ReadError> {
        self.inner.partitions(topic).await
    }
}

/// A log of one partition in memory that starts where it is told to.
pub(super) struct MemoryLog {
    start: u64,
    messages: Vec<Record>,
    corrupt: Mutex<Option<u64>>,
}

impl MemoryLog {
    pub(super) fn new(start: u64, messages: impl IntoIterator<Item = Record>) -> Arc<Self> {
        let messages = messages.into_iter().collect();
        Arc::new(Self { start, messages, corrupt: Mutex::default() })
    }

    /// The message at this offset cannot be read.
    pub(super) fn corrupt(&self, offset: u64) {
        *self.corrupt.lock().unwrap() = Some(offset);
    }

    fn end(&self) -> u64 {
        self.start + self.messages.len() as u64
    }
}

#[async_trait]
impl Subscribe for MemoryLog {
    async fn read(
        &self,
        partition: &Partition,
        from: Offset,
        limit: ReadLimit,
    ) -> Result<Vec<StoredRecord>, ReadError> {
        let partition = partition.clone();
        if from.0 < self.start {
            return Err(ReadError::BelowStart { partition, from, start: Offset(self.start) });
        }
        if from.0 > self.end() {
            return Err(ReadError::AboveEnd { partition, from, end: Offset(self.end()) });
        }
        if *self.corrupt.lock().unwrap() == Some(from.0) {
            let (path, reason) = ("segment".into(), "checksum".to_owned());
            return Err(ReadError::Corrupt { partition, path, from, next: from.next(), reason });
        }
        let Some(record) = self.messages.get((from.0 - self.start) as usize) else {
            tokio::time::sleep(limit.wait.min(Duration::from_millis(5))).await;
            return Ok(Vec::new());
        };
        Ok(vec![StoredRecord { offset: from, record: record.clone() }])
    }

    async fn watermarks(&self, _: &Partition) -> Result<Watermarks, ReadError> {
        Ok(Watermarks { start: Offset(self.start), end: Offset(self.end()) })
    }

    async fn trim(&self, _: &Partition, _: Offset) -> Result<(), ReadError> {
        Ok(())
    }

    async fn partitions(&self, topic: &Topic) -> Result<u32, ReadError> {
        Ok(u32::from(topic.as_str() == "weir.logs"))
    }
}

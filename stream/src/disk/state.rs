//! What the writers of a process share with the readers in it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;

use super::files::Files;
use super::place::Place;
use super::retain::Retain;
use super::tail::Tail;
use super::writer::Request;
use crate::{Partition, Topic};

/// An open log.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) files: Arc<dyn Files>,
    pub(super) dir: PathBuf,
    pub(super) retain: Retain,
    tail: Mutex<Tail>,
    topics: RwLock<BTreeMap<Topic, Vec<OpenPartition>>>,
}

/// A partition with its writer.
#[derive(Debug)]
pub(super) struct OpenPartition {
    pub(super) state: Arc<PartitionState>,
    /// The writer's queue; none once the log is closed.
    pub(super) queue: Option<Sender<Request>>,
}

/// What readers in the process see of a partition.
#[derive(Debug)]
pub(super) struct PartitionState {
    pub(super) place: Place,
    /// Its part of the tail.
    pub(super) slot: usize,
    /// The offset after the last durable record.
    pub(super) end: watch::Sender<u64>,
}

impl Shared {
    /// A log without partitions.
    pub(super) fn new(files: Arc<dyn Files>, dir: PathBuf, retain: Retain, tail_bytes: usize) -> Self {
        Self { files, dir, retain, tail: Mutex::new(Tail::new(tail_bytes)), topics: RwLock::default() }
    }

    /// The newest records.
    pub(super) fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The open partitions.
    pub(super) fn topics(&self) -> RwLockReadGuard<'_, BTreeMap<Topic, Vec<OpenPartition>>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The open partitions, to change them.
    pub(super) fn topics_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<Topic, Vec<OpenPartition>>> {
        self.topics.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// One partition, if it is open.
    pub(super) fn partition(&self, partition: &Partition) -> Option<Arc<PartitionState>> {
        let index = usize::try_from(partition.index).ok()?;
        Some(self.topics().get(&partition.topic)?.get(index)?.state.clone())
    }

    /// How many partitions of the topic are open.
    pub(super) fn partitions(&self, topic: &Topic) -> Option<u32> {
        u32::try_from(self.topics().get(topic)?.len()).ok()
    }
}

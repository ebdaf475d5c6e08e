//! The writing side: opening, topics, appending, closing.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use weir_runtime::{ByteSize, Handles};

use super::config::{DiskConfig, Fsync};
use super::error::OpenError;
use super::files::{Files, Lock, SystemFiles};
use super::frame;
use super::metrics::LogMetrics;
use super::place::{self, LOCK_NAME, Place};
use super::reader::DiskReader;
use super::recover::recover;
use super::retain::Retain;
use super::state::{OpenPartition, PartitionState, Shared};
use super::writer::{Policy, Request, Writer};
use crate::{Append, AppendError, Offset, Partition, Record, Topic};

/// The event log of a directory, open for writing: the only writer there is.
///
/// Dropping it answers what is queued, ends the writing threads and gives the
/// directory free, which blocks for the syncs that are under way;
/// [`DiskLog::close`] does the same without holding a runtime's thread.
/// Shutdown does not end it by itself: roles append until their own end.
#[derive(Debug)]
pub struct DiskLog {
    shared: Arc<Shared>,
    segment_bytes: ByteSize,
    fsync: Fsync,
    metrics: LogMetrics,
    /// Bytes that may be queued, over all partitions. Full: appends wait.
    queue: Arc<Semaphore>,
    queue_bytes: u32,
    /// One topic at a time is created; holds what closing ends.
    life: Mutex<Life>,
}

/// What lives until the log is closed.
#[derive(Debug)]
struct Life {
    threads: Vec<JoinHandle<()>>,
    /// Given free only after the threads have ended. None once closed.
    lock: Option<Box<dyn Lock>>,
}

impl DiskLog {
    /// Opens the log and recovers every partition in it, creating the directory
    /// if it is missing. Blocks for as long as reading the last segment of
    /// every partition takes.
    ///
    /// # Errors
    /// [`OpenError::InUse`] when another process has it open.
    pub fn open(config: DiskConfig, handles: &Handles) -> Result<Self, OpenError> {
        Self::open_on(Arc::new(SystemFiles), config, handles)
    }

    /// The same on another file system.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_on(files: Arc<dyn Files>, config: DiskConfig, handles: &Handles) -> Result<Self, OpenError> {
        let DiskConfig { dir, segment_bytes, fsync, retention, tail_bytes, queue_bytes } = config;
        if fsync == Fsync::Never {
            tracing::warn!(
                dir = %dir.display(),
                "the event log answers without fsync: what it took may be lost when the machine fails"
            );
        }
        place::create_dirs(&*files, &dir)?;
        let lock = lock(&*files, &dir)?;
        let topics = place::topics(&*files, &dir).map_err(|source| list_failed(&dir, source))?;
        let queue_bytes =
            u32::try_from(queue_bytes.0.clamp(1, Semaphore::MAX_PERMITS as u64)).unwrap_or(u32::MAX);
        let retain = Retain::new(retention, handles.clock.clone());
        let log = Self {
            shared: Arc::new(Shared::new(files, dir, retain, tail_bytes.as_usize())),
            segment_bytes,
            fsync,
            metrics: LogMetrics::register(&handles.metrics),
            queue: Arc::new(Semaphore::new(queue_bytes as usize)),
            queue_bytes,
            life: Mutex::new(Life { threads: Vec::new(), lock: Some(lock) }),
        };
        for topic in topics {
            let shared = &log.shared;
            let count = place::partitions(&*shared.files, &shared.dir, &topic)
                .map_err(|source| list_failed(&shared.dir.join(topic.as_str()), source))?;
            log.open_partitions(&topic, count)?;
        }
        Ok(log)
    }

    /// Sees to it that the topic has at least so many partitions. Those that
    /// exist stay, also when they are more. Blocks until new ones are durable.
    pub fn ensure_topic(&self, topic: &Topic, partitions: u32) -> Result<(), OpenError> {
        if topic.as_str() == LOCK_NAME {
            return Err(OpenError::ReservedTopic(topic.clone()));
        }
        self.open_partitions(topic, partitions)
    }

    /// The directory: what a reader in another process opens.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// A reader in the same process: served from memory where it is close
    /// behind, and woken as soon as something is durable.
    pub fn reader(&self) -> DiskReader {
        DiskReader::beside(self.shared.clone())
    }

    /// Takes no more appends, answers what is queued, and gives the directory
    /// free. Readers of this log can go on reading.
    pub async fn close(&self) {
        let threads = self.begin_close();
        let joined = tokio::task::spawn_blocking(|| join(threads)).await;
        if joined.is_ok() {
            self.life().lock = None;
        }
    }

    fn begin_close(&self) -> Vec<JoinHandle<()>> {
        // First, so that no partition is being opened: its queue would stay open
        // and its thread would never end.
        let mut life = self.life();
        self.queue.close();
        for partition in self.shared.topics_mut().values_mut().flatten() {
            partition.queue = None;
        }
        std::mem::take(&mut life.threads)
    }

    fn open_partitions(&self, topic: &Topic, count: u32) -> Result<(), OpenError> {
        let mut life = self.life();
        if life.lock.is_none() || self.queue.is_closed() {
            return Err(OpenError::Closed);
        }
        let open = self.shared.partitions(topic).unwrap_or(0);
        for index in open..count {
            let partition = Partition::new(topic.clone(), index);
            let (open, thread) = self.open_partition(&partition)?;
            life.threads.push(thread);
            self.shared.topics_mut().entry(topic.clone()).or_default().push(open);
        }
        Ok(())
    }

    fn open_partition(&self, partition: &Partition) -> Result<(OpenPartition, JoinHandle<()>), OpenError> {
        let files = &*self.shared.files;
        let place = Place::new(&self.shared.dir, partition);
        let topic_dir = self.shared.dir.join(partition.topic.as_str());
        place::create_dir(files, &topic_dir, &self.shared.dir)?;
        place::create_dir(files, &place.dir, &topic_dir)?;
        let recovered = recover(files, &place, &self.metrics)?;
        let state = Arc::new(PartitionState {
            place,
            slot: self.shared.tail().add_slot(),
            end: watch::Sender::new(recovered.next),
        });
        let (queue, requests) = mpsc::channel();
        let policy = Policy { segment_bytes: self.segment_bytes.0, fsync: self.fsync };
        let writer = Writer::new(self.shared.clone(), state.clone(), recovered, policy, self.metrics.clone());
        let thread = thread::Builder::new()
            .name(format!("log {partition}"))
            .spawn(move || writer.run(&requests))
            .map_err(|source| OpenError::Thread { partition: partition.clone(), source })?;
        Ok((OpenPartition { state, queue: Some(queue) }, thread))
    }

    /// The queue of a partition. Not held across an await: a future that nobody
    /// polls any more must not keep the writer from ending.
    fn queue_of(&self, partition: &Partition) -> Result<Sender<Request>, AppendError> {
        let topics = self.shared.topics();
        let index = usize::try_from(partition.index).unwrap_or(usize::MAX);
        let open = topics.get(&partition.topic).and_then(|partitions| partitions.get(index));
        let open = open.ok_or_else(|| AppendError::NoPartition(partition.clone()))?;
        open.queue.clone().ok_or(AppendError::Closed)
    }

    /// Waits for room in the queue. What is larger than the queue gets all of it.
    async fn admit(&self, records: &[Record]) -> Result<OwnedSemaphorePermit, AppendError> {
        let bytes: usize = records.iter().map(frame::frame_bytes).sum();
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).clamp(1, self.queue_bytes);
        self.queue.clone().acquire_many_owned(bytes).await.map_err(|_| AppendError::Closed)
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Append for DiskLog {
    async fn append(&self, partition: &Partition, records: Vec<Record>) -> Result<Offset, AppendError> {
        for record in &records {
            frame::check_limits(record)?;
        }
        self.queue_of(partition)?;
        let permit = self.admit(&records).await?;
        let (answer, answered) = oneshot::channel();
        self.queue_of(partition)?
            .send(Request { records, answer, permit })
            .map_err(|_| AppendError::Closed)?;
        // Without an answer the writer is gone.
        answered.await.map_err(|_| AppendError::Closed)?
    }

    async fn partitions(&self, topic: &Topic) -> Result<u32, AppendError> {
        let count = self.shared.partitions(topic);
        count.ok_or_else(|| AppendError::NoPartition(Partition::new(topic.clone(), 0)))
    }
}

impl Drop for DiskLog {
    fn drop(&mut self) {
        join(self.begin_close());
    }
}

fn lock(files: &dyn Files, dir: &Path) -> Result<Box<dyn Lock>, OpenError> {
    let path = dir.join(LOCK_NAME);
    match files.lock(&path) {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(OpenError::InUse { dir: dir.to_owned() }),
        Err(source) => Err(OpenError::Lock { path, source }),
    }
}

fn list_failed(path: &Path, source: std::io::Error) -> OpenError {
    OpenError::Directory { step: "list", path: PathBuf::from(path), source }
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        if let Err(panic) = thread.join() {
            let what = panic.downcast_ref::<&str>().copied().unwrap_or("unknown");
            tracing::error!(what, "a writer of the event log panicked");
        }
    }
}

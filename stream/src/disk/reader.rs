//! The reading side, in the writing process or in another one.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use weir_runtime::Clock;

use super::config::Retention;
use super::fetch::{self, Cursors, Wanted};
use super::files::{Files, SystemFiles};
use super::place::{self, Place};
use super::retain::Retain;
use super::state::{PartitionState, Shared};
use super::watermark::Watermark;
use crate::{Offset, Partition, ReadError, ReadLimit, StoredRecord, Subscribe, Topic, Watermarks};

/// How often a reader in another process looks for more.
const POLL: Duration = Duration::from_millis(20);

/// Reads the event log of a directory. Cloning shares what is remembered.
#[derive(Clone, Debug)]
pub struct DiskReader {
    source: Source,
    retain: Retain,
    cursors: Arc<Cursors>,
}

/// How the reader knows what is durable.
#[derive(Clone, Debug)]
enum Source {
    /// The writer is in this process and says so.
    Writer(Arc<Shared>),
    /// The writer is in another one and leaves it in a file.
    Files { files: Arc<dyn Files>, dir: PathBuf },
}

/// Up to where a partition is durable.
#[derive(Clone, Copy, Debug)]
struct End {
    offset: u64,
    /// It is exactly there. Otherwise the reader may only lag: nothing may be
    /// concluded about what lies above.
    is_exact: bool,
}

impl DiskReader {
    /// A reader for the log that another process on this host writes, or will
    /// write: as long as the topic is missing, reads answer
    /// [`ReadError::NoPartition`].
    ///
    /// It sees records once the writer's watermark covers them, and looks every
    /// 20 ms while it waits. After a power cut, until the log is opened by its
    /// writer again, the watermark may be old: then it brings less, and waits
    /// where it would otherwise answer [`ReadError::AboveEnd`].
    pub fn open(dir: impl Into<PathBuf>) -> Self {
        Self::open_on(Arc::new(SystemFiles), dir.into())
    }

    pub(super) fn open_on(files: Arc<dyn Files>, dir: PathBuf) -> Self {
        let retain = Retain::new(Retention::default(), Clock::system());
        Self { source: Source::Files { files, dir }, retain, cursors: Arc::default() }
    }

    /// Keeps so much of what it is told to trim. A reader in the writer's process
    /// keeps what the log was opened with.
    #[must_use]
    pub fn keeping(self, retention: Retention, clock: &Clock) -> Self {
        Self { retain: Retain::new(retention, clock.clone()), ..self }
    }

    pub(super) fn beside(shared: Arc<Shared>) -> Self {
        let retain = shared.retain.clone();
        Self { source: Source::Writer(shared), retain, cursors: Arc::default() }
    }

    fn files(&self) -> Arc<dyn Files> {
        match &self.source {
            Source::Writer(shared) => shared.files.clone(),
            Source::Files { files, .. } => files.clone(),
        }
    }

    fn dir(&self) -> &Path {
        match &self.source {
            Source::Writer(shared) => &shared.dir,
            Source::Files { dir, .. } => dir,
        }
    }

    async fn fetch(&self, place: &Place, wanted: Wanted) -> Result<Vec<StoredRecord>, ReadError> {
        let (files, cursors) = (self.files(), self.cursors.clone());
        blocking(place, move |place| fetch::fetch(&*files, place, wanted, &cursors)).await
    }

    async fn read_beside(
        &self,
        shared: &Shared,
        state: &PartitionState,
        from: Offset,
        limit: ReadLimit,
    ) -> Result<Vec<StoredRecord>, ReadError> {
        let mut end = state.end.subscribe();
        let is_there = |end: &u64| *end > from.0;
        let known = *end.borrow_and_update();
        if from.0 > known {
            return Err(above_end(&state.place, from, known));
        }
        if tokio::time::timeout(limit.wait, end.wait_for(is_there)).await.is_err() {
            return Ok(Vec::new());
        }
        let end = *end.borrow();
        let in_memory = shared.tail().read(state.slot, from.0, limit.bytes);
        if let Some(records) = in_memory {
            return Ok(records);
        }
        self.fetch(&state.place, Wanted { from: from.0, end, bytes: limit.bytes }).await
    }

    async fn read_files(
        &self,
        place: &Place,
        from: Offset,
        limit: ReadLimit,
    ) -> Result<Vec<StoredRecord>, ReadError> {
        let begun = Instant::now();
        loop {
            let end = self.end_in_files(place).await?;
            if end.offset > from.0 {
                let wanted = Wanted { from: from.0, end: end.offset, bytes: limit.bytes };
                return self.fetch(place, wanted).await;
            }
            if from.0 > end.offset && end.is_exact {
                return Err(above_end(place, from, end.offset));
            }
            let left = limit.wait.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Ok(Vec::new());
            }
            tokio::time::sleep(POLL.min(left)).await;
        }
    }

    async fn end_in_files(&self, place: &Place) -> Result<End, ReadError> {
        let files = self.files();
        blocking(place, move |place| end_in_files(&*files, place)).await
    }

    fn beside_writer(
        &self,
        partition: &Partition,
    ) -> Option<(&Shared, Result<Arc<PartitionState>, ReadError>)> {
        let Source::Writer(shared) = &self.source else { return None };
        let state = shared.partition(partition).ok_or_else(|| ReadError::NoPartition(partition.clone()));
        Some((shared, state))
    }
}

#[async_trait]
impl Subscribe for DiskReader {
    async fn read(
        &self,
        partition: &Partition,
        from: Offset,
        limit: ReadLimit,
    ) -> Result<Vec<StoredRecord>, ReadError> {
        match self.beside_writer(partition) {
            Some((shared, state)) => self.read_beside(shared, &*state?, from, limit).await,
            None => self.read_files(&Place::new(self.dir(), partition), from, limit).await,
        }
    }

    async fn watermarks(&self, partition: &Partition) -> Result<Watermarks, ReadError> {
        let place = Place::new(self.dir(), partition);
        let end = match self.beside_writer(partition) {
            Some((_, state)) => *state?.end.borrow(),
            None => self.end_in_files(&place).await?.offset,
        };
        let files = self.files();
        let start = blocking(&place, move |place| fetch::start(&*files, place, end)).await?;
        Ok(Watermarks { start: Offset(start), end: Offset(end) })
    }

    /// Deletes whole segments that are not kept by retention, and never the one
    /// that is being written. May be called in the writer's process or in another
    /// one.
    async fn trim(&self, partition: &Partition, before: Offset) -> Result<(), ReadError> {
        let (files, retain) = (self.files(), self.retain.clone());
        let place = Place::new(self.dir(), partition);
        blocking(&place, move |place| {
            // For the answer to a partition that does not exist.
            fetch::bases(&*files, place)?;
            place
                .trim(&*files, before, &retain)
                .map_err(|source| ReadError::Io { path: place.dir.clone(), source })
        })
        .await
    }

    async fn partitions(&self, topic: &Topic) -> Result<u32, ReadError> {
        let missing = || ReadError::NoPartition(Partition::new(topic.clone(), 0));
        if let Source::Writer(shared) = &self.source {
            return shared.partitions(topic).ok_or_else(missing);
        }
        let (files, dir) = (self.files(), self.dir().to_owned());
        let place = Place::new(&dir, &Partition::new(topic.clone(), 0));
        let count = blocking(&place, move |place| {
            place::partitions(&*files, &dir, &place.partition.topic)
                .map_err(|source| ReadError::Io { path: dir.clone(), source })
        })
        .await?;
        if count == 0 { Err(missing()) } else { Ok(count) }
    }
}

/// What another process may read. Where the watermark is missing or damaged,
/// the last segment's base serves: a segment is created only when everything
/// below it is durable.
fn end_in_files(files: &dyn Files, place: &Place) -> Result<End, ReadError> {
    let says =
        Watermark::read(files, place).map_err(|source| ReadError::Io { path: place.watermark(), source })?;
    match says {
        Some(says) if says.is_exact(files) => Ok(End { offset: says.end, is_exact: true }),
        says => {
            let last = fetch::bases(files, place)?.last().copied().unwrap_or(0);
            Ok(End { offset: says.map_or(last, |says| says.end.max(last)), is_exact: false })
        }
    }
}

fn above_end(place: &Place, from: Offset, end: u64) -> ReadError {
    ReadError::AboveEnd { partition: place.partition.clone(), from, end: Offset(end) }
}

/// Reads files off the runtime's threads.
async fn blocking<T: Send + 'static>(
    place: &Place,
    read: impl FnOnce(&Place) -> Result<T, ReadError> + Send + 'static,
) -> Result<T, ReadError> {
    let held = place.clone();
    match tokio::task::spawn_blocking(move || read(&held)).await {
        Ok(result) => result,
        Err(error) => Err(ReadError::Io { path: place.dir.clone(), source: std::io::Error::other(error) }),
    }
}

//! The segment that is being written.

use std::io::{self, IoSlice};
use std::path::PathBuf;

use bytes::Bytes;
use weir_runtime::{failpoint, planted};

use super::files::{File, Files, write_all};
use super::frame;
use super::place::Place;
use super::segment::{self, HEADER_BYTES, Seed};
use crate::Record;

/// Payloads below this are copied next to their head: a part of a vectored
/// write costs more than so small a copy.
const COPY_BYTES_MAX: usize = 4096;

/// A segment open for appending. Everything below `end` was answered, and is
/// durable where answers wait for that.
#[derive(Debug)]
pub(super) struct ActiveSegment {
    file: Box<dyn File>,
    pub(super) path: PathBuf,
    seed: Seed,
    pub(super) end: u64,
}

/// A step on a file that failed.
#[derive(Debug)]
pub(super) struct StepError {
    pub(super) step: &'static str,
    pub(super) path: PathBuf,
    pub(super) source: io::Error,
}

impl StepError {
    /// For `map_err`.
    pub(super) fn at(step: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self { step, path, source }
    }
}

/// Frames in the order of their offsets, payloads uncopied.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// Heads, headers and small payloads.
    copied: Vec<u8>,
    /// Where in `copied` a larger payload follows.
    shared: Vec<(usize, Bytes)>,
}

// ===== impl ActiveSegment =====

impl ActiveSegment {
    /// Creates the segment, durably: once a record in it is acknowledged, the
    /// file must be found after a power cut. A file of this name holds nothing
    /// that was acknowledged and is overwritten.
    pub(super) fn create(files: &dyn Files, place: &Place, base: u64) -> Result<Self, StepError> {
        let path = place.segment(base);
        let file = files.create(&path).map_err(StepError::at("create", &path))?;
        let header = segment::header(&place.partition, base);
        write_all(&*file, &mut [IoSlice::new(&header)], 0).map_err(StepError::at("write", &path))?;
        let sync = || {
            reach("log.segment.sync.before")?;
            file.sync_all()?;
            reach("log.segment.sync.after")
        };
        sync().map_err(StepError::at("sync", &path))?;
        reach("log.segment.sync_directory.before").map_err(StepError::at("sync", &place.dir))?;
        if !planted::is("no-directory-fsync") {
            files.sync_dir(&place.dir).map_err(StepError::at("sync", &place.dir))?;
        }
        reach("log.segment.sync_directory.after").map_err(StepError::at("sync", &place.dir))?;
        let seed = Seed::new(&place.partition, base);
        Ok(Self { file, path, seed, end: HEADER_BYTES as u64 })
    }

    /// Goes on at the end of an existing segment that has been made durable.
    pub(super) fn resume(file: Box<dyn File>, place: &Place, base: u64, end: u64) -> Self {
        Self { file, path: place.segment(base), seed: Seed::new(&place.partition, base), end }
    }

    /// Turns records into this segment's frames, to be written together.
    pub(super) fn frames<'a>(&self, next: u64, records: impl Iterator<Item = &'a Record>) -> Frames {
        let mut frames = Frames::default();
        for (offset, record) in (next..).zip(records) {
            frame::put_front(&mut frames.copied, self.seed, offset, offset == next, record);
            if record.payload.len() < COPY_BYTES_MAX {
                frames.copied.extend_from_slice(&record.payload);
            } else {
                frames.shared.push((frames.copied.len(), record.payload.clone()));
            }
        }
        frames
    }

    /// Writes behind the end.
    pub(super) fn write(&self, frames: &Frames) -> Result<(), StepError> {
        let write = || {
            reach("log.write.before")?;
            write_all(&*self.file, &mut frames.parts(), self.end)?;
            reach("log.write.after")
        };
        write().map_err(StepError::at("write", &self.path))
    }

    /// Makes what was written durable.
    pub(super) fn sync(&self) -> Result<(), StepError> {
        let sync = || {
            reach("log.sync.before")?;
            if !planted::is("ack-before-fsync") {
                self.file.sync_data()?;
            }
            reach("log.sync.after")
        };
        sync().map_err(StepError::at("sync", &self.path))
    }

    /// Counts what was written as being there, synced or not.
    pub(super) fn take(&mut self, written: u64) {
        self.end += written;
    }

    /// Takes back what was written but not made durable. Synced, so that a
    /// record that was refused does not come back with a power cut.
    pub(super) fn cut_back(&self) -> Result<(), StepError> {
        self.file.set_size(self.end).map_err(StepError::at("cut", &self.path))?;
        self.file.sync_all().map_err(StepError::at("sync", &self.path))
    }

    /// True when there is no record in it.
    pub(super) fn is_empty(&self) -> bool {
        self.end == HEADER_BYTES as u64
    }
}

// ===== impl Frames =====

impl Frames {
    fn parts(&self) -> Vec<IoSlice<'_>> {
        let mut parts = Vec::with_capacity(2 * self.shared.len() + 1);
        let mut from = 0;
        for (at, payload) in &self.shared {
            parts.push(IoSlice::new(&self.copied[from..*at]));
            parts.push(IoSlice::new(payload));
            from = *at;
        }
        parts.push(IoSlice::new(&self.copied[from..]));
        parts
    }
}

/// A place where a test makes a step fail as the system would.
fn reach(place: &'static str) -> io::Result<()> {
    Ok(failpoint::reach(place)?)
}

//! Batches are closed, what stands in them is made durable, and they are handed on.

use std::collections::VecDeque;
use std::{io, iter};

use super::{ENTRIES_PER_LINE, MARK_INTERVAL, Reader, SAVE_INTERVAL};
use crate::checkpoint::{Changes, FileKey};
use crate::lane::Closed;
use crate::tail::Moment;

impl Reader {
    pub(super) fn close_batches(&mut self, now: Moment) {
        if !self.lane.closed().is_empty() {
            self.last_batch = now.steady;
            self.batch_since = None;
        }
        let delay = self.config.batch_delay.0;
        if !self.lane.is_empty() && now.steady >= *self.batch_since.get_or_insert(now.steady) + delay {
            self.lane.set_mark(self.marks.value());
            self.lane.close();
            (self.last_batch, self.batch_since) = (now.steady, None);
        }
        if self.is_idle() && now.steady >= self.last_batch + MARK_INTERVAL {
            self.lane.set_mark(self.marks.value());
            self.lane.close_as(false);
            self.last_batch = now.steady;
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.lane.is_empty() && self.is_acknowledged()
    }

    /// Gives the closed batches away, once what they depend on is durable.
    pub(super) fn hand_on(&mut self, now: Moment) -> VecDeque<Closed> {
        let waits = self.lane.closed().is_empty() || (self.undurable && !self.save(now));
        if waits {
            return VecDeque::new();
        }
        let batches = self.lane.take_closed();
        for closed in &batches {
            self.in_flight_bytes += closed.settles.bytes;
            self.in_flight.push_back(closed.settles.clone());
            self.measured.batches.inc();
            self.measured.batch_bytes.inc_by(closed.settles.bytes as u64);
        }
        batches
    }

    /// Makes the checkpoint durable as things stand. False: it could not be
    /// written, and is tried again in a while.
    pub(super) fn save(&mut self, now: Moment) -> bool {
        if self.retry_save.is_some_and(|at| now.steady < at) {
            return false;
        }
        self.last_save = now.steady;
        match self.write() {
            Ok(()) => {
                self.dirty.clear();
                self.forgotten.clear();
                (self.undurable, self.discovered) = (false, false);
                self.retry_save = None;
                self.problem = None;
                true
            }
            Err(error) => {
                self.measured.failed("checkpoint");
                if self.problem.is_none() {
                    tracing::error!(%error, "the checkpoint cannot be written; nothing is sent until it can");
                }
                self.problem = Some(format!("the checkpoint cannot be written: {error}"));
                self.retry_save = Some(now.steady + SAVE_INTERVAL);
                false
            }
        }
    }

    pub(super) fn write(&mut self) -> io::Result<()> {
        let mark = self.mark_acknowledged;
        let Self { lane, files, checkpoint, dirty, forgotten, .. } = self;
        let is_rewrite = checkpoint.wants_rewrite();
        let keys: Vec<_> = if is_rewrite {
            files.iter().map(|tail| tail.key).collect()
        } else {
            dirty.iter().copied().collect()
        };
        let mut entry = |key: &FileKey| Some(files.get_mut(*key)?.entry(lane));
        let lines = keys.chunks(ENTRIES_PER_LINE).map(|keys| {
            let files = keys.iter().filter_map(&mut entry).collect();
            Changes { files, ..Changes::default() }
        });
        // What is said of all files comes after them.
        let gone = if is_rewrite { Vec::new() } else { forgotten.clone() };
        let lines = lines.chain(iter::once(Changes { files: Vec::new(), gone, mark }));
        if is_rewrite { checkpoint.rewrite(lines) } else { checkpoint.append(lines) }
    }
}

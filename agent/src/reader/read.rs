//! Whose turn it is to be read, and the reading of it.

use std::io;
use std::path::Path;

use super::hold::Rest;
use super::queue::Urgency;
use super::{BLOCKS_PER_TURN, Reader};
use crate::checkpoint::FileKey;
use crate::tail::{Bench, Moment, Step, Tail, Timeouts};

impl Reader {
    pub(super) fn read(&mut self, now: Moment) {
        for _ in 0..BLOCKS_PER_TURN {
            if !self.has_room() {
                return;
            }
            let Some((key, urgency)) = self.queue.pop() else { return };
            let Some(tail) = self.files.get_mut(key) else { continue };
            if tail.queued != Some(urgency) {
                // It stood in more than one place.
                continue;
            }
            tail.queued = None;
            match self.at_hand(key, now) {
                Ok(true) => self.read_block(key, now),
                Ok(false) => {}
                Err(error) => self.unreadable(key, &error),
            }
        }
    }

    fn read_block(&mut self, key: FileKey, now: Moment) {
        self.lane.set_mark(self.marks.value());
        let Some((tail, mut bench)) = self.workplace(key) else { return };
        let step = tail.read(&mut bench, now);
        self.stepped(key, step, now);
    }

    /// A file was read from, with this outcome.
    fn stepped(&mut self, key: FileKey, step: io::Result<Step>, now: Moment) {
        self.framed(key);
        match step {
            Ok(Step::Grew) => self.queue_on(key),
            Ok(Step::Still) => self.rest(key, now),
            Ok(Step::Replaced) => self.replaced(key, now),
            Err(error) => self.unreadable(key, &error),
        }
    }

    /// What the reading of a file needs, next to the file.
    pub(super) fn workplace(&mut self, key: FileKey) -> Option<(&mut Tail, Bench<'_>)> {
        let bench = Bench {
            lane: &mut self.lane,
            origin: &self.origin,
            measured: &self.measured,
            buffer: &mut self.buffer,
            limiter: &mut self.limiter,
            redaction: &self.redaction,
            scratch: &mut self.scratch,
            tap: &self.tap,
        };
        Some((self.files.get_mut(key)?, bench))
    }

    /// A file was read from: takes note of what follows.
    pub(super) fn framed(&mut self, key: FileKey) {
        let Some(tail) = self.files.get_mut(key) else { return };
        self.marks.progress(key, tail.settled(), tail.written());
        if std::mem::take(&mut tail.undurable) {
            self.dirty.insert(key);
            self.undurable = true;
        }
    }

    /// A file may have something to read.
    pub(super) fn queue(&mut self, key: FileKey) {
        if let Some(urgency) = self.place_in_queue(key) {
            self.queue.push_back(key, urgency);
        }
    }

    /// The same of a file that was just read from.
    fn queue_on(&mut self, key: FileKey) {
        let at_once = self.files.get(key).is_some_and(Tail::is_read_at_once);
        match self.place_in_queue(key) {
            Some(urgency) if at_once => self.queue.push_front(key, urgency),
            Some(urgency) => self.queue.push_back(key, urgency),
            None => {}
        }
    }

    /// With what urgency, unless it stands there with it already.
    fn place_in_queue(&mut self, key: FileKey) -> Option<Urgency> {
        let tail = self.files.get_mut(key)?;
        let urgency = tail.urgency();
        let is_readable = tail.is_within_reach() && !tail.is_waiting();
        if !is_readable || tail.queued.is_some_and(|held| held <= urgency) {
            return None;
        }
        tail.queued = Some(urgency);
        self.unfinished.remove(key);
        self.resting.remove(key);
        Some(urgency)
    }

    /// The file is read to its end.
    fn rest(&mut self, key: FileKey, now: Moment) {
        let timeouts = self.timeouts();
        let Some(tail) = self.files.get(key) else { return };
        let due = tail.cut_due(timeouts);
        if let Some(due) = due {
            self.unfinished.insert(key, due);
        }
        let rest = match (due, tail.matched) {
            (None, true) => Rest::Read,
            (None, false) => Rest::Left,
            (Some(_), true) => Rest::Unfinished,
            (Some(_), false) => return,
        };
        if tail.is_open() {
            self.resting.insert(key, rest, now.steady);
        }
    }

    /// The kernel says that a file changed.
    pub(super) fn changed(&mut self, path: &Path, now: Moment) {
        match self.files.by_path(path) {
            Some(key) => self.grown(key, now),
            None => self.scan_wished |= self.patterns.matches(path),
        }
    }

    /// A file that was at rest may have grown; that it was not replaced in
    /// place is looked at first.
    fn grown(&mut self, key: FileKey, now: Moment) {
        let Some(tail) = self.files.get_mut(key) else { return };
        // One that is excluded is looked at by the scans, however often it is written to.
        if tail.queued.is_some() || tail.ended || tail.is_excluded() {
            return;
        }
        match tail.verify() {
            Ok(true) => self.queue(key),
            // A scan would not see it if the size is what it was.
            Ok(false) => self.replaced(key, now),
            Err(error) => self.unreadable(key, &error),
        }
    }

    pub(super) fn cut(&mut self, now: Moment) {
        let timeouts = self.timeouts();
        for key in self.unfinished.due(now.steady) {
            if !self.has_room() {
                return;
            }
            self.unfinished.remove(key);
            match self.at_hand(key, now) {
                Ok(true) => self.cut_file(key, now, timeouts),
                // What is held of a file that is gone is sent when that is known.
                Ok(false) => {}
                Err(error) => self.unreadable(key, &error),
            }
        }
    }

    fn cut_file(&mut self, key: FileKey, now: Moment, timeouts: Timeouts) {
        self.lane.set_mark(self.marks.value());
        let Some((tail, mut bench)) = self.workplace(key) else { return };
        let step = tail.read(&mut bench, now);
        let cut = match step {
            Ok(Step::Still) => tail.cut(&mut bench, now, timeouts).map(|()| Step::Still),
            other => other,
        };
        self.stepped(key, cut, now);
    }

    fn timeouts(&self) -> Timeouts {
        Timeouts { line: self.config.line_timeout.0, event: self.config.multiline_timeout.0 }
    }
}

//! A live sample of records for whoever watches. Nobody watches most of the
//! time: then a record costs one load of a number.
//!
//! A watcher that does not keep up loses records and is told how many; the
//! reading thread waits for nobody.

mod api;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use globset::GlobMatcher;
use memchr::memmem;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;

use crate::frame::Frame;
use crate::limit::{Cost, Meter, Rate, Subject, written_at};
use crate::tail::Moment;

pub(crate) use api::router;

/// Who may watch at a time.
const WATCHERS_MAX: usize = 4;

/// Lines that wait for a watcher.
const QUEUE_LINES: usize = 128;

/// Text that is shown of a record.
const TEXT_BYTES_MAX: usize = 4096;

/// Where a record is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Stage {
    /// As it stands in the file, dropped ones too.
    Framed,
    /// As it is put into a batch.
    Batched,
}

/// What a watcher wants to see.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) stage: Stage,
    pub(crate) pod: Option<GlobMatcher>,
    pub(crate) service: Option<GlobMatcher>,
    pub(crate) contains: Option<String>,
    /// At most so many.
    pub(crate) rate: Rate,
}

/// Where watchers listen.
#[derive(Debug, Default)]
pub(crate) struct Tap {
    /// As many as are in `watchers`.
    count: AtomicUsize,
    watchers: Mutex<Watchers>,
}

#[derive(Debug, Default)]
struct Watchers {
    held: Vec<Watcher>,
    is_closed: bool,
}

#[derive(Debug)]
struct Watcher {
    wanted: Wanted,
    meter: Meter,
    lines: mpsc::Sender<Bytes>,
    skipped: u64,
}

/// Why nobody may watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unwatched {
    /// Enough do.
    TooMany,
    /// The agent stops.
    Stopping,
}

impl Tap {
    /// Begins to watch. Dropping the receiver ends it.
    pub(crate) fn watch(&self, wanted: Wanted) -> Result<mpsc::Receiver<Bytes>, Unwatched> {
        let mut watchers = self.lock();
        watchers.held.retain(|watcher| !watcher.lines.is_closed());
        if watchers.is_closed {
            return Err(Unwatched::Stopping);
        }
        if watchers.held.len() >= WATCHERS_MAX {
            return Err(Unwatched::TooMany);
        }
        let (lines, receiver) = mpsc::channel(QUEUE_LINES);
        watchers.held.push(Watcher { wanted, meter: Meter::default(), lines, skipped: 0 });
        self.count.store(watchers.held.len(), Ordering::Relaxed);
        Ok(receiver)
    }

    /// Ends all watching, for good.
    pub(crate) fn close(&self) {
        let mut watchers = self.lock();
        watchers.is_closed = true;
        watchers.held.clear();
        self.count.store(0, Ordering::Relaxed);
    }

    /// Shows a record to those who want it.
    #[inline]
    pub(crate) fn offer(&self, stage: Stage, subject: Option<&Arc<Subject>>, frame: &Frame<'_>, now: Moment) {
        if self.count.load(Ordering::Relaxed) > 0 {
            self.show(stage, subject, frame, now);
        }
    }

    #[cold]
    fn show(&self, stage: Stage, subject: Option<&Arc<Subject>>, frame: &Frame<'_>, now: Moment) {
        let mut watchers = self.lock();
        let mut line = None;
        for watcher in &mut watchers.held {
            if watcher.wants(stage, subject.map(Arc::as_ref), frame.text, now) {
                let line = line.get_or_insert_with(|| described(stage, subject.map(Arc::as_ref), frame, now));
                watcher.show(line.clone());
            }
        }
        watchers.held.retain(|watcher| !watcher.lines.is_closed());
        self.count.store(watchers.held.len(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Watchers> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher {
    fn wants(&mut self, stage: Stage, subject: Option<&Subject>, text: &[u8], now: Moment) -> bool {
        let Wanted { stage: at, pod, service, contains, rate } = &self.wanted;
        let named = |wanted: &Option<GlobMatcher>, name: Option<&String>| {
            wanted.as_ref().is_none_or(|glob| name.is_some_and(|name| glob.is_match(name)))
        };
        let fits = *at == stage
            && named(pod, subject.and_then(|subject| subject.pod.as_ref()))
            && named(service, subject.and_then(|subject| subject.service.as_ref()))
            && contains.as_ref().is_none_or(|part| memmem::find(text, part.as_bytes()).is_some());
        let cost = Cost { lines: 1, bytes: 0 };
        if !fits || !self.meter.has_room(rate, cost, written_at(None, now)) {
            return false;
        }
        self.meter.charge(rate, cost);
        true
    }

    fn show(&mut self, line: Bytes) {
        if self.skipped > 0 {
            let told = Bytes::from(format!("{{\"skipped\":{}}}\n", self.skipped));
            if self.lines.try_send(told).is_err() {
                self.skipped += 1;
                return;
            }
            self.skipped = 0;
        }
        if self.lines.try_send(line).is_err() {
            self.skipped = 1;
        }
    }
}

/// A record as a line of JSON.
fn described(stage: Stage, subject: Option<&Subject>, frame: &Frame<'_>, now: Moment) -> Bytes {
    let shown = &frame.text[..frame.text.len().min(TEXT_BYTES_MAX)];
    let stage = match stage {
        Stage::Framed => "framed",
        Stage::Batched => "batched",
    };
    let line = json!({
        "stage": stage,
        "time_unix_nano": frame.timestamp_nanos.unwrap_or(now.wall.saturating_mul(1_000)),
        "namespace": subject.and_then(|subject| subject.namespace.as_ref()),
        "pod": subject.and_then(|subject| subject.pod.as_ref()),
        "service": subject.and_then(|subject| subject.service.as_ref()),
        "stream": frame.stream.iostream(),
        "start": frame.range.start,
        "end": frame.range.end,
        "text": String::from_utf8_lossy(shown),
        "cut": frame.text.len() > TEXT_BYTES_MAX,
    });
    Bytes::from(format!("{line}\n"))
}

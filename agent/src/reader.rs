//! The reading side: a loop without waiting in it. Each turn looks for files
//! when that is due, reads what has grown, cuts what was left unfinished,
//! closes batches, makes the checkpoint durable, and hands the batches on.
//!
//! Hot path, per byte: one copy from the page cache, one scan for newlines, one
//! copy into the batch, one while encoding, and the compression, which costs
//! more than all others together.
//!
//! Memory is bounded by [`IN_FLIGHT_BYTES`]: while the event log does not
//! answer, nothing more is read. The files are the buffer; they stay open.

mod archive;
mod change;
mod copies;
mod follow;
mod hold;
mod keep;
mod pods;
mod queue;
mod read;
mod save;
mod scan;
mod unfinished;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::attribute::Origin;
use crate::checkpoint::{Checkpoint, FileKey, Restored};
use crate::descriptor::Descriptors;
use crate::files::Files;
use crate::find::Patterns;
use crate::keep::Keep;
use crate::lane::{Closed, Lane, Settles};
use crate::limit::{Limiter, Loss};
use crate::mark::Marks;
use crate::metric::Measured;
use crate::redact::{Redaction, Scratch};
use crate::root::is_refusal;
use crate::status::ReaderStatus;
use crate::tail::{Moment, Tail};
use crate::tap::Tap;
use crate::watch::Watch;
use crate::{Config, StartError};

use archive::Archives;
pub(crate) use change::Change;
use hold::Resting;
use keep::Stall;
use pods::Asking;
use queue::Queue;
pub(crate) use queue::Urgency;
use unfinished::Unfinished;

/// Compressed bytes of batches that are closed and not acknowledged. Beyond
/// it, reading pauses.
pub(crate) const IN_FLIGHT_BYTES: usize = 4 << 20;

/// Blocks read in one turn, so that acknowledgements are heard in between.
const BLOCKS_PER_TURN: usize = 16;

/// Acknowledged ends are written at most this often: a lag only means that
/// lines are sent again.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);

/// A lane that sent nothing for this long sends its mark.
const MARK_INTERVAL: Duration = Duration::from_secs(1);

/// A renamed or deleted file is closed when it was quiet for this long: its
/// writer may hold it a little longer.
const GRACE: Duration = Duration::from_secs(30);

/// A descriptor that nobody can give up now is asked for this often.
const ROOM_INTERVAL: Duration = Duration::from_millis(10);

/// A file that is not found for this long is forgotten, microseconds.
const EXPIRY_MICROS: i64 = 24 * 3600 * 1_000_000;

/// Entries per line when the checkpoint is written anew.
const ENTRIES_PER_LINE: usize = 256;

/// Reads files and makes batches of them.
#[derive(Debug)]
pub(crate) struct Reader {
    config: Config,
    patterns: Patterns,
    origin: Origin,
    measured: Measured,
    watch: Option<Watch>,
    checkpoint: Checkpoint,
    lane: Lane,
    marks: Marks,
    files: Files,
    descriptors: Descriptors,
    keep: Keep,
    stall: Stall,
    archives: Archives,
    buffer: Vec<u8>,
    limiter: Limiter,
    redaction: Arc<Redaction>,
    scratch: Scratch,
    tap: Arc<Tap>,
    /// Who is asked about pods, if anybody is.
    asking: Option<Asking>,
    told: Option<mpsc::Sender<Vec<Loss>>>,
    /// Files that may have something to read.
    queue: Queue,
    /// Files read to their end that hold something unfinished.
    unfinished: Unfinished,
    /// Files that nothing is read of now.
    resting: Resting,
    /// Files that ended, of which something may be told as dropped.
    truncated: Vec<FileKey>,
    in_flight: VecDeque<Settles>,
    in_flight_bytes: usize,
    /// Entries that the checkpoint does not have yet.
    dirty: BTreeSet<FileKey>,
    /// Some of them before anything more is sent.
    undurable: bool,
    /// Some of them before long: files that were found now may be renamed next.
    discovered: bool,
    forgotten: Vec<FileKey>,
    mark_acknowledged: Option<i64>,
    next_scan: Duration,
    /// A wished-for scan may not come before.
    scan_from: Duration,
    scan_wished: bool,
    /// Those before a change: the next scan tells what is meant no longer.
    patterns_before: Option<Patterns>,
    /// When files that no pattern means are looked for next.
    next_dismissed_look: Duration,
    batch_since: Option<Duration>,
    last_batch: Duration,
    last_save: Duration,
    retry_save: Option<Duration>,
    /// Paths that were warned about, until they are well again.
    troubled: HashSet<PathBuf>,
    problem: Option<String>,
    /// The last file that was to be read found no descriptor.
    wants_room: bool,
    /// Something was not heard: the next scan compares every open file.
    reconciles: bool,
}

/// What the kernel said since the last turn.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// Files that changed.
    pub(crate) changed: HashSet<PathBuf>,
    /// Files that were created or renamed to there.
    pub(crate) appeared: HashSet<PathBuf>,
    /// Files were created, renamed or deleted.
    pub(crate) rescan: bool,
    /// More happened than the kernel could note.
    pub(crate) overflow: bool,
}

/// What a turn leaves to do.
#[derive(Debug)]
pub(crate) struct Turn {
    /// Batches to append, in this order.
    pub(crate) batches: VecDeque<Closed>,
    /// How long nothing is to be done unless something is heard.
    pub(crate) wait: Duration,
}

impl Reader {
    /// A reader that goes on where the checkpoint says.
    ///
    /// # Errors
    /// The kept copies cannot be looked at.
    pub(crate) fn new(
        config: Config,
        patterns: Patterns,
        origin: Origin,
        measured: Measured,
        checkpoint: Checkpoint,
        restored: Restored,
        watch: Option<Watch>,
    ) -> Result<Self, StartError> {
        let kept = checkpoint.kept();
        let keep = Keep::open(kept.clone(), config.keep_bytes.0)
            .map_err(|source| StartError::StateDirectory { path: kept, source })?;
        let known = restored.files.iter().flat_map(|entry| [&entry.path, &entry.last_path]);
        let known = known.filter_map(|path| Some(Path::new(path).parent()?.to_owned())).collect();
        let mut lane = Lane::new(checkpoint.head().agent, config.tenant.clone());
        let mut files = Files::default();
        for entry in restored.files {
            files.insert(Tail::restore(entry, restored.mark, config.multiline, &mut lane, &origin));
        }
        let mut reader = Self {
            config,
            patterns,
            origin,
            measured,
            watch,
            checkpoint,
            lane,
            marks: Marks::default(),
            files,
            descriptors: Descriptors::default(),
            keep,
            stall: Stall::default(),
            archives: Archives::new(known, restored.mark),
            buffer: Vec::new(),
            limiter: Limiter::default(),
            redaction: Arc::default(),
            scratch: Scratch::default(),
            tap: Arc::default(),
            asking: None,
            told: None,
            queue: Queue::default(),
            unfinished: Unfinished::default(),
            resting: Resting::default(),
            truncated: Vec::new(),
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            dirty: BTreeSet::new(),
            undurable: false,
            discovered: false,
            forgotten: Vec::new(),
            mark_acknowledged: restored.mark,
            next_scan: Duration::ZERO,
            scan_from: Duration::ZERO,
            scan_wished: false,
            patterns_before: None,
            next_dismissed_look: Duration::ZERO,
            batch_since: None,
            last_batch: Duration::ZERO,
            last_save: Duration::ZERO,
            retry_save: None,
            troubled: HashSet::new(),
            problem: None,
            wants_room: false,
            reconciles: false,
        };
        reader.take_up();
        Ok(reader)
    }

    /// Holds no more than so many files open.
    pub(crate) fn holding(mut self, limit: usize) -> Self {
        self.descriptors.set_limit(limit);
        self
    }

    /// Drops what is too much, and says so; without this nothing is dropped.
    pub(crate) fn limited(mut self, limiter: Limiter, told: mpsc::Sender<Vec<Loss>>) -> Self {
        (self.limiter, self.told) = (limiter, Some(told));
        self
    }

    /// Replaces what is sensitive in records; without this nothing is.
    pub(crate) fn redacting(mut self, redaction: Arc<Redaction>) -> Self {
        self.redaction = redaction;
        self
    }

    /// Shows its records to whoever watches.
    pub(crate) fn tapped(mut self, tap: Arc<Tap>) -> Self {
        self.tap = tap;
        self
    }

    /// Does what is due.
    pub(crate) fn turn(&mut self, now: Moment, heard: &Heard) -> Turn {
        self.scan_wished |= heard.rescan || heard.overflow;
        if heard.overflow {
            self.measured.watch_overflows.inc();
            self.reconciles = true;
        }
        // A descriptor that is held soon is what no rotation can outrun.
        for path in &heard.appeared {
            self.appeared(path, now);
        }
        if now.steady >= self.next_scan || (self.scan_wished && now.steady >= self.scan_from) {
            self.scan(now);
        }
        self.hear_of_pods(now);
        for path in &heard.changed {
            self.changed(path, now);
        }
        self.read(now);
        self.cut(now);
        self.close_batches(now);
        self.tell_losses(now);
        let save_due = now.steady >= self.last_save + SAVE_INTERVAL;
        if self.discovered || (self.is_behind() && save_due) {
            self.save(now);
        }
        let batches = self.hand_on(now);
        Turn { batches, wait: self.wait(now) }
    }

    /// The event log made the oldest batch in flight durable.
    pub(crate) fn acknowledged(&mut self) {
        let Some(settles) = self.in_flight.pop_front() else { return };
        self.in_flight_bytes -= settles.bytes;
        self.stall.acknowledged();
        self.dirty.extend(self.lane.acknowledge(&settles));
        self.mark_acknowledged = settles.mark.or(self.mark_acknowledged);
        self.measured.batches_acknowledged.inc();
    }

    /// Stops reading: closes what is framed, with a goodbye if asked for.
    pub(crate) fn finish(&mut self, now: Moment, goodbye: bool) -> VecDeque<Closed> {
        for key in self.unfinished.take() {
            let Some((tail, mut bench)) = self.workplace(key) else { continue };
            tail.cut_events(&mut bench, now);
            self.framed(key);
        }
        self.lane.set_mark(self.marks.value());
        self.lane.close();
        if goodbye {
            self.lane.close_as(true);
        }
        self.hand_on(now)
    }

    /// True when every batch that was handed on is acknowledged.
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.in_flight.is_empty() && self.lane.closed().is_empty()
    }

    /// Writes the checkpoint a last time.
    pub(crate) fn end(&mut self, now: Moment) {
        self.keep_all_deleted(now);
        // Even if all that is new is the mark.
        self.save(now);
    }

    /// True when the checkpoint does not say how things stand.
    fn is_behind(&self) -> bool {
        !self.dirty.is_empty() || !self.forgotten.is_empty()
    }

    /// What keeps the agent from its work, if anything does.
    pub(crate) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// How things stand.
    pub(crate) fn status(&self) -> ReaderStatus {
        ReaderStatus {
            agent: self.checkpoint.head().agent.to_string(),
            is_watching: self.watch.is_some(),
            unwatched_directories: self.measured.unwatched_directories.get().unsigned_abs(),
            open_files: self.descriptors.held(),
            open_files_max: self.descriptors.limit(),
            in_flight_bytes: self.in_flight_bytes as u64,
            is_paused: !self.has_room(),
            problem: self.problem.clone(),
            files: self.files.iter().map(|tail| tail.status(&self.lane, &self.origin)).collect(),
        }
    }

    /// Hands on what was dropped. Nobody is waited for.
    fn tell_losses(&mut self, now: Moment) {
        let Some(told) = &self.told else { return };
        let losses = self.limiter.take_losses(now);
        if losses.is_empty() {
            return;
        }
        if let Err(mpsc::error::TrySendError::Full(losses)) = told.try_send(losses) {
            self.limiter.give_back(losses);
        }
    }

    // -- reading ------------------------------------------------------------

    fn unreadable(&mut self, key: FileKey, error: &io::Error) {
        let Some(tail) = self.files.get(key) else { return };
        let path = tail.last_path.clone();
        self.marks.forget(key);
        self.trouble("file", &path, error);
    }

    /// Counts a failure, and warns of the first of its path.
    fn trouble(&mut self, kind: &'static str, path: &Path, error: &io::Error) {
        let kind = if is_refusal(error) { "link" } else { kind };
        self.measured.failed(kind);
        if self.troubled.len() < 10_000 && self.troubled.insert(path.to_owned()) {
            tracing::warn!(kind, path = %path.display(), %error, "cannot be read, trying again");
        }
    }

    fn has_room(&self) -> bool {
        let closed: usize = self.lane.closed().iter().map(|closed| closed.settles.bytes).sum();
        self.in_flight_bytes + closed < IN_FLIGHT_BYTES
    }

    // -- cuts ---------------------------------------------------------------

    // -- batches ------------------------------------------------------------

    // -- checkpoint ---------------------------------------------------------

    // -- waiting ------------------------------------------------------------

    fn wait(&self, now: Moment) -> Duration {
        if !self.queue.is_empty() && self.has_room() {
            return if self.wants_room { ROOM_INTERVAL } else { Duration::ZERO };
        }
        let cuts = self.unfinished.next();
        let save = self.is_behind().then_some(self.last_save + SAVE_INTERVAL);
        let unsent = (!self.lane.closed().is_empty()).then_some(self.retry_save).flatten();
        let due = [
            Some(self.next_scan),
            self.wait_over(),
            self.scan_wished.then_some(self.scan_from),
            cuts.filter(|_| self.has_room()),
            self.batch_since.map(|since| since + self.config.batch_delay.0),
            self.is_idle().then_some(self.last_batch + MARK_INTERVAL),
            save.max(self.retry_save.filter(|_| save.is_some())),
            unsent,
        ];
        let next = due.into_iter().flatten().min().unwrap_or(self.next_scan);
        next.saturating_sub(now.steady)
    }
}

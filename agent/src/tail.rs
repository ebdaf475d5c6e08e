//! One incarnation of one file: where its reading stands.
//!
//! Its descriptor stays open after the file was renamed or deleted, until it
//! has been read to its end, was quiet for a while, and the log has all of it.

mod about;
mod copied;
mod entry;
mod kept;
mod over;
mod read;
mod sink;

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use weir_proto::model::ByteRange;

use crate::attribute::{Origin, is_docker_log, is_pod_log};
use crate::checkpoint::FileKey;
use crate::descriptor::Descriptor;
use crate::frame::{Format, Framer, Stream};
use crate::identity::{Endings, Fingerprint, Identity};
use crate::join::{Joiner, Modes, Multiline};
use crate::lane::{Lane, SourceKey};
use crate::limit::{Gate, Limiter, Subject};
use crate::metric::Measured;
use crate::reader::Urgency;
use crate::redact::{Redaction, Redactor, Scratch};
use crate::status::{Counts, FileStatus};
use crate::tap::Tap;

use about::About;
pub(crate) use about::Metadata as MetadataState;
use weir_runtime::planted;

/// The present, on both clocks: the wall's for what is told to others, the
/// steady one for waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Microseconds since 1970.
    pub(crate) wall: i64,
    /// Since the agent started.
    pub(crate) steady: Duration,
}

/// How long what is unfinished may wait for its rest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timeouts {
    /// A line without its end.
    pub(crate) line: Duration,
    /// An event that may have more lines.
    pub(crate) event: Duration,
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// New bytes; there may be more.
    Grew,
    /// Nothing new.
    Still,
    /// The file is shorter than what was read of it, or begins otherwise.
    Replaced,
}

/// Where the reading of a file stands.
#[derive(Debug)]
pub(crate) struct Tail {
    /// Its name in the checkpoint.
    pub(crate) key: FileKey,
    /// Where it was last seen.
    pub(crate) last_path: PathBuf,
    /// Which file it is.
    pub(crate) identity: Identity,
    /// A pattern finds it. If not, it was renamed or deleted.
    pub(crate) matched: bool,
    /// Its last link is gone.
    pub(crate) deleted: bool,
    /// Another incarnation took its place: it is never read again.
    pub(crate) ended: bool,
    /// A scan could have forgotten it.
    pub(crate) over: bool,
    /// Its content was compared with what the checkpoint says.
    pub(crate) verified: bool,
    /// Where it stands in the queue of files to read, if it does.
    pub(crate) queued: Option<Urgency>,
    /// It gave its descriptor up for another's when it had that size: it is
    /// opened again when there is something to read.
    pub(crate) parked: Option<u64>,
    /// Its name is that of a rotated generation.
    pub(crate) rotated: bool,
    /// How long it was when it was last rotated.
    pub(crate) budget: Option<u64>,
    /// Since when no such file is found, microseconds since 1970.
    pub(crate) gone: Option<i64>,
    /// All that was written to it before this is known to be settled.
    pub(crate) floor: Option<i64>,
    /// Its size when it was last looked at.
    pub(crate) size: u64,
    /// Its descriptor is that of a kept copy.
    pub(crate) kept: bool,
    /// The patterns were changed, and none means it any more: it is not read
    /// until one does.
    pub(crate) dismissed: bool,
    /// It is a compressed file: only a kept copy of it is read.
    pub(crate) archive: bool,
    /// Something of it must be durable before what was framed is sent.
    pub(crate) undurable: bool,
    /// Where it was first found.
    path: PathBuf,
    fingerprint: Fingerprint,
    /// The last bytes read, and such of before.
    endings: Endings,
    file: Option<Descriptor>,
    framer: Framer,
    joiner: Joiner,
    multiline: Multiline,
    sources: [Option<SourceKey>; 3],
    /// The end of what was read.
    seen: u64,
    /// Its size as the checkpoint has it.
    noted: u64,
    /// What an earlier process settled: the file was once that long.
    length_min: u64,
    grew: Duration,
    /// The time in the last line, microseconds since 1970.
    written: Option<i64>,
    gate: Gate,
    /// What is replaced in its records; chosen with the first.
    redactor: Option<Arc<Redactor>>,
    counts: Counts,
    /// A copy of it holds it up to here.
    copied: u64,
    /// It ended, and these bytes of it can no longer be read here.
    untold: Option<ByteRange>,
    about: About,
    /// An earlier process may have sent all below.
    sent_below: u64,
}

/// What the reading of any file needs.
pub(crate) struct Bench<'a> {
    /// Takes the records.
    pub(crate) lane: &'a mut Lane,
    /// Says what the agent adds to each.
    pub(crate) origin: &'a Origin,
    /// Counts.
    pub(crate) measured: &'a Measured,
    /// Says what is too much.
    pub(crate) limiter: &'a mut Limiter,
    /// Says what is replaced in records.
    pub(crate) redaction: &'a Redaction,
    /// What replacing needs.
    pub(crate) scratch: &'a mut Scratch,
    /// Shows records to whoever watches.
    pub(crate) tap: &'a Tap,
    /// Holds the bytes being framed.
    pub(crate) buffer: &'a mut Vec<u8>,
}

impl Tail {
    /// A file seen for the first time.
    pub(crate) fn new(
        key: FileKey,
        path: PathBuf,
        file: Option<Descriptor>,
        metadata: &Metadata,
        multiline: Multiline,
        now: Moment,
    ) -> Self {
        let identity = Identity::of(metadata);
        let framer = Framer::new(format_by_path(&path));
        Self {
            key,
            last_path: path.clone(),
            identity,
            matched: true,
            deleted: false,
            ended: false,
            over: false,
            verified: true,
            queued: None,
            parked: None,
            rotated: false,
            budget: None,
            gone: None,
            floor: identity.birth,
            size: metadata.len(),
            kept: false,
            dismissed: false,
            archive: false,
            undurable: false,
            path,
            fingerprint: Fingerprint::default(),
            endings: Endings::default(),
            file,
            framer,
            joiner: Joiner::resume(Modes::one(multiline), &[], Vec::new()),
            multiline,
            sources: [None; 3],
            seen: 0,
            noted: 0,
            length_min: 0,
            grew: now.steady,
            written: None,
            gate: Gate::default(),
            redactor: None,
            counts: Counts::default(),
            copied: 0,
            untold: None,
            about: About::default(),
            sent_below: 0,
        }
    }

    /// The configuration says otherwise how lines are joined: those that were
    /// not framed yet are.
    pub(crate) fn set_multiline(&mut self, mode: Multiline) {
        self.multiline = mode;
        // One that is not open switches when it is opened.
        if self.file.is_some() {
            self.switch();
        }
    }

    /// The configuration says otherwise what is too much.
    pub(crate) fn limits_changed(&mut self) {
        self.gate.reopen();
    }

    /// No pattern means it any more: what was read is sent, and the rest is
    /// left where it is.
    pub(crate) fn dismiss(&mut self, bench: &mut Bench<'_>, now: Moment) {
        self.cut_events(bench, now);
        self.close();
        (self.matched, self.dismissed) = (false, true);
        // When it is meant again, it may be another.
        self.verified = false;
        self.undurable = true;
    }

    /// True while its descriptor is held.
    pub(crate) fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// True while it can be read: its descriptor is held, or it is parked.
    pub(crate) fn is_within_reach(&self) -> bool {
        self.is_open() || self.parked.is_some()
    }

    /// How soon it must be read.
    pub(crate) fn urgency(&self) -> Urgency {
        let is_near_its_end = |budget: u64| self.size.max(self.seen) > budget / 2;
        if self.kept || self.archive {
            Urgency::Pressed
        } else if !self.matched {
            Urgency::Leaving
        } else if self.rotated || self.budget.is_some_and(is_near_its_end) {
            Urgency::Pressed
        } else {
            Urgency::Calm
        }
    }

    /// True when it is to be read to its end before others of its urgency are:
    /// nobody goes on writing to it.
    pub(crate) fn is_read_at_once(&self) -> bool {
        !self.matched || self.rotated
    }

    /// The descriptor's view of the file.
    pub(crate) fn metadata(&self) -> Option<io::Result<Metadata>> {
        self.file.as_ref().map(|file| file.metadata())
    }

    /// True when `size` bytes are more than was read.
    pub(crate) fn has_unread(&self, size: u64) -> bool {
        size > self.seen
    }

    /// True when a file of `size` bytes must have been cut off or replaced.
    pub(crate) fn has_shrunk(&self, size: u64) -> bool {
        size < self.seen.max(self.length_min) && !planted::is("seek-without-size-check")
    }

    /// The end of what was read, by this process or an earlier one.
    pub(crate) fn read_end(&self) -> u64 {
        self.seen.max(self.length_min)
    }

    /// How far all of it is settled.
    pub(crate) fn settled(&self) -> u64 {
        let held = Stream::ALL.into_iter().filter_map(|stream| self.joiner.held_from(stream)).min();
        let framed = self.framer.settled_for_all();
        held.map_or(framed, |held| held.min(framed))
    }

    /// How far every byte is settled for `stream`.
    fn settled_of(&self, stream: Stream) -> u64 {
        let framed = self.framer.settled(stream);
        self.joiner.held_from(stream).map_or(framed, |held| held.min(framed))
    }

    /// The write time of the last settled line, if the lines say it.
    pub(crate) fn written(&self) -> Option<i64> {
        if self.framer.has_open() || self.joiner.has_held() { None } else { self.written }
    }

    /// When it last grew.
    pub(crate) fn grew(&self) -> Duration {
        self.grew
    }

    /// How it stands.
    pub(crate) fn status(&self, lane: &Lane, origin: &Origin) -> FileStatus {
        let subject = match self.gate.subject() {
            Some(subject) => Subject::clone(subject),
            None => Subject::of(&self.about.resource(origin, &self.path, Stream::File)),
        };
        let streams = Stream::ALL.into_iter().filter(|stream| self.sources[stream.index()].is_some());
        let acknowledged = self.sources().map(|source| lane.acknowledged(source)).min().unwrap_or(0);
        let size = self.size.max(self.seen);
        FileStatus {
            key: self.key,
            path: self.last_path.to_string_lossy().into_owned(),
            subject,
            streams: streams.filter_map(Stream::iostream).collect(),
            format: self.framer.format(),
            size,
            read: self.read_end(),
            settled: self.settled(),
            acknowledged,
            lag: if self.ended || self.is_excluded() { 0 } else { size.saturating_sub(acknowledged) },
            written: self.written,
            is_open: self.is_open(),
            is_deleted: self.deleted,
            is_rotated: !self.matched,
            counts: self.counts.clone(),
            metadata: self.about.metadata(),
            is_excluded: self.is_excluded(),
        }
    }

    /// The sources drawn.
    pub(crate) fn sources(&self) -> impl Iterator<Item = SourceKey> {
        self.sources.into_iter().flatten()
    }
}

/// How the lines of a file are written whose first line does not say it.
fn format_by_path(path: &Path) -> Option<Format> {
    let cri = is_pod_log(path).then_some(Format::Cri);
    cri.or_else(|| is_docker_log(path).then_some(Format::Docker))
}

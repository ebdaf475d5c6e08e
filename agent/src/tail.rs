//! One incarnation of one file: where its reading stands.
//!
//! Its descriptor stays open after the file was renamed or deleted, until it
//! has been read to its end and was quiet for a while.

mod about;
mod kept;

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use weir_proto::model::{ByteRange, Drop, SourceId, drop_reason, flags};

use crate::attribute::{Origin, is_docker_log, is_pod_log};
use crate::checkpoint::{Entry, FileKey, StreamEntry};
use crate::descriptor::Descriptor;
use crate::frame::{CutKind, Format, Frame, Framer, Sink, Stream};
use crate::identity::{Ending, Endings, Fingerprint, Guarded, Identity, is_another};
use crate::join::{Joiner, Modes, Multiline};
use crate::lane::{Lane, SourceKey, Treatment};
use crate::limit::{Gate, Judgement, Limiter, Subject};
use crate::metric::Measured;
use crate::reader::Urgency;
use crate::redact::{self, Outcome, Redaction, Redactor, Scratch};
use crate::status::{Counts, FileStatus};
use crate::tap::{Stage, Tap};

use about::About;
pub(crate) use about::Metadata as MetadataState;
use weir_runtime::{failpoint, planted};

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

/// Where the reading of a copied file goes on.
#[derive(Debug)]
pub(crate) struct Settled {
    format: Option<Format>,
    streams: Vec<(Stream, u64)>,
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

    /// A file from the checkpoint, not yet found.
    pub(crate) fn restore(
        entry: Entry,
        floor: Option<i64>,
        multiline: Multiline,
        lane: &mut Lane,
        origin: &Origin,
    ) -> Self {
        let path = PathBuf::from(&entry.path);
        let settled: Vec<_> = entry.streams.iter().map(|held| (held.stream, held.resume())).collect();
        let mut sources = [None; 3];
        for held in &entry.streams {
            let resource = origin.resource(&path, held.stream);
            let treatment = Treatment { parser: origin.parsers.of(&path), min_severity: None };
            let source = lane.add(entry.key, held.id, resource, treatment, held.acknowledged);
            sources[held.stream.index()] = Some(source);
        }
        let length_min = settled.iter().map(|&(_, end)| end).max().unwrap_or(0);
        let (between, inside) = entry.cuts.into_iter().partition(|cut| cut.kind == CutKind::Event);
        let framer = Framer::resume(entry.format, &settled, inside).with_fallback(format_by_path(&path));
        let joiner = Joiner::resume(entry.multiline, &settled, between);
        let length_min = length_min.max(entry.passed.last_end());
        let framer = framer.with_passed(entry.passed);
        Self {
            key: entry.key,
            last_path: PathBuf::from(entry.last_path),
            identity: entry.identity,
            matched: false,
            deleted: false,
            ended: false,
            over: false,
            verified: false,
            queued: None,
            parked: None,
            rotated: false,
            budget: None,
            gone: entry.gone,
            floor,
            size: entry.size.max(length_min),
            kept: false,
            dismissed: entry.dismissed,
            archive: entry.archive,
            undurable: false,
            path,
            fingerprint: entry.fingerprint,
            endings: Endings::restore(entry.ending, entry.endings),
            file: None,
            // One stream may be settled further than another: what lies
            // between is read again.
            seen: framer.position(),
            noted: entry.size,
            length_min,
            framer,
            joiner,
            multiline,
            sources,
            grew: Duration::ZERO,
            written: None,
            gate: Gate::restore(&entry.streams),
            redactor: None,
            counts: Counts::default(),
            copied: 0,
            untold: None,
            about: About::restored(entry.excluded),
            sent_below: 0,
        }
    }

    /// What the checkpoint keeps of it. A file stands there as soon as it was
    /// found, so that it is known again if it is renamed while nobody reads.
    pub(crate) fn entry(&mut self, lane: &Lane) -> Entry {
        let stream_entry = |stream: Stream| {
            let source = self.sources[stream.index()]?;
            let first = self.framer.first(stream)?;
            let acknowledged = lane.acknowledged(source);
            let reach = self.gate.reach(stream);
            Some(StreamEntry { stream, id: lane.id(source), first, acknowledged, reach })
        };
        let streams: Vec<_> = Stream::ALL.into_iter().filter_map(stream_entry).collect();
        let resume = |stream| streams.iter().find(|held| held.stream == stream).map(StreamEntry::resume);
        let mut cuts = self.framer.cuts_needed(resume);
        cuts.extend(self.joiner.cuts_needed(resume));
        let multiline = self.joiner.modes_needed(streams.iter().map(StreamEntry::resume).min().unwrap_or(0));
        let passed = self.framer.passed_needed(streams.iter().map(StreamEntry::resume).min());
        self.noted = self.size;
        Entry {
            key: self.key,
            path: self.path.to_string_lossy().into_owned(),
            last_path: self.last_path.to_string_lossy().into_owned(),
            identity: self.identity,
            fingerprint: self.fingerprint,
            format: self.framer.format(),
            streams,
            cuts,
            multiline,
            gone: self.gone,
            ending: self.endings.last(),
            endings: self.endings.earlier().to_vec(),
            size: self.size,
            archive: self.archive,
            dismissed: self.dismissed,
            excluded: self.is_excluded(),
            passed,
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

    /// True when there is more to read than the checkpoint knows of.
    pub(crate) fn outgrew_its_entry(&self) -> bool {
        self.size != self.noted && self.has_unread(self.size)
    }

    /// The file is a copy of an original that is read no further: what was not
    /// settled of that one is read here, under sources of its own.
    pub(crate) fn continuing(mut self, settled: &Settled, lane: &mut Lane, origin: &Origin) -> Self {
        for &(stream, _) in &settled.streams {
            let resource = self.about.resource(origin, &self.path, stream);
            let treatment = self.about.treatment(origin, &self.path);
            let source = lane.add(self.key, SourceId::generate(), resource, treatment, 0);
            self.sources[stream.index()] = Some(source);
        }
        self.framer = Framer::resume(settled.format, &settled.streams, Vec::new());
        self.joiner = Joiner::resume(Modes::one(self.multiline), &settled.streams, Vec::new());
        self.seen = self.framer.position();
        self.length_min = self.seen;
        self.undurable = true;
        self
    }

    /// A copy holds its first `length` bytes: where that goes on.
    pub(crate) fn copied(&mut self, length: u64) -> Settled {
        self.copied = self.copied.max(length);
        // What was read of this one beyond the copy is not there.
        let settled_of = |stream| self.settled_of(stream).min(length);
        let settled = |stream| self.framer.first(stream).map(|_| (stream, settled_of(stream)));
        let streams = Stream::ALL.into_iter().filter_map(settled).collect();
        Settled { format: self.framer.format(), streams }
    }

    /// True when `file`, `length` bytes long, holds what was read of this one,
    /// as far as it goes. In doubt it is another file: lines that are there
    /// twice can be seen, lines that are lost cannot.
    pub(crate) fn is_copied_in(&self, file: &File, length: u64) -> io::Result<bool> {
        let Some(ending) = self.endings.within(length) else { return Ok(false) };
        // The ending of a file that is shorter than its beginning's checksum says all of it.
        let begins_alike =
            self.fingerprint.is_longer_than(length) || self.fingerprint.verify(file)?.is_some();
        Ok(begins_alike && ending.stands_in(file)?)
    }

    /// False when `file`, `length` bytes long, begins otherwise than this one,
    /// as far as it goes: it is no copy of it, not even one in the making.
    pub(crate) fn may_be_copied_in(&self, file: &File, length: u64) -> io::Result<bool> {
        if !self.fingerprint.is_longer_than(length) {
            return Ok(self.fingerprint.verify(file)?.is_some());
        }
        let Some(own) = &self.file else { return Ok(true) };
        let theirs = Fingerprint::default().verify(file)?.unwrap_or_default();
        Ok(theirs.verify(&**own)?.is_some())
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

    /// Goes on with a file that was opened, if it is what is known. False: it
    /// has another content.
    ///
    /// # Errors
    /// It is another file ([`io::ErrorKind::NotFound`]): what was found was
    /// renamed before it was opened. Or it cannot be read.
    pub(crate) fn open(&mut self, file: Descriptor) -> io::Result<bool> {
        let metadata = file.metadata()?;
        let identity = Identity::of(&metadata);
        if !identity.may_equal(&self.identity) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let Some(fingerprint) = self.fingerprint.verify(&*file)? else { return Ok(false) };
        if self.has_shrunk(metadata.len()) {
            return Ok(false);
        }
        (self.identity, self.fingerprint) = (identity, fingerprint);
        self.size = metadata.len();
        let is_new = !std::mem::replace(&mut self.verified, true);
        self.parked = None;
        self.file = Some(file);
        // An earlier process may have sent all that is there, joined by what it was told.
        let from = self.size.max(self.seen);
        self.gate.opened(from);
        if let Some(mode) = self.mode_wished() {
            self.undurable |= self.joiner.switch(mode, from);
        }
        if is_new {
            self.sent_below = from;
        }
        Ok(true)
    }

    /// Compares the open file's beginning with what is known; a file replaced
    /// in place may be longer than before. False: it was replaced.
    pub(crate) fn verify(&mut self) -> io::Result<bool> {
        let Some(file) = &self.file else { return Ok(true) };
        let grown = self.fingerprint.verify(&**file)?;
        self.fingerprint = grown.unwrap_or(self.fingerprint);
        Ok(grown.is_some())
    }

    /// Lets go of the descriptor.
    pub(crate) fn close(&mut self) {
        (self.file, self.parked) = (None, None);
    }

    /// Lets go of the descriptor until there is something to read.
    pub(crate) fn park(&mut self) {
        (self.file, self.parked) = (None, Some(self.size));
    }

    /// Reads and frames one block.
    pub(crate) fn read(&mut self, bench: &mut Bench<'_>, now: Moment) -> io::Result<Step> {
        // What was sent before, a replay sends again; it stops where the rest is passed over.
        if self.is_excluded() && self.framer.passed().ahead(self.framer.position()).is_none() {
            return self.pass_over(bench, now);
        }
        failpoint::reach("agent.read.before")?;
        let Some(file) = self.file.take() else { return Ok(Step::Still) };
        let before = self.framer.position();
        let fingerprint = self.fingerprint;
        let end = self.with_sink(bench, now, |framer, joiner, buffer, sink| {
            let guarded = Guarded { file: &*file, fingerprint };
            let end = framer.advance(&guarded, buffer, now.steady, &mut joiner.to(sink, now.steady));
            joiner.pass(|stream| framer.settled(stream), sink);
            end
        });
        let size = file.metadata().map(|metadata| metadata.len());
        // What was cut off meanwhile is known as it was before.
        let ending = end.as_ref().ok().filter(|end| **end > self.seen).map(|end| Ending::of(&*file, *end));
        if let Some(Ok(Some(ending))) = ending {
            self.endings.note(ending);
        }
        self.file = Some(file);
        let end = match end {
            Err(error) if is_another(&error) => return Ok(Step::Replaced),
            end => end?,
        };
        let position = self.framer.position();
        bench.measured.bytes.inc_by(position - before);
        let grew = end > self.seen || position > before;
        self.seen = self.seen.max(end);
        let size = size?;
        let shrank = self.has_shrunk(size);
        // If it is cut off next, this was there to be read.
        self.size = self.size.max(self.seen).max(size);
        if grew {
            self.grew = now.steady;
            let same = !self.fingerprint.may_grow(self.seen) || self.verify()?;
            return Ok(if same { Step::Grew } else { Step::Replaced });
        }
        Ok(if shrank { Step::Replaced } else { Step::Still })
    }

    /// When something unfinished will have waited long enough.
    pub(crate) fn cut_due(&self, timeouts: Timeouts) -> Option<Duration> {
        let line = (self.framer.position() < self.seen).then_some(self.grew);
        let line = [line, self.framer.oldest_join()].into_iter().flatten().min();
        let due = [
            line.map(|since| since + timeouts.line),
            self.joiner.oldest().map(|since| since + timeouts.event),
        ];
        due.into_iter().flatten().min()
    }

    /// Cuts what was unfinished for long enough. Call it right after a read
    /// that brought nothing: what is unread could finish the record.
    pub(crate) fn cut(&mut self, bench: &mut Bench<'_>, now: Moment, timeouts: Timeouts) -> io::Result<()> {
        if let Some(before) = now.steady.checked_sub(timeouts.line) {
            if self.framer.position() < self.seen && self.grew <= before {
                self.framer.cut_line(self.seen);
                self.undurable = true;
                bench.measured.cuts.inc();
                self.read(bench, now)?;
            }
            let cut = self.with_sink(bench, now, |framer, joiner, _, sink| {
                framer.cut_joins(before, &mut joiner.to(sink, now.steady))
            });
            self.was_cut(cut, bench);
        }
        if let Some(before) = now.steady.checked_sub(timeouts.event) {
            let cut = self.with_sink(bench, now, |_, joiner, _, sink| joiner.cut(before, sink));
            self.was_cut(cut, bench);
        }
        Ok(())
    }

    /// Cuts the events that may have more lines: nobody waits for them now.
    pub(crate) fn cut_events(&mut self, bench: &mut Bench<'_>, now: Moment) {
        let cut = self.with_sink(bench, now, |_, joiner, _, sink| joiner.cut(now.steady, sink));
        self.was_cut(cut, bench);
    }

    fn was_cut(&mut self, cut: bool, bench: &Bench<'_>) {
        if cut {
            self.undurable = true;
            bench.measured.cuts.inc();
        }
    }

    /// The incarnation is over. What of it was seen and can no longer be read
    /// is told by [`Self::tell_truncated`], once it is known whether a copy
    /// holds it.
    pub(crate) fn end(&mut self, bench: &mut Bench<'_>, now: Moment) {
        self.with_sink(bench, now, |framer, joiner, _, sink| {
            framer.abandon_joins(&mut joiner.to(sink, now.steady));
            joiner.abandon(sink);
        });
        let known_end = self.size.max(self.seen);
        let position = self.framer.position();
        let is_untold = known_end > position && !self.is_excluded();
        self.untold = is_untold.then(|| ByteRange::new(position, known_end));
        self.close();
        self.ended = true;
    }

    /// True when it ended and something of it is to be told as dropped.
    pub(crate) fn is_untold(&self) -> bool {
        self.untold.is_some()
    }

    /// Tells what of an incarnation that is over neither was read nor is in a
    /// copy.
    pub(crate) fn tell_truncated(&mut self, bench: &mut Bench<'_>, now: Moment) {
        let Some(untold) = self.untold.take() else { return };
        let start = untold.start.max(self.copied);
        if start >= untold.end {
            return;
        }
        let range = ByteRange::new(start, untold.end);
        // Somebody must tell, even if no line of it was ever read.
        if self.sources().next().is_none() {
            let _ = self.with_sink(bench, now, |_, _, _, sink| sink.source(Stream::File));
        }
        bench.measured.dropped(drop_reason::TRUNCATED_UNREAD, range.len());
        self.counts.dropped(drop_reason::TRUNCATED_UNREAD);
        // The streams of a file share its bytes: one of them tells.
        // How many lines it would have been is not known.
        let mut drop = Some(Drop { range, count: 0, reason: drop_reason::TRUNCATED_UNREAD.to_owned() });
        for source in self.sources() {
            match drop.take() {
                Some(drop) => bench.lane.drop(source, drop),
                None => bench.lane.settle(source, range.end),
            }
        }
    }

    /// Lets the framer speak to the lane, then tells the lane what is settled.
    fn with_sink<T>(
        &mut self,
        bench: &mut Bench<'_>,
        now: Moment,
        act: impl FnOnce(&mut Framer, &mut Joiner, &mut Vec<u8>, &mut TailSink<'_>) -> T,
    ) -> T {
        let mut sink = TailSink {
            key: self.key,
            path: &self.path,
            sources: &mut self.sources,
            drew: false,
            written: self.written,
            lane: bench.lane,
            origin: bench.origin,
            measured: bench.measured,
            limiter: bench.limiter,
            redaction: bench.redaction,
            scratch: bench.scratch,
            tap: bench.tap,
            gate: &mut self.gate,
            redactor: &mut self.redactor,
            counts: &mut self.counts,
            about: &self.about,
            flags: self.about.flags(),
            now,
        };
        let result = act(&mut self.framer, &mut self.joiner, bench.buffer, &mut sink);
        for stream in Stream::ALL {
            if self.framer.first(stream).is_some() {
                let source = sink.source(stream);
                let framed = self.framer.settled(stream);
                let settled = self.joiner.held_from(stream).map_or(framed, |held| held.min(framed));
                sink.lane.settle(source, settled);
            }
        }
        self.written = sink.written;
        self.undurable |= sink.drew;
        result
    }
}

/// How the lines of a file are written whose first line does not say it.
fn format_by_path(path: &Path) -> Option<Format> {
    let cri = is_pod_log(path).then_some(Format::Cri);
    cri.or_else(|| is_docker_log(path).then_some(Format::Docker))
}

/// Hands records to the lane under their sources, drawing those that are new.
pub(crate) struct TailSink<'a> {
    key: FileKey,
    path: &'a Path,
    sources: &'a mut [Option<SourceKey>; 3],
    drew: bool,
    written: Option<i64>,
    lane: &'a mut Lane,
    origin: &'a Origin,
    measured: &'a Measured,
    limiter: &'a mut Limiter,
    redaction: &'a Redaction,
    scratch: &'a mut Scratch,
    tap: &'a Tap,
    gate: &'a mut Gate,
    redactor: &'a mut Option<Arc<Redactor>>,
    counts: &'a mut Counts,
    about: &'a About,
    /// Bits that each record has.
    flags: i32,
    now: Moment,
}

impl TailSink<'_> {
    fn source(&mut self, stream: Stream) -> SourceKey {
        if let Some(source) = self.sources[stream.index()] {
            return source;
        }
        let resource = self.about.resource(self.origin, self.path, stream);
        let treatment = self.about.treatment(self.origin, self.path);
        let source = self.lane.add(self.key, SourceId::generate(), resource, treatment, 0);
        self.sources[stream.index()] = Some(source);
        self.drew = true;
        source
    }

    /// Says what becomes of a record whatever is in it, and counts it if it is dropped.
    fn judge(&mut self, source: SourceKey, frame: &Frame<'_>) -> Judgement {
        if self.gate.subject().is_none() {
            let subject = Subject::of(&self.about.resource(self.origin, self.path, frame.stream));
            *self.redactor = self.about.redactor(self.redaction, &subject, self.measured);
            self.gate.drop_by_content(self.redactor.as_ref().is_some_and(|redactor| redactor.drops()));
            self.limiter.admit(self.gate, Arc::new(subject), self.about.applied().asked);
        }
        let judgement = self.limiter.judge(self.gate, self.lane.id(source), frame, self.now);
        self.drew |= judgement.is_undurable;
        if let Some(reason) = judgement.refused {
            self.refuse(source, frame, reason);
        }
        judgement
    }

    fn refuse(&mut self, source: SourceKey, frame: &Frame<'_>, reason: &'static str) {
        self.lane.refuse(source, frame.range, reason);
        self.measured.dropped(reason, frame.range.len());
        self.counts.dropped(reason);
    }
}

impl Sink for TailSink<'_> {
    fn record(&mut self, mut frame: Frame<'_>) {
        frame.flags |= self.flags;
        let source = self.source(frame.stream);
        let judgement = self.judge(source, &frame);
        self.tap.offer(Stage::Framed, self.gate.subject(), &frame, self.now);
        if let Some(nanos) = frame.timestamp_nanos {
            self.written = Some(nanos.div_euclid(1_000));
        }
        if judgement.refused.is_some() {
            return;
        }
        let outcome = match self.redactor {
            Some(redactor) => redactor.redact(frame.text, judgement.is_droppable, self.scratch),
            None => Outcome::Clean,
        };
        let frame = match outcome {
            Outcome::Clean => frame,
            Outcome::Changed(text) => redact::rewritten(frame, text),
            Outcome::Dropped => {
                self.limiter.dropped(self.gate, drop_reason::REDACTED, frame.range.len());
                return self.refuse(source, &frame, drop_reason::REDACTED);
            }
        };
        self.tap.offer(Stage::Batched, self.gate.subject(), &frame, self.now);
        self.lane.push(source, &frame, self.now.wall);
        self.measured.lines.inc();
        self.counts.passed(frame.range.len());
        if let Some(dropped) = frame.dropped {
            debug_assert!(frame.flags & flags::TRUNCATED != 0, "what is dropped is marked");
            self.measured.dropped(drop_reason::LINE_TOO_LONG, dropped.len());
            self.counts.dropped(drop_reason::LINE_TOO_LONG);
        }
    }
}

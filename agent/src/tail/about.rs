//! What is known of the container whose log a file is, and what follows for
//! its reading.
//!
//! A file of a pod waits, unread, until its pod is known or the wait is over.
//! What is known may change later: then lines that are read from there on have
//! the new attributes. Sources and offsets stay as they are.
//!
//! A file that is excluded counts as read up to its last line, again and again,
//! without being read: so its marks, its rotation and its checkpoint are those
//! of any other file, and when the exclusion ends reading goes on at a line.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use weir_proto::model::flags;

use super::{Bench, Moment, Step, Tail};
use crate::attribute::{Origin, PodPlace};
use crate::frame::{ReadAt, Stream};
use crate::identity::Ending;
use crate::join::Multiline;
use crate::kube::Applied;
use crate::lane::{Lane, SourceKey, Treatment};
use crate::limit::Subject;
use crate::metric::Measured;
use crate::redact::{Redaction, Redactor};

/// How far before its end a file is searched for its last line.
const LAST_LINE_BYTES_MAX: u64 = 1 << 20;

/// What is looked at at once.
const LOOK_BYTES: usize = 16 << 10;

/// What is known of the container behind a file.
#[derive(Debug, Default)]
pub(crate) struct About {
    /// Whose log it is, where somebody is asked about that.
    place: Option<PodPlace>,
    metadata: Metadata,
    applied: Arc<Applied>,
}

/// Whether the pod is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Metadata {
    /// Nobody is asked: there is no API server, or this is no pod's file.
    #[default]
    Unasked,
    /// Nothing is read until the pod is known, or until then.
    Waiting(Duration),
    /// It is known.
    Known,
    /// It was waited for in vain; lines are marked.
    Pending,
}

impl Metadata {
    /// The word for it in the status.
    pub(crate) const fn word(self) -> Option<&'static str> {
        match self {
            Self::Unasked => None,
            Self::Waiting(_) => Some("waiting"),
            Self::Known => Some("known"),
            Self::Pending => Some("pending"),
        }
    }
}

impl About {
    /// What an earlier process knew: whether the file was excluded.
    pub(super) fn restored(is_excluded: bool) -> Self {
        let applied = Arc::new(Applied { exclude: is_excluded, ..Applied::default() });
        Self { applied, ..Self::default() }
    }

    /// The resource of a source: what the path says, and what is known beside
    /// that, sorted.
    pub(super) fn resource(&self, origin: &Origin, path: &Path, stream: Stream) -> Vec<(String, String)> {
        let mut resource = origin.resource(path, stream);
        let known = &self.applied.attributes;
        if !known.is_empty() {
            resource.retain(|(key, _)| !known.contains_key(key));
            resource.extend(known.iter().map(|(key, value)| (key.clone(), value.clone())));
            resource.sort_unstable();
        }
        resource
    }

    /// How whoever reads the batches shall treat the lines.
    pub(super) fn treatment(&self, origin: &Origin, path: &Path) -> Treatment {
        let parser = self.applied.parser.unwrap_or_else(|| origin.parsers.of(path));
        Treatment { parser, min_severity: self.applied.min_severity }
    }

    /// Whether the pod is known, in a word.
    pub(super) fn metadata(&self) -> Option<&'static str> {
        self.metadata.word()
    }

    /// What applies to the container.
    pub(super) fn applied(&self) -> &Applied {
        &self.applied
    }

    /// What is replaced in the lines: what the operator says, and what the pod
    /// asks for beside that.
    pub(super) fn redactor(
        &self,
        redaction: &Redaction,
        subject: &Subject,
        measured: &Measured,
    ) -> Option<Arc<Redactor>> {
        if self.applied.redact.is_empty() {
            return redaction.base();
        }
        let rules = self.applied.redact.join(",");
        redaction.asked(&rules).unwrap_or_else(|why| {
            measured.failed("annotation");
            tracing::warn!(%subject, annotation = "weir.dev/redact", value = rules, "it is passed over: {why}");
            redaction.base()
        })
    }

    /// Bits that each line has.
    pub(super) fn flags(&self) -> i32 {
        if self.metadata == Metadata::Pending { flags::METADATA_PENDING } else { 0 }
    }

    fn is_excluded(&self) -> bool {
        self.applied.exclude && self.metadata != Metadata::Unasked
    }
}

impl Tail {
    /// Somebody can be asked about the pod: nothing is read before `until`,
    /// unless the answer comes. False: this is no pod's file.
    pub(crate) fn await_metadata(&mut self, until: Duration) -> bool {
        self.about.place = PodPlace::of(&self.path);
        let waits = self.about.place.is_some();
        if waits {
            self.about.metadata = Metadata::Waiting(until);
        }
        waits
    }

    /// Whose log it is, where somebody is asked about that.
    pub(crate) fn pod(&self) -> Option<&PodPlace> {
        self.about.place.as_ref()
    }

    /// Whether the pod is known.
    pub(crate) fn metadata_state(&self) -> Metadata {
        self.about.metadata
    }

    /// True while nothing may be read.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.about.metadata, Metadata::Waiting(_))
    }

    /// True when the container's lines are not wanted.
    pub(crate) fn is_excluded(&self) -> bool {
        self.about.is_excluded()
    }

    /// The wait was in vain: what an earlier process knew goes on, and lines go
    /// with what the path says.
    pub(crate) fn give_up_metadata(&mut self) {
        self.about.metadata = Metadata::Pending;
    }

    /// Says what applies from here on. True when the checkpoint should know.
    pub(crate) fn apply(&mut self, applied: Arc<Applied>, bench: &mut Bench<'_>, now: Moment) -> bool {
        let was_excluded = self.about.is_excluded();
        let is_new = self.about.metadata != Metadata::Known || self.about.applied != applied;
        if !is_new {
            return false;
        }
        // What was written meanwhile was not wanted; and of what is not wanted
        // from now on, what was read goes out.
        if was_excluded {
            self.undurable = true;
            if let Err(error) = self.pass_over(bench, now) {
                tracing::debug!(path = %self.last_path.display(), %error, "its end is not found");
            }
        }
        (self.about.metadata, self.about.applied) = (Metadata::Known, applied);
        if !was_excluded && self.about.is_excluded() {
            // What is read is sent, after a crash too.
            self.framer.pass_to(self.framer.position());
        }
        // One that was never opened switches when it is.
        if self.verified {
            self.switch();
        }
        self.gate.reopen();
        for stream in Stream::ALL {
            if let Some(source) = self.sources[stream.index()] {
                self.describe(source, stream, bench.lane, bench.origin);
            }
        }
        was_excluded != self.about.is_excluded()
    }

    /// How lines are to be joined; nothing while that is not known: then as
    /// before.
    pub(super) fn mode_wished(&self) -> Option<Multiline> {
        match (self.pod(), self.about.metadata) {
            (None, _) => Some(self.multiline),
            (Some(_), Metadata::Known) => Some(self.about.applied.multiline.unwrap_or(self.multiline)),
            (Some(_), _) => None,
        }
    }

    /// Joins as is wished what was not framed yet.
    pub(super) fn switch(&mut self) {
        let Some(mode) = self.mode_wished() else { return };
        // Up to there an earlier process may have sent lines.
        let sent = self.sent_below.max(self.joiner.switched_at());
        self.undurable |= self.joiner.switch(mode, self.framer.position().max(sent));
    }

    fn describe(&self, source: SourceKey, stream: Stream, lane: &mut Lane, origin: &Origin) {
        let resource = self.about.resource(origin, &self.path, stream);
        lane.describe(source, resource, self.about.treatment(origin, &self.path));
    }

    /// Counts as read what is there.
    pub(super) fn pass_over(&mut self, bench: &mut Bench<'_>, now: Moment) -> io::Result<Step> {
        let Some(file) = self.file.take() else { return Ok(Step::Still) };
        let passed = self.last_line_end(&file);
        let ending = match &passed {
            Ok(Some(end)) => Ending::of(&*file, *end).ok().flatten(),
            _ => None,
        };
        self.file = Some(file);
        let Some(end) = passed? else { return Ok(Step::Replaced) };
        if end <= self.framer.position() {
            return Ok(Step::Still);
        }
        if let Some(ending) = ending {
            self.endings.note(ending);
        }
        self.framer.pass_to(end);
        // In a replay the rest comes before.
        self.seen = self.seen.max(self.framer.position());
        self.size = self.size.max(end);
        self.grew = now.steady;
        // The sources that there are must say that nothing is missing.
        self.with_sink(bench, now, |_, _, _, _| ());
        Ok(Step::Still)
    }

    /// Where the last complete line ends; of a file that does not grow any
    /// more, its end. None: it is shorter than what was read of it.
    fn last_line_end(&self, file: &File) -> io::Result<Option<u64>> {
        let size = file.metadata()?.len();
        if self.has_shrunk(size) {
            return Ok(None);
        }
        let lowest = self.framer.position().max(size.saturating_sub(LAST_LINE_BYTES_MAX));
        if self.kept || !self.matched {
            return Ok(Some(size));
        }
        let mut block = [0; LOOK_BYTES];
        let mut end = size;
        while end > lowest {
            let start = end.saturating_sub(LOOK_BYTES as u64).max(lowest);
            let wanted = usize::try_from(end - start).unwrap_or(LOOK_BYTES);
            let read = ReadAt::read_at(file, &mut block[..wanted], start)?;
            if let Some(found) = memchr::memrchr(b'\n', &block[..read]) {
                return Ok(Some(start + found as u64 + 1));
            }
            end = start;
        }
        // A line longer than that is given up in its middle.
        let is_long = size - self.framer.position() > LAST_LINE_BYTES_MAX;
        Ok(Some(if is_long { size } else { self.framer.position() }))
    }
}

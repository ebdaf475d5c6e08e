//! The places where a record or an event was ended by time and not by content.

use serde::{Deserialize, Serialize};

use super::Stream;

/// A place where a record was ended by time and not by content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cut {
    /// The first byte after the cut record.
    pub(crate) end: u64,
    /// Whose record it was.
    pub(crate) stream: Stream,
    /// What was unfinished.
    pub(crate) kind: CutKind,
    /// Of a cut join or event: the end of the stream's next one, once framed.
    #[serde(skip)]
    pub(crate) resolved: Option<u64>,
}

/// What was unfinished when it was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CutKind {
    /// A line without its newline.
    Line,
    /// The same; the line is a part of a joined record, not its last.
    PartialLine,
    /// A joined record without its last part.
    Join,
    /// An event that might have had more lines.
    Event,
}

impl CutKind {
    /// True when the cut lies inside a line.
    fn is_in_line(self) -> bool {
        matches!(self, Self::Line | Self::PartialLine)
    }
}

/// The cuts of one file, in order: those that were made, and those that a
/// replay has to make again. The framer has its own, the joiner has its own.
#[derive(Debug, Default)]
pub(crate) struct Cuts(Vec<Cut>);

impl Cuts {
    pub(crate) fn new(mut cuts: Vec<Cut>) -> Self {
        cuts.sort_by_key(|cut| cut.end);
        Self(cuts)
    }

    pub(crate) fn insert(&mut self, end: u64, stream: Stream, kind: CutKind) {
        let at = self.0.partition_point(|held| held.end < end);
        self.0.insert(at, Cut { end, stream, kind, resolved: None });
    }

    /// The place inside a line that begins at `start` where it is cut.
    pub(crate) fn inside(&self, start: u64) -> Option<u64> {
        self.0.iter().find(|cut| cut.kind.is_in_line() && cut.end > start).map(|cut| cut.end)
    }

    /// The cut that ended the line before the one that begins at `start`.
    pub(crate) fn ending_at(&self, start: u64) -> Option<&Cut> {
        self.0.iter().find(|cut| cut.kind.is_in_line() && cut.end == start)
    }

    /// True when what is joined of `stream` is cut behind the part that ends
    /// at `end`.
    pub(crate) fn ends_join(&self, stream: Stream, end: u64) -> bool {
        self.0.iter().any(|cut| cut.is_join_of(stream) && cut.end == end)
    }

    /// True when what was joined of `stream` was cut below `resume` and what
    /// continues it lies above.
    pub(crate) fn is_pending(&self, stream: Stream, resume: u64) -> bool {
        self.0.iter().any(|cut| cut.is_join_of(stream) && cut.end <= resume)
    }

    /// Says what kind of line was cut at `end`, once that is known.
    pub(crate) fn describe(&mut self, end: u64, stream: Stream, kind: CutKind) {
        for cut in self.0.iter_mut().filter(|cut| cut.kind.is_in_line() && cut.end == end) {
            (cut.stream, cut.kind) = (stream, kind);
        }
    }

    /// The stream's next record after a cut join ends at `end`: once that is
    /// acknowledged, the cut is no longer needed.
    pub(crate) fn resolve(&mut self, stream: Stream, end: u64) {
        for cut in self.0.iter_mut().filter(|cut| cut.is_join_of(stream) && cut.end < end) {
            cut.resolved.get_or_insert(end);
        }
    }

    /// Forgets the cuts that no replay from the acknowledged ends would need,
    /// and answers with the others.
    pub(crate) fn needed(&mut self, acknowledged: impl Fn(Stream) -> Option<u64>) -> Vec<Cut> {
        let lowest = Stream::ALL.into_iter().filter_map(&acknowledged).min().unwrap_or(0);
        self.0.retain(|cut| match cut.kind {
            CutKind::Join | CutKind::Event => {
                cut.resolved.is_none_or(|end| acknowledged(cut.stream).is_none_or(|held| held < end))
            }
            // A line that begins where the cut ends continues it.
            CutKind::Line | CutKind::PartialLine => cut.end >= lowest,
        });
        self.0.clone()
    }
}

impl Cut {
    fn is_join_of(&self, stream: Stream) -> bool {
        !self.kind.is_in_line() && self.stream == stream
    }
}

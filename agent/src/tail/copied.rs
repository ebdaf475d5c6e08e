//! A file that is a copy of another, as `copytruncate` makes them: who reads what.

use std::fs::File;
use std::io;

use weir_proto::model::SourceId;

use super::Tail;
use crate::attribute::Origin;
use crate::frame::{Format, Framer, Stream};
use crate::identity::Fingerprint;
use crate::join::{Joiner, Modes};
use crate::lane::Lane;

/// Where the reading of a copied file goes on.
#[derive(Debug)]
pub(crate) struct Settled {
    format: Option<Format>,
    streams: Vec<(Stream, u64)>,
}

impl Tail {
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
}

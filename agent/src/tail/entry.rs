//! What the checkpoint keeps of a file, and a file from what it kept.

use std::path::PathBuf;
use std::time::Duration;

use super::about::About;
use super::{Tail, format_by_path};
use crate::attribute::Origin;
use crate::checkpoint::{Entry, StreamEntry};
use crate::frame::{CutKind, Framer, Stream};
use crate::identity::Endings;
use crate::join::{Joiner, Multiline};
use crate::lane::{Lane, Treatment};
use crate::limit::Gate;
use crate::status::Counts;

impl Tail {
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

    /// True when there is more to read than the checkpoint knows of.
    pub(crate) fn outgrew_its_entry(&self) -> bool {
        self.size != self.noted && self.has_unread(self.size)
    }
}

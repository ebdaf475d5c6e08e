//! The end of an incarnation: what of it can no longer be read is told.

use weir_proto::model::{ByteRange, Drop, drop_reason};

use super::{Bench, Moment, Tail};
use crate::frame::Stream;

impl Tail {
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
}

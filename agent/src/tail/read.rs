//! Reading: a file is opened, read block by block, and what stays unfinished is cut.

use std::io;
use std::time::Duration;

use weir_runtime::failpoint;

use super::{Bench, Moment, Step, Tail, Timeouts};
use crate::descriptor::Descriptor;
use crate::identity::{Ending, Guarded, Identity, is_another};

impl Tail {
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
        failpoint::reach("agent.read.after")?;
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
}

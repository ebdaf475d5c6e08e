//! What has been accepted of each source: the decision which rows are new.
//!
//! Pure. The invariant: a byte that is in a source's covered set belongs to a
//! row that was accepted, or to a loss that was recorded, or to framing; never
//! to a row still to come. So a row whose start is covered is a duplicate.

use std::collections::HashMap;

use weir_proto::model::{ByteRange, Counted, RangeSet, Source, SourceId, drop_reason};
use weir_storage::catalog::Progress;

/// What is known of a partition's sources, as of the last message accepted.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    known: HashMap<SourceId, Known>,
    /// What was changed since the last [`Self::keep`], as it was before.
    before: Vec<(SourceId, Known)>,
}

/// What is known of a source.
#[derive(Clone, Debug, Default)]
struct Known {
    covered: RangeSet,
    /// How many events its sender counted up to the end of the last message.
    counted: Option<Counted>,
}

/// A row that a message brings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// Index into the message's sources.
    pub(crate) source: usize,
    pub(crate) range: ByteRange,
    /// It is an event itself, and not only part of what describes one.
    pub(crate) is_event: bool,
}

/// What a message brings that is new.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Admission {
    /// For each row, whether it is kept.
    pub(crate) is_new: Vec<bool>,
    /// Rows that are not, for they came before.
    pub(crate) duplicates: u64,
    /// Rows across a covered boundary. Never in health.
    pub(crate) straddles: u64,
    /// Losses noticed.
    pub(crate) losses: Vec<Loss>,
    /// Holes of which something came after all.
    pub(crate) filled: Vec<Filled>,
    /// What was found of each source, in the message's order.
    pub(crate) found: Vec<Found>,
}

/// What a message brought of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// What it covers now that it did not before; nothing where `None`.
    pub(crate) advanced: Option<ByteRange>,
    /// Events that are kept.
    pub(crate) events: u64,
    /// Events that came before.
    pub(crate) duplicates: u64,
    /// Of those that are kept, how many lie in a hole that was told.
    late: u64,
    /// How many events its sender counted up to the end of the message.
    pub(crate) counted: Option<Counted>,
}

/// Bytes of a source that became no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    /// Index into the message's sources.
    pub(crate) source: usize,
    pub(crate) range: ByteRange,
    /// How many events; none where nobody can know.
    pub(crate) count: Option<u64>,
    pub(crate) reason: String,
}

/// Bytes that were told as missing, and came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    /// Index into the message's sources.
    pub(crate) source: usize,
    /// From the first of them to the last.
    pub(crate) range: ByteRange,
    /// Events among them, and what was told as dropped.
    pub(crate) events: u64,
}

impl Ledger {
    /// Starts from what is stored.
    pub(crate) fn new(stored: &Progress) -> Self {
        let known = |(source, covered): (&SourceId, &RangeSet)| {
            let counted = stored.counted.get(source).copied();
            (*source, Known { covered: covered.clone(), counted })
        };
        Self { known: stored.covered.iter().map(known).collect(), before: Vec::new() }
    }

    /// Where what is covered of a source ends.
    pub(crate) fn end(&self, source: SourceId) -> u64 {
        self.known.get(&source).map_or(0, |known| known.covered.end())
    }

    /// Decides about the rows of a message, and counts what its sources settle
    /// as covered.
    pub(crate) fn admit(&mut self, sources: &[Source], rows: impl Iterator<Item = Row>) -> Admission {
        let mut admission =
            Admission { found: vec![Found::default(); sources.len()], ..Admission::default() };
        let mut sent = vec![0; sources.len()];
        for row in rows {
            let is_new = self.judge(&sources[row.source], row, &mut admission);
            admission.is_new.push(is_new);
            sent[row.source] += u64::from(row.is_event);
        }
        for (index, source) in sources.iter().enumerate() {
            self.settle(source, index, sent[index], &mut admission);
        }
        admission
    }

    /// What was decided so far stands.
    pub(crate) fn keep(&mut self) {
        self.before.clear();
    }

    /// What was decided since the last [`Self::keep`] becomes nothing after all.
    pub(crate) fn take_back(&mut self) {
        while let Some((source, known)) = self.before.pop() {
            self.known.insert(source, known);
        }
    }

    fn judge(&self, source: &Source, row: Row, admission: &mut Admission) -> bool {
        let Row { source: index, range, is_event } = row;
        let event = u64::from(is_event);
        let Some(Known { covered, .. }) = self.known.get(&source.id) else {
            admission.found[index].events += event;
            return true;
        };
        if covered.end() <= range.start {
            admission.found[index].events += event;
            return true;
        }
        let end = covered_end(covered, range.start);
        if end >= range.end && covered.contains(range.start) {
            admission.duplicates += 1;
            admission.found[index].duplicates += event;
            return false;
        }
        // A row is kept when its start is new: bytes twice are better than
        // bytes lost. Otherwise its rest is lost, and named.
        let is_new = !covered.contains(range.start);
        if is_new {
            admission.found[index].events += event;
            admission.found[index].late += event;
            admission.straddles += u64::from(overlaps(covered, range));
        } else {
            admission.straddles += 1;
            let (range, reason) = (ByteRange::new(end, range.end), drop_reason::STRADDLE.to_owned());
            admission.losses.push(Loss { source: index, range, count: Some(event), reason });
        }
        is_new
    }

    fn settle(&mut self, source: &Source, index: usize, rows: u64, admission: &mut Admission) {
        let known = self.known.entry(source.id).or_default();
        let settled = source.covered;
        let found = &mut admission.found[index];
        let mut late = found.late;
        for drop in &source.drops {
            // Of what was told before, or came as rows, how many of the events
            // counted here it held is not known.
            for range in known.covered.missing(drop.range) {
                let count = (range.start == drop.range.start && drop.count > 0).then_some(drop.count);
                late += count.filter(|_| range.start < known.covered.end()).unwrap_or(0);
                admission.losses.push(Loss { source: index, range, count, reason: drop.reason.clone() });
            }
        }
        let counted = source.counted;
        found.counted = counted.map(|counted| counted.after(source, rows));
        if settled.is_empty() {
            return;
        }
        self.before.push((source.id, known.clone()));
        let before = std::mem::replace(&mut known.counted, found.counted);
        if covered_end(&known.covered, settled.start) >= settled.end {
            return;
        }
        let end = known.covered.end();
        let mut advanced = settled;
        // What lies before it was told when what is behind it came.
        if settled.start > end {
            let hole = ByteRange::new(end, settled.start);
            match missing(before, counted, hole) {
                // Bytes in which no event lies: nothing is missing.
                Some(0) => advanced = ByteRange::new(hole.start, settled.end),
                count => {
                    let reason = drop_reason::HOLE.to_owned();
                    admission.losses.push(Loss { source: index, range: hole, count, reason });
                }
            }
        }
        if settled.start < end {
            let parts = known.covered.missing(ByteRange::new(settled.start, settled.end.min(end)));
            if let (Some(first), Some(last)) = (parts.first(), parts.last()) {
                let range = ByteRange::new(first.start, last.end);
                admission.filled.push(Filled { source: index, range, events: late });
            }
        }
        known.covered.insert(advanced);
        admission.found[index].advanced = Some(advanced);
    }
}

/// How many events lie in a hole before a message: known, if its sender counted
/// them from where the hole begins, or counted what was before the hole, too.
fn missing(before: Option<Counted>, counted: Option<Counted>, hole: ByteRange) -> Option<u64> {
    let counted = counted?;
    if counted.from == hole.start {
        return Some(counted.events);
    }
    before.filter(|before| before.to == hole.start)?.until(counted)
}

/// Where the covered range that holds `byte` ends; `byte` when none does.
fn covered_end(covered: &RangeSet, byte: u64) -> u64 {
    let ranges = covered.ranges();
    let after = ranges.partition_point(|range| range.start <= byte);
    ranges[..after].last().map_or(byte, |range| range.end.max(byte))
}

/// True when a byte of `range` is covered.
fn overlaps(covered: &RangeSet, range: ByteRange) -> bool {
    let first = covered.ranges().partition_point(|held| held.end <= range.start);
    covered.ranges().get(first).is_some_and(|held| held.start < range.end)
}

#[cfg(test)]
mod tests;

//! What has been accepted of each source: the decision which rows are new.
//!
//! Pure. The invariant: a byte that is in a source's covered set belongs to a
//! row that was accepted, or to a loss that was recorded, or to framing; never
//! to a row still to come. So a row whose start is covered is a duplicate.

use std::collections::{BTreeMap, HashMap};

use weir_proto::model::{ByteRange, RangeSet, Source, SourceId, drop_reason};

/// The covered ranges of a partition's sources, as of the last message
/// accepted.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    covered: HashMap<SourceId, RangeSet>,
    /// What was changed since the last [`Self::keep`], as it was before.
    before: Vec<(SourceId, RangeSet)>,
}

/// What a message brings that is new.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Admission {
    /// For each line, whether it becomes a row.
    pub(crate) is_new: Vec<bool>,
    /// Lines that do not.
    pub(crate) duplicates: u64,
    /// Lines across a covered boundary. Never in health.
    pub(crate) straddles: u64,
    /// Losses noticed.
    pub(crate) losses: Vec<Loss>,
    /// The sources, by index, that cover more than before.
    pub(crate) advanced: Vec<usize>,
}

/// Bytes of a source that became no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    /// Index into the message's sources.
    pub(crate) source: usize,
    pub(crate) range: ByteRange,
    pub(crate) count: u64,
    pub(crate) reason: String,
}

impl Ledger {
    /// Starts from what is stored.
    pub(crate) fn new(stored: BTreeMap<SourceId, RangeSet>) -> Self {
        Self { covered: stored.into_iter().collect(), before: Vec::new() }
    }

    /// Where what is covered of a source ends.
    pub(crate) fn end(&self, source: SourceId) -> u64 {
        self.covered.get(&source).map_or(0, RangeSet::end)
    }

    /// Decides about the lines of a message, given as source index and range,
    /// and counts what its sources settle as covered.
    pub(crate) fn admit(
        &mut self,
        sources: &[Source],
        lines: impl Iterator<Item = (usize, ByteRange)>,
    ) -> Admission {
        let mut admission = Admission::default();
        for (source, range) in lines {
            let is_new = self.judge(&sources[source], source, range, &mut admission);
            admission.is_new.push(is_new);
        }
        for (index, source) in sources.iter().enumerate() {
            self.settle(source, index, &mut admission);
        }
        admission
    }

    /// What was decided so far stands.
    pub(crate) fn keep(&mut self) {
        self.before.clear();
    }

    /// What was decided since the last [`Self::keep`] becomes nothing after all.
    pub(crate) fn take_back(&mut self) {
        while let Some((source, covered)) = self.before.pop() {
            self.covered.insert(source, covered);
        }
    }

    fn judge(&self, source: &Source, index: usize, range: ByteRange, admission: &mut Admission) -> bool {
        let Some(covered) = self.covered.get(&source.id) else { return true };
        if covered.end() <= range.start {
            return true;
        }
        let end = covered_end(covered, range.start);
        if end >= range.end && covered.contains(range.start) {
            admission.duplicates += 1;
            return false;
        }
        // A row is kept when its start is new: bytes twice are better than
        // bytes lost. Otherwise its rest is lost, and named.
        let is_new = !covered.contains(range.start);
        let lost = if is_new { overlap(covered, range) } else { Some(ByteRange::new(end, range.end)) };
        if let Some(range) = lost {
            let reason = drop_reason::STRADDLE.to_owned();
            admission.straddles += 1;
            admission.losses.push(Loss { source: index, range, count: u64::from(!is_new), reason });
        }
        is_new
    }

    fn settle(&mut self, source: &Source, index: usize, admission: &mut Admission) {
        let covered = self.covered.entry(source.id).or_default();
        let settled = source.covered;
        for drop in &source.drops {
            // Of what was told before, or came as rows, how many of the events
            // counted here it held is not known.
            for range in uncovered(covered, drop.range) {
                let count = if range.start == drop.range.start { drop.count } else { 0 };
                admission.losses.push(Loss { source: index, range, count, reason: drop.reason.clone() });
            }
        }
        if settled.is_empty() || covered_end(covered, settled.start) >= settled.end {
            return;
        }
        if let Some(range) = covered.hole_before(settled) {
            let reason = drop_reason::HOLE.to_owned();
            admission.losses.push(Loss { source: index, range, count: 0, reason });
        }
        self.before.push((source.id, covered.clone()));
        covered.insert(settled);
        admission.advanced.push(index);
    }
}

/// Where the covered range that holds `byte` ends; `byte` when none does.
fn covered_end(covered: &RangeSet, byte: u64) -> u64 {
    let ranges = covered.ranges();
    let after = ranges.partition_point(|range| range.start <= byte);
    ranges[..after].last().map_or(byte, |range| range.end.max(byte))
}

/// The parts of `range` that are not covered.
fn uncovered(covered: &RangeSet, range: ByteRange) -> Vec<ByteRange> {
    let mut parts = Vec::new();
    let mut from = range.start;
    let ranges = covered.ranges();
    let first = ranges.partition_point(|held| held.end <= range.start);
    for held in ranges[first..].iter().take_while(|held| held.start < range.end) {
        if held.start > from {
            parts.push(ByteRange::new(from, held.start));
        }
        from = held.end;
    }
    if from < range.end {
        parts.push(ByteRange::new(from, range.end));
    }
    parts
}

/// The first covered bytes inside `range`.
fn overlap(covered: &RangeSet, range: ByteRange) -> Option<ByteRange> {
    let held = covered.ranges().iter().find(|held| held.end > range.start)?;
    let (start, end) = (held.start.max(range.start), held.end.min(range.end));
    (start < end).then(|| ByteRange::new(start, end))
}

#[cfg(test)]
mod tests;

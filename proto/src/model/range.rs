//! Byte ranges of a source, and sets of them: what exactly-once counts with.

use serde::{Deserialize, Serialize};

/// The bytes `[start, end)` of a source. For a pushed event, its spool number
/// and the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ByteRange {
    /// First byte covered.
    pub start: u64,
    /// First byte after it.
    pub end: u64,
}

impl ByteRange {
    /// A range; `start <= end` must hold.
    pub const fn new(start: u64, end: u64) -> Self {
        assert!(start <= end, "a byte range ends where it starts or later");
        Self { start, end }
    }

    /// Bytes in the range.
    pub const fn len(self) -> u64 {
        self.end - self.start
    }

    /// True when no byte is covered.
    pub const fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// A set of bytes as sorted, disjoint, non-touching ranges. In health it holds
/// one range; each hole in it stands as a row of `weir.gaps`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RangeSet(Vec<ByteRange>);

impl RangeSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The ranges in order.
    pub fn ranges(&self) -> &[ByteRange] {
        &self.0
    }

    /// True when no byte is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One past the highest byte in the set, 0 when empty.
    pub fn end(&self) -> u64 {
        self.0.last().map_or(0, |range| range.end)
    }

    /// True when `byte` is in the set.
    pub fn contains(&self, byte: u64) -> bool {
        let after = self.0.partition_point(|range| range.start <= byte);
        after > 0 && byte < self.0[after - 1].end
    }

    /// Adds a range, merging with what it touches.
    pub fn insert(&mut self, range: ByteRange) {
        if range.is_empty() {
            return;
        }
        if let Some(last) = self.0.last_mut()
            && last.start <= range.start
            && range.start <= last.end
        {
            last.end = last.end.max(range.end);
            return;
        }
        let first = self.0.partition_point(|held| held.end < range.start);
        let last = self.0.partition_point(|held| held.start <= range.end);
        let merged = self.0[first..last]
            .iter()
            .fold(range, |sum, held| ByteRange::new(sum.start.min(held.start), sum.end.max(held.end)));
        self.0.splice(first..last, [merged]);
    }

    /// Adds every range of `other`.
    pub fn extend(&mut self, other: &Self) {
        for range in &other.0 {
            self.insert(*range);
        }
    }

    /// The hole that `range` would leave between itself and what is covered
    /// before it, if any.
    pub fn hole_before(&self, range: ByteRange) -> Option<ByteRange> {
        let before = self.0.partition_point(|held| held.start <= range.start);
        let covered = if before == 0 { 0 } else { self.0[before - 1].end };
        (covered < range.start).then(|| ByteRange::new(covered, range.start))
    }

    /// The parts of `range` that are not in the set, in order.
    pub fn missing(&self, range: ByteRange) -> Vec<ByteRange> {
        let mut parts = Vec::new();
        let mut from = range.start;
        let first = self.0.partition_point(|held| held.end <= range.start);
        for held in self.0[first..].iter().take_while(|held| held.start < range.end) {
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
}

impl FromIterator<ByteRange> for RangeSet {
    fn from_iter<I: IntoIterator<Item = ByteRange>>(ranges: I) -> Self {
        let mut set = Self::new();
        for range in ranges {
            set.insert(range);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(ranges: &[(u64, u64)]) -> RangeSet {
        ranges.iter().map(|&(start, end)| ByteRange::new(start, end)).collect()
    }

    #[test]
    fn touching_ranges_merge() {
        assert_eq!(set(&[(0, 5), (5, 9)]).ranges(), [ByteRange::new(0, 9)]);
        assert_eq!(set(&[(0, 5), (7, 9), (5, 7)]).ranges(), [ByteRange::new(0, 9)]);
        assert_eq!(set(&[(3, 3)]).ranges(), []);
    }

    #[test]
    fn a_hole_is_named() {
        let covered = set(&[(0, 5)]);
        assert_eq!(covered.hole_before(ByteRange::new(5, 8)), None);
        assert_eq!(covered.hole_before(ByteRange::new(3, 8)), None);
        assert_eq!(covered.hole_before(ByteRange::new(7, 8)), Some(ByteRange::new(5, 7)));
        assert_eq!(RangeSet::new().hole_before(ByteRange::new(4, 8)), Some(ByteRange::new(0, 4)));
    }

    #[test]
    fn what_is_missing_is_named() {
        let covered = set(&[(0, 5), (8, 10)]);
        let check = |start, end, expected: &[(u64, u64)]| {
            let parts = covered.missing(ByteRange::new(start, end));
            let expected: Vec<_> = expected.iter().map(|&(start, end)| ByteRange::new(start, end)).collect();
            assert_eq!(parts, expected, "{start} to {end}");
        };
        check(0, 5, &[]);
        check(3, 8, &[(5, 8)]);
        check(4, 20, &[(5, 8), (10, 20)]);
        check(6, 7, &[(6, 7)]);
        check(9, 9, &[]);
        assert_eq!(RangeSet::new().missing(ByteRange::new(0, 4)), [ByteRange::new(0, 4)]);
    }

    proptest! {
        #[test]
        fn behaves_like_a_set_of_bytes(inserts in prop::collection::vec((0u64..60, 0u64..12), 0..40)) {
            let mut model = [false; 80];
            let mut ranges = RangeSet::new();
            for (start, length) in inserts {
                ranges.insert(ByteRange::new(start, start + length));
                model[start as usize..(start + length) as usize].fill(true);
            }
            for (byte, expected) in model.iter().enumerate() {
                prop_assert_eq!(ranges.contains(byte as u64), *expected, "byte {}", byte);
            }
            for pair in ranges.ranges().windows(2) {
                prop_assert!(pair[0].end < pair[1].start, "ranges touch: {:?}", pair);
            }
        }
    }
}

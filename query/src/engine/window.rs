//! Spans of time cut into windows, the newest first.
//!
//! Whoever wants the newest rows that match does not know how far back they
//! lie. Windows grow from about as many rows as will do to all that is left, so
//! that a common match costs little and a rare one a handful of plans.

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use weir_proto::schema::log::column;
use weir_storage::catalog::TimeRange;

use super::rows::Read;

/// How much larger each window is than the one before.
pub(super) const GROWTH: u64 = 8;

/// Rows and the span of time they lie in: a file, or a live batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    time: TimeRange,
    rows: u64,
}

/// What of a table's rows may lie within a span of time.
pub(super) fn spans(read: &Read, within: TimeRange) -> Vec<Span> {
    let files = read.files.iter().map(|file| Span { time: file.time, rows: file.rows });
    let live = read.live.batches.iter().filter_map(|batch| {
        let times = batch.rows.column_by_name(column::TIMESTAMP)?;
        let times = times.as_primitive_opt::<TimestampMicrosecondType>()?.values();
        let (min, max) = (times.iter().min()?, times.iter().max()?);
        let time = TimeRange { min_micros: *min, max_micros: *max };
        Some(Span { time, rows: batch.rows.num_rows() as u64 })
    });
    files.chain(live).filter(|span| span.time.overlaps(within)).collect()
}

/// The newest part of `span` that holds about `wanted` rows, if rows are
/// spread evenly over their files; all of it when it holds fewer.
pub(super) fn newest_window(spans: &[Span], span: TimeRange, wanted: u64) -> TimeRange {
    let held: Vec<_> = spans.iter().filter(|rows| rows.time.overlaps(span)).collect();
    let (Some(oldest), Some(newest)) = (
        held.iter().map(|rows| rows.time.min_micros).min(),
        held.iter().map(|rows| rows.time.max_micros).max(),
    ) else {
        return span;
    };
    let rows_from = |start: i64| -> u64 {
        let window = TimeRange { min_micros: start, max_micros: span.max_micros };
        held.iter().map(|rows| rows.within(window)).sum()
    };
    let mut low = oldest.max(span.min_micros);
    let mut high = newest.min(span.max_micros);
    if rows_from(low) <= wanted || low >= high {
        return span;
    }
    // The latest start that still holds enough lies in [low, high].
    while low < high {
        let middle = upper_middle(low, high);
        if rows_from(middle) >= wanted {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    TimeRange { min_micros: low, max_micros: span.max_micros }
}

impl Span {
    /// About how many of the rows lie in `window`.
    fn within(&self, window: TimeRange) -> u64 {
        let start = self.time.min_micros.max(window.min_micros);
        let end = self.time.max_micros.min(window.max_micros);
        if start > end {
            return 0;
        }
        let width = |min: i64, max: i64| i128::from(max) - i128::from(min) + 1;
        let whole = width(self.time.min_micros, self.time.max_micros);
        let part = i128::from(self.rows) * width(start, end) / whole;
        u64::try_from(part).unwrap_or(self.rows).max(1)
    }
}

/// The middle of two, the upper one of two middles.
fn upper_middle(low: i64, high: i64) -> i64 {
    let sum = i128::from(low) + i128::from(high);
    i64::try_from(sum.div_euclid(2) + sum.rem_euclid(2)).unwrap_or(high)
}

/// What is left of `span` below `window`.
pub(super) fn older(span: TimeRange, window: TimeRange) -> Option<TimeRange> {
    (window.min_micros > span.min_micros)
        .then(|| TimeRange { min_micros: span.min_micros, max_micros: window.min_micros - 1 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn windows_cover_the_span_once(
            spans in prop::collection::vec((0i64..10_000, 0i64..500, 1u64..100_000), 0..20),
            start in prop_oneof![Just(i64::MIN), 0i64..10_000],
            length in prop_oneof![Just(i64::MAX), 0i64..5_000],
            first in 1u64..200_000,
        ) {
            let spans: Vec<_> = spans
                .into_iter()
                .map(|(min, width, rows)| Span { time: TimeRange { min_micros: min, max_micros: min + width }, rows })
                .collect();
            let whole = TimeRange { min_micros: start, max_micros: start.saturating_add(length).max(start) };
            let (mut rest, mut wanted, mut windows) = (Some(whole), first, 0);
            let mut end = whole.max_micros;
            while let Some(span) = rest {
                let window = newest_window(&spans, span, wanted);
                prop_assert_eq!(window.max_micros, end);
                prop_assert!(window.min_micros <= window.max_micros);
                prop_assert!(window.min_micros >= whole.min_micros);
                end = window.min_micros.wrapping_sub(1);
                rest = older(span, window);
                wanted = wanted.saturating_mul(GROWTH);
                windows += 1;
                prop_assert!(windows < 64, "windows grow");
            }
            prop_assert_eq!(end.wrapping_add(1), whole.min_micros);
        }
    }

    #[test]
    fn an_even_file_is_cut_at_its_share() {
        let spans = [Span { time: TimeRange { min_micros: 0, max_micros: 999 }, rows: 1_000 }];
        let window = newest_window(&spans, TimeRange::ALL, 100);
        assert_eq!((window.min_micros, window.max_micros), (900, i64::MAX));
    }
}

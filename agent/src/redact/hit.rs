//! What was found, and how finds that overlap become one.

use std::cmp::Reverse;

use super::edge::{Quote, Strings, is_json, scalar};
use super::pair::Pair;

/// Something that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) rule: usize,
    pub(super) start: usize,
    pub(super) end: usize,
    /// The quotes that its replacement needs: a number is none any more.
    pub(super) quoting: Option<Quote>,
}

impl Hit {
    pub(super) fn plain(rule: usize, start: usize, end: usize) -> Self {
        Self { rule, start, end, quoting: None }
    }

    pub(super) fn of(rule: usize, pair: &Pair) -> Self {
        Self { rule, start: pair.value.0, end: pair.value.1, quoting: pair.quoting }
    }

    /// It lies outside JSON's strings: the whole number goes.
    fn quote(&mut self, text: &[u8]) {
        let (start, end) = scalar(text, self.start, self.end);
        let is_scalar =
            text.get(start..end).is_some_and(|text| !text.iter().any(|byte| b"\"{}[],:".contains(byte)));
        if is_scalar {
            (self.start, self.end) = (start, end);
            self.quoting = Some(Quote { slashes: 0, mark: b'"' });
        }
    }
}

/// Puts hits in order, one where several overlap. What stands for a number of
/// JSON becomes a string.
pub(super) fn settle(text: &[u8], hits: &mut Vec<Hit>) {
    hits.sort_unstable_by_key(|hit| (hit.start, Reverse(hit.end), hit.rule));
    let mut strings = is_json(text).then(Strings::default);
    let mut settled = 0_usize;
    for at in 0..hits.len() {
        let Some(mut hit) = hits.get(at).copied() else { break };
        let last = settled.checked_sub(1).and_then(|last| hits.get_mut(last));
        let before = last.as_ref().map_or(0, |last| last.end);
        if let Some(last) = last.filter(|last| hit.start < last.end) {
            last.end = last.end.max(hit.end);
            continue;
        }
        if let Some(strings) = &mut strings
            && hit.quoting.is_none()
            && !strings.hold(text, hit.start)
        {
            hit.quote(text);
            hit.start = hit.start.max(before);
        }
        if let Some(place) = hits.get_mut(settled) {
            *place = hit;
            settled += 1;
        }
    }
    hits.truncate(settled);
}

//! Losses before they are published.
//!
//! What an operator declared to be dropped is dropped all the time, and told
//! with every batch; what a client sends and Weir has no table for, as often as
//! the client likes. A row of each telling would make the catalog grow with
//! them; so those of one commit, source and reason become one row: their count
//! is the sum, their range reaches from the first to the last.

use std::collections::HashMap;

use weir_proto::model::{ByteRange, drop_reason, is_declared};
use weir_storage::catalog::Gap;

/// The gaps of a commit, in order. No event is counted more or less by it.
pub(crate) fn merged(gaps: &[Gap]) -> Vec<Gap> {
    let mut merged: Vec<Gap> = Vec::with_capacity(gaps.len());
    let mut places = HashMap::new();
    for gap in gaps {
        if !is_declared(&gap.reason) && gap.reason != drop_reason::REJECTED {
            merged.push(gap.clone());
            continue;
        }
        let place = *places.entry((&gap.tenant, &gap.source, &gap.reason)).or_insert(merged.len());
        match merged.get_mut(place) {
            Some(held) => {
                let (start, end) = (held.range.start.min(gap.range.start), held.range.end.max(gap.range.end));
                held.range = ByteRange::new(start, end);
                held.count = held.count.zip(gap.count).map(|(held, more)| held + more);
            }
            None => merged.push(gap.clone()),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use weir_proto::model::TenantId;

    use super::*;

    fn gap(source: &str, start: u64, end: u64, count: u64, reason: &str) -> Gap {
        Gap {
            tenant: TenantId::default(),
            source: source.to_owned(),
            range: ByteRange::new(start, end),
            count: Some(count),
            reason: reason.to_owned(),
            noticed_micros: 7,
        }
    }

    #[test]
    fn what_was_declared_is_one_row_and_all_else_stays_as_it_is() {
        let gaps = [
            gap("a", 0, 10, 3, drop_reason::RATE_LIMITED),
            gap("a", 10, 20, 1, drop_reason::LINE_TOO_LONG),
            gap("b", 0, 10, 5, drop_reason::RATE_LIMITED),
            gap("a", 10, 20, 1, drop_reason::LINE_TOO_LONG),
            gap("a", 30, 60, 4, drop_reason::RATE_LIMITED),
            gap("a", 0, 60, 2, drop_reason::SAMPLED),
            gap("c", 0, 10, 2, drop_reason::REJECTED),
            gap("c", 10, 20, 3, drop_reason::REJECTED),
        ];
        let expected = [
            gap("a", 0, 60, 7, drop_reason::RATE_LIMITED),
            gap("a", 10, 20, 1, drop_reason::LINE_TOO_LONG),
            gap("b", 0, 10, 5, drop_reason::RATE_LIMITED),
            gap("a", 10, 20, 1, drop_reason::LINE_TOO_LONG),
            gap("a", 0, 60, 2, drop_reason::SAMPLED),
            gap("c", 0, 20, 5, drop_reason::REJECTED),
        ];
        assert_eq!(merged(&gaps), expected);
        assert_eq!(merged(&[]), []);
    }
}

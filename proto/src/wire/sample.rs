//! Head sampling that agrees with itself everywhere: whether a trace is kept
//! follows from its id alone.
//!
//! The rule is OpenTelemetry's consistent probability sampling: the lowest 56
//! bits of a trace id are its randomness, and it is kept when they are not
//! below a threshold (`opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling`).
//! So agents agree among themselves, with the Collector and with SDKs that
//! follow it, and a trace that is kept at a lower share is kept at every
//! higher one. A 64-bit id and the 128-bit id that ends in it are one trace
//! here. Zipkin's own collector takes 64 bits, and the low ones first: it keeps
//! as many, but not the same. An explicit `rv` in the trace state is not
//! looked at, since Zipkin's spans have none.

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;

use super::Decoded;
use crate::model::flags;
use crate::schema::Table;
use crate::schema::span::column;

/// Bits of an id that are random.
const RANDOM_BITS: u32 = 56;

impl Decoded {
    /// Leaves out the spans of traces that do not belong to a `share` of all,
    /// from 0 to 1, and says how many that were. Spans that Zipkin marks as
    /// debug stay, whatever the share.
    pub fn sample_traces(&mut self, share: f64) -> u64 {
        let threshold = threshold(share);
        let mut left_out = 0;
        for (table, rows) in &mut self.tables {
            if *table == Table::Spans
                && let Some(kept) = sampled(rows, threshold)
            {
                left_out += (rows.num_rows() - kept.num_rows()) as u64;
                *rows = kept;
            }
        }
        self.tables.retain(|(_, rows)| rows.num_rows() > 0);
        self.accepted = self.accepted.saturating_sub(left_out);
        left_out
    }
}

fn sampled(rows: &RecordBatch, threshold: u64) -> Option<RecordBatch> {
    let ids = rows.column_by_name(column::TRACE_ID_LOW)?.as_string_opt::<i32>()?;
    let marks = rows.column_by_name(column::FLAGS)?.as_primitive_opt::<Int32Type>()?;
    let kept = |(id, marks): (Option<&str>, Option<i32>)| {
        let is_debug = marks.unwrap_or_default() & flags::DEBUG != 0;
        is_debug || randomness(id.unwrap_or_default()).is_none_or(|random| random >= threshold)
    };
    let kept: BooleanArray = ids.iter().zip(marks.iter()).map(kept).map(Some).collect();
    filter_record_batch(rows, &kept).ok()
}

fn threshold(share: f64) -> u64 {
    let all = 1_u64 << RANDOM_BITS;
    ((1.0 - share.clamp(0.0, 1.0)) * all as f64).round() as u64
}

/// The random bits of an id in hexadecimal digits.
fn randomness(id: &str) -> Option<u64> {
    let low = id.get(id.len().checked_sub(16)?..)?;
    Some(u64::from_str_radix(low, 16).ok()? & ((1 << RANDOM_BITS) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::zipkin;

    fn decoded(ids: &[(String, bool)]) -> Decoded {
        let span = |(id, debug): &(String, bool)| format!(r#"{{"traceId":"{id}","id":"1","debug":{debug}}}"#);
        let spans: Vec<_> = ids.iter().map(span).collect();
        zipkin::decode(format!("[{}]", spans.join(",")).as_bytes(), 1).unwrap()
    }

    fn kept(ids: &[(String, bool)], share: f64) -> Vec<String> {
        let mut decoded = decoded(ids);
        let left_out = decoded.sample_traces(share);
        assert_eq!(decoded.rows() as u64 + left_out, ids.len() as u64);
        assert_eq!(decoded.accepted, decoded.rows() as u64);
        let ids = decoded.tables.iter().flat_map(|(_, rows)| {
            let ids = rows.column_by_name(column::TRACE_ID).unwrap().as_string::<i32>();
            ids.iter().flatten().map(str::to_owned).collect::<Vec<_>>()
        });
        ids.collect()
    }

    #[test]
    fn the_threshold_is_the_specifications() {
        let check = |id: &str, share: f64, expected: bool| {
            let ids = [(id.to_owned(), false)];
            assert_eq!(!kept(&ids, share).is_empty(), expected, "{id} at {share}");
        };
        // A quarter: from c0 on, in the 14 lowest digits.
        check("000000000000000000bfffffffffffff", 0.25, false);
        check("000000000000000000c0000000000000", 0.25, true);
        // The eight bits above are not looked at, nor what is before them.
        check("ffffffffffffffffff00000000000001", 0.25, false);
        check("ffc0000000000000", 0.25, true);
        check("0000000000000001", 1.0, true);
        check("ffffffffffffffff", 0.0, false);
    }

    #[test]
    fn debug_spans_stay() {
        let ids = [("1".to_owned(), true), ("2".to_owned(), false)];
        assert_eq!(kept(&ids, 0.0), ["0000000000000001"]);
    }

    #[test]
    fn a_higher_share_keeps_all_of_a_lower_one_and_about_as_many_as_it_says() {
        let spread = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ n.rotate_left(29);
        let ids: Vec<_> = (1..5_000_u64).map(|n| (format!("{:016x}", spread(n)), false)).collect();
        let mut before = Vec::new();
        for share in [0.0, 0.1, 0.5, 0.9, 1.0] {
            let now = kept(&ids, share);
            assert!(before.iter().all(|id| now.contains(id)), "{share}");
            let found = now.len() as f64 / ids.len() as f64;
            assert!((found - share).abs() < 0.05, "{found} at {share}");
            before = now;
        }
    }
}

//! Pushed rows and foreign messages, however often and from wherever they are
//! read again.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use proptest::prelude::*;
use weir_proto::limit::ROWS_PER_RECORD_BITS;
use weir_proto::wire::rows::{RowBatch, number};
use weir_proto::wire::{BatchHeader, Codec, Decoded, zipkin};
use weir_stream::{Offset, Record, Topic};

use super::*;

const NOW: i64 = 1_767_225_600_000_000;

fn partition() -> Partition {
    Partition::new(Topic::new("weir.spans").expect("a topic"), 3)
}

fn intake() -> Intake {
    let metrics = IngestMetrics::register(&weir_runtime::Metrics::default());
    Intake::new(
        &partition(),
        0,
        Signal::Spans,
        Ledger::default(),
        Matcher::default(),
        Clock::manual(NOW),
        metrics,
    )
}

fn spans(count: u64) -> Decoded {
    let span = |n| format!(r#"{{"traceId":"1","id":"{:x}","name":"n","timestamp":{NOW}}}"#, n + 1);
    let list: Vec<_> = (0..count).map(span).collect();
    zipkin::decode(format!("[{}]", list.join(",")).as_bytes(), NOW).expect("spans")
}

/// Record `record` of a spool, with rows.
fn pushed(record: u64, rows: u64) -> Record {
    let covered = ByteRange::new(record << ROWS_PER_RECORD_BITS, (record + 1) << ROWS_PER_RECORD_BITS);
    let source = Source {
        id: SourceId::from_u128(5),
        resource: vec![("weir.source".to_owned(), "receiver/spans".to_owned())],
        parser: String::new(),
        min_severity: None,
        covered,
        drops: Vec::new(),
        counted: None,
    };
    let header = BatchHeader {
        tenant: TenantId::default(),
        agent: weir_proto::model::AgentId::from_u128(9),
        mark_micros: Some(NOW),
        goodbye: false,
        codec: Codec::Lz4,
    };
    let numbered = number(&spans(rows).tables, 0, record).expect("few rows");
    let batch = RowBatch::encode(&header, &[source], &numbered);
    Record { headers: batch.headers, timestamp_micros: NOW, payload: batch.payload }
}

/// A Collector's message: OTLP as JSON, with so many good spans and bad ones.
fn foreign(good: u64, bad: u64) -> Record {
    let span = |id: u64| {
        format!(
            r#"{{"traceId":"{:032x}","spanId":"{id:016x}","name":"n","startTimeUnixNano":"{NOW}000"}}"#,
            1
        )
    };
    let spans: Vec<_> = (1..=good).chain(std::iter::repeat_n(0, bad as usize)).map(span).collect();
    let json = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}]}}]}}]}}"#, spans.join(","));
    let headers = vec![("content-type".to_owned(), "application/json".into())];
    Record { headers, timestamp_micros: NOW, payload: json.into() }
}

fn at(offset: u64, record: Record) -> StoredRecord {
    StoredRecord { offset: Offset(offset), record }
}

/// The numbers of all rows, and the gaps; 0 events are unknown.
fn take(intake: &mut Intake, messages: &[StoredRecord]) -> (Vec<i64>, Vec<(ByteRange, u64, String)>) {
    let (accepted, halt) = intake.accept_all(messages);
    assert!(halt.is_none(), "{halt:?}");
    let mut numbers = Vec::new();
    for (_, rows) in accepted.iter().flat_map(|one| &one.rows) {
        let start = rows.column_by_name("source_start").expect("a column");
        numbers.extend(start.as_primitive::<Int64Type>().values());
    }
    let gaps = accepted.iter().flat_map(|one| &one.gaps);
    (numbers, gaps.map(|gap| (gap.range, gap.count.unwrap_or(0), gap.reason.clone())).collect())
}

fn number_of(record: u64, row: u64) -> i64 {
    ((record << ROWS_PER_RECORD_BITS) + row) as i64
}

#[test]
fn a_record_that_is_sent_again_brings_nothing_and_a_missing_one_is_a_hole() {
    let mut intake = intake();
    let (numbers, gaps) = take(&mut intake, &[at(0, pushed(0, 2)), at(1, pushed(1, 1)), at(2, pushed(0, 2))]);
    assert_eq!(numbers, [number_of(0, 0), number_of(0, 1), number_of(1, 0)]);
    assert_eq!(gaps, []);
    let (numbers, gaps) = take(&mut intake, &[at(3, pushed(4, 1))]);
    assert_eq!(numbers, [number_of(4, 0)]);
    let hole = ByteRange::new(2 << ROWS_PER_RECORD_BITS, 4 << ROWS_PER_RECORD_BITS);
    assert_eq!(gaps, [(hole, 0, drop_reason::HOLE.to_owned())]);
}

#[test]
fn a_strangers_messages_are_numbered_by_offset_and_what_is_rejected_is_named_once() {
    let mut intake = intake();
    // Between them lie an agent's message and offsets that hold none.
    let messages = [at(7, foreign(2, 0)), at(8, pushed(0, 1)), at(11, foreign(1, 3))];
    let (numbers, gaps) = take(&mut intake, &messages);
    assert_eq!(numbers, [number_of(7, 0), number_of(7, 1), number_of(0, 0), number_of(11, 0)]);
    let range = ByteRange::new(11 << ROWS_PER_RECORD_BITS, 12 << ROWS_PER_RECORD_BITS);
    assert_eq!(gaps, [(range, 3, drop_reason::REJECTED.to_owned())]);
    assert_eq!(take(&mut intake, &messages), (Vec::new(), Vec::new()), "read again");
}

#[test]
fn rows_below_the_minimum_severity_are_left_out_and_counted_once_a_source() {
    use weir_proto::wire::batch::{LineBatchBuilder, NewLine};
    let lines = ["INFO a", "ERROR b", "no severity", "DEBUG c", "WARN d"];
    let mut builder = LineBatchBuilder::new();
    let mut next = 0;
    for line in lines {
        let end = next + line.len() as u64 + 1;
        let (start, line) = (next, line.as_bytes());
        let new =
            NewLine { source: 0, start, end, observed_micros: NOW, timestamp_nanos: None, flags: 0, line };
        builder.push(new);
        next = end;
    }
    let source = Source {
        id: SourceId::from_u128(5),
        resource: Vec::new(),
        parser: "plain".to_owned(),
        min_severity: Some(13),
        covered: ByteRange::new(0, next),
        drops: Vec::new(),
        counted: None,
    };
    let header = BatchHeader {
        tenant: TenantId::default(),
        agent: weir_proto::model::AgentId::from_u128(9),
        mark_micros: Some(NOW),
        goodbye: false,
        codec: Codec::Lz4,
    };
    let encoded = builder.finish(&header, &[source]);
    let record = Record { headers: encoded.headers, timestamp_micros: NOW, payload: encoded.payload };
    let mut intake = Intake { signal: Signal::Logs, ..intake() };
    let gap = (ByteRange::new(0, 35), 2, drop_reason::BELOW_MIN_LEVEL.to_owned());
    let (numbers, gaps) = take(&mut intake, &[at(0, record.clone())]);
    assert_eq!((numbers, gaps), (vec![7, 15, 35], vec![gap]));
    assert_eq!(intake.metrics.below_min_level.get(), 2);
    assert_eq!(take(&mut intake, &[at(1, record)]), (Vec::new(), Vec::new()), "read again");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// An agent repeats what it does not know to be there, from any of its
    /// records on; the rows are there once, in order of their first coming.
    #[test]
    fn every_row_is_taken_once_whatever_is_repeated(
        rows in prop::collection::vec(0_u64..4, 1..12),
        repeats in prop::collection::vec((0_usize..12, 0_usize..12), 0..6),
    ) {
        let count = rows.len();
        // Records arrive in order; after some of them, earlier ones again.
        let mut order: Vec<usize> = Vec::new();
        for record in 0..count {
            order.push(record);
            for &(after, back) in repeats.iter().filter(|(after, _)| after % count == record) {
                order.extend(record.saturating_sub(back % (after + 1))..=record);
            }
        }
        let messages: Vec<_> = order
            .iter()
            .enumerate()
            .map(|(offset, record)| at(offset as u64, pushed(*record as u64, rows[*record])))
            .collect();
        let (numbers, gaps) = take(&mut intake(), &messages);
        let expected: Vec<_> = rows
            .iter()
            .enumerate()
            .flat_map(|(record, rows)| (0..*rows).map(move |row| number_of(record as u64, row)))
            .collect();
        prop_assert_eq!(&numbers, &expected);
        prop_assert_eq!(gaps, vec![]);
        // What is settled is everything, so that a later ledger knows it, too.
        let (accepted, _) = intake().accept_all(&messages);
        let mut ends: BTreeMap<SourceId, u64> = BTreeMap::new();
        for settled in accepted.iter().flat_map(|one| &one.settled) {
            let end = ends.entry(settled.source).or_default();
            *end = settled.range.map_or(0, |range| range.end).max(*end);
        }
        prop_assert_eq!(ends.into_values().collect::<Vec<_>>(), vec![(count as u64) << ROWS_PER_RECORD_BITS]);
    }
}

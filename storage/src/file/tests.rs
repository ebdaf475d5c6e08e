use std::collections::BTreeMap;

use arrow_array::RecordBatch;
use bytes::Bytes;
use parquet::basic::{Compression, Encoding};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use proptest::prelude::*;
use weir_proto::model::{ByteRange, FileId, LayoutId, RangeSet, SourceId, TenantId};
use weir_proto::schema::{Table, log};

use super::*;
use crate::FileError;
use crate::catalog::{LogPartition, TimeRange};
use crate::sample::any::{Event, events};
use crate::sample::{Row, batch, row, texts};

const HOUR: i64 = 3_600_000_000;

/// The footer of `docs/formats/file-footer-v1.md`, as released. Another
/// version gets another golden text; this one stays.
const GOLDEN: &str = include_str!("golden-footer-v1-parts.json");

fn golden_footer() -> Footer {
    let partition = LogPartition { topic: "weir.logs".to_owned(), partition: 3 };
    let ranges = RangeSet::from_iter([ByteRange::new(0, 4096), ByteRange::new(8192, 9000)]);
    Footer {
        table: "logs".to_owned(),
        tenant: TenantId::default(),
        offsets: vec![LogSpan { partition: partition.clone(), from: 117, to: 240, epoch: 7, generation: 1 }],
        ranges: vec![PartitionRanges {
            partition,
            sources: BTreeMap::from([(
                SourceId::from_u128(0x0190_0000_0000_0000_0000_0000_0000_0001),
                ranges,
            )]),
            tenants: BTreeMap::from([(
                SourceId::from_u128(0x0190_0000_0000_0000_0000_0000_0000_0001),
                TenantId::new("shop").unwrap(),
            )]),
        }],
        layouts: BTreeMap::from([(LayoutId(-42), r#"{"members":["time","level"]}"#.to_owned())]),
        part: Some(FlushPart {
            flush: FileId::from_u128(0x0190_0000_0000_0000_0000_0000_0000_0002),
            number: 0,
            is_last: true,
        }),
    }
}

fn written(rows: &[Row]) -> WrittenFile {
    write(&batch(rows), &golden_footer(), &WriteOptions::default()).unwrap()
}

fn metadata(file: &Bytes) -> ParquetMetaData {
    ParquetMetaDataReader::new().parse_and_finish(file).unwrap()
}

#[test]
fn the_footer_is_the_golden_one() {
    assert_eq!(golden_footer().to_json().unwrap(), GOLDEN.trim_end());
    assert_eq!(read_footer(&written(&[row(0, 1, 1, "a")]).bytes).unwrap(), golden_footer());
}

#[test]
fn the_page_shows_the_golden_footer() {
    let page = include_str!("../../../docs/formats/file-footer-v1.md");
    let shown = page.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let shown: serde_json::Value = serde_json::from_str(shown).unwrap();
    assert_eq!(shown, serde_json::from_str::<serde_json::Value>(GOLDEN).unwrap());
}

/// Files that were written before there were parts, epochs and generations.
#[test]
fn the_first_footers_are_read() {
    let first = include_str!("golden-footer-v1.json").trim_end();
    let value_of = |key: &str| Some(if key == footer::FORMAT_KEY { "1" } else { first });
    let mut expected = Footer { part: None, ..golden_footer() };
    (expected.offsets[0].epoch, expected.offsets[0].generation) = (0, 0);
    expected.ranges[0].tenants.clear();
    assert_eq!(Footer::from_metadata(value_of).unwrap(), expected);
}

#[test]
fn fields_of_a_later_version_are_passed_over() {
    let json = GOLDEN.trim_end().replacen('{', r#"{"later":[1],"#, 1);
    let value_of = |key: &str| Some(if key == footer::FORMAT_KEY { "1" } else { json.as_str() });
    assert_eq!(Footer::from_metadata(value_of).unwrap(), golden_footer());
}

#[test]
fn a_file_of_another_format_or_writer_is_refused() {
    let check = |format: Option<&'static str>, json: Option<&'static str>| {
        Footer::from_metadata(|key| if key == footer::FORMAT_KEY { format } else { json }).unwrap_err()
    };
    assert!(matches!(check(None, None), FileError::NotOurs("weir.format")));
    assert!(matches!(check(Some("1"), None), FileError::NotOurs("weir.footer")));
    assert!(matches!(check(Some("2"), Some("{}")), FileError::Version { .. }));
    assert!(matches!(check(Some("1"), Some("{}")), FileError::Footer { .. }));
    let reversed = Some(r#"{"table":"logs","tenant":"../etc","offsets":[],"ranges":[],"layouts":{}}"#);
    assert!(matches!(check(Some("1"), reversed), FileError::Footer { .. }), "a tenant is checked");
}

#[test]
fn rows_come_back_in_the_tables_schema() {
    let rows = [row(-HOUR, 1, 1, "ä\n\0"), row(5, 1, 2, ""), row(5, 2, 3, &"x".repeat(100_000))];
    let file = written(&rows);
    assert_eq!(file.rows, 3);
    assert_eq!(file.time, TimeRange { min_micros: -HOUR, max_micros: 5 });
    assert_eq!(file.observed, TimeRange { min_micros: 5 - HOUR, max_micros: 10 });
    let read = read(&file.bytes).unwrap();
    assert_eq!(read[0].schema(), log::schema(), "no Arrow schema is embedded, and none is needed");
    assert_eq!(texts(&read), texts(&[batch(&rows)]));
}

#[test]
fn columns_are_stored_as_the_design_says() {
    let rows: Vec<_> = (0..3000).map(|number| row(number, 1, number, "body")).collect();
    let file = written(&rows);
    let metadata = metadata(&file.bytes);
    assert_eq!(
        metadata.file_metadata().created_by(),
        Some(concat!("weir version ", env!("CARGO_PKG_VERSION")))
    );
    let keys: Vec<_> =
        metadata.file_metadata().key_value_metadata().unwrap().iter().map(|pair| &pair.key).collect();
    assert_eq!(keys, ["weir.format", "weir.footer"]);

    let group = metadata.row_group(0);
    let sorting = &group.sorting_columns().unwrap()[0];
    assert_eq!(group.column(sorting.column_idx as usize).column_path().string(), "timestamp");
    assert!(!sorting.descending);
    let check = |name: &str, delta: bool, dictionary: bool, bloom: bool| {
        let column = group.columns().iter().find(|column| column.column_path().string() == name).unwrap();
        let encodings: Vec<_> = column.encodings().collect();
        assert_eq!(encodings.contains(&Encoding::DELTA_BINARY_PACKED), delta, "{name}: {encodings:?}");
        assert_eq!(column.dictionary_page_offset().is_some(), dictionary, "{name}");
        assert_eq!(column.bloom_filter_offset().is_some(), bloom, "{name}");
        assert!(matches!(column.compression(), Compression::ZSTD(_)), "{name}");
        // Pages of every column can be found; those of ordered ones be left out.
        assert!(column.offset_index_offset().is_some(), "{name}");
        let ordered = !matches!(name, "body" | "trace_id" | "attributes.entries.key");
        assert_eq!(column.column_index_offset().is_some(), ordered, "{name}");
    };
    check("timestamp", true, false, false);
    check("observed_timestamp", true, false, false);
    check("source_start", true, false, false);
    check("source_end", true, false, false);
    check("body", false, false, false);
    check("trace_id", false, false, true);
    // Nothing but nulls: a filter would rule nothing out.
    let spans_are_null: Vec<_> = (0..10).map(|number| row(number, 1, 2 * number, "body")).collect();
    let nulls = self::metadata(&written(&spans_are_null).bytes);
    assert!(nulls.row_group(0).columns().iter().all(|column| column.bloom_filter_offset().is_none()));
    check("service_name", false, true, false);
    check("source_id", false, true, false);
    check("attributes.entries.key", false, true, false);
}

#[test]
fn row_groups_are_capped_by_rows_and_by_bytes() {
    let rows: Vec<_> = (0..500).map(|number| row(number, 1, number, &format!("{number:01000}"))).collect();
    let groups = |options: WriteOptions| {
        let file = write(&batch(&rows), &golden_footer(), &options).unwrap();
        assert_eq!(texts(&read(&file.bytes).unwrap()), texts(&[batch(&rows)]), "{options:?}");
        metadata(&file.bytes).row_groups().iter().map(RowGroupMetaData::num_rows).collect::<Vec<_>>()
    };
    assert_eq!(groups(WriteOptions::default()), [500]);
    assert_eq!(groups(WriteOptions { row_group_rows: 200, ..WriteOptions::default() }), [200, 200, 100]);
    let by_bytes = WriteOptions { row_group_bytes: 100_000, page_rows: 20, ..WriteOptions::default() };
    let by_bytes = groups(by_bytes);
    assert!(by_bytes.len() >= 3 && by_bytes.iter().all(|rows| *rows < 250), "{by_bytes:?}");
}

#[test]
fn what_is_no_sorted_batch_is_refused() {
    let write = |batches: &[_]| write_batches(batches, &golden_footer(), &WriteOptions::default());
    assert!(matches!(write(&[]), Err(FileError::Empty)));
    assert!(matches!(write(&[batch(&[])]), Err(FileError::Empty)));
    let inside = write(&[batch(&[row(2, 1, 1, "a"), row(1, 1, 2, "b")])]);
    assert!(matches!(inside, Err(FileError::Unsorted { batch: 0, row: 1 })), "{inside:?}");
    let across = write(&[batch(&[row(2, 1, 1, "a")]), batch(&[]), batch(&[row(1, 1, 2, "b")])]);
    assert!(matches!(across, Err(FileError::Unsorted { batch: 2, row: 0 })), "{across:?}");
    let rows = batch(&[row(2, 1, 1, "a")]);
    let untimed = write(&[rows.project(&[0]).unwrap()]);
    assert!(matches!(untimed, Err(FileError::Column { column: "timestamp", .. })), "{untimed:?}");
    let differ = write(&[rows.clone(), rows.project(&[0, 1, 3]).unwrap()]);
    assert!(matches!(differ, Err(FileError::Write { .. })), "{differ:?}");
}

#[test]
fn rows_of_one_time_are_ordered_by_where_they_come_from() {
    let mut later = row(7, 1, 1, "later by nanoseconds");
    later.nanos = 1;
    let first = [row(7, 2, 5, "e"), later, row(7, 1, 10, "c")];
    let second = [row(7, 2, 5, "e again"), row(7, 1, 9, "b"), row(6, 9, 9, "a")];
    let sorted = sort_by_time(&[batch(&first), batch(&[]), batch(&second)]).unwrap();
    let expected = [
        second[2].clone(),
        second[1].clone(),
        first[2].clone(),
        first[0].clone(),
        second[0].clone(),
        first[1].clone(),
    ];
    assert_eq!(texts(&sorted), texts(&[batch(&expected)]));
    assert!(sort_by_time(&[]).unwrap().is_empty());
    let differ = sort_by_time(&[batch(&first), batch(&first).project(&[0, 1]).unwrap()]);
    assert!(matches!(differ, Err(FileError::Sort { .. })), "{differ:?}");
}

#[test]
fn sorted_rows_come_in_small_batches() {
    let rows: Vec<_> = (0..20_000).map(|number| row(-number, 1, number, "")).collect();
    let sorted = sort_by_time(&[batch(&rows)]).unwrap();
    let sizes: Vec<_> = sorted.iter().map(RecordBatch::num_rows).collect();
    assert_eq!(sizes, [8192, 8192, 3616]);
}

#[test]
fn large_hours_get_files_of_their_own_and_small_ones_share() {
    let hour = |hour: i64, rows: i64| (0..rows).map(move |number| row(hour * HOUR + number, 1, number, "x"));
    // Files by the hours in them, where 100 rows are large.
    let check = |hours: &[(i64, i64)], expected: &[&[(i64, i64)]]| {
        let rows: Vec<_> = hours.iter().flat_map(|&(at, rows)| hour(at, rows)).collect();
        // Several batches whose borders are not the hours'.
        let whole = batch(&rows);
        let batches: Vec<_> =
            (0..rows.len()).step_by(64).map(|at| whole.slice(at, 64.min(rows.len() - at))).collect();
        let weight = batches.iter().map(RecordBatch::get_array_memory_size).min().unwrap();
        // A slice weighs as much as the whole here; a row is a 64th of it.
        let files = split_by_hour(&batches, weight / 64 * 100).unwrap();
        let mut start = 0;
        let expected: Vec<usize> =
            expected.iter().map(|file| file.iter().map(|&(_, rows)| rows as usize).sum()).collect();
        let lengths: Vec<usize> =
            files.iter().map(|file| file.iter().map(RecordBatch::num_rows).sum()).collect();
        assert_eq!(lengths, expected, "{hours:?}");
        for file in &files {
            let rows = texts(file);
            assert_eq!(rows, texts(&[whole.slice(start, rows.len())]));
            start += rows.len();
        }
    };
    check(&[(0, 128)], &[&[(0, 128)]]);
    check(&[(-1, 128), (0, 128)], &[&[(-1, 128)], &[(0, 128)]]);
    check(&[(-70_000, 1), (5, 1), (6, 62)], &[&[(-70_000, 1), (5, 1), (6, 62)]]);
    check(&[(0, 1), (1, 127), (2, 10), (3, 54)], &[&[(0, 1)], &[(1, 127)], &[(2, 10), (3, 54)]]);
    // Small ones fill a file, and then start the next.
    check(&[(0, 64), (1, 64), (2, 64), (3, 64)], &[&[(0, 64), (1, 64)], &[(2, 64), (3, 64)]]);
    assert!(split_by_hour(&[], 1).unwrap().is_empty());
    assert!(split_by_hour(&[batch(&[])], 1).unwrap().is_empty());
}

#[test]
fn rows_of_thousands_of_hours_make_few_files() {
    let rows: Vec<_> = (0..5000).map(|number| row(number * 7 * HOUR, 1, number, "x")).collect();
    let files = split_by_hour(&[batch(&rows)], HOUR_BYTES_MIN).unwrap();
    assert_eq!(files.len(), 1);
}

fn event(time: i64, group: &str, series: i64, number: i64) -> Event {
    Event { time, group: group.to_owned(), series, number }
}

#[test]
fn each_table_is_sorted_by_what_is_asked_of_it() {
    const MINUTE: i64 = HOUR / 60;
    // Given in no order; the number is the place where the table puts it.
    let check = |table: Table, expected: &[Event]| {
        let mut shuffled = expected.to_vec();
        shuffled.reverse();
        shuffled.rotate_left(expected.len() / 2);
        let (left, right) = shuffled.split_at(expected.len() / 3);
        let sorted = sort(table, &[events(table, left), events(table, &[]), events(table, right)]).unwrap();
        assert_eq!(texts(&sorted), texts(&[events(table, expected)]), "{table}");
        assert!(sort(table, &[]).unwrap().is_empty());
    };
    check(
        Table::Spans,
        &[
            event(-1, "b", 0, 0),
            event(30, "a", 0, 1),
            event(MINUTE - 1, "a", 0, 2),
            event(0, "b", 0, 3),
            event(10, "b", 0, 4),
            event(MINUTE, "a", 0, 5),
        ],
    );
    for table in [Table::MetricSamples, Table::MetricSeries] {
        check(
            table,
            &[
                event(-1, "z", 9, 0),
                event(MINUTE, "cpu", -5, 1),
                event(HOUR - 1, "cpu", -5, 2),
                event(3, "cpu", 7, 3),
                event(2, "memory", 1, 4),
                event(HOUR, "a", 1, 5),
            ],
        );
    }
}

#[test]
fn every_column_of_every_table_comes_back() {
    for table in Table::ALL {
        let rows: Vec<_> = (0..200).map(|number| event(number * HOUR / 50, "a", 1, number)).collect();
        let sorted = sort(table, &[events(table, &rows)]).unwrap();
        let mut read_back = Vec::new();
        let files = split_by_hour(&sorted, 1).unwrap();
        assert_eq!(files.len(), 4, "{table}: a file for each hour");
        for part in files {
            let footer = Footer::new(table.name(), TenantId::default());
            let file = write_batches(&part, &footer, &WriteOptions::default()).unwrap();
            assert_eq!(file.time.max_micros - file.time.min_micros, HOUR / 50 * 49, "{table}");
            assert_eq!(read_footer(&file.bytes).unwrap(), footer);
            read_back.extend(read(&file.bytes).unwrap());
        }
        assert_eq!(read_back[0].schema(), table.schema(), "{table}: without an embedded Arrow schema");
        assert_eq!(texts(&read_back), texts(&sorted), "{table}");
    }
}

#[test]
fn ids_of_spans_are_found_by_filter_and_by_page() {
    let rows: Vec<_> =
        (0..300).map(|number| event(0, &format!("{:032x}", number / 3), 0, 2 * number)).collect();
    let footer = Footer::new("spans", TenantId::default());
    let options = WriteOptions { page_rows: 30, ..WriteOptions::default() };
    let file = write(&events(Table::Spans, &rows), &footer, &options).unwrap();
    let metadata = metadata(&file.bytes);
    let group = metadata.row_group(0);
    assert!(group.sorting_columns().is_none(), "Parquet has no words for this order");
    let check = |name: &str, bloom: bool, pages: bool, dictionary: bool| {
        let column = group.columns().iter().find(|column| column.column_path().string() == name).unwrap();
        assert_eq!(column.bloom_filter_offset().is_some(), bloom, "{name}");
        assert_eq!(column.column_index_offset().is_some(), pages, "{name}");
        assert_eq!(column.dictionary_page_offset().is_some(), dictionary, "{name}");
    };
    check("trace_id", true, true, true);
    check("trace_id_low", true, false, true);
    check("span_id", false, false, false);
    check("service_name", false, true, true);
    check("duration_ns", false, true, false);
    for leaf in group.columns().iter().filter(|leaf| leaf.column_path().parts().len() > 1) {
        assert!(leaf.column_index_offset().is_none(), "{}", leaf.column_path());
    }
}

#[test]
fn a_file_of_no_table_or_in_no_order_is_refused() {
    let rows = [event(HOUR, "a", 1, 1), event(HOUR - 1, "b", 1, 2)];
    for table in Table::ALL {
        let footer = Footer::new(table.name(), TenantId::default());
        let refused = write(&events(table, &rows), &footer, &WriteOptions::default());
        assert!(matches!(refused, Err(FileError::Unsorted { batch: 0, row: 1 })), "{table}: {refused:?}");
    }
    let footer = Footer::new("cats", TenantId::default());
    let refused = write(&batch(&[row(0, 1, 1, "a")]), &footer, &WriteOptions::default());
    assert!(matches!(refused, Err(FileError::NoTable(name)) if name == "cats"));
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let time = prop_oneof![-3i64..3, -2 * HOUR..2 * HOUR, any::<i64>()];
    let row = (time, 0..1000i16, 0..3u8, 0..50i64, ".{0,8}")
        .prop_map(|(time, nanos, source, start, body)| Row { time, nanos, source, start, body });
    prop::collection::vec(row, 1..30)
}

fn sorted_texts(batches: &[RecordBatch]) -> Vec<String> {
    let mut texts = texts(batches);
    texts.sort();
    texts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn sorting_splitting_writing_and_reading_keep_every_row(
        batches in prop::collection::vec(rows(), 1..5),
    ) {
        let batches: Vec<_> = batches.iter().map(|rows| batch(rows)).collect();
        let sorted = sort_by_time(&batches).unwrap();
        let mut read_back = Vec::new();
        let mut latest = i64::MIN;
        for part in split_by_hour(&sorted, 20_000).unwrap() {
            let file = write_batches(&part, &golden_footer(), &WriteOptions::default()).unwrap();
            prop_assert!(file.time.min_micros >= latest, "files follow one another in time");
            latest = file.time.max_micros;
            let rows = read(&file.bytes).unwrap();
            prop_assert_eq!(file.rows as usize, rows.iter().map(RecordBatch::num_rows).sum::<usize>());
            read_back.extend(rows);
        }
        prop_assert_eq!(texts(&read_back), texts(&sorted));
        prop_assert_eq!(sorted_texts(&read_back), sorted_texts(&batches));
    }

    #[test]
    fn damaged_bytes_are_an_error_or_other_rows_and_never_a_panic(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = written(&[row(1, 1, 1, "a"), row(2, 1, 2, "bb"), row(3, 2, 5, "c")]).bytes.to_vec();
        let cut_short = Bytes::copy_from_slice(&bytes[..cut.index(bytes.len())]);
        prop_assert!(read_footer(&cut_short).is_err());
        prop_assert!(read(&cut_short).is_err());
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let bytes = Bytes::from(bytes);
        let _ = read_footer(&bytes);
        let _ = read(&bytes);
    }
}

use arrow_array::RecordBatch;
use proptest::prelude::*;

use super::*;
use crate::sample;

fn partition(number: u32) -> LogPartition {
    LogPartition { topic: "weir.logs".to_owned(), partition: number }
}

fn batch(partition_number: u32, offset: u64, rows: RecordBatch) -> LiveBatch {
    LiveBatch {
        partition: partition(partition_number),
        offset,
        tenant: TenantId::new("team-a").expect("a tenant"),
        table: Table::Logs,
        rows,
    }
}

fn response() -> LiveResponse {
    let range = LiveRange { partition: partition(0), epoch: 3, floor: 7, next: 9, is_caught_up: true };
    let spans = LiveBatch {
        partition: LogPartition { topic: "weir.spans".to_owned(), partition: 1 },
        offset: 4,
        tenant: TenantId::default(),
        table: Table::Spans,
        rows: RecordBatch::new_empty(Table::Spans.schema()),
    };
    LiveResponse {
        instance: "one".to_owned(),
        ranges: vec![range],
        layouts: BTreeMap::from([(LayoutId(5), "{}".to_owned())]),
        batches: vec![
            batch(0, 7, sample::batch(&[sample::row(1, 1, 0, "a"), sample::row(2, 1, 2, "b")])),
            batch(0, 8, sample::batch(&[sample::row(3, 1, 4, "c")])),
            spans,
        ],
        ..LiveResponse::default()
    }
}

fn decode(messages: &[FlightData]) -> Result<LiveResponse, WireError> {
    let mut reader = Reader::new();
    messages.iter().try_for_each(|message| reader.take(message))?;
    reader.finish()
}

#[test]
fn a_request_comes_back() {
    let request = LiveRequest { instance: Some("i".to_owned()), have: BTreeMap::from([(partition(2), 9)]) };
    assert_eq!(LiveRequest::decode(&request.encode().expect("encoded")).expect("read"), request);
    assert!(LiveRequest::decode(b"{").is_err());
}

#[test]
fn an_answer_comes_back_with_the_rows_of_several_tables() {
    let sent = response();
    let messages = sent.encode().expect("encoded");
    assert_eq!(messages.len(), 1 + 1 + 2 + 1 + 1, "a schema for each run, not for each batch");
    let read = decode(&messages).expect("read");
    assert_eq!((read.instance, read.ranges, read.layouts), (sent.instance, sent.ranges, sent.layouts));
    assert_eq!(read.batches.len(), sent.batches.len());
    for (read, sent) in read.batches.iter().zip(&sent.batches) {
        assert_eq!(
            (&read.partition, read.offset, &read.tenant),
            (&sent.partition, sent.offset, &sent.tenant)
        );
        assert_eq!((read.table, &read.rows), (sent.table, &sent.rows));
    }
}

#[test]
fn what_is_no_answer_is_refused() {
    assert!(decode(&[]).is_err());
    let good = response().encode().expect("encoded");
    assert!(decode(&good[1..]).is_err(), "without a header");
    assert!(decode(&[good[0].clone(), good[2].clone()]).is_err(), "rows before their schema");
    let mut newer = good[0].clone();
    let text = String::from_utf8(newer.app_metadata.to_vec()).expect("JSON");
    newer.app_metadata = text.replace("\"version\":1", "\"version\":2").into();
    assert!(matches!(decode(&[newer]), Err(WireError::Version { found: 2, expected: 1 })));
    let mut other_table = good.clone();
    let place = String::from_utf8(other_table[2].app_metadata.to_vec()).expect("JSON");
    other_table[2].app_metadata = place.replace("\"logs\"", "\"spans\"").into();
    assert!(decode(&other_table).is_err(), "columns of another table");
}

proptest! {
    #[test]
    fn damage_is_an_error_or_other_rows_and_never_a_panic(at in 0usize..100_000, to: u8, message in 0usize..6) {
        let mut messages = response().encode().expect("encoded");
        let damage = |bytes: &Bytes| {
            let mut bytes = bytes.to_vec();
            if !bytes.is_empty() {
                let at = at % bytes.len();
                bytes[at] = to;
            }
            Bytes::from(bytes)
        };
        let message = &mut messages[message];
        match at % 3 {
            0 => message.data_header = damage(&message.data_header),
            1 => message.data_body = damage(&message.data_body),
            _ => message.app_metadata = damage(&message.app_metadata),
        }
        let _ = decode(&messages);
    }
}

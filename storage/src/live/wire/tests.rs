use arrow_array::Array;
use proptest::prelude::*;
use weir_proto::model::AgentId;

use super::*;
use crate::catalog::LaneStatus;
use crate::sample::{Row, batch, row};

fn partition(number: u32) -> LogPartition {
    LogPartition { topic: "weir.logs".to_owned(), partition: number }
}

fn live(number: u32, offset: u64, rows: &[Row]) -> LiveBatch {
    LiveBatch {
        partition: partition(number),
        offset,
        tenant: TenantId::new("team-a").unwrap(),
        table: Table::Logs,
        rows: batch(rows),
    }
}

fn response(batches: Vec<LiveBatch>) -> LiveResponse {
    LiveResponse {
        instance: "01J".to_owned(),
        ranges: vec![LiveRange {
            partition: partition(0),
            epoch: 2,
            floor: 3,
            next: u64::MAX,
            is_caught_up: true,
        }],
        lanes: vec![LaneState {
            agent: AgentId::from_u128(1),
            partition: partition(0),
            mark_micros: Some(-1),
            heard_micros: i64::MAX,
            status: LaneStatus::Retired,
            is_estimated: true,
        }],
        layouts: BTreeMap::from([(LayoutId(-5), "{\"a\":[]}".to_owned())]),
        batches,
    }
}

fn joined(response: &LiveResponse) -> Bytes {
    response.encode().unwrap().concat().into()
}

/// What can be compared of a response.
fn parts(response: &LiveResponse) -> impl PartialEq + std::fmt::Debug + use<> {
    let batches: Vec<_> = response
        .batches
        .iter()
        .map(|batch| (batch.partition.clone(), batch.offset, batch.tenant.clone(), batch.rows.clone()))
        .collect();
    (
        (response.instance.clone(), response.ranges.clone(), response.lanes.clone()),
        response.layouts.clone(),
        batches,
    )
}

#[test]
fn a_request_comes_back() {
    for request in [
        LiveRequest::default(),
        LiveRequest {
            instance: Some("01J".to_owned()),
            have: BTreeMap::from([(partition(0), 0), (partition(1), u64::MAX)]),
        },
    ] {
        assert_eq!(LiveRequest::decode(&request.encode().unwrap()).unwrap(), request);
    }
    assert!(LiveRequest::decode(b"{").is_err());
}

#[test]
fn an_answer_comes_back() {
    let long = "x".repeat(100_000);
    let mut other = live(1, 9, &[row(1, 1, 1, "another table")]);
    other.rows = other.rows.project(&[1, 7]).unwrap();
    let answer = response(vec![
        live(0, 4, &[row(1, 1, 1, "a"), row(2, 1, 2, &long)]),
        live(0, 5, &[]),
        other,
        live(1, 10, &[row(3, 2, 3, "b")]),
    ]);
    assert_eq!(parts(&LiveResponse::decode(&joined(&answer)).unwrap()), parts(&answer));
    let empty = LiveResponse::default();
    assert_eq!(parts(&LiveResponse::decode(&joined(&empty)).unwrap()), parts(&empty));
}

#[test]
fn a_slice_of_a_batch_travels_as_that_slice() {
    let mut sliced = live(0, 4, &[row(1, 1, 1, "a"), row(2, 1, 2, "b"), row(3, 1, 3, "c")]);
    sliced.rows = sliced.rows.slice(1, 1);
    let answer = response(vec![sliced]);
    assert_eq!(parts(&LiveResponse::decode(&joined(&answer)).unwrap()), parts(&answer));
}

#[test]
fn rows_are_read_in_place() {
    let long = "x".repeat(100_000);
    let answer = response(vec![live(0, 4, &[row(1, 1, 1, &long)]), live(0, 5, &[row(1, 1, 2, &long)])]);
    let bytes = joined(&answer);
    let inside = bytes.as_ptr_range();
    for batch in LiveResponse::decode(&bytes).unwrap().batches {
        let body = batch.rows.column_by_name("body").unwrap().to_data();
        assert!(inside.contains(&body.buffers()[1].as_ptr()), "the text was copied");
    }
}

#[test]
fn large_columns_are_sent_from_where_they_lie() {
    let long = "x".repeat(100_000);
    let answer = response(vec![live(0, 4, &[row(1, 1, 1, &long)])]);
    let body = answer.batches[0].rows.column_by_name("body").unwrap().to_data();
    let pieces = answer.encode().unwrap();
    assert!(pieces.iter().any(|piece| piece.as_ptr() == body.buffers()[1].as_ptr()));
    assert!(pieces.len() < 20, "small columns share pieces: {}", pieces.len());
}

#[test]
fn what_is_no_answer_is_refused() {
    let good = joined(&response(vec![live(0, 4, &[row(1, 1, 1, "a")])]));
    for end in 0..good.len() {
        assert!(LiveResponse::decode(&good.slice(..end)).is_err(), "cut at {end} of {}", good.len());
    }
    let mut longer = good.to_vec();
    longer.push(0);
    assert!(LiveResponse::decode(&longer.into()).is_err(), "a byte too many");
    let mut newer = good.to_vec();
    newer[3] = b'2';
    assert!(matches!(LiveResponse::decode(&newer.into()), Err(WireError::Version { .. })));
    let mut huge = good.to_vec();
    huge[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(LiveResponse::decode(&huge.into()).is_err(), "a header of 4 GiB");

    // The number of batches is announced, too many and too few.
    for (text, other) in [("\"offset\":4", "\"offset\":9"), ("[{\"topic\"", "[[\"topic\"")] {
        let json = String::from_utf8_lossy(&good[PREFIX..]);
        assert!(json.contains(text), "{json}");
        let at = PREFIX + json.find(text).unwrap();
        let mut changed = good.to_vec();
        changed[at..at + other.len()].copy_from_slice(other.as_bytes());
        let decoded = LiveResponse::decode(&changed.into());
        assert_eq!(decoded.is_ok(), text.contains("offset"), "{decoded:?}");
    }
}

#[test]
fn the_announced_number_of_batches_is_the_number() {
    let two = response(vec![live(0, 4, &[]), live(0, 5, &[])]).encode().unwrap();
    let mut header = read_header(&two.concat().into()).unwrap().0;
    for batches in [0, 1, 3] {
        let place = || Place {
            topic: "t".to_owned(),
            partition: 0,
            offset: 0,
            tenant: TenantId::default(),
            table: Table::Logs,
        };
        header.streams[0].batches = std::iter::repeat_with(place).take(batches).collect();
        let mut bytes = encode::encode_header(&header).unwrap().to_vec();
        two[1..].iter().for_each(|piece| bytes.extend_from_slice(piece));
        assert!(LiveResponse::decode(&bytes.into()).is_err(), "{batches} for 2");
    }
}

proptest! {
    #[test]
    fn damage_is_an_error_or_other_rows_and_never_a_panic(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let answer = response(vec![live(0, 4, &[row(1, 1, 1, "a"), row(2, 1, 2, "bb")])]);
        let mut bytes = joined(&answer).to_vec();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(decoded) = LiveResponse::decode(&bytes.into()) {
            crate::sample::texts(&decoded.batches.into_iter().map(|batch| batch.rows).collect::<Vec<_>>());
        }
    }
}

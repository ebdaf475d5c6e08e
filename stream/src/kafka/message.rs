//! Records as Kafka's messages, and back.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use rdkafka::Message;
use rdkafka::message::{BorrowedMessage, Header, Headers, OwnedHeaders};

use crate::limit::{HEADER_BYTES_EXTRA, HEADERS_BYTES_MAX, PAYLOAD_BYTES_MAX};
use crate::{AppendError, Offset, Record, StoredRecord};

/// What a message and its batch cost beside payload and headers, at most.
const MESSAGE_BYTES_EXTRA: usize = 256;

/// What a header costs beside its name and value: two lengths of variable size.
const HEADER_LENGTHS_BYTES: usize = 10;

/// Refuses what no message can hold, before anything is sent.
pub(super) fn check_limits(record: &Record, message_bytes: usize) -> Result<(), AppendError> {
    let too_large = |bytes, limit| Err(AppendError::TooLarge { bytes, limit });
    let payload = record.payload.len();
    if payload > PAYLOAD_BYTES_MAX {
        return too_large(payload, PAYLOAD_BYTES_MAX);
    }
    let headers = header_bytes(record, HEADER_BYTES_EXTRA);
    if headers > HEADERS_BYTES_MAX {
        return too_large(headers, HEADERS_BYTES_MAX);
    }
    let message = payload + header_bytes(record, HEADER_LENGTHS_BYTES) + MESSAGE_BYTES_EXTRA;
    if message > message_bytes {
        return too_large(message, message_bytes);
    }
    Ok(())
}

fn header_bytes(record: &Record, extra: usize) -> usize {
    record.headers.iter().map(|(name, value)| name.len() + value.len() + extra).sum()
}

/// The headers, as librdkafka takes them.
pub(super) fn headers(record: &Record) -> OwnedHeaders {
    let headers = OwnedHeaders::new_with_capacity(record.headers.len());
    record.headers.iter().fold(headers, |headers, (name, value)| {
        headers.insert(Header { key: name, value: Some(value.as_ref()) })
    })
}

/// Stands for zero, which librdkafka takes for now.
const ZERO_MILLIS: i64 = 1;

/// Kafka's time: milliseconds, not before 1970.
pub(super) fn timestamp_millis(record: &Record) -> i64 {
    (record.timestamp_micros / 1_000).max(ZERO_MILLIS)
}

/// What was meant by it; zero when there is none.
fn timestamp_micros(millis: Option<i64>) -> i64 {
    match millis {
        None | Some(..=ZERO_MILLIS) => 0,
        Some(millis) => millis.saturating_mul(1_000),
    }
}

/// A message as a record; the payload is copied, so that librdkafka can free
/// what it fetched.
pub(super) fn stored(message: &BorrowedMessage<'_>) -> StoredRecord {
    let payload = Bytes::copy_from_slice(message.payload().unwrap_or_default());
    let timestamp_micros = timestamp_micros(message.timestamp().to_millis());
    let record = Record { headers: read_headers(message), timestamp_micros, payload };
    StoredRecord { offset: offset(message), record }
}

/// Where it lies.
pub(super) fn offset(message: &BorrowedMessage<'_>) -> Offset {
    Offset(u64::try_from(message.offset()).unwrap_or(0))
}

/// The binding panics on a header whose name is no UTF-8, which a foreign
/// producer can send: such a message has no headers for us.
fn read_headers(message: &BorrowedMessage<'_>) -> Vec<(String, Bytes)> {
    let Some(headers) = message.headers() else { return Vec::new() };
    let read = || {
        let header = |header: Header<'_, &[u8]>| {
            (header.key.to_owned(), Bytes::copy_from_slice(header.value.unwrap_or_default()))
        };
        headers.iter().map(header).collect()
    };
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_for_payload_headers_and_message() {
        let record = |payload: usize, header: usize| Record {
            headers: vec![("h".to_owned(), vec![0; header].into())],
            payload: vec![0; payload].into(),
            ..Record::default()
        };
        let check = |record: &Record, limit, expected: Option<usize>| {
            let refused = match check_limits(record, limit) {
                Ok(()) => None,
                Err(AppendError::TooLarge { limit, .. }) => Some(limit),
                Err(other) => panic!("{other}"),
            };
            assert_eq!(refused, expected);
        };
        check(&record(PAYLOAD_BYTES_MAX, HEADERS_BYTES_MAX - 7), 33 << 20, None);
        check(&record(PAYLOAD_BYTES_MAX + 1, 0), 33 << 20, Some(PAYLOAD_BYTES_MAX));
        check(&record(0, HEADERS_BYTES_MAX), 33 << 20, Some(HEADERS_BYTES_MAX));
        check(&record(1_000_000, 0), 1_000_000, Some(1_000_000));
    }

    #[test]
    fn a_time_is_never_taken_for_now_or_none() {
        let check = |micros, millis, read| {
            let record = Record { timestamp_micros: micros, ..Record::default() };
            assert_eq!(timestamp_millis(&record), millis, "{micros}");
            assert_eq!(timestamp_micros(Some(millis)), read, "{micros}");
        };
        check(1_700_000_000_000_999, 1_700_000_000_000, 1_700_000_000_000_000);
        check(0, 1, 0);
        check(-5_000, 1, 0);
        check(999, 1, 0);
        check(2_000, 2, 2_000);
        assert_eq!(timestamp_micros(None), 0);
    }
}

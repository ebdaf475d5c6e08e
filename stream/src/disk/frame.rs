//! One record as bytes: `docs/formats/log-segment-v1.md`, and what
//! `docs/formats/log-segment-v2.md` adds. Pure.
//!
//! A frame has two checksums. The head's makes offset and length trustworthy
//! by themselves: a damaged payload costs exactly its record, the next frame is
//! found without searching, and skipping needs heads only. The other one covers
//! everything.

use bytes::{Buf, Bytes};

use super::segment::Seed;
use crate::limit::{HEADER_BYTES_EXTRA, HEADERS_BYTES_MAX, PAYLOAD_BYTES_MAX};
use crate::{AppendError, Record};

/// Bytes before headers and payload.
pub(super) const HEAD_BYTES: usize = 32;

/// In the length of the headers: this frame begins what was written together.
/// Everything before it was synced by then.
const BEGINS: u32 = 1 << 31;

/// The fixed part of a frame, its checksum already verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) offset: u64,
    /// It begins what was written together. Version 1 never says so.
    pub(super) begins: bool,
    pub(super) timestamp_micros: i64,
    headers_bytes: usize,
    body_bytes: usize,
    checksum: u32,
}

impl Head {
    /// Reads a head; none when these bytes are no head of this segment. The
    /// cheap conditions come first: a search tries every byte position.
    pub(super) fn parse(bytes: &[u8], seed: Seed) -> Option<Self> {
        let mut rest = bytes.get(..HEAD_BYTES)?;
        let body_bytes = usize::try_from(rest.get_u32_le()).ok()?;
        let checksum = rest.get_u32_le();
        let offset = rest.get_u64_le();
        let timestamp_micros = rest.get_i64_le();
        let headers = rest.get_u32_le();
        let headers_bytes = usize::try_from(headers & !BEGINS).ok()?;
        let head_checksum = rest.get_u32_le();
        let fits = headers_bytes <= HEADERS_BYTES_MAX
            && headers_bytes <= body_bytes
            && body_bytes - headers_bytes <= PAYLOAD_BYTES_MAX;
        if !fits || head_checksum != checksum_of_head(bytes, seed) {
            return None;
        }
        let begins = headers & BEGINS != 0;
        Some(Self { offset, begins, timestamp_micros, headers_bytes, body_bytes, checksum })
    }

    /// Length of the whole frame.
    pub(super) fn frame_bytes(&self) -> usize {
        HEAD_BYTES + self.body_bytes
    }

    /// The record in a whole frame that begins with this head, without copying
    /// the payload; none when it is damaged.
    pub(super) fn record(&self, frame: &Bytes) -> Option<Record> {
        if frame.len() != self.frame_bytes() || crc32c::crc32c(&frame[8..]) != self.checksum {
            return None;
        }
        let payload_at = HEAD_BYTES + self.headers_bytes;
        Some(Record {
            headers: parse_headers(frame.slice(HEAD_BYTES..payload_at))?,
            timestamp_micros: self.timestamp_micros,
            payload: frame.slice(payload_at..),
        })
    }
}

/// Writes head and headers of a frame; the payload follows them.
pub(super) fn put_front(out: &mut Vec<u8>, seed: Seed, offset: u64, begins: bool, record: &Record) {
    let at = out.len();
    let headers_bytes = headers_bytes(record);
    out.extend_from_slice(&stored_length(headers_bytes + record.payload.len()).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&offset.to_le_bytes());
    out.extend_from_slice(&record.timestamp_micros.to_le_bytes());
    let mark = if begins { BEGINS } else { 0 };
    out.extend_from_slice(&(stored_length(headers_bytes) | mark).to_le_bytes());
    let head_checksum = checksum_of_head(&out[at..], seed);
    out.extend_from_slice(&head_checksum.to_le_bytes());
    for (name, value) in &record.headers {
        let length = u16::try_from(name.len()).expect("headers were checked");
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(&stored_length(value.len()).to_le_bytes());
        out.extend_from_slice(value);
    }
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&out[at + 8..]), &record.payload);
    out[at + 4..at + 8].copy_from_slice(&checksum.to_le_bytes());
}

/// Length of the record's frame.
pub(super) fn frame_bytes(record: &Record) -> usize {
    HEAD_BYTES + headers_bytes(record) + record.payload.len()
}

/// Refuses what no frame can hold, before anything is queued.
pub(super) fn check_limits(record: &Record) -> Result<(), AppendError> {
    let too_large = |bytes, limit| Err(AppendError::TooLarge { bytes, limit });
    if record.payload.len() > PAYLOAD_BYTES_MAX {
        return too_large(record.payload.len(), PAYLOAD_BYTES_MAX);
    }
    // A name's length must fit 16 bits; with its extra bytes, the limit on all
    // headers already sees to that.
    let headers = headers_bytes(record);
    if headers > HEADERS_BYTES_MAX {
        return too_large(headers, HEADERS_BYTES_MAX);
    }
    Ok(())
}

fn headers_bytes(record: &Record) -> usize {
    record.headers.iter().map(|(name, value)| HEADER_BYTES_EXTRA + name.len() + value.len()).sum()
}

fn stored_length(length: usize) -> u32 {
    u32::try_from(length).expect("the record was checked")
}

/// Over the length and all fields up to itself, but not over the other
/// checksum, which covers this one.
fn checksum_of_head(head: &[u8], seed: Seed) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed.0, &head[..4]), &head[8..28])
}

fn parse_headers(mut block: Bytes) -> Option<Vec<(String, Bytes)>> {
    let mut headers = Vec::new();
    while block.has_remaining() {
        let name_bytes = usize::from(block.try_get_u16_le().ok()?);
        let name = take(&mut block, name_bytes)?;
        let value_bytes = usize::try_from(block.try_get_u32_le().ok()?).ok()?;
        let value = take(&mut block, value_bytes)?;
        headers.push((String::from_utf8(name.to_vec()).ok()?, value));
    }
    Some(headers)
}

fn take(block: &mut Bytes, bytes: usize) -> Option<Bytes> {
    (bytes <= block.len()).then(|| block.split_to(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SEED: Seed = Seed(7);

    fn frame(offset: u64, record: &Record) -> Bytes {
        let mut out = Vec::new();
        put_front(&mut out, SEED, offset, offset.is_multiple_of(2), record);
        out.extend_from_slice(&record.payload);
        out.into()
    }

    fn any_record() -> impl Strategy<Value = Record> {
        let bytes = |most| prop::collection::vec(any::<u8>(), 0..most).prop_map(Bytes::from);
        let header = (any::<String>(), bytes(20));
        (prop::collection::vec(header, 0..4), any::<i64>(), bytes(300))
            .prop_map(|(headers, timestamp_micros, payload)| Record { headers, timestamp_micros, payload })
    }

    proptest! {
        #[test]
        fn what_is_put_is_read(record in any_record(), offset: u64) {
            let bytes = frame(offset, &record);
            prop_assert_eq!(bytes.len(), frame_bytes(&record));
            let head = Head::parse(&bytes, SEED).unwrap();
            prop_assert_eq!((head.offset, head.begins), (offset, offset.is_multiple_of(2)));
            prop_assert_eq!(head.frame_bytes(), bytes.len());
            prop_assert_eq!(head.record(&bytes), Some(record));
        }

        #[test]
        fn no_single_byte_can_change_unnoticed(record in any_record(), at: prop::sample::Index, flip in 1..=255u8) {
            let mut bytes = frame(3, &record).to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let bytes = Bytes::from(bytes);
            let read = Head::parse(&bytes, SEED).and_then(|head| head.record(&bytes));
            prop_assert_eq!(read, None);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(Head::parse(&bytes, SEED), None);
            parse_headers(bytes.into());
        }
    }

    #[test]
    fn a_frame_of_another_segment_is_no_frame() {
        assert_eq!(Head::parse(&frame(0, &Record::default()), Seed(8)), None);
    }

    #[test]
    fn headers_that_lie_about_their_length_are_refused() {
        let check = |block: &'static [u8]| assert_eq!(parse_headers(block.into()), None, "{block:?}");
        check(&[1]);
        check(&[9, 0, b'a']);
        check(&[1, 0, b'a', 255, 255, 255, 255]);
        check(&[1, 0, 0xff, 0, 0, 0, 0]);
    }

    #[test]
    fn limits_are_exact() {
        let payload = |bytes| Record { payload: vec![0; bytes].into(), ..Record::default() };
        check_limits(&payload(PAYLOAD_BYTES_MAX)).unwrap();
        check_limits(&payload(PAYLOAD_BYTES_MAX + 1)).unwrap_err();
        let header = |bytes| Record {
            headers: vec![("n".repeat(bytes - HEADER_BYTES_EXTRA), Bytes::new())],
            ..Record::default()
        };
        check_limits(&header(HEADERS_BYTES_MAX)).unwrap();
        check_limits(&header(HEADERS_BYTES_MAX + 1)).unwrap_err();
        let widest = header(HEADERS_BYTES_MAX);
        let bytes = frame(0, &widest);
        assert_eq!(Head::parse(&bytes, SEED).unwrap().record(&bytes), Some(widest));
    }
}

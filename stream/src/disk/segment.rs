//! What a segment file is called and how it begins:
//! `docs/formats/log-segment-v1.md` and `log-segment-v2.md`. Pure.

use bytes::Buf;

use crate::Partition;

/// Bytes before the first frame.
pub(super) const HEADER_BYTES: usize = 256;

const MAGIC: &[u8; 8] = b"weirseg\0";

/// The version that is written. The first one did not mark what was written
/// together; it is read, and nothing is appended to it.
const VERSION: u32 = 2;
const VERSION_FIRST: u32 = 1;
const TOPIC_BYTES: usize = 200;
const TOPIC_AT: usize = 32;
const CHECKSUM_AT: usize = HEADER_BYTES - 4;

/// Where the checksums of a segment's frames begin: partition and base offset.
/// A frame copied from another place is no frame here. Derived and not stored,
/// so that frames stay readable under a damaged header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seed(pub(super) u32);

impl Seed {
    /// The seed of the segment at `base`.
    pub(super) fn new(partition: &Partition, base: u64) -> Self {
        let crc = crc32c::crc32c(partition.topic.as_str().as_bytes());
        let crc = crc32c::crc32c_append(crc, &[0]);
        let crc = crc32c::crc32c_append(crc, &partition.index.to_le_bytes());
        Self(crc32c::crc32c_append(crc, &base.to_le_bytes()))
    }
}

/// What the first bytes of a segment file say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HeaderSays {
    /// It is the segment that its path says.
    Ours,
    /// The same, without marks where something begins that was written together.
    OursUnmarked,
    /// They are damaged or too few. The frames can be read all the same.
    Damaged,
    /// It is another segment, described for an operator.
    Foreign(String),
    /// It is in a format that this code does not know.
    Version(u32),
}

/// The header of the segment at `base`.
pub(super) fn header(partition: &Partition, base: u64) -> [u8; HEADER_BYTES] {
    header_of(VERSION, partition, base)
}

fn header_of(version: u32, partition: &Partition, base: u64) -> [u8; HEADER_BYTES] {
    let topic = partition.topic.as_str().as_bytes();
    let topic_bytes = u32::try_from(topic.len()).expect("a topic has at most 200 characters");
    let mut out = [0; HEADER_BYTES];
    out[..8].copy_from_slice(MAGIC);
    out[8..12].copy_from_slice(&version.to_le_bytes());
    out[12..16].copy_from_slice(&topic_bytes.to_le_bytes());
    out[16..24].copy_from_slice(&base.to_le_bytes());
    out[24..28].copy_from_slice(&partition.index.to_le_bytes());
    out[TOPIC_AT..TOPIC_AT + topic.len()].copy_from_slice(topic);
    let checksum = crc32c::crc32c(&out[..CHECKSUM_AT]);
    out[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
    out
}

/// Compares the first bytes of a file with what they should be.
pub(super) fn check_header(bytes: &[u8], partition: &Partition, base: u64) -> HeaderSays {
    let Some(bytes) = bytes.get(..HEADER_BYTES) else { return HeaderSays::Damaged };
    let intact = crc32c::crc32c(&bytes[..CHECKSUM_AT]).to_le_bytes() == bytes[CHECKSUM_AT..];
    if !intact || bytes[..8] != MAGIC[..] {
        return HeaderSays::Damaged;
    }
    let mut rest = &bytes[8..TOPIC_AT];
    let version = rest.get_u32_le();
    if !(VERSION_FIRST..=VERSION).contains(&version) {
        return HeaderSays::Version(version);
    }
    if bytes[..] == header_of(version, partition, base) {
        return if version == VERSION { HeaderSays::Ours } else { HeaderSays::OursUnmarked };
    }
    let topic_bytes = usize::try_from(rest.get_u32_le()).map_or(TOPIC_BYTES, |bytes| bytes.min(TOPIC_BYTES));
    let found_base = rest.get_u64_le();
    let found_index = rest.get_u32_le();
    let topic = String::from_utf8_lossy(&bytes[TOPIC_AT..TOPIC_AT + topic_bytes]);
    HeaderSays::Foreign(format!("partition {topic}/{found_index} at offset {found_base}"))
}

/// The file name of the segment at `base`. Twenty digits hold every offset, and
/// names sort as their offsets do.
pub(super) fn file_name(base: u64) -> String {
    format!("{base:020}.seg")
}

/// The base offset in a segment's file name.
pub(super) fn base_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    let canonical = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    canonical.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Topic;

    fn partition(index: u32) -> Partition {
        Partition::new(Topic::new("weir.logs").unwrap(), index)
    }

    #[test]
    fn names() {
        let check = |name: &str, base| assert_eq!(base_of(name), base, "{name}");
        check(&file_name(0), Some(0));
        check(&file_name(u64::MAX), Some(u64::MAX));
        check("99999999999999999999.seg", None);
        check("0.seg", None);
        check("+0000000000000000001.seg", None);
        check("00000000000000000001.tmp", None);
    }

    #[test]
    fn a_header_says_whose_it_is() {
        let bytes = header(&partition(3), 1000);
        let check = |bytes: &[u8], index, base, says| {
            assert_eq!(check_header(bytes, &partition(index), base), says);
        };
        check(&bytes, 3, 1000, HeaderSays::Ours);
        let foreign = HeaderSays::Foreign("partition weir.logs/3 at offset 1000".into());
        check(&bytes, 4, 1000, foreign.clone());
        check(&bytes, 3, 1001, foreign);
        check(&bytes[..255], 3, 1000, HeaderSays::Damaged);
        for at in 0..HEADER_BYTES {
            let mut bytes = bytes;
            bytes[at] ^= 0x10;
            check(&bytes, 3, 1000, HeaderSays::Damaged);
        }
    }

    #[test]
    fn a_later_version_is_told_apart_from_damage() {
        let mut bytes = header(&partition(3), 1000);
        bytes[8] = 3;
        let checksum = crc32c::crc32c(&bytes[..CHECKSUM_AT]);
        bytes[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(check_header(&bytes, &partition(3), 1000), HeaderSays::Version(3));
    }

    #[test]
    fn the_first_version_is_known() {
        let bytes = header_of(1, &partition(3), 1000);
        assert_eq!(check_header(&bytes, &partition(3), 1000), HeaderSays::OursUnmarked);
        assert!(matches!(check_header(&bytes, &partition(4), 1000), HeaderSays::Foreign(_)));
    }

    #[test]
    fn seeds_differ_by_partition_and_base() {
        let seed = Seed::new(&partition(1), 0);
        assert_ne!(seed, Seed::new(&partition(2), 0));
        assert_ne!(seed, Seed::new(&partition(1), 1));
    }
}

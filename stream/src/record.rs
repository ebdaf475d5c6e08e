//! Records, and where they lie.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

/// A named sequence, split into partitions. The name is also a Kafka topic and
/// a directory, so its alphabet is Kafka's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Arc<str>);

/// A name that is no topic.
#[derive(Debug, Error)]
#[error(
    "topic {0:?} is not allowed: use 1 to 200 characters of a-z, A-Z, 0-9, '.', '_' and '-', not '.' or '..'"
)]
pub struct TopicError(String);

impl Topic {
    /// Accepts Kafka's alphabet, 1 to 200 characters.
    pub fn new(name: &str) -> Result<Self, TopicError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let fits = (1..=200).contains(&name.len()) && name != "." && name != "..";
        if fits && name.bytes().all(allowed) {
            Ok(Self(name.into()))
        } else {
            Err(TopicError(name.to_owned()))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One ordered sequence of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The topic.
    pub topic: Topic,
    /// Which of its partitions, from 0.
    pub index: u32,
}

impl Partition {
    /// Partition `index` of `topic`.
    pub fn new(topic: Topic, index: u32) -> Self {
        Self { topic, index }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.index)
    }
}

/// Position of a record in its partition: 0, 1, 2, ...
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Offset(pub u64);

impl Offset {
    /// The offset after this one.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is appended: opaque bytes with headers. Cloning shares the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Names and values, in order. At most 64 KiB together, six bytes counted
    /// for each beside its name and value.
    pub headers: Vec<(String, Bytes)>,
    /// When it was appended, microseconds since 1970.
    pub timestamp_micros: i64,
    /// The content, at most 32 MiB.
    pub payload: Bytes,
}

/// A record as it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// Where it lies.
    pub offset: Offset,
    /// What was appended.
    pub record: Record,
}

impl StoredRecord {
    /// Tells this record from another one that lies at its offset in another
    /// log: CRC32C of the payload below, of the time and the headers above. The
    /// same for every reading of it, and in every version of Weir: it is kept.
    pub fn fingerprint(&self) -> u64 {
        let mut above = crc32c::crc32c(&self.record.timestamp_micros.to_le_bytes());
        for (name, value) in &self.record.headers {
            above = crc32c::crc32c_append(above, name.as_bytes());
            above = crc32c::crc32c_append(above, &[0]);
            above = crc32c::crc32c_append(above, value);
        }
        u64::from(above) << 32 | u64::from(crc32c::crc32c(&self.record.payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_sees_every_part_of_a_record() {
        let record = Record {
            headers: vec![("agent".to_owned(), Bytes::from_static(b"a"))],
            timestamp_micros: 7,
            payload: Bytes::from_static(b"lines"),
        };
        let print =
            |record: &Record| StoredRecord { offset: Offset(3), record: record.clone() }.fingerprint();
        // Kept in catalogs: it may never change.
        assert_eq!(print(&record), 0xa3c3_ce03_6b96_5694);
        let mut others = vec![Record { timestamp_micros: 8, ..record.clone() }];
        others.push(Record { payload: Bytes::from_static(b"linez"), ..record.clone() });
        others
            .push(Record { headers: vec![("agent".to_owned(), Bytes::from_static(b"b"))], ..record.clone() });
        others.push(Record { headers: Vec::new(), ..record.clone() });
        for other in others {
            assert_ne!(print(&other), print(&record), "{other:?}");
        }
    }
}

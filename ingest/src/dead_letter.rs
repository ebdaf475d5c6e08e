//! Messages that cannot be decoded: their bytes are kept for a human.
//!
//! Keeping them must not hold up the partition: a message that cannot be kept
//! either is named in the log and in `weir.gaps`, and ingestion goes on.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use weir_stream::{Partition, StoredRecord};

/// A directory with a file for each message.
#[derive(Clone, Debug)]
pub(crate) struct DeadLetters(PathBuf);

impl DeadLetters {
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        Ok(Self(directory.to_owned()))
    }

    /// Keeps a message durably, as `<topic>-<partition>-<offset>.message`: a
    /// line of JSON with its headers, then its payload. The same message, read
    /// again after a restart, replaces itself.
    pub(crate) fn keep(&self, partition: &Partition, message: &StoredRecord) -> io::Result<PathBuf> {
        let name = format!("{}-{}-{}.message", partition.topic, partition.index, message.offset);
        let path = self.0.join(name);
        let unfinished = path.with_extension("unfinished");
        let headers: Vec<(&str, String)> = message
            .record
            .headers
            .iter()
            .map(|(key, value)| (key.as_str(), String::from_utf8_lossy(value).into_owned()))
            .collect();
        let mut file = File::create(&unfinished)?;
        serde_json::to_writer(&mut file, &headers)?;
        file.write_all(b"\n")?;
        file.write_all(&message.record.payload)?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        File::open(&self.0)?.sync_all()?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use weir_stream::{Offset, Record, Topic};

    use super::*;

    #[test]
    fn a_message_is_kept_with_its_headers() {
        let directory = tempfile::tempdir().expect("a directory");
        let letters = DeadLetters::open(&directory.path().join("dead")).expect("opens");
        let partition = Partition::new(Topic::new("weir.logs").expect("a topic"), 3);
        let headers = vec![("weir-codec".to_owned(), Bytes::from_static(b"l\xff"))];
        let record = Record { headers, timestamp_micros: 0, payload: Bytes::from_static(b"\0\xffx") };
        let message = StoredRecord { offset: Offset(42), record };
        for _ in 0..2 {
            let path = letters.keep(&partition, &message).expect("is kept");
            assert_eq!(path.file_name().expect("a name"), "weir.logs-3-42.message");
            let kept = fs::read(&path).expect("is there");
            assert_eq!(
                kept,
                "[[\"weir-codec\",\"l\u{fffd}\"]]\n\0".bytes().chain(*b"\xffx").collect::<Vec<_>>()
            );
        }
        assert_eq!(fs::read_dir(&letters.0).expect("lists").count(), 1);
    }
}

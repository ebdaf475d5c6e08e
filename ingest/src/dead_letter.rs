//! Messages that cannot be decoded: their bytes are kept for a human, and the
//! partition goes on.
//!
//! At least once: the same message, read again after a restart that came before
//! the next commit, is kept again. In a directory it replaces itself; on a topic
//! it lies there twice, told apart by nothing but `weir-dead-letter-at`.

mod letter;

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;
use weir_runtime::create_durably;
use weir_stream::{Append, AppendError, Partition, Record, StoredRecord, Topic};

use crate::error::StartError;

pub use letter::{Found, Letter, LetterError, LetterId, LettersError, letters_in, letters_on};

/// Names of the headers that a message gets on the dead-letter topic, after its
/// own.
pub mod header_name {
    /// Why it could not be decoded.
    pub const REASON: &str = "weir-dead-letter-reason";
    /// The topic it came from.
    pub const TOPIC: &str = "weir-dead-letter-topic";
    /// The partition it came from.
    pub const PARTITION: &str = "weir-dead-letter-partition";
    /// Its offset there.
    pub const OFFSET: &str = "weir-dead-letter-offset";
    /// When it was put here, microseconds since 1970.
    pub const AT: &str = "weir-dead-letter-at";
    /// When it was appended there, microseconds since 1970.
    pub const TIMESTAMP: &str = "weir-dead-letter-timestamp";
}

/// Where messages go that cannot be decoded.
#[derive(Clone)]
pub struct DeadLetters(Place);

#[derive(Clone)]
enum Place {
    Directory(PathBuf),
    Topic(Arc<dyn Append>, Topic),
}

/// A message that could not be kept.
#[derive(Debug, Error)]
pub(crate) enum KeepError {
    #[error("cannot keep it at {path}")]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot append it to {topic}")]
    Append {
        topic: Topic,
        #[source]
        source: AppendError,
    },
    #[error("the process is ending")]
    Ending,
}

impl KeepError {
    /// The same may work later, and waiting for it holds up no more than the
    /// log itself does.
    pub(crate) fn is_retryable(&self) -> bool {
        match self {
            Self::Append { source, .. } => source.is_retryable() || source.is_unknown(),
            // A full disk, most likely, which somebody will make room on.
            Self::File { .. } => true,
            Self::Ending => false,
        }
    }
}

impl DeadLetters {
    /// A file for each message, in a directory that is created.
    pub fn directory(path: impl Into<PathBuf>) -> Self {
        Self(Place::Directory(path.into()))
    }

    /// A topic, in the event log of all ingesters.
    pub fn topic(log: Arc<dyn Append>, topic: Topic) -> Self {
        Self(Place::Topic(log, topic))
    }

    /// Sees to it that the place is there.
    pub(crate) fn prepare(&self) -> Result<(), StartError> {
        match &self.0 {
            Place::Directory(path) => {
                create_durably(path).map_err(|source| StartError::DeadLetters { path: path.clone(), source })
            }
            Place::Topic(..) => Ok(()),
        }
    }

    /// Keeps a message durably and says where.
    pub(crate) async fn keep(
        &self,
        partition: &Partition,
        message: &StoredRecord,
        reason: &str,
        now_micros: i64,
    ) -> Result<String, KeepError> {
        match &self.0 {
            Place::Directory(directory) => {
                let name = format!("{}-{}-{}.message", partition.topic, partition.index, message.offset);
                let path = directory.join(name);
                let record = letter(partition, message, reason, now_micros);
                let work = tokio::task::spawn_blocking(move || keep_file(path, &record));
                work.await.map_err(|_| KeepError::Ending)?
            }
            Place::Topic(log, topic) => {
                let failed = |source| KeepError::Append { topic: topic.clone(), source };
                let count = log.partitions(topic).await.map_err(failed)?;
                let to = Partition::new(topic.clone(), partition.index % count.max(1));
                let record = letter(partition, message, reason, now_micros);
                let offset = log.append(&to, vec![record]).await.map_err(failed)?;
                Ok(format!("{to} at offset {offset}"))
            }
        }
    }
}

/// The message with its headers and bytes as they were, and why it is here.
fn letter(partition: &Partition, message: &StoredRecord, reason: &str, now_micros: i64) -> Record {
    let mut record = message.record.clone();
    let appended_micros = std::mem::replace(&mut record.timestamp_micros, now_micros);
    let headers = [
        (header_name::REASON, reason.to_owned()),
        (header_name::TOPIC, partition.topic.to_string()),
        (header_name::PARTITION, partition.index.to_string()),
        (header_name::OFFSET, message.offset.to_string()),
        (header_name::AT, now_micros.to_string()),
        (header_name::TIMESTAMP, appended_micros.to_string()),
    ];
    record.headers.extend(headers.map(|(name, value)| (name.to_owned(), Bytes::from(value))));
    record
}

/// As `<topic>-<partition>-<offset>.message`: a line of JSON with its headers,
/// those of a letter after its own, then its payload. A header that is no text
/// is a list of its bytes.
fn keep_file(path: PathBuf, record: &Record) -> Result<String, KeepError> {
    let written = || -> io::Result<()> {
        let unfinished = path.with_extension("unfinished");
        let header = |(key, value): &(String, Bytes)| match std::str::from_utf8(value) {
            Ok(text) => serde_json::json!([key, text]),
            Err(_) => serde_json::json!([key, value.to_vec()]),
        };
        let headers: Vec<_> = record.headers.iter().map(header).collect();
        let mut file = File::create(&unfinished)?;
        serde_json::to_writer(&mut file, &headers)?;
        file.write_all(b"\n")?;
        file.write_all(&record.payload)?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    };
    match written() {
        Ok(()) => Ok(path.display().to_string()),
        Err(source) => Err(KeepError::File { path, source }),
    }
}

impl fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Directory(path) => f.debug_tuple("DeadLetters").field(path).finish(),
            Place::Topic(_, topic) => f.debug_tuple("DeadLetters").field(topic).finish(),
        }
    }
}

#[cfg(test)]
mod tests;

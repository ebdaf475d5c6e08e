//! Dead letters read back: what each was, where it came from, and why it is here.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;
use weir_stream::{Append, AppendError, Offset, Partition, ReadError, ReadLimit, Record, Subscribe, Topic};

use super::header_name;

/// Payload bytes of one read: a letter is a few hundred KB.
const READ_BYTES: usize = 4 << 20;

/// How long the log may take to bring what it says it holds.
const READ_WAIT: Duration = Duration::from_secs(10);

/// A message that could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Where it came from, and where it goes back to.
    pub partition: Partition,
    /// Its offset there.
    pub offset: Offset,
    /// Why it could not be decoded.
    pub reason: String,
    /// When it was put here, microseconds since 1970.
    pub kept_micros: i64,
    /// As it was, with its own headers and its own time.
    pub record: Record,
}

/// Where a letter came from: `weir.logs/3@42` names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LetterId(String);

/// What lies among the dead letters.
#[derive(Debug)]
pub enum Found {
    /// A letter.
    Letter(Letter),
    /// Something else, or a damaged one: where, and why it is none.
    Unreadable(String, LetterError),
}

/// Why something among the dead letters is none.
#[derive(Debug, Error)]
pub enum LetterError {
    /// A header that every letter has is missing or makes no sense.
    #[error("its header {0} is missing or makes no sense")]
    Header(&'static str),
    /// The file does not begin with a line of headers.
    #[error("its first line is no list of headers")]
    Beginning,
    /// The file cannot be read.
    #[error("it cannot be read")]
    Io(#[from] io::Error),
}

/// The letters could not be looked through.
#[derive(Debug, Error)]
pub enum LettersError {
    /// The directory cannot be listed.
    #[error("cannot list {path}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The event log did not answer.
    #[error("cannot read {topic}")]
    Topic {
        /// The topic.
        topic: Topic,
        /// The cause.
        #[source]
        source: ReadError,
    },
}

/// Looks through a directory of letters, in the order of their names. One that is
/// not there holds none.
///
/// # Errors
/// [`LettersError::Directory`].
pub fn letters_in(directory: &Path, mut each: impl FnMut(Found)) -> Result<(), LettersError> {
    let failed = |source| LettersError::Directory { path: directory.to_owned(), source };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(failed)?,
    };
    let paths: Result<Vec<_>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(failed)?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "message"));
    paths.sort();
    for path in paths {
        let letter = fs::read(&path).map_err(LetterError::Io).and_then(of_file);
        each(letter.map_or_else(|error| Found::Unreadable(path.display().to_string(), error), Found::Letter));
    }
    Ok(())
}

/// Looks through a topic of letters, from its start to where it ends now.
///
/// # Errors
/// [`LettersError::Topic`].
pub async fn letters_on(
    log: &dyn Subscribe,
    topic: &Topic,
    mut each: impl FnMut(Found),
) -> Result<(), LettersError> {
    let failed = |source| LettersError::Topic { topic: topic.clone(), source };
    for index in 0..log.partitions(topic).await.map_err(failed)? {
        let partition = Partition::new(topic.clone(), index);
        let marks = log.watermarks(&partition).await.map_err(failed)?;
        let mut from = marks.start;
        while from < marks.end {
            let limit = ReadLimit { bytes: READ_BYTES, wait: READ_WAIT };
            let messages = log.read(&partition, from, limit).await.map_err(failed)?;
            // Nothing more lies there: the end of a transaction, maybe.
            let Some(last) = messages.last() else { break };
            from = last.offset.next();
            for message in messages {
                let place = format!("{partition} at offset {}", message.offset);
                let letter = Letter::of(message.record);
                each(letter.map_or_else(|error| Found::Unreadable(place, error), Found::Letter));
            }
        }
    }
    Ok(())
}

impl Letter {
    /// What [`super::DeadLetters::keep`] made of a message, turned back.
    fn of(mut record: Record) -> Result<Self, LetterError> {
        // Its own headers come first, and may be named alike.
        let mut take = |name: &'static str| {
            let place = record.headers.iter().rposition(|(held, _)| held == name)?;
            let (_, value) = record.headers.remove(place);
            String::from_utf8(value.to_vec()).ok()
        };
        let mut need = |name| take(name).ok_or(LetterError::Header(name));
        let reason = need(header_name::REASON)?;
        let (topic, partition) = (need(header_name::TOPIC)?, need(header_name::PARTITION)?);
        let (offset, at) = (need(header_name::OFFSET)?, need(header_name::AT)?);
        // Older builds did not keep it.
        let time = take(header_name::TIMESTAMP).and_then(|time| time.parse().ok());
        let wrong = LetterError::Header;
        let topic = Topic::new(&topic).map_err(|_| wrong(header_name::TOPIC))?;
        let partition = partition.parse().map_err(|_| wrong(header_name::PARTITION))?;
        let kept_micros = at.parse().map_err(|_| wrong(header_name::AT))?;
        record.timestamp_micros = time.unwrap_or(kept_micros);
        Ok(Self {
            partition: Partition::new(topic, partition),
            offset: Offset(offset.parse().map_err(|_| wrong(header_name::OFFSET))?),
            reason,
            kept_micros,
            record,
        })
    }

    /// What it is called.
    pub fn id(&self) -> LetterId {
        LetterId(format!("{}@{}", self.partition, self.offset))
    }

    /// Appends the message to the partition that it came from, as it was: whoever
    /// reads it there tries again. Answers with its new offset.
    ///
    /// # Errors
    /// As [`Append::append`].
    pub async fn replay(&self, log: &dyn Append) -> Result<Offset, AppendError> {
        log.append(&self.partition, vec![self.record.clone()]).await
    }
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq<str> for LetterId {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

/// A value of a header in a file: text, or the bytes of what is none.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Value {
    Text(String),
    Bytes(Vec<u8>),
}

fn of_file(content: Vec<u8>) -> Result<Letter, LetterError> {
    let content = Bytes::from(content);
    let end = content.iter().position(|byte| *byte == b'\n').ok_or(LetterError::Beginning)?;
    let headers: Vec<(String, Value)> =
        serde_json::from_slice(&content[..end]).map_err(|_| LetterError::Beginning)?;
    let bytes = |value| match value {
        Value::Text(text) => Bytes::from(text),
        Value::Bytes(bytes) => Bytes::from(bytes),
    };
    let headers = headers.into_iter().map(|(name, value)| (name, bytes(value))).collect();
    Letter::of(Record { headers, timestamp_micros: 0, payload: content.slice(end + 1..) })
}

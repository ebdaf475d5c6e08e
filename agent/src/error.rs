//! Why an agent does not start, or did not end cleanly.

use std::io;
use std::path::PathBuf;

use thiserror::Error;
use weir_stream::disk::OpenError;
use weir_stream::{AppendError, ReadError};

/// The agent did not start; nothing was read and nothing was sent.
#[derive(Debug, Error)]
pub enum StartError {
    /// A pattern is no glob.
    #[error("agent.tail: {pattern:?} is no valid pattern; write a path, or a glob like /var/log/**/*.log")]
    Glob {
        /// As it was written.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: globset::Error,
    },
    /// A pattern is no path.
    #[error("agent.tail: {pattern:?} is no path; write one, or a glob like /var/log/**/*.log")]
    Pattern {
        /// As it was written.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: io::Error,
    },
    /// What is said of a file's parser makes no sense.
    #[error("agent.parsers: {pattern:?}: {reason}")]
    Parser {
        /// The glob, as it was written.
        pattern: String,
        /// What is wrong with it, and what to write.
        reason: String,
    },
    /// A limit makes no sense.
    #[error("{key}: {reason}")]
    Limits {
        /// The setting.
        key: String,
        /// What is wrong with it, and what to write.
        reason: String,
    },
    /// What is set about Kubernetes makes no sense.
    #[error("{key}: {reason}")]
    Kubernetes {
        /// The setting.
        key: String,
        /// What is wrong with it, and what to write.
        reason: String,
    },
    /// What is said of redaction makes no sense, or its secret cannot be read.
    #[error("{key}: {reason}")]
    Redact {
        /// The setting.
        key: String,
        /// What is wrong with it, and what to write.
        reason: String,
        /// The system's error, where there is one.
        #[source]
        source: Option<io::Error>,
    },
    /// The state directory cannot be used.
    #[error("the agent's state directory {path} cannot be written; make it writable or choose another")]
    StateDirectory {
        /// The directory, or the file in it.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// Another process tails with the same state.
    #[error("the agent's state in {path} is in use by another process; stop it or choose another directory")]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// A newer Weir wrote the checkpoint.
    #[error(
        "the checkpoint {path} has version {version}, this build reads up to {known}; run the newer build, or move the file away to read every file again"
    )]
    Newer {
        /// The checkpoint.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// The newest version that this build reads.
        known: u32,
    },
    /// The checkpoint contradicts itself.
    #[error(
        "the checkpoint {path} is damaged at byte {position}: {reason}; restore it, or move it away to read every file again"
    )]
    Damaged {
        /// The checkpoint.
        path: PathBuf,
        /// Where.
        position: u64,
        /// What is wrong there.
        reason: String,
    },
    /// The file with the receivers' lanes makes no sense.
    #[error(
        "{path} is damaged: {reason}; restore it, or move the directory that holds it away to begin new spools"
    )]
    DamagedLanes {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The receivers' spool cannot be opened.
    #[error("the receivers' spool cannot be opened")]
    Spool(#[source] OpenError),
    /// The receivers' spool cannot be read.
    #[error("the receivers' spool cannot be read")]
    SpoolRead(#[source] ReadError),
    /// The event log does not say how many partitions there are.
    #[error("the event log does not answer for the agent's topic")]
    Log(#[source] AppendError),
    /// The topic has no partition to write to.
    #[error("the topic {topic} has no partitions; create it with at least one")]
    NoPartitions {
        /// The topic.
        topic: String,
    },
}

/// The agent ended with work undone. Nothing is lost by that: what was not
/// acknowledged is read again at the next start.
#[derive(Debug, Error)]
pub enum StopError {
    /// The deadline passed.
    #[error(
        "the event log did not take the last batches within the deadline; they are read again at the next start"
    )]
    Deadline,
    /// The agent had failed before.
    #[error("the agent had failed: {0}")]
    Failed(String),
}

//! Why alerting cannot do something.

use std::path::PathBuf;

use thiserror::Error;

/// Why alerting did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A setting cannot work.
    #[error("{0}")]
    Config(String),
    /// A rule cannot work.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The state cannot be opened.
    #[error("the state of alerting cannot be opened")]
    Store(#[source] StoreError),
    /// Messages cannot be sent as configured.
    #[error("receiver {receiver} cannot be used: {reason}")]
    Receiver {
        /// Its name.
        receiver: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// What is wrong with a file of rules.
#[derive(Debug, Error)]
pub enum RuleError {
    /// A pattern of files is none.
    #[error("alerting.rules: {pattern:?} is no pattern of files: {reason}")]
    Pattern {
        /// What was written.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A path without wildcards names no file.
    #[error("alerting.rules: there is no file {}", .0.display())]
    Missing(PathBuf),
    /// A file cannot be read.
    #[error("cannot read the rules in {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file is no file of rules.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// A rule cannot work.
    #[error("{}: rule {rule:?}: {reason}", path.display())]
    Rule {
        /// The file.
        path: PathBuf,
        /// The rule's name.
        rule: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why a question got no answer.
#[derive(Debug, Error)]
pub enum SourceError {
    /// Nobody answered. It is asked again.
    #[error("the query service at {url} does not answer: {reason}")]
    Away {
        /// Who was asked.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// It was refused.
    #[error("{0}")]
    Refused(String),
    /// The answer cannot be understood.
    #[error("the answer of {url} cannot be understood: {reason}")]
    Answer {
        /// Who was asked.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why the state could not be read or changed.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The directory cannot be had.
    #[error("cannot create {}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The database refused.
    #[error("the database failed at {step}")]
    Database {
        /// What was tried.
        step: &'static str,
        /// What it said.
        #[source]
        source: sqlx::Error,
    },
    /// What is stored cannot be understood.
    #[error("what is stored of {what} cannot be understood")]
    Damaged {
        /// Of what.
        what: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// It was written by a newer Weir.
    #[error("the state has format {found}, this build knows {known}: use a newer build")]
    Newer {
        /// The format found.
        found: i64,
        /// The format known.
        known: i64,
    },
}

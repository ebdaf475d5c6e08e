//! Why bytes from outside could not be read as what they claim to be.

use thiserror::Error;

/// A message that could not be decoded. Callers act on its kind: a malformed
/// or oversized message goes to the dead letters, an unsupported one pauses
/// the partition (an upgrade is under way and the data must not be discarded).
#[derive(Debug, Error)]
pub enum DecodeError {
    /// A header that the format requires is absent.
    #[error("header {0} is missing")]
    MissingHeader(&'static str),
    /// A header is there and its value makes no sense.
    #[error("header {name} has the value {value:?}, expected {expected}")]
    BadHeader {
        /// The header's name.
        name: &'static str,
        /// What it said, lossily decoded and cut.
        value: String,
        /// What would have been accepted.
        expected: &'static str,
    },
    /// A schema version, content type or codec that this build does not know.
    #[error("{what} {value:?} is not supported by this version")]
    Unsupported {
        /// Which of the three.
        what: &'static str,
        /// The unknown value.
        value: String,
    },
    /// Larger than the limit that protects the reader's memory.
    #[error("{what} is {bytes} bytes, the limit is {limit}")]
    Oversized {
        /// What was measured.
        what: &'static str,
        /// Its size or claimed size.
        bytes: u64,
        /// The limit from [`crate::limit`].
        limit: u64,
    },
    /// The bytes contradict the format.
    #[error("malformed {what}: {reason}")]
    Malformed {
        /// The part of the format.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl DecodeError {
    /// True when a newer build may understand the message: pause, do not
    /// discard.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Unsupported { .. })
    }

    /// What is wrong, without naming the part of the format: for protocols whose
    /// clients know the text.
    pub fn reason(&self) -> String {
        match self {
            Self::Malformed { reason, .. } => reason.clone(),
            other => other.to_string(),
        }
    }

    pub(crate) fn malformed(what: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Malformed { what, reason: reason.to_string() }
    }
}

//! Whatever lies on a topic, decoded by what its headers say it is.

use bytes::Bytes;

use super::Decoded;
use super::batch::LineBatch;
use super::header::{Content, header_name, optional};
use super::otlp::{self, Encoding};
use super::rows::RowBatch;
use crate::DecodeError;
use crate::model::Signal;

/// A message of the event log.
#[derive(Debug)]
pub enum Message {
    /// Tailed lines, from one of our agents.
    Lines(LineBatch),
    /// Rows of tables, from one of our receivers.
    Rows(RowBatch),
    /// A foreign producer's: it says no tenant, no lane and no mark.
    Foreign(Decoded),
}

impl Message {
    /// Reads a message of a topic that carries `signal`.
    ///
    /// Without a content type, and without a header of ours, it is OTLP
    /// protobuf: what the OpenTelemetry Collector's Kafka exporter writes.
    /// `observed_micros` becomes the observed time of what says none.
    ///
    /// # Errors
    /// [`DecodeError::is_unsupported`] tells a message that a newer Weir may
    /// understand from a broken one.
    pub fn decode(
        signal: Signal,
        headers: &[(String, Bytes)],
        payload: &[u8],
        observed_micros: i64,
    ) -> Result<Self, DecodeError> {
        if let Some(encoding) = foreign_encoding(headers)? {
            return otlp::decode(signal, payload, encoding, observed_micros).map(Self::Foreign);
        }
        match Content::of(headers)? {
            Content::Lines => LineBatch::decode(headers, payload).map(Self::Lines),
            Content::Rows => RowBatch::decode(headers, payload).map(Self::Rows),
        }
    }
}

/// How a foreign producer spelled its message; nothing if it is ours.
fn foreign_encoding(headers: &[(String, Bytes)]) -> Result<Option<Encoding>, DecodeError> {
    match optional(headers, header_name::CONTENT_TYPE)? {
        Some(content_type) => Ok(Encoding::of_content_type(content_type)),
        None if headers.iter().any(|(name, _)| name.starts_with("weir-")) => {
            Err(DecodeError::MissingHeader(header_name::CONTENT_TYPE))
        }
        None => Ok(Some(Encoding::Protobuf)),
    }
}

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
// One at a time is held, and moved once.
#[allow(clippy::large_enum_variant)]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AgentId, TenantId};
    use crate::wire::batch::LineBatchBuilder;
    use crate::wire::{BatchHeader, Codec};

    fn decode(headers: &[(&str, &str)], payload: &[u8]) -> Result<Message, DecodeError> {
        let header = |(name, value): &(&str, &str)| ((*name).to_owned(), Bytes::from((*value).to_owned()));
        let headers: Vec<_> = headers.iter().map(header).collect();
        Message::decode(Signal::Spans, &headers, payload, 0)
    }

    #[test]
    fn what_a_message_is_stands_in_its_headers() {
        let header = BatchHeader {
            tenant: TenantId::default(),
            agent: AgentId::from_u128(1),
            mark_micros: None,
            goodbye: true,
            codec: Codec::None,
        };
        let lines = LineBatchBuilder::new().finish(&header, &[]);
        let rows = RowBatch::encode(&header, &[], &[]);
        let ours = |batch: &crate::wire::batch::EncodedBatch| {
            Message::decode(Signal::Logs, &batch.headers, &batch.payload, 0)
        };
        assert!(matches!(ours(&lines), Ok(Message::Lines(batch)) if batch.header == header));
        assert!(matches!(ours(&rows), Ok(Message::Rows(batch)) if batch.header == header));

        let json = br#"{"resourceSpans":[]}"#;
        assert!(matches!(decode(&[], b""), Ok(Message::Foreign(_))));
        assert!(matches!(decode(&[("traceparent", "00-1")], b""), Ok(Message::Foreign(_))));
        assert!(matches!(
            decode(&[("content-type", "application/x-protobuf")], b""),
            Ok(Message::Foreign(_))
        ));
        assert!(matches!(decode(&[("content-type", "application/json")], json), Ok(Message::Foreign(_))));
        assert!(matches!(
            decode(&[("content-type", "application/json; charset=utf-8")], json),
            Ok(Message::Foreign(_))
        ));
    }

    #[test]
    fn what_is_not_known_pauses_and_what_is_broken_does_not() {
        assert!(decode(&[("content-type", "application/vnd.weir.new")], b"").unwrap_err().is_unsupported());
        assert!(!decode(&[("content-type", "text/plain")], b"").unwrap_err().is_unsupported());
        assert!(!decode(&[("weir-schema", "1")], b"").unwrap_err().is_unsupported());
        assert!(!decode(&[], b"\xff").unwrap_err().is_unsupported());
        assert!(!decode(&[("content-type", "application/json")], b"").unwrap_err().is_unsupported());
    }
}

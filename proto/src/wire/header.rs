//! The headers of a message: everything needed to route and bound it before
//! its payload is touched.

use std::str::FromStr;

use bytes::Bytes;

use super::Codec;
use crate::DecodeError;
use crate::model::{AgentId, TenantId};

/// Header names. Values are ASCII text.
pub mod header_name {
    /// What the payload is: lines, rows, or a foreign producer's OTLP.
    pub const CONTENT_TYPE: &str = "content-type";
    /// Version of the payload's schema.
    pub const SCHEMA: &str = "weir-schema";
    /// Compression of the payload.
    pub const CODEC: &str = "weir-codec";
    /// Size of the payload before compression, in bytes.
    pub const UNCOMPRESSED_BYTES: &str = "weir-uncompressed-bytes";
    /// Whose events.
    pub const TENANT: &str = "weir-tenant";
    /// Which agent's lane.
    pub const AGENT: &str = "weir-agent";
    /// The lane's mark: microseconds since 1970; absent when unknown.
    pub const MARK: &str = "weir-mark";
    /// `goodbye` on the last batch of a lane that retires on purpose.
    pub const LANE: &str = "weir-lane";
}

/// What the payload of one of our own messages is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Tailed lines: `docs/formats/batch-v1.md`.
    Lines,
    /// Rows of tables: `docs/formats/rows-v1.md`.
    Rows,
}

/// The schema version written by this build.
pub(crate) const SCHEMA_VERSION: u32 = 1;

/// How our content types begin.
const OUR_TYPES: &str = "application/vnd.weir.";

const GOODBYE: &str = "goodbye";

/// What every batch says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// Whose events; a batch has one tenant.
    pub tenant: TenantId,
    /// Whose lane.
    pub agent: AgentId,
    /// "All that was written before this time lies at or below this offset",
    /// in microseconds since 1970.
    pub mark_micros: Option<i64>,
    /// The lane ends here, on purpose.
    pub goodbye: bool,
    /// Compression of the payload.
    pub codec: Codec,
}

impl Content {
    const ALL: [Self; 2] = [Self::Lines, Self::Rows];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Lines => "application/vnd.weir.lines+arrow",
            Self::Rows => "application/vnd.weir.rows+arrow",
        }
    }

    /// What the headers say that the payload is.
    pub(super) fn of(pairs: &[(String, Bytes)]) -> Result<Self, DecodeError> {
        let name = required(pairs, header_name::CONTENT_TYPE)?;
        if let Some(content) = Self::ALL.into_iter().find(|content| content.as_str() == name) {
            return Ok(content);
        }
        // Only a newer Weir's message is worth waiting for; a stranger's would
        // hold up the partition for ever.
        if name.starts_with(OUR_TYPES) {
            Err(DecodeError::Unsupported { what: "content type", value: name.to_owned() })
        } else {
            Err(bad(header_name::CONTENT_TYPE, name, "lines, rows or OTLP"))
        }
    }
}

impl BatchHeader {
    pub(super) fn to_pairs(&self, content: Content, uncompressed_bytes: usize) -> Vec<(String, Bytes)> {
        let mut pairs = vec![
            (header_name::CONTENT_TYPE.to_owned(), Bytes::from_static(content.as_str().as_bytes())),
            (header_name::SCHEMA.to_owned(), SCHEMA_VERSION.to_string().into()),
            (header_name::CODEC.to_owned(), Bytes::from_static(self.codec.as_str().as_bytes())),
            (header_name::UNCOMPRESSED_BYTES.to_owned(), uncompressed_bytes.to_string().into()),
            (header_name::TENANT.to_owned(), self.tenant.to_string().into()),
            (header_name::AGENT.to_owned(), self.agent.to_string().into()),
        ];
        if let Some(mark) = self.mark_micros {
            pairs.push((header_name::MARK.to_owned(), mark.to_string().into()));
        }
        if self.goodbye {
            pairs.push((header_name::LANE.to_owned(), Bytes::from_static(GOODBYE.as_bytes())));
        }
        pairs
    }

    /// Reads the headers; returns them with the payload's uncompressed size.
    pub(super) fn from_pairs(
        pairs: &[(String, Bytes)],
        expected: Content,
    ) -> Result<(Self, u64), DecodeError> {
        let content = Content::of(pairs)?;
        if content != expected {
            return Err(bad(header_name::CONTENT_TYPE, content.as_str(), expected.as_str()));
        }
        let schema: u32 = parsed(pairs, header_name::SCHEMA, "a number")?;
        if schema != SCHEMA_VERSION {
            return Err(DecodeError::Unsupported { what: "schema version", value: schema.to_string() });
        }
        let mark_micros = match optional(pairs, header_name::MARK)? {
            Some(_) => Some(parsed(pairs, header_name::MARK, "microseconds since 1970")?),
            None => None,
        };
        let header = Self {
            codec: Codec::parse(required(pairs, header_name::CODEC)?)?,
            tenant: TenantId::new(required(pairs, header_name::TENANT)?)
                .map_err(|error| DecodeError::malformed("tenant header", error))?,
            agent: parsed(pairs, header_name::AGENT, "a ULID")?,
            mark_micros,
            goodbye: optional(pairs, header_name::LANE)? == Some(GOODBYE),
        };
        let uncompressed = parsed(pairs, header_name::UNCOMPRESSED_BYTES, "a size in bytes")?;
        Ok((header, uncompressed))
    }
}

pub(super) fn optional<'a>(
    pairs: &'a [(String, Bytes)],
    name: &'static str,
) -> Result<Option<&'a str>, DecodeError> {
    let Some((_, value)) = pairs.iter().find(|(key, _)| key == name) else {
        return Ok(None);
    };
    match std::str::from_utf8(value) {
        Ok(text) if text.len() <= 256 => Ok(Some(text)),
        _ => Err(bad(name, &String::from_utf8_lossy(value), "at most 256 bytes of text")),
    }
}

fn required<'a>(pairs: &'a [(String, Bytes)], name: &'static str) -> Result<&'a str, DecodeError> {
    optional(pairs, name)?.ok_or(DecodeError::MissingHeader(name))
}

fn parsed<T: FromStr>(
    pairs: &[(String, Bytes)],
    name: &'static str,
    expected: &'static str,
) -> Result<T, DecodeError> {
    let text = required(pairs, name)?;
    text.parse().map_err(|_| bad(name, text, expected))
}

fn bad(name: &'static str, value: &str, expected: &'static str) -> DecodeError {
    let value = value.chars().take(64).collect();
    DecodeError::BadHeader { name, value, expected }
}

//! How to rebuild the exact bytes of a structured line from its columns:
//! `docs/formats/layout-v1.md`.
//!
//! A JSON or logfmt line is taken apart into `body`, `severity_text`,
//! `timestamp`, ids and `attributes`. What is left, keys and punctuation and
//! spaces, is the same for every line that one statement of a program prints:
//! its layout. A row names its layout by a hash of the content, so equal
//! layouts have equal ids in every process and files merge without translation.
//!
//! Whoever writes a row rebuilds the line and compares it before it names a
//! layout; a line that does not come back byte for byte keeps its bytes instead.

mod quote;
mod rebuild;
mod time;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use quote::Quoting;
pub use rebuild::LineParts;
pub use time::{TimeFormat, zone_minutes};

use crate::DecodeError;
use crate::model::LayoutId;

/// The shape of a line: its fixed text, and the holes where values stood.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    /// Text and holes in the order of the line.
    pub pieces: Vec<Piece>,
}

/// A part of a layout.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    /// Fixed text: keys, punctuation, quotes, spaces.
    Text(String),
    /// The place of a value.
    Hole {
        /// Which value stands here.
        value: Hole,
        /// How it is escaped. The quotes themselves are text.
        quoting: Quoting,
    },
}

/// The value that fills a hole.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hole {
    /// The `body` column.
    Body,
    /// The value of the nth entry of `attributes`, from 0.
    Attribute(u32),
    /// The `severity_text` column.
    SeverityText,
    /// The `trace_id` column.
    TraceId,
    /// The `span_id` column.
    SpanId,
    /// `timestamp` and `timestamp_nanos`, written in a format.
    Timestamp(TimeFormat),
}

impl Layout {
    /// The id: FNV-1a, 64 bits, over [`Self::to_json`], with the highest bit
    /// cleared so that it is never negative.
    pub fn id(&self) -> LayoutId {
        const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0000_0100_0000_01b3;
        let hash = |sum: u64, byte: u8| (sum ^ u64::from(byte)).wrapping_mul(PRIME);
        let sum = self.to_json().bytes().fold(BASIS, hash);
        LayoutId((sum & (u64::MAX >> 1)) as i64)
    }

    /// The stored form. Equal layouts have equal text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a layout holds text and numbers only")
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`DecodeError::Malformed`] when the text is no layout.
    pub fn from_json(json: &str) -> Result<Self, DecodeError> {
        serde_json::from_str(json).map_err(|error| DecodeError::malformed("layout", error))
    }
}

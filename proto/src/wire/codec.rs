//! Whole-message compression.

use std::fmt;

use crate::DecodeError;
use crate::limit::BATCH_UNCOMPRESSED_BYTES_MAX;

/// How a message's payload is compressed, named in its header. The
/// uncompressed size stands in a header of its own, so a reader allocates
/// once, and only after checking it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// As it is.
    None,
    /// One LZ4 block (not the frame format).
    Lz4,
}

impl Codec {
    /// The word in the header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
        }
    }

    pub(crate) fn parse(name: &str) -> Result<Self, DecodeError> {
        match name {
            "none" => Ok(Self::None),
            "lz4" => Ok(Self::Lz4),
            other => Err(DecodeError::Unsupported { what: "codec", value: other.to_owned() }),
        }
    }

    pub(crate) fn compress(self, plain: Vec<u8>) -> Vec<u8> {
        match self {
            Self::None => plain,
            Self::Lz4 => lz4_flex::block::compress(&plain),
        }
    }

    /// Undoes [`Self::compress`]. `claimed` is what the header says; it is
    /// checked against the limit before anything is allocated.
    pub(crate) fn decompress(self, payload: &[u8], claimed: u64) -> Result<Vec<u8>, DecodeError> {
        let limit = BATCH_UNCOMPRESSED_BYTES_MAX as u64;
        if claimed > limit {
            return Err(DecodeError::Oversized { what: "batch", bytes: claimed, limit });
        }
        let plain = match self {
            Self::None => payload.to_vec(),
            Self::Lz4 => lz4_flex::block::decompress(payload, claimed as usize)
                .map_err(|error| DecodeError::malformed("lz4 block", error))?,
        };
        if plain.len() as u64 != claimed {
            let reason = format!("{} bytes, the header says {claimed}", plain.len());
            return Err(DecodeError::malformed("payload", reason));
        }
        Ok(plain)
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

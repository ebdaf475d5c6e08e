//! Whole-message compression.

use std::cell::RefCell;
use std::fmt;

use bytes::Bytes;

use crate::DecodeError;
use crate::limit::{BATCH_BYTES, BATCH_UNCOMPRESSED_BYTES_MAX};

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

    /// A payload of what `write` appends to an empty vector, and how long that
    /// was.
    pub(crate) fn payload(self, write: impl FnOnce(&mut Vec<u8>)) -> (Bytes, usize) {
        WORKPLACE.with_borrow_mut(|Workplace { plain, block }| {
            write(plain);
            let payload = match self {
                Self::None => Bytes::copy_from_slice(plain),
                Self::Lz4 => compress(plain, block),
            };
            let length = plain.len();
            plain.clear();
            for held in [plain, block] {
                if held.capacity() > KEPT_BYTES {
                    *held = Vec::new();
                }
            }
            (payload, length)
        })
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

/// What a payload is made in. A thread that makes one makes many: asking for
/// the memory anew costs more than framing what goes there.
#[derive(Default)]
struct Workplace {
    plain: Vec<u8>,
    block: Vec<u8>,
}

/// More is given back: one line of many megabytes is an exception.
const KEPT_BYTES: usize = 2 * BATCH_BYTES;

thread_local! {
    static WORKPLACE: RefCell<Workplace> = RefCell::default();
}

fn compress(plain: &[u8], block: &mut Vec<u8>) -> Bytes {
    let bound = lz4_flex::block::get_maximum_output_size(plain.len());
    if block.len() < bound {
        block.resize(bound, 0);
    }
    let length = lz4_flex::block::compress_into(plain, block).expect("there is room for the worst");
    Bytes::copy_from_slice(&block[..length])
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

//! Where one Arrow IPC stream ends and the next begins, with every length
//! checked against the bytes that are there.

use arrow_buffer::Buffer;
use arrow_ipc::root_as_message;

use crate::DecodeError;

/// Precedes the metadata length of each message of a stream.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// Cuts the first stream, end marker included, off `plain`.
///
/// A stream is messages of `continuation (4) | metadata length (4, LE) |
/// metadata | body`, the body's length standing in the metadata, and ends with
/// a message of length 0. Source: Arrow's columnar format, "IPC Streaming
/// Format".
pub(super) fn cut_stream(plain: &mut Buffer, what: &'static str) -> Result<Buffer, DecodeError> {
    let short = || DecodeError::malformed(what, "the stream ends early");
    let bytes = plain.as_slice();
    let mut at = 0usize;
    loop {
        let head = bytes.get(at..at + 8).ok_or_else(short)?;
        if head[..4] != CONTINUATION {
            return Err(DecodeError::malformed(what, "no message where one should start"));
        }
        let metadata_bytes = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        at += 8;
        if metadata_bytes == 0 {
            break;
        }
        let metadata = bytes.get(at..at.saturating_add(metadata_bytes)).ok_or_else(short)?;
        let message = root_as_message(metadata).map_err(|error| DecodeError::malformed(what, error))?;
        let body = usize::try_from(message.bodyLength()).map_err(|_| short())?;
        at = at.saturating_add(metadata_bytes).saturating_add(body);
        if at > bytes.len() {
            return Err(short());
        }
    }
    let stream = plain.slice_with_length(0, at);
    *plain = plain.slice(at);
    Ok(stream)
}

//! Ids of traces and spans.

use crate::wire::columns::push_hex;

pub(super) const TRACE_ID_BYTES: usize = 16;
pub(super) const SPAN_ID_BYTES: usize = 8;

/// True for an id that names something: the right length, and not all zero.
pub(super) fn is_valid(id: &[u8], bytes: usize) -> bool {
    id.len() == bytes && id.iter().any(|byte| *byte != 0)
}

/// Why an id is not valid.
pub(super) fn check(what: &str, id: &[u8], bytes: usize) -> Result<(), String> {
    if id.len() != bytes {
        Err(format!("{what} is {} bytes, expected {bytes}", id.len()))
    } else if !is_valid(id, bytes) {
        Err(format!("{what} is all zero"))
    } else {
        Ok(())
    }
}

/// Writes an id over what the text held.
pub(super) fn write<'a>(text: &'a mut String, id: &[u8]) -> &'a str {
    text.clear();
    push_hex(text, id);
    text
}

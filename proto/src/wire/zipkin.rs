//! Zipkin's second format, to columns.

use super::Decoded;
use crate::DecodeError;

/// Reads a JSON list of spans.
///
/// # Errors
/// [`DecodeError::Malformed`] when one of them is not a span of version 2:
/// Zipkin accepts all of a list or none of it.
pub fn decode(json: &[u8], observed_micros: i64) -> Result<Decoded, DecodeError> {
    let _ = observed_micros;
    Err(DecodeError::malformed("Zipkin spans", format!("{} bytes are not decoded yet", json.len())))
}

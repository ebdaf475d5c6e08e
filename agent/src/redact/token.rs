//! What proves who one is: JSON web tokens, `Bearer` and `Basic` of HTTP, and
//! `user:password@` in a URL.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::edge::{before, begins_word, byte, look, run, run_before};

/// Credentials in a header are no longer.
const HEADER_BYTES_MAX: usize = 64 * 1024;

/// `Basic` with more than this is none: it is decoded to be sure.
const BASIC_BYTES_MAX: usize = 4096;

/// What stands before a URL's host is no longer.
const USERINFO_BYTES_MAX: usize = 512;

/// RFC 6750's `b64token`, and RFC 4648's both alphabets.
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// A JSON web token (RFC 7519) that begins at `start` with `eyJ`, which is `{"`:
/// header, payload and signature; five parts where it is encrypted.
pub(super) fn jwt(text: &[u8], start: usize) -> Option<(usize, usize)> {
    let last = before(text, start);
    if last == b'-' || !begins_word(text, start) {
        return None;
    }
    let part = |at: usize| at + run(text, at, usize::MAX, is_base64url);
    let header = part(start);
    if header - start < 8 || byte(text, header) != b'.' {
        return None;
    }
    let payload = part(header + 1);
    if byte(text, payload) != b'.' {
        return None;
    }
    // Without an algorithm there is no signature, but its dot.
    let mut end = part(payload + 1);
    if byte(text, end) == b'.' && is_base64url(byte(text, end + 1)) {
        // Encrypted: five parts, of which the second may be empty.
        let more = part(end + 1);
        if byte(text, more) == b'.' && is_base64url(byte(text, more + 1)) {
            end = part(more + 1);
        }
    } else if payload - header <= 8 {
        return None;
    }
    Some((start, end))
}

/// The token after the word that ends at `after`, if it looks like one: prose
/// says `bearer token` and `basic authentication`, too.
pub(super) fn bearer(text: &[u8], after: usize) -> Option<(usize, usize)> {
    let start = after + gap(text, after)?;
    let length = run(text, start, HEADER_BYTES_MAX, is_token);
    let token = text.get(start..start + length)?;
    let has_digit = token.iter().any(u8::is_ascii_digit);
    (length >= 8 && has_digit || length >= 24).then_some((start, start + length))
}

/// The credentials after the word that ends at `after`, if they are: base64 of
/// a text with a colon.
pub(super) fn basic(text: &[u8], after: usize) -> Option<(usize, usize)> {
    let start = after + gap(text, after)?;
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    let length = run(text, start, BASIC_BYTES_MAX, is_base64);
    let decoded = STANDARD_NO_PAD.decode(text.get(start..start + length)?).ok()?;
    look(length);
    let is_text = decoded.contains(&b':') && !decoded.iter().any(u8::is_ascii_control);
    let end = start + length + run(text, start + length, 2, |byte| byte == b'=');
    (length >= 4 && is_text).then_some((start, end))
}

/// What separates a scheme from its credentials: blanks, also as in a URL.
fn gap(text: &[u8], at: usize) -> Option<usize> {
    let blanks = run(text, at, 8, |byte| byte == b' ' || byte == b'\t' || byte == b'+');
    if blanks > 0 {
        return Some(blanks);
    }
    text.get(at..at + 3).filter(|escape| *escape == b"%20").map(|_| 3)
}

/// The password in `scheme://user:password@host`; `://` ends at `after`.
pub(super) fn userinfo(text: &[u8], after: usize) -> Option<(usize, usize)> {
    let scheme =
        run_before(text, after - 3, 32, |byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if scheme == 0 {
        return None;
    }
    let length = run(text, after, USERINFO_BYTES_MAX, is_userinfo_part);
    let authority = text.get(after..after + length)?;
    // A password may hold one, too, unescaped: the last counts.
    let sign = memchr::memrchr(b'@', authority)?;
    let colon = memchr::memchr(b':', authority.get(..sign)?)?;
    (colon + 1 < sign).then_some((after + colon + 1, after + sign))
}

/// True when what ends at `sign`, an `@`, is the rest of a password in a URL.
pub(super) fn is_userinfo(text: &[u8], sign: usize) -> bool {
    let length = run_before(text, sign, USERINFO_BYTES_MAX, is_userinfo_part);
    let (head, part) = text.get(..sign).unwrap_or_default().split_at(sign - length);
    head.ends_with(b"://") && part.contains(&b':')
}

fn is_userinfo_part(byte: u8) -> bool {
    byte > b' ' && byte < 0x7f && !b"/?#\"'<>\\`{}[]".contains(&byte)
}

//! Private keys in PEM (RFC 7468) and OpenPGP's armour: as lines of one event,
//! or in one line with `\n` for its ends.

use memchr::memmem;

use super::edge::{byte, look, run};

/// How each block begins.
pub(super) const BEGIN: &str = "-----BEGIN ";

const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// Bytes of a label like `ENCRYPTED PRIVATE KEY`.
const LABEL_BYTES_MAX: usize = 64;

/// The key whose `-----BEGIN ` stands at `start`: up to its end, or, where that
/// is missing, as far as it can be one.
pub(super) fn around(text: &[u8], start: usize) -> Option<(usize, usize)> {
    let label_at = start + BEGIN.len();
    let is_label = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ';
    let label = run(text, label_at, LABEL_BYTES_MAX, is_label);
    let name = text.get(label_at..label_at + label)?;
    let body = label_at + label;
    let is_private = memmem::find(name, b"PRIVATE KEY").is_some();
    if !is_private || !text.get(body..)?.starts_with(DASHES) {
        return None;
    }
    let body = body + DASHES.len();
    let stop = extent(text, body);
    let inside = text.get(body..stop)?;
    let end = memmem::find(inside, END).map_or(stop, |end| {
        let label_at = body + end + END.len();
        let label = run(text, label_at, LABEL_BYTES_MAX, is_label);
        let dashes = run(text, label_at + label, DASHES.len(), |byte| byte == b'-');
        label_at + label + dashes
    });
    Some((start, end))
}

/// How far a key's text may go: base64, ends of lines (also escaped), and the
/// headers of old formats. A quote ends it.
fn extent(text: &[u8], from: usize) -> usize {
    let mut at = from;
    loop {
        at += run(text, at, usize::MAX, |byte| {
            byte.is_ascii_alphanumeric() || b"+/=-:,.()_ \t\r\n|>".contains(&byte)
        });
        let slashes = run(text, at, usize::MAX, |byte| byte == b'\\');
        let next = byte(text, at + slashes);
        look(slashes);
        match next {
            b'n' | b'r' | b't' | b'u' | b'/' if slashes > 0 => at += slashes + 1,
            // A quote, or something else that was escaped.
            _ => return at,
        }
    }
}

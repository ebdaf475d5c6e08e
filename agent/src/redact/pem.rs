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

/// What a line is of a private key that is printed over several. Such lines are
/// one event, or only the first would be known for what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyLine {
    /// A line of a key that has begun.
    Inside,
    /// The last.
    End,
}

impl KeyLine {
    /// True for a line that ends with a key's first: `-----BEGIN PRIVATE KEY-----`.
    pub fn begins(line: &[u8]) -> bool {
        let line = line.trim_ascii_end();
        let ends = line.ends_with(b"PRIVATE KEY-----") || line.ends_with(b"PRIVATE KEY BLOCK-----");
        ends && memmem::find(line, BEGIN.as_bytes()).is_some()
    }

    /// What the line is, if it goes on with a key.
    pub fn of(line: &[u8]) -> Option<Self> {
        let line = line.trim_ascii();
        if line.starts_with(END) {
            return Some(Self::End);
        }
        let is_base64 = line.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(byte));
        const HEADERS: [&[u8]; 6] =
            [b"Proc-Type:", b"DEK-Info:", b"Version:", b"Comment:", b"Hash:", b"Charset:"];
        (is_base64 || HEADERS.iter().any(|header| line.starts_with(header))).then_some(Self::Inside)
    }
}

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

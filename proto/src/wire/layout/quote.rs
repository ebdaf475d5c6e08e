//! How a value is escaped between its quotes.

use serde::{Deserialize, Serialize};

/// An escaping. Programs differ in what they escape beyond need, so JSON has
/// three dialects; a line keeps to one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quoting {
    /// As it is: numbers, nested JSON, unquoted words.
    Raw,
    /// Only what JSON demands: `"`, `\` and control characters.
    Json,
    /// And everything beyond ASCII as `\uXXXX`: Python's default.
    JsonAscii,
    /// And `<`, `>`, `&`, U+2028 and U+2029 as `\uXXXX`: Go's default.
    JsonHtml,
    /// Go's string literals: `\a`, `\v` and `\xNN` for control characters.
    Logfmt,
}

impl Quoting {
    /// Appends `value`, escaped.
    pub fn write(self, value: &str, line: &mut Vec<u8>) {
        if self == Self::Raw {
            line.extend_from_slice(value.as_bytes());
            return;
        }
        let mut written = 0;
        for (at, byte) in value.bytes().enumerate() {
            if !self.is_special(byte) || at < written {
                continue;
            }
            let Some(special) = value[at..].chars().next() else { break };
            let after = at + special.len_utf8();
            if self.leaves(special) {
                continue;
            }
            line.extend_from_slice(&value.as_bytes()[written..at]);
            self.escape(special, line);
            written = after;
        }
        line.extend_from_slice(&value.as_bytes()[written..]);
    }

    /// True for the first byte of a character that may have to be escaped.
    fn is_special(self, byte: u8) -> bool {
        match byte {
            b'"' | b'\\' | 0..=0x1f => true,
            0x7f => matches!(self, Self::JsonAscii | Self::Logfmt),
            0xc0.. => matches!(self, Self::JsonAscii) || (self == Self::JsonHtml && byte == 0xe2),
            b'<' | b'>' | b'&' => self == Self::JsonHtml,
            _ => false,
        }
    }

    /// True when a character stands as it is after all.
    fn leaves(self, special: char) -> bool {
        self == Self::JsonHtml && !special.is_ascii() && !matches!(special, '\u{2028}' | '\u{2029}')
    }

    fn escape(self, special: char, line: &mut Vec<u8>) {
        let short = match special {
            '"' => Some(b'"'),
            '\\' => Some(b'\\'),
            '\n' => Some(b'n'),
            '\r' => Some(b'r'),
            '\t' => Some(b't'),
            '\u{8}' => Some(b'b'),
            '\u{c}' => Some(b'f'),
            '\u{7}' if self == Self::Logfmt => Some(b'a'),
            '\u{b}' if self == Self::Logfmt => Some(b'v'),
            _ => None,
        };
        if let Some(letter) = short {
            line.extend_from_slice(&[b'\\', letter]);
        } else if self == Self::Logfmt {
            line.extend_from_slice(b"\\x");
            push_hex(special as u32, 2, line);
        } else {
            for unit in special.encode_utf16(&mut [0; 2]) {
                line.extend_from_slice(b"\\u");
                push_hex(u32::from(*unit), 4, line);
            }
        }
    }
}

fn push_hex(value: u32, digits: u32, line: &mut Vec<u8>) {
    for place in (0..digits).rev() {
        line.push(b"0123456789abcdef"[(value >> (4 * place)) as usize & 0xf]);
    }
}

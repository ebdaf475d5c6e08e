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
        let specials = self.specials();
        let bytes = value.as_bytes();
        let (mut written, mut at) = (0, 0);
        while let Some(next) = bytes[at..].iter().position(|byte| specials[usize::from(*byte)]) {
            let start = at + next;
            // A special byte starts a character: none of the others is one.
            let Some(special) = value[start..].chars().next() else { break };
            at = start + special.len_utf8();
            if !self.leaves(special) {
                line.extend_from_slice(&bytes[written..start]);
                self.escape(special, line);
                written = at;
            }
        }
        line.extend_from_slice(&bytes[written..]);
    }

    /// For every byte, whether a character that starts with it may have to be
    /// escaped: most text is looked up once a byte and copied.
    fn specials(self) -> &'static [bool; 256] {
        const fn table(quoting: Quoting) -> [bool; 256] {
            let mut table = [false; 256];
            let mut byte = 0;
            while byte < table.len() {
                table[byte] = quoting.is_special(byte as u8);
                byte += 1;
            }
            table
        }
        const JSON: [bool; 256] = table(Quoting::Json);
        const JSON_ASCII: [bool; 256] = table(Quoting::JsonAscii);
        const JSON_HTML: [bool; 256] = table(Quoting::JsonHtml);
        const LOGFMT: [bool; 256] = table(Quoting::Logfmt);
        match self {
            Self::Raw | Self::Json => &JSON,
            Self::JsonAscii => &JSON_ASCII,
            Self::JsonHtml => &JSON_HTML,
            Self::Logfmt => &LOGFMT,
        }
    }

    /// True for the first byte of a character that may have to be escaped.
    const fn is_special(self, byte: u8) -> bool {
        match byte {
            b'"' | b'\\' | 0..=0x1f => true,
            0x7f => matches!(self, Self::JsonAscii | Self::Logfmt),
            // U+2028 and U+2029 start with it.
            0xe2 => matches!(self, Self::JsonAscii | Self::JsonHtml),
            0xc0.. => matches!(self, Self::JsonAscii),
            b'<' | b'>' | b'&' => matches!(self, Self::JsonHtml),
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

//! The line format of Docker's `json-file` log driver:
//! `{"log":"text\n","stream":"stdout","time":"2016-10-06T00:17:09.669794202Z"}`.
//!
//! Not a JSON parser: it takes an object with these three keys in any order,
//! passes over others, and leaves the text where it stands, so that a line
//! without escapes is not copied.

use memchr::memchr2;

use super::Stream;
use super::cri::timestamp;

/// Values of further keys are passed over to this depth.
const DEPTH_MAX: usize = 16;

/// What a Docker line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// When the daemon took the text, nanoseconds since 1970.
    pub(super) timestamp_nanos: i64,
    /// Which of the container's streams.
    pub(super) stream: Stream,
    /// The text did not end in a newline: it goes on in the stream's next line.
    pub(super) partial: bool,
    /// Where the text begins, still escaped.
    pub(super) text_at: usize,
    /// Where it ends, without the newline.
    pub(super) text_end: usize,
    /// There are escapes in it.
    pub(super) escaped: bool,
}

/// Reads a line; nothing if it is none of Docker's.
pub(super) fn parse(line: &[u8]) -> Option<Line> {
    let mut cursor = Cursor { bytes: line, at: 0 };
    cursor.take(b'{')?;
    let (mut log, mut stream, mut time) = (None, None, None);
    loop {
        let (from, to) = cursor.string()?;
        cursor.take(b':')?;
        match &line[from..to] {
            b"log" => log = Some(cursor.string()?),
            b"stream" => {
                let (from, to) = cursor.string()?;
                stream = match &line[from..to] {
                    b"stdout" => Some(Stream::Stdout),
                    b"stderr" => Some(Stream::Stderr),
                    _ => return None,
                };
            }
            b"time" => {
                let (from, to) = cursor.string()?;
                time = Some(timestamp(&line[from..to])?);
            }
            _ => cursor.skip(0)?,
        }
        match cursor.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    if cursor.next().is_some() {
        return None;
    }
    let (text_at, end) = log?;
    let ended = ends_in_newline(&line[text_at..end]);
    let text_end = if ended { end - 2 } else { end };
    let escaped = line[text_at..text_end].contains(&b'\\');
    Some(Line { timestamp_nanos: time?, stream: stream?, partial: !ended, text_at, text_end, escaped })
}

/// Appends the text that `raw` stands for. What no UTF-16 can be becomes
/// U+FFFD, as with any decoder. `raw` was accepted by [`parse`].
pub(super) fn unescape(raw: &[u8], text: &mut Vec<u8>) {
    let mut at = 0;
    while let Some((piece, next)) = piece(raw, at) {
        match piece {
            Piece::Plain => text.extend_from_slice(&raw[at..next]),
            Piece::Char(character) => {
                text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        at = next;
    }
}

/// Where in `raw` the text's byte `wanted` comes from: of a character that is
/// escaped, its escape.
pub(super) fn source_of(raw: &[u8], wanted: usize) -> usize {
    let (mut at, mut length) = (0, 0);
    while let Some((piece, next)) = piece(raw, at) {
        let bytes = match piece {
            Piece::Plain => next - at,
            Piece::Char(character) => character.len_utf8(),
        };
        if length + bytes > wanted {
            return if matches!(piece, Piece::Plain) { at + wanted - length } else { at };
        }
        length += bytes;
        at = next;
    }
    raw.len()
}

enum Piece {
    /// Bytes that stand for themselves.
    Plain,
    /// An escape.
    Char(char),
}

/// The piece that begins at `at`, and where the next one does.
fn piece(raw: &[u8], at: usize) -> Option<(Piece, usize)> {
    let rest = raw.get(at..).filter(|rest| !rest.is_empty())?;
    if rest[0] != b'\\' {
        let end = memchr::memchr(b'\\', rest).unwrap_or(rest.len());
        return Some((Piece::Plain, at + end));
    }
    let simple = |character| Some((Piece::Char(character), at + 2));
    match rest.get(1)? {
        b'n' => simple('\n'),
        b't' => simple('\t'),
        b'r' => simple('\r'),
        b'b' => simple('\u{8}'),
        b'f' => simple('\u{c}'),
        b'u' => {
            let high = unit(rest.get(2..6)?)?;
            let low = (rest.get(6..8) == Some(br"\u")).then(|| unit(rest.get(8..12)?)).flatten();
            let pair = low.filter(|low| (0xD800..0xDC00).contains(&high) && (0xDC00..0xE000).contains(low));
            let (code, length) = match pair {
                Some(low) => (0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00), 12),
                None => (high, 6),
            };
            Some((Piece::Char(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)), at + length))
        }
        &other => simple(char::from(other)),
    }
}

fn unit(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |sum, &digit| Some(sum * 16 + char::from(digit).to_digit(16)?))
}

fn ends_in_newline(raw: &[u8]) -> bool {
    let Some(before) = raw.strip_suffix(br"\n") else { return false };
    before.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    /// The next byte that is no white space.
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn peek(&mut self) -> Option<u8> {
        let rest = self.bytes.get(self.at..)?;
        self.at += rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r')).count();
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    /// A string: where it begins and ends, still escaped.
    fn string(&mut self) -> Option<(usize, usize)> {
        self.take(b'"')?;
        let from = self.at;
        loop {
            let rest = self.bytes.get(self.at..)?;
            let found = memchr2(b'"', b'\\', rest)?;
            if rest[..found].iter().any(|byte| *byte < 0x20) {
                return None;
            }
            self.at += found + 1;
            if rest[found] == b'"' {
                return Some((from, self.at - 1));
            }
            match rest.get(found + 1)? {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
                b'u' => {
                    unit(rest.get(found + 2..found + 6)?)?;
                    self.at += 5;
                }
                _ => return None,
            }
        }
    }

    /// Passes over any value.
    fn skip(&mut self, depth: usize) -> Option<()> {
        let first = self.peek()?;
        match first {
            b'"' => self.string().map(drop),
            b'{' | b'[' if depth < DEPTH_MAX => {
                self.at += 1;
                if self.peek()? == first + 2 {
                    self.at += 1;
                    return Some(());
                }
                loop {
                    if first == b'{' {
                        self.string()?;
                        self.take(b':')?;
                    }
                    self.skip(depth + 1)?;
                    match self.next()? {
                        b',' => {}
                        // `}` and `]` both stand two behind what they close.
                        close if close == first + 2 => return Some(()),
                        _ => return None,
                    }
                }
            }
            _ => {
                let word = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
                let length = self.bytes.get(self.at..)?.iter().take_while(word).count();
                self.at += length;
                (length > 0).then_some(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOON: i64 = 1_475_713_029_669_794_202;

    fn read(line: &[u8]) -> Option<(i64, Stream, bool, Vec<u8>)> {
        let found = parse(line)?;
        let mut text = Vec::new();
        unescape(&line[found.text_at..found.text_end], &mut text);
        if !found.escaped {
            assert_eq!(text, &line[found.text_at..found.text_end], "borrowed as it is");
        }
        Some((found.timestamp_nanos, found.stream, found.partial, text))
    }

    #[test]
    fn lines() {
        let check = |line: &str, expected: Option<(Stream, bool, &str)>| {
            let expected =
                expected.map(|(stream, partial, text)| (NOON, stream, partial, text.as_bytes().to_vec()));
            assert_eq!(read(line.as_bytes()), expected, "{line}");
        };
        let time = "2016-10-06T00:17:09.669794202Z";
        let log = |text: &str| format!(r#"{{"log":"{text}","stream":"stdout","time":"{time}"}}"#);
        use Stream::{Stderr, Stdout};
        check(&log(r"text\n"), Some((Stdout, false, "text")));
        check(&log("text"), Some((Stdout, true, "text")));
        check(&log(""), Some((Stdout, true, "")));
        check(&log(r"\n"), Some((Stdout, false, "")));
        check(&log(r"a\\n"), Some((Stdout, true, r"a\n")));
        check(&log(r"a\\\n"), Some((Stdout, false, r"a\")));
        check(&log(r"a\n\n"), Some((Stdout, false, "a\n")));
        check(&log(r"\r\n"), Some((Stdout, false, "\r")));
        check(&log(r#"\"\/\b\f\t\u003c\u00e4\ud83d\ude00\n"#), Some((Stdout, false, "\"/\u{8}\u{c}\t<ä😀")));
        check(&log(r"\ud83d \ude00\n"), Some((Stdout, false, "\u{fffd} \u{fffd}")));
        check(&log(r"\ud83d\u0041\n"), Some((Stdout, false, "\u{fffd}A")));
        check(&log("ä\u{2028}"), Some((Stdout, true, "ä\u{2028}")));
        check(&format!("{}\r", log(r"crlf\n")), Some((Stdout, false, "crlf")));
        // Other keys, another order, white space.
        check(
            &format!(
                r#" {{ "time":"{time}", "attrs":{{"a":"}}","b":[1,-2.5e3,null,{{}},[]]}}, "stream":"stderr","log":"x\n" }} "#
            ),
            Some((Stderr, false, "x")),
        );
        for wrong in [
            String::new(),
            "{}".to_owned(),
            "text".to_owned(),
            r#"{"log":"x\n","stream":"stdout"}"#.to_owned(),
            format!(r#"{{"log":"x\n","time":"{time}"}}"#),
            format!(r#"{{"stream":"stdout","time":"{time}"}}"#),
            r#"{"log":"x\n","stream":"stdout","time":"noon"}"#.to_owned(),
            format!(r#"{{"log":"x\n","stream":"stdin","time":"{time}"}}"#),
            format!(r#"{{"log":5,"stream":"stdout","time":"{time}"}}"#),
            format!("{}x", log("x")),
            log("x").replace('}', ""),
            log("\t"),
            log(r"\x"),
            log(r"\u12g4"),
            log("\\"),
            log("")
                .replace(r#""stream""#, &format!(r#""deep":{}{},"stream""#, "[".repeat(40), "]".repeat(40))),
        ] {
            check(&wrong, None);
        }
        assert_eq!(
            read(format!("{{\"log\":\"\u{0}\",\"stream\":\"stdout\",\"time\":\"{time}\"}}").as_bytes()),
            None
        );
    }

    #[test]
    fn a_place_in_the_text_is_found_in_the_line() {
        let check = |raw: &str, wanted: usize, expected: usize| {
            assert_eq!(source_of(raw.as_bytes(), wanted), expected, "{raw} {wanted}");
        };
        check("abc", 1, 1);
        check(r"a\tb", 1, 1);
        check(r"a\tb", 2, 3);
        check(r"\ud83d\ude00b", 2, 0);
        check(r"\ud83d\ude00b", 4, 12);
        check("abc", 9, 3);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

        #[test]
        fn what_json_writes_is_read(text in any::<String>(), ended in any::<bool>()) {
            let log = if ended { format!("{text}\n") } else { text };
            let line = serde_json::json!({
                "log": log, "stream": "stderr", "time": "2016-10-06T00:17:09.669794202Z", "x": [log, {"y": log}],
            });
            let (_, _, partial, found) = read(line.to_string().as_bytes()).expect("Docker's");
            prop_assert_eq!(partial, !log.ends_with('\n'));
            prop_assert_eq!(found, log.strip_suffix('\n').unwrap_or(&log).as_bytes());
        }

        #[test]
        fn nothing_makes_it_panic(line in prop::collection::vec(any::<u8>(), 0..80), at in 0usize..80, byte in any::<u8>()) {
            read(&line);
            let mut line = br#"{"log":"a\ud83d\ude00\n","stream":"stdout","time":"2016-10-06T00:17:09Z","a":[1]}"#.to_vec();
            let at = at.min(line.len() - 1);
            line[at] = byte;
            if let Some(found) = parse(&line) {
                let raw = &line[found.text_at..found.text_end];
                prop_assert!(source_of(raw, 3) <= raw.len());
            }
            read(&line);
        }
    }
}

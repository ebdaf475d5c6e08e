//! Escape sequences of terminals: colours, cursor movements, titles, links.
//!
//! They are left out of what is read from a line, never out of what gives the
//! line back.

use std::borrow::Cow;
use std::ops::Range;

const ESCAPE: u8 = 0x1b;
const BELL: u8 = 0x07;

/// The text without its sequences; borrowed when it has none. A lone or cut-off
/// escape stays as it is.
pub(super) fn strip(text: &str) -> Cow<'_, str> {
    let mut kept = String::new();
    let (mut from, mut at) = (0, 0);
    while let Some(found) = memchr::memchr(ESCAPE, &text.as_bytes()[at..]) {
        let start = at + found;
        match sequence(&text.as_bytes()[start..]) {
            Some(length) => {
                kept.push_str(&text[from..start]);
                at = start + length;
                from = at;
            }
            None => at = start + 1,
        }
    }
    if from == 0 {
        return Cow::Borrowed(text);
    }
    kept.push_str(&text[from..]);
    Cow::Owned(kept)
}

/// Bytes of the sequence that starts here, after ECMA-48; none when there is no
/// whole one. All of its bytes but a text's are ASCII.
fn sequence(bytes: &[u8]) -> Option<usize> {
    let run = |from: usize, of: std::ops::RangeInclusive<u8>| {
        from + bytes[from..].iter().take_while(|byte| of.contains(byte)).count()
    };
    match bytes.get(1)? {
        // CSI: parameters, intermediates, a final byte.
        b'[' => {
            let end = run(run(2, 0x30..=0x3f), 0x20..=0x2f);
            bytes.get(end).filter(|last| (0x40..=0x7e).contains(*last)).map(|_| end + 1)
        }
        // OSC, DCS, SOS, PM, APC: text up to the terminator.
        kind @ (b']' | b'P' | b'X' | b'^' | b'_') => {
            let mut at = 2;
            loop {
                at += memchr::memchr3(ESCAPE, BELL, b'\n', &bytes[at..])?;
                match (bytes[at], bytes.get(at + 1)) {
                    (BELL, _) if *kind == b']' => return Some(at + 1),
                    (ESCAPE, Some(b'\\')) => return Some(at + 2),
                    // A text of one line: what goes on was never closed.
                    (b'\n' | ESCAPE, _) => return None,
                    _ => at += 1,
                }
            }
        }
        // Character sets and single functions.
        0x20..=0x2f => {
            let end = run(1, 0x20..=0x2f);
            bytes.get(end).filter(|last| (0x30..=0x7e).contains(*last)).map(|_| end + 1)
        }
        0x30..=0x7e => Some(2),
        _ => None,
    }
}

/// What is left of a quoted value without the colours at its beginning and end,
/// which are written as escapes: `\u001b[32minfo\u001b[39m`. What is cut off can
/// be text of a layout, and the value is then rebuilt.
pub(super) fn bare(value: &str) -> Range<usize> {
    let (mut start, mut end) = (0, value.len());
    while let Some(length) = escaped_colour(&value[start..]) {
        start += length;
    }
    while let Some(open) = value[start..end].rfind('[').map(|at| start + at)
        && let Some(escape) = ESCAPES.iter().find(|escape| value[start..open].ends_with(**escape))
        && let escape = open - escape.len()
        && escaped_colour(&value[escape..end]) == Some(end - escape)
        && !is_escaped(&value[start..escape])
    {
        end = escape;
    }
    start..end
}

/// How the escape character is written.
const ESCAPES: [&str; 5] = ["\\u001b", "\\u001B", "\\x1b", "\\x1B", "\x1b"];

/// Bytes of a colour at the beginning.
fn escaped_colour(value: &str) -> Option<usize> {
    let escape = ESCAPES.iter().find(|escape| value.starts_with(**escape))?.len();
    let parameters = value[escape..].strip_prefix('[')?;
    let length = parameters.bytes().take_while(|byte| matches!(byte, b'0'..=b'9' | b';' | b':')).count();
    parameters[length..].starts_with('m').then_some(escape + 1 + length + 1)
}

/// True when a backslash before escapes what comes next.
fn is_escaped(before: &str) -> bool {
    before.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sequences_go_and_text_stays() {
        let check = |text: &str, expected: &str| assert_eq!(strip(text), expected, "{text:?}");
        check("", "");
        check("plain é", "plain é");
        check("\x1b[31mred\x1b[0m", "red");
        check("a\x1b[1;38;2;1;2;3mb\x1b[mc\x1b[2Kd", "abcd");
        check("\x1b[?25lhidden\x1b[?25h", "hidden");
        check("\x1b]0;title\x07text", "text");
        check("\x1b]8;;https://a.b/ü\x1b\\link\x1b]8;;\x1b\\", "link");
        check("\x1bPdata\x1b\\x", "x");
        check("\x1b(Btext\x1b7\x1b8\x1b=", "text");
        // Cut off or none: they stay.
        check("\x1b", "\x1b");
        check("a\x1b[31", "a\x1b[31");
        check("a\x1b[é", "a\x1b[é");
        check("\x1b]0;never closed", "\x1b]0;never closed");
        check("\x1b]0;open\nnext \x1b[1mline\x07", "\x1b]0;open\nnext line\x07");
        check("\x1bé", "\x1bé");
    }

    #[test]
    fn colours_around_a_value() {
        let check = |value: &str, expected: &str| assert_eq!(&value[bare(value)], expected, "{value}");
        check("", "");
        check("info", "info");
        check(r"\u001b[32minfo\u001b[39m", "info");
        check(r"\u001b[1m\u001B[32minfo\x1b[39m\u001b[0m", "info");
        check("\x1b[32minfo\x1b[m", "info");
        check(r"\u001b[32m", "");
        check(r"a\u001b[32mb\u001b[0mc", r"a\u001b[32mb\u001b[0mc");
        check(r"a\u001b[32mb\u001b[0m", r"a\u001b[32mb");
        // An escaped backslash, and then text.
        check(r"a\\u001b[0m", r"a\\u001b[0m");
        check(r"\u001b[2Kx", r"\u001b[2Kx");
        check(r"é[0m", r"é[0m");
    }

    proptest! {
        #[test]
        fn any_value_has_a_bare_part(text in any::<String>(), near in "(\\\\u001b|\\\\|\x1b|\\[|[0-9;]|m|é|x){0,20}") {
            for text in [text, near] {
                prop_assert!(text.get(bare(&text)).is_some());
            }
        }

        #[test]
        fn any_text_is_stripped_without_a_panic(text in any::<String>(), near in "[\x1b\\[\\]P;m0-9 \\\\\x07aé\n]{0,40}") {
            for text in [text, near] {
                let stripped = strip(&text);
                prop_assert!(stripped.len() <= text.len());
                if !text.contains('\x1b') {
                    prop_assert_eq!(stripped, text.as_str());
                }
            }
        }
    }
}

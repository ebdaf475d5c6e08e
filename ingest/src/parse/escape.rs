//! What quoted text stands for: JSON's escapes, and those of Go's string
//! literals, which logfmt writers use.

/// Appends the text that a quoted value's content stands for. A lone surrogate
/// becomes U+FFFD; an escape that nobody writes stays as it is. Neither is
/// written back alike, and the row then keeps the bytes of its line.
pub(super) fn undo(content: &str, text: &mut String) {
    let mut rest = content;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(escape) = rest.chars().next() else {
            text.push('\\');
            return;
        };
        rest = &rest[escape.len_utf8()..];
        match escape {
            '"' | '\\' | '/' => text.push(escape),
            'a' => text.push('\u{7}'),
            'b' => text.push('\u{8}'),
            'f' => text.push('\u{c}'),
            'n' => text.push('\n'),
            'r' => text.push('\r'),
            't' => text.push('\t'),
            'v' => text.push('\u{b}'),
            'u' => text.push(unicode(&mut rest)),
            'x' if let Some(byte) = byte(rest) => {
                text.push(byte);
                rest = &rest[2..];
            }
            other => text.extend(['\\', other]),
        }
    }
    text.push_str(rest);
}

/// The character of two hexadecimal digits. A byte beyond ASCII is half a
/// character and is none.
fn byte(rest: &str) -> Option<char> {
    let value = u8::from_str_radix(digits(rest, 2)?, 16).ok()?;
    value.is_ascii().then(|| char::from(value))
}

/// The character of a `\u` escape, the second half of a pair included.
fn unicode(rest: &mut &str) -> char {
    let unit = |text| u16::from_str_radix(digits(text, 4)?, 16).ok();
    let Some(first) = unit(rest) else { return char::REPLACEMENT_CHARACTER };
    *rest = &rest[4..];
    let second = rest.strip_prefix("\\u").and_then(unit);
    match char::decode_utf16([first, second.unwrap_or(0)]).next() {
        Some(Ok(character)) => {
            if character.len_utf16() == 2 {
                *rest = &rest["\\u".len() + 4..];
            }
            character
        }
        _ => char::REPLACEMENT_CHARACTER,
    }
}

fn digits(rest: &str, count: usize) -> Option<&str> {
    rest.get(..count).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use weir_proto::wire::layout::Quoting;

    use super::*;

    fn undone(content: &str) -> String {
        let mut text = String::new();
        undo(content, &mut text);
        text
    }

    #[test]
    fn escapes() {
        let check = |content: &str, expected: &str| assert_eq!(undone(content), expected, "{content}");
        check("plain", "plain");
        check(r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t");
        check(r"\a\v\x1b\x7f", "\u{7}\u{b}\u{1b}\u{7f}");
        check(r"\u0041\u00e9\u0000", "Aé\0");
        check(r"\ud83d\ude00!", "😀!");
        check(r"\ud83d", "\u{fffd}");
        check(r"\ud83dx", "\u{fffd}x");
        check(r"\ude00\ud83d\ude00", "\u{fffd}😀");
        check(r"\ud83d\u0041", "\u{fffd}A");
        check(r"\d \xff \x+1 \", r"\d \xff \x+1 \");
        check(r"\é\u00", "\\é\u{fffd}00");
    }

    proptest! {
        #[test]
        fn undoes_what_writers_escape(text in any::<String>()) {
            for quoting in [Quoting::Json, Quoting::JsonAscii, Quoting::JsonHtml, Quoting::Logfmt] {
                let mut content = Vec::new();
                quoting.write(&text, &mut content);
                prop_assert_eq!(&undone(std::str::from_utf8(&content).unwrap()), &text);
            }
        }

        #[test]
        fn never_panics(text in r#"(\\[abfnrtvux"\\/dé0-9]|[0-9a-fé]|\\){0,12}"#) {
            undone(&text);
        }
    }
}

//! Text from outside, made harmless for every way out: a terminal, a mail's
//! head, a page. What the text was can still be seen.

/// The most bytes of a line in a message.
const BYTES_MAX: usize = 2048;

/// The text with its control characters shown as pictures and its overrides of
/// direction named; line breaks and tabs stay. Long text is cut, and says so.
pub(crate) fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(BYTES_MAX) + 32);
    for (at, c) in text.char_indices() {
        if at >= BYTES_MAX {
            out.push_str(&format!("… ({} bytes)", text.len()));
            break;
        }
        match c {
            '\n' | '\t' => out.push(c),
            '\r' if text[at..].starts_with("\r\n") => {}
            '\u{0}'..='\u{1f}' => out.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}')),
            '\u{7f}' => out.push('\u{2421}'),
            '\u{80}'..='\u{9f}' => out.push('\u{fffd}'),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.push_str(&format!("<U+{:04X}>", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out
}

/// The same on one line, for a subject or a label.
pub(crate) fn one_line(text: &str) -> String {
    harmless(text).replace(['\n', '\t'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_only_shown() {
        let check = |text: &str, expected: &str| assert_eq!(harmless(text), expected, "{text:?}");
        check("plain — ünïcode", "plain — ünïcode");
        check("\u{1b}[31mred\u{7}", "␛[31mred␇");
        check("a\r\nb\rc\n", "a\nb␍c\n");
        check("nul\0", "nul␀");
        check("\u{202e}evil", "<U+202E>evil");
        check("\u{9b}31m", "\u{fffd}31m");
        check("<script>{{7*7}}", "<script>{{7*7}}");
        assert_eq!(one_line("a\r\nBcc: x"), "a Bcc: x");
        let long = harmless(&"ä".repeat(1 << 20));
        assert!(long.len() < BYTES_MAX + 64 && long.ends_with("… (2097152 bytes)"), "{}", long.len());
    }
}

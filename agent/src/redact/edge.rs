//! Where words, escapes and strings begin and end.
//!
//! A line is mostly JSON or has JSON in it, so what stands before a word may be
//! the letter of an escape (`\n4111...`), and a quote may be one of a string
//! within a string (`\"`, `\\\"`). No hit may split an escape.

/// Counts a byte that was looked at. Tests hold the sum to the text's length:
/// nothing here may look at a byte again and again.
#[inline]
pub(super) fn look(bytes: usize) {
    #[cfg(test)]
    steps::LOOKED.with(|looked| looked.set(looked.get() + bytes as u64));
    #[cfg(not(test))]
    let _ = bytes;
}

#[cfg(test)]
pub(super) mod steps {
    use std::cell::Cell;

    thread_local! {
        pub(in crate::redact) static LOOKED: Cell<u64> = const { Cell::new(0) };
    }
}

/// The byte at `at`; 0 beyond the end.
#[inline]
pub(super) fn byte(text: &[u8], at: usize) -> u8 {
    text.get(at).copied().unwrap_or(0)
}

/// The byte before `at`; 0 at the beginning.
#[inline]
pub(super) fn before(text: &[u8], at: usize) -> u8 {
    at.checked_sub(1).map_or(0, |before| byte(text, before))
}

/// How many bytes from `at` on pass, at most `limit`.
pub(super) fn run(text: &[u8], at: usize, limit: usize, pass: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    let length = rest.iter().take(limit).take_while(|byte| pass(**byte)).count();
    look(length + 1);
    length
}

/// How many bytes right before `at` pass, at most `limit`.
pub(super) fn run_before(text: &[u8], at: usize, limit: usize, pass: impl Fn(u8) -> bool) -> usize {
    let head = text.get(..at).unwrap_or_default();
    let length = head.iter().rev().take(limit).take_while(|byte| pass(**byte)).count();
    look(length + 1);
    length
}

/// How many backslashes stand right before `at`, as far as it matters.
pub(super) fn slashes_before(text: &[u8], at: usize) -> usize {
    run_before(text, at, 64, |byte| byte == b'\\')
}

/// True when a word may begin at `at`: what stands before is no part of it.
pub(super) fn begins_word(text: &[u8], at: usize) -> bool {
    let last = before(text, at);
    !(last.is_ascii_alphanumeric() || last == b'_') || ends_escape(text, at)
}

/// True when a word may end at `at`.
pub(super) fn ends_word(text: &[u8], at: usize) -> bool {
    let next = byte(text, at);
    !(next.is_ascii_alphanumeric() || next == b'_')
}

/// True when an escape ends right before `at`: `\n`, `\u0026`, `%3D`.
fn ends_escape(text: &[u8], at: usize) -> bool {
    let last = before(text, at);
    let is_letter = matches!(last, b'n' | b't' | b'r' | b'b' | b'f');
    if is_letter && slashes_before(text, at - 1) % 2 == 1 {
        return true;
    }
    let is_hex = |back: usize| at.checked_sub(back).is_some_and(|at| byte(text, at).is_ascii_hexdigit());
    if !is_hex(1) || !is_hex(2) {
        return false;
    }
    if at.checked_sub(3).is_some_and(|at| byte(text, at) == b'%') {
        return true;
    }
    is_hex(3) && is_hex(4) && before(text, at - 4) == b'u' && slashes_before(text, at - 5) % 2 == 1
}

/// The first place from `start` on that does not lie within an escape which
/// begins right before it.
pub(super) fn after_escape(text: &[u8], start: usize) -> usize {
    if slashes_before(text, start).is_multiple_of(2) {
        return start;
    }
    match byte(text, start) {
        b'u' if run(text, start + 1, 4, |byte| byte.is_ascii_hexdigit()) == 4 => start + 5,
        b'n' | b't' | b'r' | b'b' | b'f' | b'"' | b'\\' | b'/' => start + 1,
        _ => start,
    }
}

/// Moves the borders of what was found without regard to escapes, so that none
/// is split. None if nothing is left.
pub(super) fn unsplit(text: &[u8], start: usize, end: usize) -> Option<(usize, usize)> {
    let start = after_escape(text, start);
    if start >= end {
        return None;
    }
    // An escape that begins in it and ends beyond is left out.
    let end = if slashes_before(text, end) % 2 == 1 { end - 1 } else { end };
    let hex = run_before(text, end, 4, |byte| byte.is_ascii_hexdigit());
    let within_unicode = (0..=hex.min(3)).find(|digits| {
        let letter = end.saturating_sub(digits + 1);
        byte(text, letter) == b'u' && letter > 0 && slashes_before(text, letter) % 2 == 1
    });
    let end = match within_unicode {
        // The rest of the digits is taken, too.
        Some(digits) => end + run(text, end, 4 - digits, |byte| byte.is_ascii_hexdigit()),
        None => end,
    };
    (start < end).then_some((start, end))
}

/// A quote, and the backslashes before it: how deep it stands in strings.
///
/// At depth n it has 2^n - 1 of them. More stand before it where the string
/// ends in backslashes: those are doubled as often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quote {
    pub(super) slashes: usize,
    pub(super) mark: u8,
}

impl Quote {
    /// The quote that begins at `at`, and where it ends.
    pub(super) fn at(text: &[u8], at: usize) -> Option<(Self, usize)> {
        let slashes = run(text, at, 64, |byte| byte == b'\\');
        let mark = byte(text, at + slashes);
        let is_quote = matches!(mark, b'"' | b'\'') && Self::own(slashes) == slashes;
        is_quote.then_some((Self { slashes, mark }, at + slashes + 1))
    }

    /// How many of the backslashes before a quote are its own.
    pub(super) fn own(slashes: usize) -> usize {
        slashes & !(slashes + 1)
    }

    /// Where the string ends that begins at `from`, and whether by such a quote:
    /// else it is the end of the line, or of the string around it. `in_json`: a
    /// quote without backslashes ends the string around it.
    pub(super) fn close(self, text: &[u8], from: usize, in_json: bool) -> (usize, bool) {
        let mut at = from;
        let rest = |at: usize| text.get(at..).unwrap_or_default();
        let around = if in_json { b'"' } else { self.mark };
        while let Some(found) = memchr::memchr3(self.mark, b'\n', around, rest(at)) {
            look(found + 1);
            let place = at + found;
            if byte(text, place) == b'\n' {
                return (place, false);
            }
            let slashes = Self::own(run_before(text, place, place - from, |byte| byte == b'\\'));
            let is_around = byte(text, place) != self.mark;
            if is_around && slashes == 0 || !is_around && slashes <= self.slashes {
                return (place - slashes, !is_around && slashes == self.slashes);
            }
            at = place + 1;
        }
        look(rest(at).len());
        (text.len(), false)
    }
}

/// True when the text is JSON by its looks.
pub(super) fn is_json(text: &[u8]) -> bool {
    let text = text.trim_ascii();
    let second = text.get(1..).unwrap_or_default().trim_ascii_start().first();
    match text.first() {
        Some(b'{') => matches!(second, Some(b'"' | b'}')),
        Some(b'[') => match second {
            Some(b'{' | b'"') => true,
            // `[2026-01-01] started` is none.
            Some(_) => text.last() == Some(&b']'),
            None => false,
        },
        _ => false,
    }
}

/// Walks through JSON and says what lies inside strings.
#[derive(Debug, Default)]
pub(super) struct Strings {
    at: usize,
    inside: bool,
}

impl Strings {
    /// True when `at` lies inside a string. Asked in ascending order.
    pub(super) fn hold(&mut self, text: &[u8], at: usize) -> bool {
        while self.at < at {
            let rest = text.get(self.at..at).unwrap_or_default();
            let Some(found) = memchr::memchr2(b'"', b'\\', rest) else {
                look(rest.len());
                self.at = at;
                break;
            };
            look(found + 1);
            let place = self.at + found;
            let is_quote = byte(text, place) == b'"';
            self.inside ^= is_quote;
            self.at = place + if is_quote { 1 } else { 2 };
        }
        self.inside
    }
}

/// The number or word around `start..end` in JSON.
pub(super) fn scalar(text: &[u8], start: usize, end: usize) -> (usize, usize) {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let left = run_before(text, start, usize::MAX, is_part);
    (start - left, end + run(text, end, usize::MAX, is_part))
}

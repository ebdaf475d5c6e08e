//! E-mail addresses: `bob.smith+weir@mail.example.org`, also as `bob%40example.org`.
//!
//! The domain needs a dot and letters at its end, so `root@localhost` and
//! `user@host-7` are none; so are names of packages (`left-pad@1.3.0`).

use super::edge::{after_escape, before, byte, look, run};

/// What a mailbox's name is made of. Letters beyond ASCII are looked at apart.
fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._%+-'!#$&*/=?^`{|}~".contains(&byte)
}

/// Marks that stand before an address more often than in one: `to=bob@...`,
/// `a/b/bob@...`, `{bob@...}`, `'bob@...'`.
const LEADING: &[u8] = b"'!#$&*/=?^`{|}~%.-";

fn is_domain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.'
}

/// The address around the `at` sign that stands in `sign..after`, none of which
/// begins below `floor`.
pub(super) fn around(text: &[u8], sign: usize, after: usize, floor: usize) -> Option<(usize, usize)> {
    let end = domain(text, after)?;
    let start = local(text, sign, floor)?;
    Some((start, end))
}

fn domain(text: &[u8], from: usize) -> Option<usize> {
    let mut end = from + run(text, from, 255, is_domain);
    while end > from && matches!(before(text, end), b'.' | b'-') {
        end -= 1;
    }
    let name = text.get(from..end)?;
    let dot = memchr::memrchr(b'.', name)?;
    let last = name.get(dot + 1..)?;
    let letters = last.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    // `bob@example.org-7` is taken up to the hyphen.
    let is_word = letters >= 2 && matches!(last.get(letters), None | Some(b'-'));
    let is_puny = last.len() > 4 && last.get(..4).is_some_and(|head| head.eq_ignore_ascii_case(b"xn--"));
    let begins = name.first().is_some_and(u8::is_ascii_alphanumeric);
    // `icon@2x.png`
    let is_scale = name.get(1) == Some(&b'x') && dot == 2;
    let end = if is_puny { end } else { from + dot + 1 + letters };
    (begins && dot > 0 && !is_scale && (is_word || is_puny)).then_some(end)
}

fn local(text: &[u8], sign: usize, floor: usize) -> Option<usize> {
    let mut start = sign;
    while start > floor {
        let last = before(text, start);
        if is_local(last) {
            start -= 1;
        } else if last >= 0x80 && start >= floor + 2 && (0xc3..=0xd3).contains(&byte(text, start - 2)) {
            // Latin, Greek and Cyrillic letters.
            start -= 2;
        } else {
            break;
        }
    }
    look(sign - start + 1);
    let mut start = after_escape(text, start).min(sign);
    // `user=bob@...` begins after the last mark that does not belong.
    let name = text.get(start..sign)?;
    if let Some(mark) = name.iter().rposition(|byte| b"=&?/|{}`#!".contains(byte)) {
        start += mark + 1;
    }
    start += run(text, start, sign - start, |byte| LEADING.contains(&byte));
    // `%3Dbob`: what is left of an escape.
    if before(text, start) == b'%' && run(text, start, 2, |byte| byte.is_ascii_hexdigit()) == 2 {
        start += 2;
    }
    (start < sign && text.get(start..sign)?.iter().any(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80))
        .then_some(start)
}

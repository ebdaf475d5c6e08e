//! Names and their values: `password=x`, `password: x`, `"password":"x"` at any
//! depth of strings within strings, `--password x`, `<password>x</password>`.
//!
//! An unquoted value ends at a blank or a quote, and before what looks like the
//! next pair. In doubt more is taken: a comma may be part of a password.

use super::MASK_BEGIN;
use super::edge::{Quote, before, byte, look, run, run_before};

/// Names are looked at so far.
const NAME_BYTES_MAX: usize = 128;

/// A name with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// Where the name stands.
    pub(super) name: (usize, usize),
    /// What goes.
    pub(super) value: (usize, usize),
    pub(super) kind: Kind,
    /// What it stands in for.
    pub(super) quoting: Option<Quote>,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text.
    Text,
    /// A number of JSON's.
    Number,
    /// true or false.
    Flag,
    /// A list.
    List,
    /// An object.
    Object,
}

/// The name around `at`.
pub(super) fn name(text: &[u8], at: usize, floor: usize) -> (usize, usize) {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.$".contains(&byte);
    let start = at - run_before(text, at, NAME_BYTES_MAX.min(at - floor), is_part);
    let end = at + run(text, at, NAME_BYTES_MAX, is_part);
    // `\npassword=`: the letter belongs to an escape.
    (super::edge::after_escape(text, start).min(at), end)
}

/// The name's value, if it has one. `in_json`: the name stands within JSON's
/// strings, so a quote that is not escaped ends the one that it stands in.
/// Objects are taken only where `objects` says so: they have names of their own.
pub(super) fn value(text: &[u8], name: (usize, usize), in_json: bool, objects: bool) -> Option<Pair> {
    let (start, end) = name;
    // What was redacted before is no name.
    if text.get(..start)?.ends_with(MASK_BEGIN) {
        return None;
    }
    let quote = Quote::at(text, end);
    let mut at = quote.map_or(end, |(_, after)| after);
    // `user[password]=x`
    if quote.is_none() && byte(text, at) == b']' {
        at += 1;
    }
    let blanks = |at: usize| run(text, at, 16, |byte| byte == b' ' || byte == b'\t');
    let gap = blanks(at);
    let Some(separator) = separator(text, at + gap) else {
        let is_option = gap == 1 && quote.is_none() && is_option(text, start) && byte(text, at + 1) != b'-';
        return if is_option { unquoted(text, name, at + gap, in_json) } else { None };
    };
    at += gap + separator;
    let is_markup = separator == 1 && before(text, at) == b'>';
    if is_markup {
        if before(text, start) != b'<' {
            return None;
        }
        let length = run(text, at, usize::MAX, |byte| byte != b'<' && byte != b'"' && byte != b'\n');
        let is_closed = byte(text, at + length) == b'<';
        let pair = Pair { name, value: (at, at + length), kind: Kind::Text, quoting: None };
        return (is_closed && length > 0).then_some(pair);
    }
    at += blanks(at);
    if let Some((mark, from)) = Quote::at(text, at) {
        let is_inside = quote.is_none_or(|(outer, _)| outer.slashes <= mark.slashes);
        // `"x":"password="` closes here what was opened before the name.
        let is_name_quoted = quote.is_some_and(|(outer, _)| outer.mark == b'"');
        if is_inside && !(in_json && mark == Quote { slashes: 0, mark: b'"' } && !is_name_quoted) {
            let (stop, _) = mark.close(text, from, in_json);
            let pair = Pair { name, value: (from, stop), kind: Kind::Text, quoting: None };
            return (stop > from).then_some(pair);
        }
        return None;
    }
    match (quote, byte(text, at)) {
        (Some(_), b'{') if !objects => None,
        (Some((quote, _)), b'{' | b'[') => {
            let kind = if byte(text, at) == b'[' { Kind::List } else { Kind::Object };
            let value = (at, nested(text, at, quote, in_json));
            Some(Pair { name, value, kind, quoting: Some(quote) })
        }
        (Some((quote, _)), _) => {
            let length =
                run(text, at, usize::MAX, |byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
            let word = text.get(at..at + length)?;
            let is_number = word.iter().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte));
            let kind = match word {
                b"null" | b"None" | b"nil" | b"undefined" => return None,
                b"true" | b"false" | b"True" | b"False" => Kind::Flag,
                _ if is_number && length > 0 => Kind::Number,
                // It is not JSON.
                _ => return unquoted(text, name, at, in_json),
            };
            Some(Pair { name, value: (at, at + length), kind, quoting: Some(quote) })
        }
        (None, _) => unquoted(text, name, at, in_json),
    }
}

/// Bytes of what separates a name from its value.
fn separator(text: &[u8], at: usize) -> Option<usize> {
    let next = byte(text, at + 1);
    match byte(text, at) {
        b'=' if next == b'>' => Some(2),
        // A comparison.
        b'=' if next == b'=' => None,
        b'=' | b'>' => Some(1),
        b':' if next == b'=' => Some(2),
        // `token::Kind`, `secret://vault`
        b':' if next == b':' || (next == b'/' && byte(text, at + 2) == b'/') => None,
        b':' => Some(1),
        b'%' => {
            let escape = text.get(at + 1..at + 3)?;
            [&b"3D"[..], b"3d", b"3A", b"3a"].contains(&escape).then_some(3)
        }
        _ => None,
    }
}

/// `--password x`
fn is_option(text: &[u8], start: usize) -> bool {
    text.get(start..start + 2) == Some(b"--")
        && matches!(before(text, start), 0 | b' ' | b'\t' | b'"' | b'\'' | b'n')
}

/// A value that ends where the next thing begins.
fn unquoted(text: &[u8], name: (usize, usize), from: usize, in_json: bool) -> Option<Pair> {
    let mut stop = token(text, from, in_json);
    // `token=Bearer abc`: the scheme alone is no secret.
    if is_scheme(text.get(from..stop)?) && byte(text, stop) == b' ' {
        stop = token(text, stop + 1, in_json);
    }
    let closers = run_before(text, stop, stop - from, |byte| b",;)]}'".contains(&byte));
    let stop = if closers < stop - from { stop - closers } else { from };
    let pair = Pair { name, value: (from, stop), kind: Kind::Text, quoting: None };
    (stop > from).then_some(pair)
}

/// True for the word before credentials in a header.
pub(super) fn is_scheme(word: &[u8]) -> bool {
    [&b"bearer"[..], b"basic", b"token", b"digest", b"apikey"]
        .iter()
        .any(|scheme| word.eq_ignore_ascii_case(scheme))
}

fn token(text: &[u8], from: usize, in_json: bool) -> usize {
    let mut at = from;
    loop {
        at += run(text, at, usize::MAX, |byte| byte > b' ' && !b"\"<`\\,;&|%".contains(&byte));
        match byte(text, at) {
            b'\\' => {
                let slashes = run(text, at, usize::MAX, |byte| byte == b'\\');
                let next = byte(text, at + slashes);
                let is_break = in_json && slashes % 2 == 1 && matches!(next, b'n' | b'r' | b't');
                if next == b'"' || is_break {
                    // The escape's own backslashes stay.
                    return at + slashes - if next == b'"' { Quote::own(slashes) } else { 1 };
                }
                at += slashes + 1;
                at = at.min(text.len());
            }
            b'%' if text.get(at + 1..at + 3) == Some(b"26") => return at,
            b'%' => at += 1,
            b',' | b';' | b'&' | b'|' if !begins_pair(text, at + 1) => at += 1,
            _ => return at.min(text.len()),
        }
    }
}

/// True when `name=` or `name:` stands at `at`, or nothing more of a value can.
fn begins_pair(text: &[u8], at: usize) -> bool {
    let blanks = run(text, at, 2, |byte| byte == b' ');
    if blanks > 0 || at >= text.len() {
        return true;
    }
    let length = run(text, at, 64, |byte| byte.is_ascii_alphanumeric() || b"_-.[]".contains(&byte));
    length > 0 && matches!(byte(text, at + length), b'=' | b':')
}

/// Where the list or object ends that begins at `from`; the text's end if it
/// does not.
fn nested(text: &[u8], from: usize, quote: Quote, in_json: bool) -> usize {
    let mut depth = 0_usize;
    let mut at = from;
    while at < text.len() {
        let found = text.get(at..).unwrap_or_default().iter().position(|byte| b"[]{}\"'\\".contains(byte));
        let Some(found) = found else { break };
        look(found + 1);
        at += found;
        match byte(text, at) {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => match Quote::at(text, at) {
                Some((mark, after)) if mark == quote => {
                    let (end, is_closed) = quote.close(text, after, in_json);
                    if !is_closed {
                        return end;
                    }
                    at = end + quote.slashes + 1;
                    continue;
                }
                // The string around it ends.
                Some((mark, _)) if mark.mark == quote.mark && mark.slashes < quote.slashes => return at,
                Some((mark, _)) if in_json && mark == Quote { slashes: 0, mark: b'"' } => return at,
                Some((_, after)) => {
                    at = after;
                    continue;
                }
                None => {
                    let slashes = run(text, at, usize::MAX, |byte| byte == b'\\').max(1);
                    // A quote that follows keeps its own.
                    let own = if matches!(byte(text, at + slashes), b'"' | b'\'') {
                        Quote::own(slashes)
                    } else {
                        0
                    };
                    at += if own < slashes { slashes - own } else { slashes };
                    continue;
                }
            },
        }
        at += 1;
    }
    look(text.len().saturating_sub(at));
    text.len()
}

/// True for names of which the value is a secret: `password`, `DB_PASS`,
/// `clientSecret`, `x-api-key`, `refresh.token`.
pub(super) fn is_secret_name(name: &[u8]) -> bool {
    const ENDINGS: [&[u8]; 19] = [
        b"password",
        b"passwd",
        b"passphrase",
        b"passcode",
        b"pwd",
        b"secret",
        b"token",
        b"apikey",
        b"accesskey",
        b"secretkey",
        b"privatekey",
        b"accountkey",
        b"encryptionkey",
        b"signingkey",
        b"authkey",
        b"masterkey",
        b"credential",
        b"credentials",
        b"sharedkey",
    ];
    let tail = name.get(name.len().saturating_sub(40)..).unwrap_or_default();
    let mut letters = [0_u8; 40];
    let mut count = 0;
    for byte in tail.iter().filter(|byte| byte.is_ascii_alphanumeric()) {
        if let Some(place) = letters.get_mut(count) {
            *place = byte.to_ascii_lowercase();
            count += 1;
        }
    }
    let plain = letters.get(..count).unwrap_or_default();
    ENDINGS.iter().any(|ending| plain.ends_with(ending)) || is_word_pass(name)
}

/// `db_pass`, `smtpPass`; not `bypass`, and not `pass` alone, which tests count.
fn is_word_pass(name: &[u8]) -> bool {
    let Some(head) = name.len().checked_sub(4) else { return false };
    let (before, word) = name.split_at(head);
    let Some(last) = before.last() else { return false };
    match word {
        b"pass" | b"PASS" => !last.is_ascii_alphanumeric(),
        b"Pass" => last.is_ascii_lowercase() || !last.is_ascii_alphanumeric(),
        _ => false,
    }
}

/// True for the key that AWS signs with: its own kind has no other mark.
pub(super) fn is_cloud_name(name: &[u8]) -> bool {
    let plain: Vec<u8> =
        name.iter().filter(|byte| byte.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect();
    plain.ends_with(b"secretaccesskey") || (plain.starts_with(b"aws") && plain.ends_with(b"secretkey"))
}

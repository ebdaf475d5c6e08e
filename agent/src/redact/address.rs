//! Addresses of hosts: IPv4 and IPv6. Off unless asked for: access logs are
//! made of them, and four numbers with dots may be a version, too.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::edge::{before, begins_word, byte, ends_word, run, run_before};

/// The longest as text: six groups and an IPv4 address.
const BYTES_MAX: usize = 45;

/// Gives each address in `text`.
pub(super) fn each(text: &[u8], mut found: impl FnMut(usize, usize)) {
    let mut floor = 0;
    for mark in memchr::memchr2_iter(b'.', b':', text) {
        if mark < floor {
            continue;
        }
        let hit = if byte(text, mark) == b'.' { v4(text, mark, floor) } else { v6(text, mark, floor) };
        let (hit, next) = hit;
        if let Some((start, end)) = hit {
            found(start, end);
        }
        floor = next;
    }
}

type Found = (Option<(usize, usize)>, usize);

fn v4(text: &[u8], dot: usize, floor: usize) -> Found {
    let digits = run_before(text, dot, (dot - floor).min(4), |byte| byte.is_ascii_digit());
    if !(1..=3).contains(&digits) {
        return (None, dot + 1);
    }
    let start = dot - digits;
    let end = start + run(text, start, 16, |byte| byte.is_ascii_digit() || byte == b'.');
    // A full stop ends a sentence.
    let stop = if before(text, end) == b'.' { end - 1 } else { end };
    let is_whole = begins_word(text, start) && before(text, start) != b'.' && ends_word(text, stop);
    let address = text.get(start..stop).and_then(|text| std::str::from_utf8(text).ok());
    let is_address = is_whole && address.is_some_and(|text| text.parse::<Ipv4Addr>().is_ok());
    (is_address.then_some((start, stop)), end.max(dot + 1))
}

fn v6(text: &[u8], colon: usize, floor: usize) -> Found {
    let is_part = |byte: u8| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.';
    let left = run_before(text, colon, (colon - floor).min(5), |byte| byte.is_ascii_hexdigit());
    let start = colon - left;
    let run = run(text, start, BYTES_MAX + 1, is_part);
    let mut end = start + run;
    if left > 4 || run > BYTES_MAX || !begins_word(text, start) {
        return (None, end.max(colon + 1));
    }
    while end > start + 2
        && (before(text, end) == b'.' || (before(text, end) == b':' && before(text, end - 1) != b':'))
    {
        end -= 1;
    }
    let address = text.get(start..end).and_then(|text| std::str::from_utf8(text).ok());
    let address = address.and_then(|text| text.parse::<Ipv6Addr>().ok());
    // `::` alone stands in paths of C++ and Rust.
    let is_address = address.is_some_and(|address| !address.is_unspecified()) && ends_word(text, end);
    let is_address = is_address && before(text, start) != b':';
    (is_address.then_some((start, end)), end.max(colon + 1))
}

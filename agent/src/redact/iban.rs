//! International bank account numbers, by the registry's lengths and the check
//! of ISO 7064 (mod 97): in one piece or in groups of four, in capitals.

use super::edge::{before, begins_word, byte, look, run, run_before};

/// The shortest: Norway's.
pub(super) const LENGTH_MIN: usize = 15;

/// Countries and the lengths of their numbers, by the SWIFT IBAN registry.
#[rustfmt::skip]
const LENGTHS: [(&[u8; 2], usize); 89] = [
    (b"AD", 24), (b"AE", 23), (b"AL", 28), (b"AT", 20), (b"AZ", 28), (b"BA", 20), (b"BE", 16), (b"BG", 22), (b"BH", 23),
    (b"BI", 27), (b"BR", 29), (b"BY", 28), (b"CH", 21), (b"CR", 22), (b"CY", 28), (b"CZ", 24), (b"DE", 22), (b"DJ", 27),
    (b"DK", 18), (b"DO", 28), (b"EE", 20), (b"EG", 29), (b"ES", 24), (b"FI", 18), (b"FK", 18), (b"FO", 18), (b"FR", 27),
    (b"GB", 22), (b"GE", 22), (b"GI", 23), (b"GL", 18), (b"GR", 27), (b"GT", 28), (b"HN", 28), (b"HR", 21), (b"HU", 28),
    (b"IE", 22), (b"IL", 23), (b"IQ", 23), (b"IS", 26), (b"IT", 27), (b"JO", 30), (b"KW", 30), (b"KZ", 20), (b"LB", 28),
    (b"LC", 32), (b"LI", 21), (b"LT", 20), (b"LU", 20), (b"LV", 21), (b"LY", 25), (b"MC", 27), (b"MD", 24), (b"ME", 22),
    (b"MK", 19), (b"MN", 20), (b"MR", 27), (b"MT", 31), (b"MU", 30), (b"NI", 28), (b"NL", 18), (b"NO", 15), (b"OM", 23),
    (b"PK", 24), (b"PL", 28), (b"PS", 29), (b"PT", 25), (b"QA", 29), (b"RO", 24), (b"RS", 22), (b"RU", 33), (b"SA", 24),
    (b"SC", 31), (b"SD", 18), (b"SE", 24), (b"SI", 19), (b"SK", 24), (b"SM", 27), (b"SO", 23), (b"ST", 25), (b"SV", 28),
    (b"TL", 23), (b"TN", 24), (b"TR", 26), (b"UA", 29), (b"VA", 22), (b"VG", 24), (b"XK", 20), (b"YE", 30),
];

/// What a number is made of, with what stands between its groups.
pub(super) const fn is_part(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' '
}

/// Gives each account number in the run of such bytes around `at`. Answers
/// where that ends.
pub(super) fn around(text: &[u8], at: usize, floor: usize, mut found: impl FnMut(usize, usize)) -> usize {
    let mut next = at - run_before(text, at, at - floor, is_part);
    let end = at + run(text, at, usize::MAX, is_part);
    while next + LENGTH_MIN <= end {
        match number(text, next) {
            Some(stop) => {
                found(next, stop);
                next = stop;
            }
            None => next += 1,
        }
    }
    end
}

fn number(text: &[u8], start: usize) -> Option<usize> {
    look(1);
    let head = text.get(start..start + 4)?;
    let [first, second, third, fourth] = *head else { return None };
    let is_head = first.is_ascii_uppercase()
        && second.is_ascii_uppercase()
        && third.is_ascii_digit()
        && fourth.is_ascii_digit();
    if !is_head || !(begins_word(text, start) || before(text, start) == b' ') {
        return None;
    }
    let length =
        LENGTHS.iter().find(|(country, _)| country[..] == [first, second]).map(|(_, length)| *length)?;
    let grouped = byte(text, start + 4) == b' ';
    let (mut remainder, mut count, mut at) = (0_u32, 0, start + 4);
    // The first four stand last for the check.
    while count < length - 4 {
        if grouped && count % 4 == 0 {
            if byte(text, at) != b' ' {
                return None;
            }
            at += 1;
        }
        remainder = push(remainder, byte(text, at))?;
        (count, at) = (count + 1, at + 1);
    }
    look(at - start);
    for letter in head {
        remainder = push(remainder, *letter)?;
    }
    let next = byte(text, at);
    let goes_on = next.is_ascii_alphanumeric() || next == b'_';
    (remainder == 1 && !goes_on).then_some(at)
}

/// The remainder by 97 with one more character; letters are two digits.
fn push(remainder: u32, character: u8) -> Option<u32> {
    match character {
        b'0'..=b'9' => Some((remainder * 10 + u32::from(character - b'0')) % 97),
        b'A'..=b'Z' => Some((remainder * 100 + u32::from(character - b'A') + 10) % 97),
        _ => None,
    }
}

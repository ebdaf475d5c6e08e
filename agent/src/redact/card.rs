//! Card numbers: 13 to 19 digits that begin as a scheme's do and pass Luhn's
//! check, in one piece or in the groups that cards are printed in.
//!
//! Times in milliseconds and other counters begin with 1, as no card does.

use super::edge::{before, begins_word, byte, ends_word, look, run, run_before};

/// The shortest.
pub(super) const DIGITS_MIN: usize = 13;
const DIGITS_MAX: usize = 19;

/// How cards are printed; the last group may be shorter with some schemes.
const GROUPINGS: [&[usize]; 5] = [&[4, 4, 4, 4], &[4, 6, 5], &[4, 4, 4, 4, 3], &[4, 6, 4], &[4, 4, 5]];

/// Digits, and what stands between their groups.
pub(super) const fn is_part(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b' ' || byte == b'-'
}

/// Gives each card number in the digits and separators around `at`. Answers
/// where these end.
pub(super) fn around(text: &[u8], at: usize, floor: usize, mut found: impl FnMut(usize, usize)) -> usize {
    let mut next = at - run_before(text, at, at - floor, is_part);
    let end = at + run(text, at, usize::MAX, is_part);
    if end - next < DIGITS_MIN {
        return end;
    }
    while next < end {
        let digits = run(text, next, end - next, |byte| byte.is_ascii_digit());
        if digits == 0 {
            next += 1;
            continue;
        }
        match number(text, next, digits) {
            Some(stop) => {
                found(next, stop);
                next = stop;
            }
            None => next += digits,
        }
    }
    end
}

/// The end of the number that begins at `start` with a group of `first` digits.
fn number(text: &[u8], start: usize, first: usize) -> Option<usize> {
    if !begins_word(text, start) || is_fraction(text, start) {
        return None;
    }
    if first >= DIGITS_MIN {
        return is_card(text, start, start + first).then_some(start + first);
    }
    let separator = byte(text, start + first);
    let fits = |grouping: &&&[usize]| {
        let mut at = start;
        for (place, size) in grouping.iter().enumerate() {
            if place > 0 && byte(text, at) != separator {
                return None;
            }
            at += usize::from(place > 0);
            if run(text, at, size + 1, |byte| byte.is_ascii_digit()) != *size {
                return None;
            }
            at += size;
        }
        is_card(text, start, at).then_some(at)
    };
    GROUPINGS.iter().filter(|grouping| grouping.first() == Some(&first)).find_map(|grouping| fits(&grouping))
}

/// `0.4111111111111111`
fn is_fraction(text: &[u8], start: usize) -> bool {
    before(text, start) == b'.' && start >= 2 && before(text, start - 1).is_ascii_digit()
}

fn is_card(text: &[u8], start: usize, end: usize) -> bool {
    look(end - start);
    if !ends_word(text, end) {
        return false;
    }
    // `4111111111111111.5` is a number of another kind; a full stop is not.
    if byte(text, end) == b'.' && byte(text, end + 1).is_ascii_digit() {
        return false;
    }
    let mut digits = [0_u8; DIGITS_MAX];
    let mut count = 0;
    for digit in text.get(start..end).unwrap_or_default().iter().filter(|byte| byte.is_ascii_digit()) {
        let Some(place) = digits.get_mut(count) else { return false };
        *place = digit - b'0';
        count += 1;
    }
    let digits = digits.get(..count).unwrap_or_default();
    is_issued(digits) && luhn(digits) && !is_id(text, start)
}

/// Whether a scheme issues numbers that begin so and are that long.
fn is_issued(digits: &[u8]) -> bool {
    let head =
        |length: usize| digits.iter().take(length).fold(0_u32, |sum, digit| sum * 10 + u32::from(*digit));
    let (two, three, four) = (head(2), head(3), head(4));
    match digits.len() {
        13 => two / 10 == 4 || matches!(four, 5018 | 5020 | 5038 | 6304 | 6759 | 6761..=6763),
        14 => matches!(two, 36 | 38 | 39) || matches!(three, 300..=305 | 309),
        15 => matches!(two, 34 | 37) || matches!(four, 5018 | 5020 | 5038 | 6304 | 6759 | 6761..=6763),
        16..=19 => {
            let visa = two / 10 == 4 && matches!(digits.len(), 16 | 19);
            let mastercard = (matches!(two, 51..=55) || matches!(four, 2221..=2720)) && digits.len() == 16;
            let discover = four == 6011 || two == 65 || matches!(three, 644..=649);
            let others = matches!(two, 35 | 36 | 38 | 39 | 50 | 56..=58 | 60..=63 | 67 | 81 | 82);
            visa || mastercard
                || discover
                || others
                || matches!(four, 2200..=2204)
                || matches!(three, 300..=305)
        }
        _ => false,
    }
}

fn luhn(digits: &[u8]) -> bool {
    let doubled = |(place, digit): (usize, &u8)| match place % 2 {
        0 => u32::from(*digit),
        _ if *digit > 4 => u32::from(*digit) * 2 - 9,
        _ => u32::from(*digit) * 2,
    };
    let is_varied = digits.windows(2).any(|pair| pair.first() != pair.last());
    is_varied && digits.iter().rev().enumerate().map(doubled).sum::<u32>().is_multiple_of(10)
}

/// The value of a key like `span_id`: a hexadecimal number that happens to have
/// no letters.
fn is_id(text: &[u8], start: usize) -> bool {
    let gap = run_before(text, start, 8, |byte| b"\"'\\:= ".contains(&byte));
    if gap == 0 {
        return false;
    }
    let end = start - gap;
    let key = run_before(text, end, 32, |byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    let key = text.get(end - key..end).unwrap_or_default().to_ascii_lowercase();
    let has = |word: &[u8]| key.windows(word.len()).any(|part| part == word);
    key.ends_with(b"id") && (has(b"span") || has(b"trace") || has(b"parent"))
}

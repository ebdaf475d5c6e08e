//! Times as programs write them.
//!
//! Two readers: [`read_value`] takes a whole value of a structured line;
//! [`read_start`] looks at the beginning of a plain one. Both are by hand and
//! not by a date library: they run once a line, and most of a library's formats
//! would only add misreadings.

mod calendar;
mod plain;

#[cfg(test)]
mod tests;

use weir_proto::model::flags;
use weir_proto::wire::layout::{TimeFormat, zone_minutes};

pub(super) use plain::{common_log as read_access, ctime as read_ctime, klog as read_klog, read_start};

use calendar::{Date, TimeOfDay};

/// An instant: microseconds since 1970, and the 0-999 nanoseconds beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instant {
    pub(crate) micros: i64,
    pub(crate) nanos: i16,
}

/// A time that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading<'a> {
    pub(super) instant: Instant,
    /// What was not written and had to be assumed.
    pub(super) assumed: i32,
    /// Bytes that it takes.
    pub(super) length: usize,
    /// How to write it again; none: there is no such format.
    pub(super) spelling: Option<Spelling<'a>>,
}

/// A [`TimeFormat`] that borrows from the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling<'a> {
    Rfc3339 { digits: u8, point: u8, zone: &'a str, separator: u8 },
    EpochSeconds { digits: u8 },
    EpochMillis,
    EpochMicros,
    EpochNanos,
}

impl Instant {
    pub(super) fn from_nanos(nanos: i64) -> Self {
        // 0..=999: a remainder of a thousand.
        Self { micros: nanos.div_euclid(1_000), nanos: nanos.rem_euclid(1_000) as i16 }
    }

    /// A second and the nanoseconds after it.
    fn new(second: i64, nanos: u32) -> Option<Self> {
        let micros = second.checked_mul(1_000_000)?.checked_add(i64::from(nanos / 1_000))?;
        Some(Self { micros, nanos: (nanos % 1_000) as i16 })
    }
}

impl Spelling<'_> {
    pub(super) fn format(self) -> TimeFormat {
        match self {
            Self::Rfc3339 { digits, point, zone, separator } => TimeFormat::Rfc3339 {
                digits,
                point: char::from(point),
                zone: zone.to_owned(),
                separator: char::from(separator),
            },
            Self::EpochSeconds { digits } => TimeFormat::EpochSeconds { digits },
            Self::EpochMillis => TimeFormat::EpochMillis,
            Self::EpochMicros => TimeFormat::EpochMicros,
            Self::EpochNanos => TimeFormat::EpochNanos,
        }
    }
}

/// Reads a value that is a time and nothing else.
pub(super) fn read_value(value: &str, observed_micros: i64) -> Option<Reading<'_>> {
    let whole = |reading: &Reading<'_>| reading.length == value.len();
    iso(value)
        .filter(whole)
        .or_else(|| epoch(value).filter(whole))
        .or_else(|| plain::at(value, observed_micros).filter(whole))
}

/// ISO 8601 and its relatives: `2026-01-02T03:04:05.678+02:00`, with `/` in the
/// date, with `T`, a space, `_` or `-` before the time, with `.` or `,` before
/// the fraction, with or without a zone.
pub(super) fn iso(text: &str) -> Option<Reading<'_>> {
    let bytes = text.as_bytes();
    let head: &[u8; 19] = bytes.first_chunk()?;
    let [y1, y2, y3, y4, dash, m1, m2, dash2, d1, d2, separator, time @ ..] = head;
    if dash != dash2 || !matches!(dash, b'-' | b'/') || !matches!(separator, b'T' | b' ' | b'_' | b'-') {
        return None;
    }
    let date = Date {
        year: number(&[*y1, *y2, *y3, *y4])?.into(),
        month: number(&[*m1, *m2])?,
        day: number(&[*d1, *d2])?,
    };
    let (second, fraction, end) = clock(date, time, bytes, 19)?;
    let zone = zone(&text[end..]);
    let spelled = *dash == b'-' && matches!(separator, b'T' | b' ') && fraction.digits <= 9 && !fraction.leap;
    Some(Reading {
        instant: Instant::new(second - i64::from(zone_minutes(zone)?) * 60, fraction.nanos)?,
        assumed: if zone.is_empty() { flags::ZONE_ASSUMED } else { 0 },
        length: end + zone.len(),
        spelling: spelled.then_some(Spelling::Rfc3339 {
            // At most 9, just checked.
            digits: fraction.digits as u8,
            point: fraction.point,
            zone,
            separator: *separator,
        }),
    })
}

/// Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by
/// size: each unit has the numbers that mean 1973 to 5138 in it.
fn epoch(text: &str) -> Option<Reading<'_>> {
    let bytes = text.as_bytes();
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(9..=19).contains(&digits) || bytes[0] == b'0' {
        return None;
    }
    let count: i64 = text[..digits].parse().ok()?;
    let fraction = Fraction::read(bytes, digits, b".");
    let length = digits + fraction.length();
    let (instant, spelling) = match count {
        100_000_000..100_000_000_000 => {
            let spelling = u8::try_from(fraction.digits).ok().filter(|digits| *digits <= 9);
            (Instant::new(count, fraction.nanos)?, spelling.map(|digits| Spelling::EpochSeconds { digits }))
        }
        100_000_000_000..100_000_000_000_000 => {
            let nanos = count.checked_mul(1_000_000).map(|nanos| nanos + i64::from(fraction.nanos) / 1_000);
            match nanos {
                Some(nanos) => (Instant::from_nanos(nanos), Some(Spelling::EpochMillis)),
                None => (Instant { micros: count * 1_000, nanos: 0 }, Some(Spelling::EpochMillis)),
            }
        }
        100_000_000_000_000..100_000_000_000_000_000 => {
            (Instant { micros: count, nanos: 0 }, Some(Spelling::EpochMicros))
        }
        _ => (Instant::from_nanos(count), Some(Spelling::EpochNanos)),
    };
    let is_seconds = matches!(spelling, None | Some(Spelling::EpochSeconds { .. }));
    let spelling = spelling.filter(|_| is_seconds || fraction.digits == 0);
    Some(Reading { instant, assumed: 0, length, spelling })
}

/// The second of `date` at the time `hh:mm:ss`, the fraction after it, and
/// where both end. `end` is where `time` ends in `bytes`.
fn clock(date: Date, time: &[u8], bytes: &[u8], end: usize) -> Option<(i64, Fraction, usize)> {
    let [h1, h2, b':', m1, m2, b':', s1, s2] = time else { return None };
    let time =
        TimeOfDay { hour: number(&[*h1, *h2])?, minute: number(&[*m1, *m2])?, second: number(&[*s1, *s2])? };
    let mut fraction = Fraction::read(bytes, end, b".,");
    fraction.leap = time.second == 60;
    Some((date.second_at(time)?, fraction, end + fraction.length()))
}

/// What stands after the seconds.
#[derive(Clone, Copy)]
struct Fraction {
    nanos: u32,
    point: u8,
    digits: usize,
    /// Second 60: written, and the same instant as the next second 0.
    leap: bool,
}

impl Fraction {
    /// Reads a point of `points` and the digits after it, if both are there.
    /// Digits beyond the ninth are counted and not kept.
    fn read(bytes: &[u8], at: usize, points: &[u8]) -> Self {
        let mut fraction = Self { nanos: 0, point: b'.', digits: 0, leap: false };
        let Some([point, rest @ ..]) = bytes.get(at..) else { return fraction };
        if !points.contains(point) {
            return fraction;
        }
        let mut unit = 100_000_000;
        for byte in rest.iter().take_while(|byte| byte.is_ascii_digit()) {
            fraction.nanos += u32::from(byte - b'0') * unit;
            unit /= 10;
            fraction.digits += 1;
        }
        fraction.point = *point;
        fraction
    }

    fn length(self) -> usize {
        if self.digits == 0 { 0 } else { self.digits + 1 }
    }
}

/// The zone at the start of `rest`, empty when there is none.
fn zone(rest: &str) -> &str {
    let word = rest.strip_prefix(' ').unwrap_or(rest);
    let space = rest.len() - word.len();
    let bytes = word.as_bytes();
    let ends = |length: usize| bytes.get(length).is_none_or(|byte| !byte.is_ascii_alphanumeric());
    let digits = |from: usize, to: usize| {
        bytes.get(from..to).is_some_and(|digits| digits.iter().all(u8::is_ascii_digit))
    };
    let length = match bytes.first() {
        Some(b'Z' | b'z') if space == 0 && ends(1) => 1,
        Some(b'U' | b'G') if (word.starts_with("UTC") || word.starts_with("GMT")) && ends(3) => 3,
        Some(b'+' | b'-') if digits(1, 3) && bytes.get(3) == Some(&b':') && digits(4, 6) && ends(6) => 6,
        Some(b'+' | b'-') if digits(1, 5) && ends(5) => 5,
        Some(b'+' | b'-') if space == 0 && digits(1, 3) && ends(3) => 3,
        _ => return "",
    };
    let zone = &rest[..space + length];
    if zone_minutes(zone).is_some() { zone } else { "" }
}

/// The number of a few digits.
fn number(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u16::from(byte - b'0')))
}

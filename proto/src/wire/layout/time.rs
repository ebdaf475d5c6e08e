//! How a time was written, exactly enough to write it again.

use serde::{Deserialize, Serialize};

const MICROS_PER_SECOND: i64 = 1_000_000;

/// A spelling of an instant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum TimeFormat {
    /// `2026-01-02T03:04:05.678+02:00` and its relatives.
    Rfc3339 {
        /// Digits of the fraction, 0 (no fraction at all) to 9.
        digits: u8,
        /// Between seconds and fraction: `.` or `,`.
        point: char,
        /// `Z`, `+02:00`, `-0330`, ... as written; empty: none, UTC was taken.
        zone: String,
        /// Between date and time: `T` or a space.
        separator: char,
    },
    /// Seconds since 1970.
    EpochSeconds {
        /// Digits of the fraction, 0 (no fraction at all) to 9.
        digits: u8,
    },
    /// Milliseconds since 1970.
    EpochMillis,
    /// Microseconds since 1970.
    EpochMicros,
    /// Nanoseconds since 1970.
    EpochNanos,
}

impl TimeFormat {
    /// Appends the instant `micros` since 1970 plus `nanos` (0-999). False when
    /// it cannot be written so: a year beyond four digits, an unknown zone.
    pub fn write(&self, micros: i64, nanos: i16, line: &mut Vec<u8>) -> bool {
        let Ok(nanos @ 0..=999) = u32::try_from(nanos) else { return false };
        let second = micros.div_euclid(MICROS_PER_SECOND);
        // 0..=999,999,999: the remainder is below a million.
        let fraction = micros.rem_euclid(MICROS_PER_SECOND) as u32 * 1_000 + nanos;
        match self {
            Self::Rfc3339 { digits, point, zone, separator } => {
                let Some(minutes) = zone_minutes(zone) else { return false };
                write_date(second + i64::from(minutes) * 60, *separator, line)
                    && write_fraction(fraction, *digits, *point, line)
                    && {
                        line.extend_from_slice(zone.as_bytes());
                        true
                    }
            }
            Self::EpochSeconds { digits } if second >= 0 => {
                write_number(second, line);
                write_fraction(fraction, *digits, '.', line)
            }
            Self::EpochMillis if second >= 0 => {
                write_number(micros / 1_000, line);
                true
            }
            Self::EpochMicros if second >= 0 => {
                write_number(micros, line);
                true
            }
            Self::EpochNanos if second >= 0 => {
                write_number(micros, line);
                write_padded(nanos, 3, line);
                true
            }
            _ => false,
        }
    }
}

/// Minutes east of UTC of a zone as it stands in a line: `Z`, `z`, `UTC`, `GMT`,
/// `+02`, `+0200`, `+02:00`, all with or without one space before, or nothing.
pub fn zone_minutes(zone: &str) -> Option<i32> {
    let zone = zone.strip_prefix(' ').unwrap_or(zone).as_bytes();
    let (sign, digits) = match zone {
        [] | b"Z" | b"z" | b"UTC" | b"GMT" => return Some(0),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits {
        [h1, h2] => ([h1, h2], [&b'0', &b'0']),
        [h1, h2, b':', m1, m2] | [h1, h2, m1, m2] => ([h1, h2], [m1, m2]),
        _ => return None,
    };
    let pair = |[tens, ones]: [&u8; 2]| {
        (tens.is_ascii_digit() && ones.is_ascii_digit())
            .then(|| i32::from(tens - b'0') * 10 + i32::from(ones - b'0'))
    };
    let (hours, minutes) = (pair(hours)?, pair(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

fn write_date(second: i64, separator: char, line: &mut Vec<u8>) -> bool {
    let (year, month, day) = civil(second.div_euclid(86_400));
    let Ok(year @ 0..=9_999) = u32::try_from(year) else { return false };
    let of_day = second.rem_euclid(86_400) as u32;
    write_padded(year, 4, line);
    line.push(b'-');
    write_padded(month, 2, line);
    line.push(b'-');
    write_padded(day, 2, line);
    line.extend_from_slice(separator.encode_utf8(&mut [0; 4]).as_bytes());
    write_padded(of_day / 3_600, 2, line);
    line.push(b':');
    write_padded(of_day / 60 % 60, 2, line);
    line.push(b':');
    write_padded(of_day % 60, 2, line);
    true
}

/// `fraction` is in nanoseconds; digits beyond those asked for are cut.
fn write_fraction(fraction: u32, digits: u8, point: char, line: &mut Vec<u8>) -> bool {
    match digits {
        0 => true,
        1..=9 => {
            line.extend_from_slice(point.encode_utf8(&mut [0; 4]).as_bytes());
            write_padded(fraction / 10u32.pow(9 - u32::from(digits)), digits.into(), line);
            true
        }
        _ => false,
    }
}

fn write_padded(value: u32, digits: usize, line: &mut Vec<u8>) {
    let mut text = [b'0'; 10];
    let mut rest = value;
    for place in text[..digits].iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    line.extend_from_slice(&text[..digits]);
}

fn write_number(value: i64, line: &mut Vec<u8>) {
    use std::io::Write;
    write!(line, "{value}").expect("writing to memory cannot fail");
}

/// Year, month and day of a day since 1970, proleptic Gregorian. Eras of 400
/// years, each starting on 1 March, make leap days the last of their year.
fn civil(day: i64) -> (i64, u32, u32) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day_of_month = (of_year - (153 * from_march + 2) / 5 + 1) as u32;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 } as u32;
    (year_of_era + era * 400 + i64::from(month <= 2), month, day_of_month)
}

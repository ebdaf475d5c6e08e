//! Times as people and programs write them.

use std::str::FromStr;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use weir_runtime::HumanDuration;

/// Reads a time as microseconds since 1970: RFC 3339, a number of seconds,
/// milliseconds, microseconds or nanoseconds since 1970 (told apart by its
/// size), `now`, or relative to now: `-15m`, `now-1h`.
pub(crate) fn moment(text: &str, now_micros: i64) -> Option<i64> {
    let text = text.trim();
    let relative = text.strip_prefix("now").unwrap_or(text);
    if text == "now" {
        return Some(now_micros);
    }
    if let Some(before) = relative.strip_prefix('-')
        && let Ok(before) = HumanDuration::from_str(before)
    {
        return now_micros.checked_sub(i64::try_from(before.0.as_micros()).ok()?);
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return epoch(text.parse().ok()?);
    }
    let nanos = text.parse::<Timestamp>().ok()?.as_nanosecond();
    i64::try_from(nanos.div_euclid(1_000)).ok()
}

/// Seconds until the year 5138, then milliseconds until the same, and so on.
fn epoch(number: i64) -> Option<i64> {
    const SECONDS_END: i64 = 100_000_000_000;
    const MILLIS_END: i64 = SECONDS_END * 1_000;
    const MICROS_END: i64 = MILLIS_END * 1_000;
    if number < SECONDS_END {
        number.checked_mul(1_000_000)
    } else if number < MILLIS_END {
        number.checked_mul(1_000)
    } else if number < MICROS_END {
        Some(number)
    } else {
        Some(number / 1_000)
    }
}

/// `2026-01-02T03:04:05.000006Z`; none outside the years that RFC 3339 has.
pub(crate) fn rfc3339(micros: i64) -> Option<String> {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
    const YEAR_0: i64 = -62_167_219_200_000_000;
    let time = Timestamp::from_microsecond(micros).ok().filter(|_| micros >= YEAR_0)?;
    Some(PRINTER.timestamp_to_string(&time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let now = 1_000_000_000_000_000;
        let check = |text: &str, expected: Option<i64>| assert_eq!(moment(text, now), expected, "{text:?}");
        check("now", Some(now));
        check("-1h", Some(now - 3_600_000_000));
        check("now-15m", Some(now - 900_000_000));
        check("1700000000", Some(1_700_000_000_000_000));
        check("1700000000123", Some(1_700_000_000_123_000));
        check("1700000000123456", Some(1_700_000_000_123_456));
        check("1700000000123456789", Some(1_700_000_000_123_456));
        check("1970-01-01T00:00:01Z", Some(1_000_000));
        check("1970-01-01T01:00:01.000000999+01:00", Some(1_000_000));
        check("1969-12-31T23:59:59.9999999Z", Some(-1));
        check("0", Some(0));
        for bad in ["", "yesterday", "1h", "-", "-1", "now+", "2026-01-01", "99999999999999999999"] {
            check(bad, None);
        }
    }

    #[test]
    fn written_with_microseconds() {
        assert_eq!(rfc3339(0).as_deref(), Some("1970-01-01T00:00:00.000000Z"));
        assert_eq!(rfc3339(-1).as_deref(), Some("1969-12-31T23:59:59.999999Z"));
        assert_eq!(rfc3339(i64::MAX), None);
        assert_eq!(rfc3339(i64::MIN), None);
    }
}

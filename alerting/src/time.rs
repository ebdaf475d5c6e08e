//! Times as messages and the API have them.

use std::time::Duration;

/// RFC 3339 in UTC, whole milliseconds.
pub(crate) fn rfc3339(micros: i64) -> String {
    let time = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MAX);
    format!("{time:.3}")
}

/// Microseconds since 1970 of a time in RFC 3339.
pub(crate) fn micros_of(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_microsecond)
}

/// A duration in whole microseconds.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// A time between two others.
pub(crate) fn between(from_micros: i64, to_micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(to_micros.saturating_sub(from_micros)).unwrap_or(0))
}

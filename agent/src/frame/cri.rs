//! The line format of container runtimes (CRI):
//! `2016-10-06T00:17:09.669794202Z stdout F text`.

use super::Stream;

/// What stands before the text of a CRI line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// When the runtime took the text, nanoseconds since 1970.
    pub(crate) timestamp_nanos: i64,
    /// Which of the container's streams.
    pub(crate) stream: Stream,
    /// Tag `P`: the text goes on in the stream's next line.
    pub(crate) partial: bool,
    /// Where the text begins.
    pub(crate) text_at: usize,
}

/// Reads the header of a line; nothing if it is no CRI line.
pub(crate) fn parse(line: &[u8]) -> Option<Header> {
    let time_end = line.iter().take(40).position(|&byte| byte == b' ')?;
    let timestamp_nanos = timestamp(&line[..time_end])?;
    let rest = &line[time_end + 1..];
    let stream = match rest.get(..7)? {
        b"stdout " => Stream::Stdout,
        b"stderr " => Stream::Stderr,
        _ => return None,
    };
    let tags = &rest[7..];
    let tags_end = tags.iter().take(64).position(|&byte| byte == b' ').unwrap_or(tags.len());
    let partial = match tags[..tags_end].split(|&byte| byte == b':').next()? {
        b"P" => true,
        b"F" => false,
        _ => return None,
    };
    let text_at = (time_end + 1 + 7 + tags_end + 1).min(line.len());
    Some(Header { timestamp_nanos, stream, partial, text_at })
}

/// RFC 3339 with up to nine fractional digits, as nanoseconds since 1970.
pub(super) fn timestamp(text: &[u8]) -> Option<i64> {
    let punctuation = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if text.len() < 20 || punctuation.iter().any(|&(at, byte)| text[at] != byte) {
        return None;
    }
    let (year, month, day) = (digits(&text[..4])?, digits(&text[5..7])?, digits(&text[8..10])?);
    let (hour, minute, second) = (digits(&text[11..13])?, digits(&text[14..16])?, digits(&text[17..19])?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (nanos, zone) = fraction(&text[19..])?;
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    seconds.checked_sub(offset_seconds(zone)?)?.checked_mul(1_000_000_000)?.checked_add(nanos)
}

/// The nanoseconds of `.123456789`, and what follows.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(rest) = text.strip_prefix(b".") else { return Some((0, text)) };
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&count) {
        return None;
    }
    let scale = 10_i64.pow(9 - u32::try_from(count).ok()?);
    Some((digits(&rest[..count])? * scale, &rest[count..]))
}

fn offset_seconds(zone: &[u8]) -> Option<i64> {
    let sign = match zone.first()? {
        b'Z' if zone.len() == 1 => return Some(0),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    if zone.len() != 6 || zone[3] != b':' {
        return None;
    }
    Some(sign * (digits(&zone[1..3])? * 3_600 + digits(&zone[4..6])? * 60))
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0_i64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar. The year is
/// counted from March, so that the leap day is its last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let check = |line: &str, expected: Option<(i64, Stream, bool, &str)>| {
            let found = parse(line.as_bytes()).map(|header| {
                (header.timestamp_nanos, header.stream, header.partial, &line[header.text_at..])
            });
            assert_eq!(found, expected, "{line}");
        };
        let noon = 1_475_713_029_669_794_202;
        check("2016-10-06T00:17:09.669794202Z stdout F text", Some((noon, Stream::Stdout, false, "text")));
        check("2016-10-06T00:17:09.669794202Z stderr P  a b", Some((noon, Stream::Stderr, true, " a b")));
        check("2016-10-06T02:17:09.669794202+02:00 stdout F x", Some((noon, Stream::Stdout, false, "x")));
        check("2016-10-05T23:47:09.669794202-00:30 stdout P:tag x", Some((noon, Stream::Stdout, true, "x")));
        check("1970-01-01T00:00:01Z stdout F", Some((1_000_000_000, Stream::Stdout, false, "")));
        check("1970-01-01T00:00:01Z stdout F ", Some((1_000_000_000, Stream::Stdout, false, "")));
        check(
            "2000-02-29T00:00:00.5Z stdout F x",
            Some((951_782_400_500_000_000, Stream::Stdout, false, "x")),
        );
        for wrong in [
            "",
            "hello world",
            "2016-10-06T00:17:09Z stdin F x",
            "2016-10-06T00:17:09Z stdout X x",
            "2016-13-06T00:17:09Z stdout F x",
            "2016-10-06 00:17:09Z stdout F x",
            "2016-10-06T00:17:09 stdout F x",
            "2016-10-06T00:17:09.Z stdout F x",
            "2016-10-06T00:17:09.1234567890Z stdout F x",
            "9999-10-06T00:17:09Z stdout F x",
            "2016-10-06T00:17:09Z stdout",
        ] {
            check(wrong, None);
        }
    }
}

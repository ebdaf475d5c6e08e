//! The beginnings of plain lines.

use weir_proto::model::flags;

use super::calendar::{Date, TimeOfDay, latest_second};
use super::{Fraction, Instant, Reading, clock, epoch, iso, number, zone};

/// How far into a line a time is looked for.
const START_BYTES: usize = 160;

/// Tokens before the time that are skipped: a priority, a label, a file name.
const TOKENS_BEFORE: usize = 3;

/// Looks for a time at the beginning of a line: at once, in brackets, or behind
/// a few words. The answer's length counts from the start of the line.
pub(in super::super) fn read_start(line: &str, observed_micros: i64) -> Option<Reading<'_>> {
    let bytes = line.as_bytes();
    let mut start = priority(bytes);
    for token in 0..=TOKENS_BEFORE {
        start += bytes[start..].iter().take_while(|byte| matches!(byte, b' ' | b'[' | b'(' | b'\t')).count();
        if start >= START_BYTES.min(bytes.len()) {
            return None;
        }
        if let Some(rest) = line.get(start..) {
            let reading = match token {
                0 => at(rest, observed_micros).or_else(|| plausible_epoch(rest, observed_micros)),
                1 if is_label(&bytes[..start]) => plausible_epoch(rest, observed_micros),
                _ => None,
            };
            let reading = reading.or_else(|| iso(rest)).or_else(|| common_log(rest));
            if let Some(reading) = reading {
                return Some(Reading { length: start + reading.length, ..reading });
            }
        }
        start += bytes[start..].iter().position(|byte| *byte == b' ')?;
    }
    None
}

/// Every form that may stand at the very beginning, or be a whole value.
pub(super) fn at(text: &str, observed_micros: i64) -> Option<Reading<'_>> {
    let first = *text.as_bytes().first()?;
    match first {
        b'0'..=b'9' => iso(text)
            .or_else(|| compact(text))
            .or_else(|| short_year(text))
            .or_else(|| common_log(text))
            .or_else(|| month_day(text, observed_micros)),
        b'I' | b'W' | b'E' | b'F' if text.as_bytes().get(1).is_some_and(u8::is_ascii_digit) => {
            klog(text, observed_micros)
        }
        b'A'..=b'Z' => syslog(text, observed_micros).or_else(|| ctime(text)).or_else(|| http(text)),
        _ => None,
    }
}

/// Bytes of a syslog priority and version: `<34>`, `<34>1 `.
fn priority(bytes: &[u8]) -> usize {
    let Some([b'<', rest @ ..]) = bytes.get(..5.min(bytes.len())) else { return 0 };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits == 0 || rest.get(digits) != Some(&b'>') {
        return 0;
    }
    let end = digits + 2;
    if bytes[end..].starts_with(b"1 ") { end + 2 } else { end }
}

/// `-` or a word in capitals: what may precede a bare number of seconds.
fn is_label(before: &[u8]) -> bool {
    before.iter().all(|byte| matches!(byte, b'-' | b' ' | b'A'..=b'Z'))
}

/// A number of seconds or more since 1970, if it lies between 2000 and the day
/// after it was observed: other numbers begin lines too.
fn plausible_epoch(text: &str, observed_micros: i64) -> Option<Reading<'_>> {
    let reading = epoch(text)?;
    let range = 946_684_800_000_000..observed_micros.saturating_add(86_400_000_000);
    let ends =
        text.as_bytes().get(reading.length).is_none_or(|byte| matches!(byte, b' ' | b']' | b':' | b'|'));
    (ends && range.contains(&reading.instant.micros)).then_some(reading)
}

/// `20171223-22:15:29:606`, `20171223T221529Z`, `20171223 22:15:29.606`.
fn compact(text: &str) -> Option<Reading<'_>> {
    let bytes = text.as_bytes();
    let [y1, y2, y3, y4, m1, m2, d1, d2, b'-' | b'T' | b' ' | b'_', ..] = bytes else { return None };
    let date = Date {
        year: number(&[*y1, *y2, *y3, *y4])?.into(),
        month: number(&[*m1, *m2])?,
        day: number(&[*d1, *d2])?,
    };
    if let Some(time) = bytes.get(9..17)
        && let Some((second, _, _)) = clock(date, time, bytes, 17)
    {
        let fraction = Fraction::read(bytes, 17, b".,:");
        let end = 17 + fraction.length();
        return zoned(second, fraction, text, end);
    }
    let [h1, h2, n1, n2, s1, s2] = bytes.get(9..15)?.first_chunk::<6>()?;
    let time =
        TimeOfDay { hour: number(&[*h1, *h2])?, minute: number(&[*n1, *n2])?, second: number(&[*s1, *s2])? };
    let fraction = Fraction::read(bytes, 15, b".,");
    zoned(date.second_at(time)?, fraction, text, 15 + fraction.length())
}

/// `081109 203615` and `17/06/09 20:10:40`: a year of two digits.
fn short_year(text: &str) -> Option<Reading<'_>> {
    let bytes = text.as_bytes();
    let date = |year: &[u8; 2], month: &[u8; 2], day: &[u8; 2]| {
        Some(Date { year: 2000 + i64::from(number(year)?), month: number(month)?, day: number(day)? })
    };
    if let Some([y1, y2, b'/', m1, m2, b'/', d1, d2, b' ', time @ ..]) = bytes.first_chunk::<17>() {
        let date = date(&[*y1, *y2], &[*m1, *m2], &[*d1, *d2])?;
        let (second, fraction, end) = clock(date, time, bytes, 17)?;
        return zoned(second, fraction, text, end);
    }
    let [y1, y2, m1, m2, d1, d2, b' ', h1, h2, n1, n2, s1, s2] = bytes.first_chunk::<13>()? else {
        return None;
    };
    let time =
        TimeOfDay { hour: number(&[*h1, *h2])?, minute: number(&[*n1, *n2])?, second: number(&[*s1, *s2])? };
    let second = date(&[*y1, *y2], &[*m1, *m2], &[*d1, *d2])?.second_at(time)?;
    let ends = bytes.get(13).is_none_or(|byte| *byte == b' ');
    let fraction = Fraction::read(bytes, 13, b"");
    if ends { zoned(second, fraction, text, 13) } else { None }
}

/// `03-17 16:13:38.811`, as logcat prints: month and day.
fn month_day(text: &str, observed_micros: i64) -> Option<Reading<'_>> {
    let bytes = text.as_bytes();
    let [m1, m2, b'-', d1, d2, b' ', time @ ..] = bytes.first_chunk::<14>()? else { return None };
    let (month, day) = (number(&[*m1, *m2])?, number(&[*d1, *d2])?);
    yearless(month, day, time, text, 14, observed_micros)
}

/// `I0102 15:04:05.000000`, as klog prints; the letter is the severity. glog's
/// newer releases write the year, too: `I20230102 15:04:05.000000`.
pub(in super::super) fn klog(text: &str, observed_micros: i64) -> Option<Reading<'_>> {
    let bytes = text.as_bytes();
    if bytes.get(5).is_some_and(u8::is_ascii_digit) {
        let reading = compact(text.get(1..)?)?;
        return Some(Reading { length: 1 + reading.length, ..reading });
    }
    let [_, m1, m2, d1, d2, b' ', time @ ..] = bytes.first_chunk::<14>()? else { return None };
    let (month, day) = (number(&[*m1, *m2])?, number(&[*d1, *d2])?);
    yearless(month, day, time, text, 14, observed_micros)
}

/// `Jun 14 15:16:01`, `Jun  4 15:16:01.123`, `Jun 14 2020 15:16:01`.
fn syslog(text: &str, observed_micros: i64) -> Option<Reading<'_>> {
    let bytes = text.as_bytes();
    let month = month(bytes.get(..3)?)?;
    let [b' ', tens, ones, b' '] = bytes.get(3..7)? else { return None };
    let tens = if *tens == b' ' { b'0' } else { *tens };
    let day = number(&[tens, *ones])?;
    if let Some(year) = bytes.get(7..11).and_then(number)
        && bytes.get(11) == Some(&b' ')
    {
        let date = Date { year: year.into(), month, day };
        let (second, fraction, end) = clock(date, bytes.get(12..20)?, bytes, 20)?;
        return zoned(second, fraction, text, end);
    }
    yearless(month, day, bytes.get(7..15)?, text, 15, observed_micros)
}

/// `Sun Dec 04 04:47:44 2005`, also with a fraction or a zone before the year.
pub(in super::super) fn ctime(text: &str) -> Option<Reading<'_>> {
    let bytes = text.as_bytes();
    weekday(bytes.get(..3)?)?;
    let month = month(bytes.get(4..7)?)?;
    let [b' ', tens, ones, b' '] = bytes.get(7..11)? else { return None };
    let tens = if *tens == b' ' { b'0' } else { *tens };
    let time = bytes.get(11..19)?;
    let fraction = Fraction::read(bytes, 19, b".");
    let mut end = 19 + fraction.length();
    let zone = zone(text.get(end..)?);
    end += zone.len();
    let year = bytes.get(end..end + 5).filter(|year| year[0] == b' ').and_then(|year| number(&year[1..]))?;
    let date = Date { year: year.into(), month, day: number(&[tens, *ones])? };
    let (second, _, _) = clock(date, time, bytes, 19)?;
    reading(second, fraction, zone, end + 5, 0)
}

/// `Tue, 02 Jan 2024 15:04:05 GMT`.
fn http(text: &str) -> Option<Reading<'_>> {
    let bytes = text.as_bytes();
    weekday(bytes.get(..3)?)?;
    let [b',', b' ', d1, d2, b' ', m @ .., b' ', y1, y2, y3, y4, b' '] = bytes.get(3..17)? else {
        return None;
    };
    let date =
        Date { year: number(&[*y1, *y2, *y3, *y4])?.into(), month: month(m)?, day: number(&[*d1, *d2])? };
    let (second, fraction, end) = clock(date, bytes.get(17..25)?, bytes, 25)?;
    zoned(second, fraction, text, end)
}

/// `10/Oct/2000:13:55:36 -0700`, as access logs have it.
pub(in super::super) fn common_log(text: &str) -> Option<Reading<'_>> {
    let bytes = text.as_bytes();
    let [d1, d2, b'/', m @ .., b'/', y1, y2, y3, y4, b':'] = bytes.get(..12)? else { return None };
    let date =
        Date { year: number(&[*y1, *y2, *y3, *y4])?.into(), month: month(m)?, day: number(&[*d1, *d2])? };
    let (second, fraction, end) = clock(date, bytes.get(12..20)?, bytes, 20)?;
    zoned(second, fraction, text, end)
}

fn yearless<'a>(
    month: u16,
    day: u16,
    time: &[u8],
    text: &'a str,
    end: usize,
    observed_micros: i64,
) -> Option<Reading<'a>> {
    let [h1, h2, b':', m1, m2, b':', s1, s2] = time else { return None };
    let time =
        TimeOfDay { hour: number(&[*h1, *h2])?, minute: number(&[*m1, *m2])?, second: number(&[*s1, *s2])? };
    let fraction = Fraction::read(text.as_bytes(), end, b".,");
    let second = latest_second(month, day, time, observed_micros)?;
    let end = end + fraction.length();
    let zone = zone(&text[end..]);
    reading(second, fraction, zone, end + zone.len(), flags::YEAR_ASSUMED)
}

fn zoned(second: i64, fraction: Fraction, text: &str, end: usize) -> Option<Reading<'_>> {
    let zone = zone(&text[end..]);
    reading(second, fraction, zone, end + zone.len(), 0)
}

fn reading<'a>(
    second: i64,
    fraction: Fraction,
    zone: &str,
    length: usize,
    assumed: i32,
) -> Option<Reading<'a>> {
    let minutes = weir_proto::wire::layout::zone_minutes(zone)?;
    let zone = if zone.is_empty() { flags::ZONE_ASSUMED } else { 0 };
    let instant = Instant::new(second - i64::from(minutes) * 60, fraction.nanos)?;
    Some(Reading { instant, assumed: assumed | zone, length, spelling: None })
}

fn month(name: &[u8]) -> Option<u16> {
    const NAMES: [&[u8; 3]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    NAMES.iter().zip(1..).find(|(month, _)| name == month.as_slice()).map(|(_, number)| number)
}

fn weekday(name: &[u8]) -> Option<()> {
    const NAMES: [&[u8; 3]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
    NAMES.iter().any(|day| name == day.as_slice()).then_some(())
}

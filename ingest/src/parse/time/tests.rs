use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;

const OBSERVED: &str = "2026-03-10T12:00:00Z";

fn observed() -> i64 {
    OBSERVED.parse::<Timestamp>().expect("a timestamp").as_microsecond()
}

fn show(instant: Instant) -> String {
    let nanos = i128::from(instant.micros) * 1_000 + i128::from(instant.nanos);
    Timestamp::from_nanosecond(nanos).expect("in range").to_string()
}

#[test]
fn values_that_are_times() {
    let check = |value: &str, expected: &str, assumed: i32, is_spelled: bool| {
        let reading = read_value(value, observed()).unwrap_or_else(|| panic!("{value} is a time"));
        assert_eq!(show(reading.instant), expected, "{value}");
        assert_eq!(reading.assumed, assumed, "{value}");
        assert_eq!(reading.spelling.is_some(), is_spelled, "{value}");
        if let Some(spelling) = reading.spelling {
            let mut line = Vec::new();
            assert!(spelling.format().write(reading.instant.micros, reading.instant.nanos, &mut line));
            assert_eq!(String::from_utf8_lossy(&line), value);
        }
    };
    const ZONE: i32 = flags::ZONE_ASSUMED;
    const YEAR: i32 = flags::YEAR_ASSUMED;
    check("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z", 0, true);
    check("2026-01-02T03:04:05.678901234z", "2026-01-02T03:04:05.678901234Z", 0, true);
    check("2026-01-02T03:04:05.5+02:00", "2026-01-02T01:04:05.5Z", 0, true);
    check("2026-01-02 03:04:05,042", "2026-01-02T03:04:05.042Z", ZONE, true);
    check("2026-01-02 03:04:05 -0330", "2026-01-02T06:34:05Z", 0, true);
    check("2026-01-02 03:04:05 UTC", "2026-01-02T03:04:05Z", 0, true);
    check("2026-01-02 03:04:05+00", "2026-01-02T03:04:05Z", 0, true);
    check("2026/01/02 03:04:05", "2026-01-02T03:04:05Z", ZONE, false);
    check("2026-01-02T03:04:05.1234567891Z", "2026-01-02T03:04:05.123456789Z", 0, false);
    check("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z", 0, false);
    check("1700000000", "2023-11-14T22:13:20Z", 0, true);
    check("1700000000.042", "2023-11-14T22:13:20.042Z", 0, true);
    check("1700000000042", "2023-11-14T22:13:20.042Z", 0, true);
    check("1700000000042.5", "2023-11-14T22:13:20.0425Z", 0, false);
    check("1700000000042001", "2023-11-14T22:13:20.042001Z", 0, true);
    check("1700000000042001007", "2023-11-14T22:13:20.042001007Z", 0, true);
    check("Jun 14 15:16:01", "2025-06-14T15:16:01Z", ZONE | YEAR, false);
    check("Sun Dec 04 04:47:44 2005", "2005-12-04T04:47:44Z", ZONE, false);
    check("Tue, 02 Jan 2024 15:04:05 GMT", "2024-01-02T15:04:05Z", 0, false);
    check("10/Oct/2000:13:55:36 -0700", "2000-10-10T20:55:36Z", 0, false);
}

#[test]
fn values_that_are_no_times() {
    for value in [
        "",
        "now",
        "2026-01-02",
        "2026-13-02T03:04:05Z",
        "2026-02-29T03:04:05Z",
        "2026-01-02T24:04:05Z",
        "2026-01-02T03:04:05Zx",
        "2026-01-02T03:04:05+99:00",
        "0170000000",
        "-1700000000",
        "1700000000.",
        "1.7e9",
        "42",
        "99999999999999999999",
        "Jun 31 15:16:01",
        "2026-01-02T03:04:05é",
    ] {
        assert_eq!(read_value(value, observed()), None, "{value}");
    }
}

#[test]
fn beginnings_of_lines() {
    let check = |line: &str, expected: &str, assumed: i32, length: usize| {
        let reading = read_start(line, observed()).unwrap_or_else(|| panic!("{line} has a time"));
        assert_eq!(show(reading.instant), expected, "{line}");
        assert_eq!(reading.assumed, assumed, "{line}");
        assert_eq!(reading.length, length, "{line}");
    };
    const ZONE: i32 = flags::ZONE_ASSUMED;
    const BOTH: i32 = flags::YEAR_ASSUMED | flags::ZONE_ASSUMED;
    check("2015-07-29 17:41:41,536 - INFO  [main]", "2015-07-29T17:41:41.536Z", ZONE, 23);
    check("2016-09-28 04:30:30, Info                  CBS", "2016-09-28T04:30:30Z", ZONE, 19);
    check("Jun 14 15:16:01 combo sshd(pam_unix)[19939]: x", "2025-06-14T15:16:01Z", BOTH, 15);
    check("Mar  9 09:00:55 host x", "2026-03-09T09:00:55Z", BOTH, 15);
    check("[Sun Dec 04 04:47:44 2005] [notice] x", "2005-12-04T04:47:44Z", ZONE, 25);
    check("[Wed Oct 11 14:32:52.123456 2023] x", "2023-10-11T14:32:52.123456Z", ZONE, 32);
    check("081109 203615 148 INFO dfs.DataNode", "2008-11-09T20:36:15Z", ZONE, 13);
    check("17/06/09 20:10:40 INFO executor", "2017-06-09T20:10:40Z", ZONE, 17);
    check("03-17 16:13:38.811  1702  2395 D Window", "2025-03-17T16:13:38.811Z", BOTH, 18);
    check("20171223-22:15:29:606|Step_LSC|30002312", "2017-12-23T22:15:29.606Z", ZONE, 21);
    check("20171223T221529Z x", "2017-12-23T22:15:29Z", 0, 16);
    check("I0102 15:04:05.000042   1 file.go:12] x", "2026-01-02T15:04:05.000042Z", BOTH, 21);
    check("nova-api.log 2017-05-16 00:00:00.008 25746 INFO", "2017-05-16T00:00:00.008Z", ZONE, 36);
    check("- 1117838570 2005.06.03 R02-M1 x", "2005-06-03T22:42:50Z", 0, 12);
    check("1700000000 x", "2023-11-14T22:13:20Z", 0, 10);
    check("<34>1 2003-10-11T22:14:15.003Z host x", "2003-10-11T22:14:15.003Z", 0, 30);
    check("<34>Oct 11 22:14:15 host su: x", "2025-10-11T22:14:15Z", BOTH, 19);
    check("INFO 2024-01-02T15:04:05Z x", "2024-01-02T15:04:05Z", 0, 25);
    check("[INFO] [2024-01-02 15:04:05 +0200] x", "2024-01-02T13:04:05Z", 0, 33);
    check("127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] x", "2000-10-10T20:55:36Z", 0, 41);
    check("Jun 14 2020 15:16:01 x", "2020-06-14T15:16:01Z", ZONE, 20);
}

#[test]
fn lines_without_a_time() {
    for line in [
        "",
        "hello",
        "4155551234 called",
        "081199 203615 x",
        "9999999999 is no time yet",
        "v2026-01-02 03:04:05",
        "a b c d 2026-01-02 03:04:05",
        "Info 5",
        "Jun is a month",
        "é 2026-01-0é",
        "<999999> x",
    ] {
        assert_eq!(read_start(line, observed()), None, "{line}");
    }
}

#[test]
fn a_time_without_a_year_is_the_latest_that_fits() {
    let check = |observed: &str, line: &str, expected: &str| {
        let observed = observed.parse::<Timestamp>().expect("a timestamp").as_microsecond();
        let reading = read_start(line, observed).expect("a time");
        assert_eq!(show(reading.instant), expected, "{line} at {observed}");
    };
    check("2026-01-01T00:00:10Z", "Dec 31 23:59:59 x", "2025-12-31T23:59:59Z");
    check("2025-12-31T23:59:50Z", "Jan  1 00:00:01 x", "2026-01-01T00:00:01Z");
    check("2026-03-10T12:00:00Z", "Mar 11 12:00:00 x", "2026-03-11T12:00:00Z");
    check("2026-03-10T12:00:00Z", "Mar 11 12:00:01 x", "2025-03-11T12:00:01Z");
    check("2026-03-10T12:00:00Z", "Feb 29 12:00:00 x", "2024-02-29T12:00:00Z");
    check("2104-02-28T00:00:00Z", "Feb 29 12:00:00 x", "2096-02-29T12:00:00Z");
}

proptest! {
    #[test]
    fn agrees_with_a_date_library(second in -2_000_000_000i64..5_000_000_000, nanos in 0i32..1_000_000_000) {
        let stamp = Timestamp::new(second, if second < 0 { 0 } else { nanos }).unwrap();
        let text = format!("{stamp:.9}");
        let reading = read_value(&text, 0).unwrap();
        prop_assert_eq!(format!("{:.9}", show(reading.instant).parse::<Timestamp>().unwrap()), text);
    }

    #[test]
    fn a_year_is_never_in_the_future(second in 0i64..4_000_000_000, ago in 0i64..31_000_000) {
        let observed = Timestamp::from_second(second).unwrap();
        let then = Timestamp::from_second(second - ago).unwrap();
        let civil: DateTime = then.to_zoned(TimeZone::UTC).datetime();
        let line = format!("{}", civil.strftime("%b %e %H:%M:%S x"));
        let reading = read_start(&line, observed.as_microsecond()).unwrap();
        prop_assert_eq!(reading.instant.micros, then.as_microsecond());
    }

    #[test]
    fn foreign_text_never_panics(line in any::<String>(), digits in "[0-9TZ:./, +<>\\[A-Za-zé-]{0,40}") {
        for text in [line, digits] {
            read_start(&text, 0);
            read_value(&text, i64::MAX);
            read_value(&text, i64::MIN);
        }
    }
}

//! Dates, as far as timestamps need them: proleptic Gregorian, UTC.

/// A date that may not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: i64,
    /// From 1.
    pub(super) month: u16,
    /// From 1.
    pub(super) day: u16,
}

/// A time of a day that may not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimeOfDay {
    pub(super) hour: u16,
    pub(super) minute: u16,
    /// Up to 60: a leap second is the next minute's first.
    pub(super) second: u16,
}

const SECONDS_PER_DAY: i64 = 86_400;

impl Date {
    /// The second since 1970; none when date or time do not exist.
    pub(super) fn second_at(self, time: TimeOfDay) -> Option<i64> {
        let exists = (1..=12).contains(&self.month)
            && (1..=days_of(self.year, self.month)).contains(&self.day)
            && time.hour < 24
            && time.minute < 60
            && time.second <= 60;
        let of_day = i64::from(time.hour) * 3_600 + i64::from(time.minute) * 60 + i64::from(time.second);
        exists.then(|| self.days() * SECONDS_PER_DAY + of_day)
    }

    /// Days since 1970. Eras of 400 years, each starting on 1 March, make leap
    /// days the last of their year.
    fn days(self) -> i64 {
        let month = i64::from(self.month);
        let year = self.year - i64::from(month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let from_march = if month > 2 { month - 3 } else { month + 9 };
        let of_year = (153 * from_march + 2) / 5 + i64::from(self.day) - 1;
        let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
        era * 146_097 + of_era - 719_468
    }
}

/// The latest second not after the observed time plus a day that has this
/// month, day and time: what a time without a year means. None when no year of
/// the last eight has the date.
pub(super) fn latest_second(month: u16, day: u16, time: TimeOfDay, observed_micros: i64) -> Option<i64> {
    let latest = observed_micros.div_euclid(1_000_000) + SECONDS_PER_DAY;
    // Never too small; at most one too large.
    let year = 1970 + latest.div_euclid(365 * SECONDS_PER_DAY) + 1;
    let floor = 1970 + latest.div_euclid(366 * SECONDS_PER_DAY) - 9;
    (floor..=year)
        .rev()
        .filter_map(|year| Date { year, month, day }.second_at(time))
        .find(|second| *second <= latest)
}

fn days_of(year: i64, month: u16) -> u16 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

//! Where an object lies. People read the path, programs read the catalog: a
//! row outside of the path's hour is no fault.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use weir_proto::model::{FileId, TenantId};

/// `<tenant>/<table>/<yyyy-mm-dd>/<hh>/<ULID>.parquet`, in UTC, by the earliest
/// row. A time before the year 0000 is filed under its first hour, one after
/// 9999-12-30 22:59 (the last that any time zone can write) under that hour.
pub fn path_of(tenant: &TenantId, table: &str, min_time_micros: i64, file: FileId) -> String {
    let (date, hour) = date_and_hour(min_time_micros);
    format!("{tenant}/{table}/{date}/{hour:02}/{file}.parquet")
}

fn date_and_hour(micros: i64) -> (String, i8) {
    let nearest = if micros < 0 { Timestamp::MIN } else { Timestamp::MAX };
    let time = Timestamp::from_microsecond(micros).unwrap_or(nearest).to_zoned(TimeZone::UTC);
    if time.year() < 0 {
        return ("0000-01-01".to_owned(), 0);
    }
    (time.date().to_string(), time.hour())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_tenant_table_and_hour() {
        let check = |micros: i64, expected: &str| {
            let path = path_of(&TenantId::default(), "logs", micros, FileId::from_u128(1));
            assert_eq!(path, format!("default/logs/{expected}/00000000000000000000000001.parquet"));
        };
        check(0, "1970-01-01/00");
        check(-1, "1969-12-31/23");
        check(1_700_000_000_000_000, "2023-11-14/22");
        check(-62_167_219_200_000_000, "0000-01-01/00");
        check(-62_167_219_200_000_001, "0000-01-01/00");
        check(253_402_300_799_999_999, "9999-12-30/22");
        check(i64::MIN, "0000-01-01/00");
        check(i64::MAX, "9999-12-30/22");
    }
}

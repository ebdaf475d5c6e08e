//! Values spelled in SQL: the one place where what somebody typed becomes part
//! of a statement.

use weir_proto::schema::log::column;
use weir_storage::catalog::TimeRange;

use crate::search::rfc3339;

/// A text of SQL: quotes doubled, nothing else is special.
pub(crate) fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Several texts with commas between.
pub(crate) fn texts<'a>(values: impl IntoIterator<Item = &'a str>) -> String {
    values.into_iter().map(text).collect::<Vec<_>>().join(", ")
}

/// The conditions that an event's time lies within a span; none for an end
/// that is open. Every table of events calls its time alike.
pub(crate) fn within(time: TimeRange) -> Vec<String> {
    between(column::TIMESTAMP, time)
}

/// The same for another column of times.
pub(crate) fn between(column: &str, time: TimeRange) -> Vec<String> {
    let mut conditions = Vec::new();
    if time.min_micros > i64::MIN {
        conditions.push(instant(column, ">=", time.min_micros));
    }
    if time.max_micros < i64::MAX {
        conditions.push(instant(column, "<=", time.max_micros));
    }
    conditions
}

fn instant(column: &str, op: &str, micros: i64) -> String {
    match rfc3339(micros) {
        Some(text) => format!("{column} {op} '{text}'"),
        None => format!("CAST({column} AS BIGINT) {op} {micros}"),
    }
}

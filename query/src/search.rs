//! Searching logs with words instead of SQL.
//!
//! A search is compiled into one SQL statement that can be shown, so that both
//! ways of asking mean the same; `docs/api.md` has the language.

mod compile;
mod field;
mod grammar;
mod moment;

use weir_proto::model::TenantId;
use weir_proto::schema::log::{self, column};
use weir_storage::catalog::TimeRange;

pub(crate) use moment::{moment, rfc3339};

use crate::{QueryError, literal};

/// The most rows that a search gives.
pub(crate) const LIMIT_MAX: usize = 10_000;

/// A search for the newest rows.
#[derive(Clone, Debug)]
pub struct SearchRequest {
    /// Whose rows.
    pub tenant: TenantId,
    /// Words, phrases and fields; empty finds everything.
    pub query: String,
    /// Rows at or after this time, microseconds.
    pub start: Option<i64>,
    /// Rows before this time, microseconds.
    pub end: Option<i64>,
    /// How many rows, at most 10,000.
    pub limit: usize,
}

/// The condition of a search as SQL; none finds everything.
pub(crate) fn condition(query: &str) -> Result<Option<String>, QueryError> {
    grammar::parse(query)?.map(|term| compile::sql(&term)).transpose()
}

/// A search, read and checked.
#[derive(Clone, Debug)]
pub(crate) struct Search {
    /// The condition as SQL; none finds everything.
    condition: Option<String>,
    /// The span wanted, both ends included.
    pub(crate) time: TimeRange,
    /// How many rows.
    pub(crate) limit: usize,
}

impl Search {
    pub(crate) fn compile(request: &SearchRequest) -> Result<Self, QueryError> {
        if request.limit > LIMIT_MAX {
            let message = format!("limit {} is more than {LIMIT_MAX}", request.limit);
            return Err(QueryError::refused_with(message, "SQL has no such limit: POST /api/v1/sql"));
        }
        let condition = condition(&request.query)?;
        let time = TimeRange {
            min_micros: request.start.unwrap_or(i64::MIN),
            max_micros: request.end.map_or(i64::MAX, |end| end.saturating_sub(1)),
        };
        Ok(Self { condition, time, limit: request.limit })
    }

    /// The statement that finds the same rows.
    pub(crate) fn sql(&self) -> String {
        self.sql_within(self.time, self.limit)
    }

    /// True when not every row of the span matches.
    pub(crate) fn is_filtered(&self) -> bool {
        self.condition.is_some()
    }

    /// The statement for a part of the span and of the rows. Newest first, and
    /// lines of one source that share an instant in the reverse of their
    /// order, so that an answer has one order.
    pub(crate) fn sql_within(&self, time: TimeRange, limit: usize) -> String {
        let filter = self.filter(time);
        format!(
            "SELECT * FROM {}{filter} ORDER BY {} DESC, {} DESC, {} DESC, {} DESC LIMIT {limit}",
            log::TABLE,
            column::TIMESTAMP,
            column::TIMESTAMP_NANOS,
            column::SOURCE_ID,
            column::SOURCE_START,
        )
    }

    /// The statement for the span in which the rows of [`Self::sql_within`]
    /// lie: its oldest and its newest time, null without a row. It reads only
    /// what the condition names.
    pub(crate) fn span_sql_within(&self, time: TimeRange, limit: usize) -> String {
        let (filter, timestamp) = (self.filter(time), column::TIMESTAMP);
        format!(
            "SELECT min({timestamp}), max({timestamp}) FROM \
             (SELECT {timestamp} FROM {}{filter} ORDER BY {timestamp} DESC LIMIT {limit})",
            log::TABLE,
        )
    }

    fn filter(&self, time: TimeRange) -> String {
        let mut conditions = literal::within(time);
        conditions.extend(self.condition.clone());
        if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) }
    }
}

#[cfg(test)]
mod tests;

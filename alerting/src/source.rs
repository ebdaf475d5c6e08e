//! Where answers come from.

pub(crate) mod http;

use async_trait::async_trait;
use serde_json::Value;

use crate::error::SourceError;

/// Answers statements in SQL.
#[async_trait]
pub trait Source: Send + Sync + std::fmt::Debug {
    /// The rows of a statement, and how complete they are.
    ///
    /// # Errors
    /// [`SourceError::Away`] may be better in a moment, the others will not.
    async fn ask(&self, statement: &str) -> Result<Answer, SourceError>;
}

/// Rows, and how complete they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows; each has a value for every column.
    pub rows: Vec<Vec<Value>>,
    /// Everything written before this time is in them, microseconds; none:
    /// nothing can be said.
    pub complete_until_micros: Option<i64>,
    /// There were more rows.
    pub is_truncated: bool,
}

impl Answer {
    /// The place of a column.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }
}

//! The port to conditions on rows: written as a search, run where rows are held.

use std::fmt;

use arrow_array::{BooleanArray, RecordBatch};

/// Why a condition could not be judged.
pub type PredicateError = Box<dyn std::error::Error + Send + Sync>;

/// A condition on the rows of `logs`.
pub trait Predicate: fmt::Debug + Send + Sync {
    /// For each row whether it matches. No answer counts as no.
    ///
    /// # Errors
    /// The rows are not those of `logs`, or a value cannot be compared.
    fn matches(&self, rows: &RecordBatch) -> Result<BooleanArray, PredicateError>;
}

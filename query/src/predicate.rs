//! A search as a condition on rows that are held in memory: what rules look
//! for, judged where rows come in.

use std::fmt;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{BooleanArray, RecordBatch};
use datafusion::common::DFSchema;
use datafusion::physical_plan::PhysicalExpr;
use weir_proto::schema::log;
use weir_storage::predicate::{Predicate, PredicateError};

use crate::QueryError;
use crate::engine::expression_session;
use crate::search::condition;

/// A search, compiled.
pub struct LogPredicate {
    search: String,
    expression: Arc<dyn PhysicalExpr>,
}

impl LogPredicate {
    /// Compiles a search as `GET /api/v1/logs` takes it. It finds the rows that
    /// the search finds.
    ///
    /// # Errors
    /// What is wrong with the search.
    pub fn compile(search: &str) -> Result<Self, QueryError> {
        let condition = condition(search)?.unwrap_or_else(|| "true".to_owned());
        let session = expression_session().map_err(QueryError::internal)?;
        let schema = DFSchema::try_from(log::schema()).map_err(QueryError::internal)?;
        let expression = session.create_logical_expr(&condition, &schema).map_err(QueryError::internal)?;
        let expression = session.create_physical_expr(expression, &schema).map_err(QueryError::internal)?;
        Ok(Self { search: search.to_owned(), expression })
    }
}

impl Predicate for LogPredicate {
    fn matches(&self, rows: &RecordBatch) -> Result<BooleanArray, PredicateError> {
        let answers = self.expression.evaluate(rows)?.into_array(rows.num_rows())?;
        let answers = answers.as_boolean_opt().ok_or("the condition is neither true nor false")?;
        Ok(answers.clone())
    }
}

impl fmt::Debug for LogPredicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogPredicate({:?})", self.search)
    }
}

#[cfg(test)]
mod tests;

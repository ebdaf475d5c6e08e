//! What may be asked at all.
//!
//! One statement that reads. The text is measured before it is parsed, for a
//! parser recurses as deep as the text is nested; the statement is checked
//! before it is planned, for planning already evaluates constants. Behind the
//! gate stands a second wall: the planner knows no table but Weir's own, no
//! object store but theirs, and refuses every plan that writes.

mod measure;
mod statement;

#[cfg(test)]
mod tests;

use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::QueryError;

/// The longest statement, in bytes.
const TEXT_BYTES_MAX: usize = 64 << 10;

/// How deep the parser may recurse. A level of parentheses takes up to three.
const PARSER_DEPTH_MAX: usize = measure::DEPTH_MAX * 4;

/// Reads a statement, if it may be asked.
///
/// # Errors
/// [`QueryError::Refused`] with what was refused and what to write instead;
/// [`QueryError::Syntax`] when it is no SQL.
pub(crate) fn check(text: &str) -> Result<Statement, QueryError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(QueryError::TooLong { limit: TEXT_BYTES_MAX });
    }
    let tokens = tokens(text)?;
    measure::check(&tokens)?;
    let mut statements = DFParserBuilder::new(text)
        .with_dialect(&GenericDialect {})
        .with_recursion_limit(PARSER_DEPTH_MAX)
        .build()
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| statement::syntax(&error))?;
    let statement = statements.pop_front().ok_or_else(|| QueryError::refused("the query is empty"))?;
    if !statements.is_empty() {
        return Err(QueryError::refused("only one statement can be asked at a time"));
    }
    statement::check(&statement)?;
    Ok(statement)
}

fn tokens(text: &str) -> Result<Vec<Token>, QueryError> {
    Tokenizer::new(&GenericDialect {}, text)
        .tokenize()
        .map_err(|error| QueryError::Syntax { message: error.to_string() })
}

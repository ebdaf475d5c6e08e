//! What DataFusion's errors mean to whoever asked.

use datafusion::arrow::error::ArrowError;
use datafusion::common::DataFusionError;

use crate::QueryError;

/// Sorts an error by the step that failed. Texts that may name a place inside
/// the process stay in the source.
pub(super) fn query_error(error: DataFusionError) -> QueryError {
    if let DataFusionError::External(cause) = error {
        return match cause.downcast::<QueryError>() {
            Ok(own) => *own,
            Err(other) => QueryError::internal(other),
        };
    }
    match error.find_root() {
        DataFusionError::SQL(parse, _) => QueryError::Syntax { message: plain(&parse.to_string()) },
        DataFusionError::Plan(_) | DataFusionError::SchemaError(..) | DataFusionError::Configuration(_) => {
            QueryError::Plan { message: message(error.find_root()) }
        }
        DataFusionError::NotImplemented(text) => {
            QueryError::Plan { message: format!("not supported: {text}") }
        }
        DataFusionError::ResourcesExhausted(_) => QueryError::Memory { source: error.into() },
        DataFusionError::Execution(text) => QueryError::Rows { message: plain(text) },
        DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
            ArrowError::CastError(_)
            | ArrowError::ParseError(_)
            | ArrowError::ComputeError(_)
            | ArrowError::DivideByZero
            | ArrowError::ArithmeticOverflow(_)
            | ArrowError::InvalidArgumentError(_) => QueryError::Rows { message: plain(&arrow.to_string()) },
            _ => QueryError::internal(error),
        },
        DataFusionError::ParquetError(_) | DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) => {
            QueryError::File { source: error.into() }
        }
        _ => QueryError::internal(error),
    }
}

/// The text without the prefix that says where in DataFusion it was made.
fn message(error: &DataFusionError) -> String {
    plain(&error.message())
}

/// The first paragraph: what follows a blank line is advice for developers.
fn plain(text: &str) -> String {
    let text = text.strip_prefix("sql parser error: ").unwrap_or(text);
    text.split("\n\n").next().unwrap_or(text).trim().to_owned()
}

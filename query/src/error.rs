//! Why a question was not answered.

use std::time::Duration;

use thiserror::Error;
use weir_storage::catalog::CatalogError;
use weir_storage::live::LiveError;

/// A question that was not answered, by the step that failed.
///
/// The text is for whoever asked. Causes that name places inside the process
/// stand in `source` only, for Weir's own telemetry.
#[derive(Debug, Error)]
pub enum QueryError {
    /// The gate let it not pass: not a question, or larger than the limits.
    #[error("{message}")]
    Refused {
        /// What was refused.
        message: String,
        /// What to write instead.
        hint: Option<String>,
    },
    /// The text is longer than a text may be.
    #[error("the query is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// The text is no SQL, or no search.
    #[error("cannot read the query: {message}")]
    Syntax {
        /// What and where.
        message: String,
    },
    /// The text is SQL, but asks for what does not exist or does not fit.
    #[error("cannot plan the query: {message}")]
    Plan {
        /// What.
        message: String,
    },
    /// It failed on the rows: a cast, a division by zero.
    #[error("the query failed on its rows: {message}")]
    Rows {
        /// What.
        message: String,
    },
    /// It needs more memory, or more spill, than questions may have.
    #[error("the query needs more memory than it may have")]
    Memory {
        /// Which operators held it.
        #[source]
        source: BoxError,
    },
    /// The answer is larger than an answer may be.
    #[error("the answer is larger than {limit} bytes")]
    AnswerTooLarge {
        /// The limit.
        limit: u64,
    },
    /// Too many run and wait already.
    #[error("{running} queries run and {waiting} wait already")]
    Busy {
        /// How many run.
        running: usize,
        /// How many wait.
        waiting: usize,
    },
    /// The deadline passed.
    #[error("the query took longer than {after:?}")]
    Deadline {
        /// The deadline.
        after: Duration,
    },
    /// Without live rows the answer would be half an answer.
    #[error(
        "the newest rows cannot be read from ingest now, and an answer without them would not be complete"
    )]
    Live(#[source] LiveError),
    /// The catalog could not be read.
    #[error("the catalog cannot be read")]
    Catalog(#[source] CatalogError),
    /// A file could not be read.
    #[error("a stored file cannot be read")]
    File {
        /// The cause.
        #[source]
        source: BoxError,
    },
    /// The engine could not be set up.
    #[error("cannot start the query engine: {step}")]
    Start {
        /// Which step.
        step: &'static str,
        /// The cause.
        #[source]
        source: BoxError,
    },
    /// A defect of Weir.
    #[error("the query engine failed")]
    Internal {
        /// The cause.
        #[source]
        source: BoxError,
    },
}

/// Any cause.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What whoever asked can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Ask something else: the text is wrong or not allowed.
    Wrong,
    /// Ask in fewer words.
    TooLong,
    /// Ask for less: the text is fine, the work or the answer is too much.
    TooMuch,
    /// Ask again later: others are in the way.
    Busy,
    /// Ask for less or later: time ran out.
    Late,
    /// Ask again later: a part of Weir is away.
    Away,
    /// Tell an operator.
    Broken,
}

impl QueryError {
    /// What to do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Refused { .. } | Self::Syntax { .. } | Self::Plan { .. } => Kind::Wrong,
            Self::TooLong { .. } => Kind::TooLong,
            Self::Rows { .. } | Self::Memory { .. } | Self::AnswerTooLarge { .. } => Kind::TooMuch,
            Self::Busy { .. } => Kind::Busy,
            Self::Deadline { .. } => Kind::Late,
            Self::Live(_) | Self::Catalog(_) => Kind::Away,
            Self::File { .. } | Self::Start { .. } | Self::Internal { .. } => Kind::Broken,
        }
    }

    /// A stable word for the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "refused",
            Self::TooLong { .. } => "too_long",
            Self::Syntax { .. } => "syntax",
            Self::Plan { .. } => "plan",
            Self::Rows { .. } => "rows",
            Self::Memory { .. } => "memory",
            Self::AnswerTooLarge { .. } => "answer_too_large",
            Self::Busy { .. } => "busy",
            Self::Deadline { .. } => "deadline",
            Self::Live(_) => "live_rows_unavailable",
            Self::Catalog(_) => "catalog_unavailable",
            Self::File { .. } => "file",
            Self::Start { .. } | Self::Internal { .. } => "internal",
        }
    }

    /// What may help, when something does.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Refused { hint, .. } => hint.as_deref(),
            Self::Syntax { .. } | Self::Start { .. } | Self::Internal { .. } | Self::File { .. } => None,
            Self::TooLong { .. } => Some("a long list of values is better asked for in parts"),
            Self::Plan { .. } => Some("select * from information_schema.columns lists tables and columns"),
            Self::Rows { .. } => {
                Some("try_cast gives null where cast fails; nullif(x, 0) avoids division by zero")
            }
            Self::Memory { .. } => Some("ask for a shorter time range, fewer columns, or fewer groups"),
            Self::AnswerTooLarge { .. } => {
                Some("ask for a shorter time range or fewer columns, or add a limit")
            }
            Self::Busy { .. } | Self::Live(_) | Self::Catalog(_) => Some("ask again in a moment"),
            Self::Deadline { .. } => Some("add a condition on timestamp, or ask for fewer columns"),
        }
    }

    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::Refused { message: message.into(), hint: None }
    }

    pub(crate) fn refused_with(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Refused { message: message.into(), hint: Some(hint.into()) }
    }

    pub(crate) fn internal(source: impl Into<BoxError>) -> Self {
        Self::Internal { source: source.into() }
    }
}

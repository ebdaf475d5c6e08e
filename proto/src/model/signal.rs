//! The three kinds of event.

use std::fmt;

/// A kind of event; each has a topic and tables of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// A line or a structured log record.
    Logs,
    /// One span of a trace.
    Spans,
    /// Metric points.
    Metrics,
}

impl Signal {
    /// The word used in topics, headers and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Spans => "spans",
            Self::Metrics => "metrics",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

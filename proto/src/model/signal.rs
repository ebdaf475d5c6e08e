//! The three kinds of event.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of event; each has a topic and tables of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// A line or a structured log record.
    Logs,
    /// One span of a trace.
    Spans,
    /// Metric points.
    Metrics,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Logs, Self::Spans, Self::Metrics];

    /// The word used in topics, headers and tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Spans => "spans",
            Self::Metrics => "metrics",
        }
    }

    /// The signal that a topic carries, by the word after its last dot:
    /// `weir.spans` carries spans.
    pub fn of_topic(topic: &str) -> Option<Self> {
        let word = topic.rsplit('.').next()?;
        Self::ALL.into_iter().find(|signal| signal.as_str() == word)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

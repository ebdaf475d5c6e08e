//! One instance of a rule: what it is about, and how far it has come.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::label::Labels;

/// How far an instance has come. One that is resolved is no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// True, but not yet for as long as `for` wants.
    Pending,
    /// Told, or about to be.
    Firing,
}

/// An instance, as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Instance {
    /// The rule's labels and the sample's, with `alertname`.
    pub(crate) labels: Labels,
    /// As rendered when it last was true.
    pub(crate) annotations: Labels,
    pub(crate) phase: Phase,
    /// Since when it is true, microseconds.
    pub(crate) active_micros: i64,
    /// Since when it fires; the same as `active_micros` without `for`.
    pub(crate) fired_micros: Option<i64>,
    /// When it was last seen true.
    pub(crate) last_micros: i64,
    /// When people were last told that it fires.
    pub(crate) told_micros: Option<i64>,
    /// The value that made it true; of a log rule, lines since it fires.
    pub(crate) value: f64,
    /// One of the rows behind it.
    pub(crate) sample: Option<Value>,
    /// It was judged before its window was complete.
    #[serde(default)]
    pub(crate) incomplete: bool,
}

impl Instance {
    /// When it began, as messages have it.
    pub(crate) fn starts_micros(&self) -> i64 {
        self.fired_micros.unwrap_or(self.active_micros)
    }

    /// The state's name in Prometheus' API.
    pub(crate) fn state(&self) -> &'static str {
        match self.phase {
            Phase::Pending => "pending",
            Phase::Firing => "firing",
        }
    }
}

/// What a rule found: an instance that is true now.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) labels: Labels,
    pub(crate) annotations: Labels,
    pub(crate) value: f64,
    pub(crate) row: Option<Value>,
}

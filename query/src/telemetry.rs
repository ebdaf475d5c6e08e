//! What the query role counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use weir_runtime::Metrics;

use crate::QueryError;

/// The role's counters. Started and ended come in pairs: their difference is
/// what runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Telemetry {
    started: Counter,
    ended: Family<Outcome, Counter>,
    rows: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

impl Telemetry {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let new = Self::default();
        metrics.register("query_started", "Questions that came in", new.started.clone());
        metrics.register("query_ended", "Questions by how they ended", new.ended.clone());
        metrics.register("query_rows", "Rows given as answers", new.rows.clone());
        new
    }

    pub(crate) fn started(&self) -> Running {
        self.started.inc();
        Running { telemetry: self.clone(), outcome: "cancelled" }
    }

    pub(crate) fn rows(&self, count: usize) {
        self.rows.inc_by(count as u64);
    }
}

/// Counts a question's end once, whichever way it ends.
#[derive(Debug)]
pub(crate) struct Running {
    telemetry: Telemetry,
    outcome: &'static str,
}

impl Running {
    /// Remembers how it ended; what is dropped without a word was cancelled.
    pub(crate) fn ended(mut self, error: Option<&QueryError>) {
        self.outcome = error.map_or("answered", QueryError::code);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.telemetry.ended.get_or_create(&Outcome { outcome: self.outcome }).inc();
    }
}

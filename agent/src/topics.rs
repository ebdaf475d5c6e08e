//! Where an agent's events go.

use weir_proto::model::Signal;
use weir_stream::Topic;

/// The topic of each signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentTopics {
    /// Lines and log records.
    pub logs: Topic,
    /// Spans.
    pub spans: Topic,
    /// Metric points.
    pub metrics: Topic,
}

impl AgentTopics {
    /// The topic that carries a signal.
    pub fn of(&self, signal: Signal) -> &Topic {
        match signal {
            Signal::Logs => &self.logs,
            Signal::Spans => &self.spans,
            Signal::Metrics => &self.metrics,
        }
    }
}

//! What the log on Kafka says about itself in numbers, over all partitions.

use prometheus_client::metrics::counter::Counter;
use weir_runtime::Metrics;

/// The log's counters. A process opens one log: a second one would register
/// the same names again.
#[derive(Clone, Debug, Default)]
pub(super) struct KafkaMetrics {
    pub(super) appended_records: Counter,
    pub(super) appended_bytes: Counter,
    pub(super) unavailable: Counter,
    pub(super) unanswered: Counter,
    pub(super) read_records: Counter,
    pub(super) read_bytes: Counter,
    pub(super) restarts: Counter,
    pub(super) away: Counter,
}

impl KafkaMetrics {
    /// Counters, registered.
    pub(super) fn register(metrics: &Metrics) -> Self {
        let this = Self::default();
        let add = |name, help, counter: &Counter| metrics.register(name, help, counter.clone());
        add("kafka_appended_records", "Records acknowledged by Kafka", &this.appended_records);
        add("kafka_appended_bytes", "Payload bytes of acknowledged records", &this.appended_bytes);
        add("kafka_unavailable", "Appends and reads turned away because Kafka was away", &this.unavailable);
        add("kafka_unanswered", "Appends of unknown outcome", &this.unanswered);
        add("kafka_read_records", "Records read from Kafka", &this.read_records);
        add("kafka_read_bytes", "Payload bytes read from Kafka", &this.read_bytes);
        add("kafka_read_restarts", "Times that a partition's reading was begun anew", &this.restarts);
        add("kafka_away", "Times that Kafka went out of reach", &this.away);
        this
    }
}

//! What the log says about itself in numbers, over all partitions.

use prometheus_client::metrics::counter::Counter;
use weir_runtime::Metrics;

/// The log's counters. A process opens one log: a second one would register
/// the same names again.
#[derive(Clone, Debug, Default)]
pub(super) struct LogMetrics {
    pub(super) records: Counter,
    pub(super) bytes: Counter,
    pub(super) syncs: Counter,
    pub(super) full: Counter,
    pub(super) torn_tails: Counter,
    pub(super) lost_records: Counter,
    pub(super) poisoned: Counter,
}

impl LogMetrics {
    /// Counters, registered.
    pub(super) fn register(metrics: &Metrics) -> Self {
        let this = Self::default();
        let add = |name, help, counter: &Counter| metrics.register(name, help, counter.clone());
        add("stream_appended_records", "Records appended and acknowledged", &this.records);
        add("stream_appended_bytes", "Bytes of acknowledged records on disk", &this.bytes);
        add("stream_syncs", "Group commits synced to disk", &this.syncs);
        add("stream_full", "Group commits refused because the disk was full", &this.full);
        add("stream_torn_tails", "Unfinished writes cut off when a partition was opened", &this.torn_tails);
        add("stream_lost_records", "Durable records found damaged or missing at opening", &this.lost_records);
        add("stream_poisoned", "Partitions closed after a failed write or sync", &this.poisoned);
        this
    }
}

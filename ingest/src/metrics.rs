//! What the ingester counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use weir_runtime::Metrics;

/// The counters. Cloning shares.
#[derive(Clone, Debug, Default)]
pub(crate) struct IngestMetrics {
    pub(crate) messages: Counter,
    pub(crate) rows: Counter,
    pub(crate) text_bytes: Counter,
    pub(crate) duplicates: Counter,
    pub(crate) straddles: Counter,
    pub(crate) losses: Counter,
    pub(crate) undecodable: Counter,
    pub(crate) unsupported: Counter,
    pub(crate) stored_rows: Counter,
    pub(crate) stored_bytes: Counter,
    pub(crate) flushes: Counter,
    pub(crate) flush_failures: Counter,
    pub(crate) terms_lost: Counter,
    pub(crate) live_bytes: Gauge,
}

impl IngestMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let held = Self::default();
        let counters = [
            ("ingest_messages", "Messages taken from the event log", &held.messages),
            ("ingest_rows", "Rows accepted, duplicates not counted", &held.rows),
            ("ingest_text_bytes", "Bytes of the lines accepted", &held.text_bytes),
            ("ingest_duplicate_rows", "Rows dropped because their bytes were covered", &held.duplicates),
            ("ingest_straddling_rows", "Rows across a covered boundary: an alarm", &held.straddles),
            ("ingest_losses", "Losses noticed, each a row of weir.gaps", &held.losses),
            ("ingest_undecodable_messages", "Messages put among the dead letters", &held.undecodable),
            ("ingest_unsupported_messages", "Times a newer message paused a partition", &held.unsupported),
            ("ingest_stored_rows", "Rows published in files", &held.stored_rows),
            ("ingest_stored_bytes", "Bytes of the files published", &held.stored_bytes),
            ("ingest_flushes", "Flushes published", &held.flushes),
            ("ingest_flush_failures", "Flushes that failed and are tried again", &held.flush_failures),
            ("ingest_terms_lost", "Times a partition was lost to another ingester", &held.terms_lost),
        ];
        for (name, help, counter) in counters {
            metrics.register(name, help, counter.clone());
        }
        metrics.register("ingest_live_bytes", "Memory of the live rows", held.live_bytes.clone());
        held
    }
}

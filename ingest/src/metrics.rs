//! What the ingester counts.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use weir_proto::model::drop_reason;
use weir_runtime::Metrics;

/// A counter with one label, of few values.
pub(crate) type By = Family<[(&'static str, &'static str); 1], Counter>;

/// The counters. Cloning shares.
#[derive(Clone, Debug, Default)]
pub(crate) struct IngestMetrics {
    pub(crate) messages: By,
    pub(crate) rows: By,
    pub(crate) text_bytes: Counter,
    pub(crate) duplicates: Counter,
    pub(crate) straddles: Counter,
    pub(crate) losses: By,
    pub(crate) lost_events: By,
    pub(crate) complete_until: Gauge<f64, AtomicU64>,
    pub(crate) below_min_level: Counter,
    pub(crate) match_failures: Counter,
    pub(crate) rejected: Counter,
    pub(crate) undecodable: Counter,
    pub(crate) dead_letters: Counter,
    pub(crate) dead_letter_failures: Counter,
    pub(crate) unsupported: Counter,
    pub(crate) stored_rows: By,
    pub(crate) stored_bytes: By,
    pub(crate) flushes: Counter,
    pub(crate) flush_failures: Counter,
    pub(crate) terms_lost: Counter,
    pub(crate) handovers: Counter,
    pub(crate) members: Gauge,
    pub(crate) partitions: Gauge,
    pub(crate) live_bytes: Gauge,
}

impl IngestMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let held = Self::default();
        let families = [
            ("ingest_messages", "Messages taken from the event log", &held.messages),
            ("ingest_rows", "Rows accepted, duplicates not counted", &held.rows),
            ("ingest_stored_rows", "Rows published in files", &held.stored_rows),
            ("ingest_stored_bytes", "Bytes of the files published", &held.stored_bytes),
            ("ingest_losses", "Losses noticed, by reason", &held.losses),
            (
                "ingest_lost_events",
                "Events of the losses that could be counted, by reason",
                &held.lost_events,
            ),
        ];
        for (name, help, family) in families {
            metrics.register(name, help, family.clone());
        }
        let counters = [
            ("ingest_text_bytes", "Bytes of the lines accepted", &held.text_bytes),
            ("ingest_duplicate_rows", "Rows dropped because they were covered", &held.duplicates),
            ("ingest_straddling_rows", "Rows across a covered boundary: an alarm", &held.straddles),
            (
                "ingest_rows_below_min_level",
                "Rows left out because their source asked for higher severities only",
                &held.below_min_level,
            ),
            (
                "ingest_match_failures",
                "Times that rows could not be compared with a rule",
                &held.match_failures,
            ),
            ("ingest_rejected_records", "Records of foreign messages that fit no table", &held.rejected),
            ("ingest_undecodable_messages", "Messages that could not be decoded", &held.undecodable),
            ("ingest_dead_letters", "Messages kept among the dead letters", &held.dead_letters),
            ("ingest_dead_letter_failures", "Times one could not be kept", &held.dead_letter_failures),
            ("ingest_unsupported_messages", "Times a newer message paused a partition", &held.unsupported),
            ("ingest_flushes", "Flushes published", &held.flushes),
            ("ingest_flush_failures", "Flushes that failed and are tried again", &held.flush_failures),
            ("ingest_terms_lost", "Times a partition was lost to another ingester", &held.terms_lost),
            ("ingest_handovers", "Times a partition was handed over to another", &held.handovers),
        ];
        for (name, help, counter) in counters {
            metrics.register(name, help, counter.clone());
        }
        let gauges = [
            ("ingest_members", "Ingesters that share the partitions", &held.members),
            ("ingest_partitions", "Partitions in this ingester's hands", &held.partitions),
            ("ingest_live_bytes", "Memory of the live rows", &held.live_bytes),
        ];
        for (name, help, gauge) in gauges {
            metrics.register(name, help, gauge.clone());
        }
        metrics.register(
            "ingest_complete_until_seconds",
            "Until when, in seconds since 1970, all has arrived of the live lanes of its partitions; 0: unknown",
            held.complete_until.clone(),
        );
        held
    }

    /// A loss was noticed; of so many events, if that can be known.
    pub(crate) fn lost(&self, reason: &str, events: Option<u64>) {
        let label = [("reason", drop_reason::label(reason))];
        self.losses.get_or_create(&label).inc();
        self.lost_events.get_or_create(&label).inc_by(events.unwrap_or(0));
    }
}

//! What the receivers count. Every name is here.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use weir_proto::model::{Signal, drop_reason};
use weir_runtime::Metrics;

use super::refusal::Why;
type OfSignal = Family<[(&'static str, &'static str); 1], Counter>;

/// The receivers' metrics. Cloning shares.
#[derive(Clone, Debug, Default)]
pub(super) struct Received {
    requests: OfSignal,
    records: OfSignal,
    rejected: OfSignal,
    dropped: Family<[(&'static str, &'static str); 2], Counter>,
    refused: Family<[(&'static str, &'static str); 2], Counter>,
    forwarded: OfSignal,
    spool_bytes: Family<[(&'static str, &'static str); 1], Gauge>,
}

impl Received {
    pub(super) fn new(registry: &Metrics) -> Self {
        let all = Self::default();
        registry.register(
            "agent_receive_requests",
            "requests of which everything that could be stored is durable",
            all.requests.clone(),
        );
        registry.register(
            "agent_receive_records",
            "spans, log records and metric points stored",
            all.records.clone(),
        );
        registry.register(
            "agent_receive_rejected",
            "spans, log records and metric points that could not be stored, told to their sender",
            all.rejected.clone(),
        );
        registry.register(
            "agent_receive_dropped",
            "spans, log records and metric points taken and left out, by reason",
            all.dropped.clone(),
        );
        registry.register(
            "agent_receive_refused",
            "requests of which nothing was stored, by reason",
            all.refused.clone(),
        );
        registry.register(
            "agent_receive_forwarded",
            "messages of the spools that the event log made durable",
            all.forwarded.clone(),
        );
        registry.register(
            "agent_receive_spool_bytes",
            "bytes of the spools that the event log does not have yet",
            all.spool_bytes.clone(),
        );
        all
    }

    pub(super) fn taken(&self, signal: Signal, records: u64, rejected: u64) {
        let label = [("signal", signal.as_str())];
        self.requests.get_or_create(&label).inc();
        self.records.get_or_create(&label).inc_by(records);
        if rejected > 0 {
            self.rejected.get_or_create(&label).inc_by(rejected);
        }
    }

    /// Records that their sender was told are taken, and that are not stored.
    pub(super) fn dropped(&self, signal: Signal, reason: &'static str, records: u64) {
        self.dropped_of(signal, reason).inc_by(records);
    }

    fn dropped_of(&self, signal: Signal, reason: &'static str) -> Counter {
        self.dropped.get_or_create(&[("signal", signal.as_str()), ("reason", reason)]).clone()
    }

    /// Records stored, rejected and sampled out so far.
    pub(super) fn account(&self, signal: Signal) -> [u64; 3] {
        let label = [("signal", signal.as_str())];
        let of = |counters: &OfSignal| counters.get_or_create(&label).get();
        let sampled = self.dropped_of(signal, drop_reason::SAMPLED).get();
        [of(&self.records), of(&self.rejected), sampled]
    }

    pub(super) fn refused(&self, signal: Signal, why: Why) {
        self.refused.get_or_create(&[("signal", signal.as_str()), ("reason", why.as_str())]).inc();
    }

    pub(super) fn forwarded(&self, signal: Signal, messages: u64) {
        self.forwarded.get_or_create(&[("signal", signal.as_str())]).inc_by(messages);
    }

    pub(super) fn spool_bytes(&self, signal: Signal) -> Gauge {
        self.spool_bytes.get_or_create(&[("signal", signal.as_str())]).clone()
    }
}

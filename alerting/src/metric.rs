//! What alerting says about itself in numbers.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use weir_runtime::Metrics;

type Labels = Vec<(&'static str, String)>;

/// The metrics of a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct AlertingMetrics {
    pub(crate) evaluations: Family<Labels, Counter>,
    pub(crate) failures: Family<Labels, Counter>,
    pub(crate) firing: Family<Labels, Gauge>,
    pub(crate) matches: Counter,
    pub(crate) delivered: Family<Labels, Counter>,
    pub(crate) retried: Family<Labels, Counter>,
    pub(crate) dead: Family<Labels, Counter>,
    pub(crate) beyond_limit: Family<Labels, Counter>,
}

impl AlertingMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let own = Self::default();
        metrics.register("alerting_evaluations", "Evaluations of rules", own.evaluations.clone());
        metrics.register(
            "alerting_evaluation_failures",
            "Evaluations that had no answer",
            own.failures.clone(),
        );
        metrics.register("alerting_firing", "Instances of rules that fire", own.firing.clone());
        metrics.register("alerting_matches", "Lines that rules were told of", own.matches.clone());
        metrics.register("alerting_delivered", "Messages that were taken", own.delivered.clone());
        metrics.register(
            "alerting_retries",
            "Attempts to deliver a message that failed and will be repeated",
            own.retried.clone(),
        );
        metrics.register("alerting_dead", "Messages that were given up", own.dead.clone());
        metrics.register(
            "alerting_beyond_limit",
            "Instances that were not kept because a rule had too many",
            own.beyond_limit.clone(),
        );
        own
    }

    pub(crate) fn rule(rule: &str) -> Labels {
        vec![("rule", rule.to_owned())]
    }

    pub(crate) fn channel(channel: &str) -> Labels {
        vec![("channel", channel.to_owned())]
    }
}

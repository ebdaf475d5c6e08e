//! What services measure, sent as OTLP once a second.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum, metric, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use weir_runtime::Handles;

use super::breaker::State;
use super::export::otlp::attribute;
use crate::http::Client;

/// The bounds of durations, seconds.
const BOUNDS: [f64; 8] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];

const EVERY: Duration = Duration::from_secs(1);

/// What was measured since the shop opened.
#[derive(Debug)]
pub(super) struct Measures {
    services: Mutex<BTreeMap<&'static str, Served>>,
    breaker: Mutex<State>,
}

#[derive(Clone, Debug, Default)]
struct Served {
    count: u64,
    failed: u64,
    sum_s: f64,
    buckets: [u64; BOUNDS.len() + 1],
}

impl Measures {
    pub(super) fn new(services: impl Iterator<Item = &'static str>) -> Self {
        let services = services.map(|name| (name, Served::default())).collect();
        Self { services: Mutex::new(services), breaker: Mutex::new(State::Closed) }
    }

    /// A request was answered.
    pub(super) fn served(&self, service: &'static str, micros: i64, is_failed: bool) {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(served) = services.get_mut(service) else { return };
        let seconds = micros as f64 / 1e6;
        served.count += 1;
        served.failed += u64::from(is_failed);
        served.sum_s += seconds;
        let bucket = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        served.buckets[bucket] += 1;
    }

    /// The breaker of payment is in this state.
    pub(super) fn breaker(&self, state: State) {
        *self.breaker.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Sends all of it once a second. What is not taken is sent with the next:
    /// sums are since the beginning.
    pub(super) fn start(self: &Arc<Self>, agent: &Client, handles: &Handles) {
        let (own, agent) = (self.clone(), agent.clone());
        let (shutdown, clock) = (handles.shutdown.clone(), handles.clock.clone());
        handles.tasks.spawn("metrics", async move {
            let start_nanos = nanos(clock.now_micros());
            loop {
                tokio::select! {
                    () = shutdown.begun() => return Ok(()),
                    () = tokio::time::sleep(EVERY) => {}
                }
                let body = own.request(start_nanos, nanos(clock.now_micros())).encode_to_vec();
                let headers = [("content-type", "application/x-protobuf")];
                if let Err(error) = agent.post("/v1/metrics", &headers, Bytes::from(body)).await {
                    tracing::debug!(error = %format!("{error:#}"), "metrics wait for the next second");
                }
            }
        });
    }

    fn request(&self, start_nanos: u64, now_nanos: u64) -> ExportMetricsServiceRequest {
        let services = self.services.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let state = *self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        let of_service = |(service, served): (&'static str, Served)| {
            let point = |value| NumberDataPoint {
                start_time_unix_nano: start_nanos,
                time_unix_nano: now_nanos,
                value: Some(number_data_point::Value::AsInt(value)),
                ..NumberDataPoint::default()
            };
            let mut metrics = vec![
                duration(&served, start_nanos, now_nanos),
                Metric {
                    name: "http.server.errors".to_owned(),
                    unit: "{error}".to_owned(),
                    data: Some(metric::Data::Sum(Sum {
                        data_points: vec![point(i64::try_from(served.failed).unwrap_or(i64::MAX))],
                        aggregation_temporality: AggregationTemporality::Cumulative.into(),
                        is_monotonic: true,
                    })),
                    ..Metric::default()
                },
            ];
            if service == "checkout" {
                let number = match state {
                    State::Closed => 0,
                    State::HalfOpen => 1,
                    State::Open => 2,
                };
                let gauge = Gauge { data_points: vec![point(number)] };
                metrics.push(Metric {
                    name: "circuit_breaker.state".to_owned(),
                    description: "0 closed, 1 half-open, 2 open".to_owned(),
                    data: Some(metric::Data::Gauge(gauge)),
                    ..Metric::default()
                });
            }
            let scope = InstrumentationScope { name: "shop".to_owned(), ..InstrumentationScope::default() };
            ResourceMetrics {
                resource: Some(Resource {
                    attributes: vec![attribute("service.name", service)],
                    ..Resource::default()
                }),
                scope_metrics: vec![ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() }],
                ..ResourceMetrics::default()
            }
        };
        ExportMetricsServiceRequest { resource_metrics: services.into_iter().map(of_service).collect() }
    }
}

fn duration(served: &Served, start_nanos: u64, now_nanos: u64) -> Metric {
    let point = HistogramDataPoint {
        start_time_unix_nano: start_nanos,
        time_unix_nano: now_nanos,
        count: served.count,
        sum: Some(served.sum_s),
        bucket_counts: served.buckets.to_vec(),
        explicit_bounds: BOUNDS.to_vec(),
        ..HistogramDataPoint::default()
    };
    Metric {
        name: "http.server.request.duration".to_owned(),
        unit: "s".to_owned(),
        data: Some(metric::Data::Histogram(Histogram {
            data_points: vec![point],
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
        })),
        ..Metric::default()
    }
}

fn nanos(micros: i64) -> u64 {
    u64::try_from(micros).unwrap_or(0).saturating_mul(1_000)
}

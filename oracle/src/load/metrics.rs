//! Points of a gauge, pushed as OTLP over HTTP, in protobuf. Its value is the event's
//! number. A feed has one series for a thousand of them: who asks for series holds them
//! all in memory.

use std::ops::Range;

use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric,
};

use super::message::{attribute, now, post, resource};
use super::{Place, push_on};
use crate::event::Style;
use crate::ledger::{Feed, Ledger, Table};
use crate::worker::Worker;

/// Points of a request.
const POINTS: u64 = 2;

/// Points of a series.
const SERIES: u64 = 1000;

pub(super) fn start(place: &Place, ledger: &Ledger, n: u32) -> Worker {
    let name = format!("m{n}");
    let feed = ledger.open(&name, &name, Table::Metrics, Style::Number);
    let (agent, tick) = (place.agent, place.tick);
    Worker::start(&name, move |stop| {
        push_on(&feed, POINTS, tick, stop, |numbers| {
            let request = request(&feed, numbers);
            let is_partial = |answer: &ExportMetricsServiceResponse| answer.partial_success.is_some();
            post(agent, "/v1/metrics", &request, is_partial)
        });
    })
}

fn request(feed: &Feed, numbers: Range<u64>) -> ExportMetricsServiceRequest {
    let metrics = numbers.map(|number| gauge(feed, number)).collect();
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics {
            resource: Some(resource(feed)),
            scope_metrics: vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }],
            ..ResourceMetrics::default()
        }],
    }
}

fn gauge(feed: &Feed, number: u64) -> Metric {
    let point = NumberDataPoint {
        attributes: vec![attribute("thousand", &(number / SERIES).to_string())],
        time_unix_nano: now(),
        value: Some(Value::AsInt(number.cast_signed())),
        ..NumberDataPoint::default()
    };
    Metric {
        name: format!("oracle.{}", feed.name()),
        data: Some(metric::Data::Gauge(Gauge { data_points: vec![point] })),
        ..Metric::default()
    }
}

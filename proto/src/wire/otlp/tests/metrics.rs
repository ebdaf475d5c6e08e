use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint,
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar,
    number_data_point,
};

use super::*;
use crate::model::flags;
use crate::wire::otlp::metrics;

fn request(data: Vec<Data>) -> ExportMetricsServiceRequest {
    let metric = |data| Metric {
        name: "m".into(),
        description: "what it means".into(),
        unit: "s".into(),
        metadata: Vec::new(),
        data: Some(data),
    };
    let scope = InstrumentationScope {
        name: "lib".into(),
        version: "1".into(),
        attributes: vec![text("k", "v")],
        dropped_attributes_count: 0,
    };
    let metrics = data.into_iter().map(metric).collect();
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: String::new() }];
    let resource = ResourceMetrics { resource: resource("cart"), scope_metrics, schema_url: String::new() };
    ExportMetricsServiceRequest { resource_metrics: vec![resource] }
}

fn decode(data: Data) -> Decoded {
    let decoded = metrics(request(vec![data]), OBSERVED);
    assert_eq!((decoded.rejected, &decoded.message), (0, &None));
    decoded
}

fn number(value: number_data_point::Value, label: &str, nanos: u64) -> NumberDataPoint {
    NumberDataPoint {
        attributes: vec![text("path", label)],
        start_time_unix_nano: NANOS - 1_000_000,
        time_unix_nano: nanos,
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

#[test]
fn a_sum_keeps_integers_exact_and_says_its_series_once() {
    let exact = i64::MAX - 1;
    let decoded = decode(Data::Sum(Sum {
        data_points: vec![
            number(number_data_point::Value::AsInt(exact), "/a", NANOS),
            number(number_data_point::Value::AsDouble(0.25), "/a", NANOS + 5_000),
            number(number_data_point::Value::AsInt(1), "/b", 0),
        ],
        aggregation_temporality: 2,
        is_monotonic: true,
    }));
    assert_eq!(decoded.accepted, 3);
    let samples = rows(&decoded, Table::MetricSamples);
    let exact = exact.to_string();
    check(
        samples,
        0,
        &[
            ("timestamp", "1704067200123456"),
            ("timestamp_nanos", "789"),
            ("start_timestamp", "1704067200122456"),
            ("metric", "m"),
            ("kind", "sum"),
            ("temporality", "cumulative"),
            ("is_monotonic", "true"),
            ("service_name", "cart"),
            ("value", "9223372036854776000"),
            ("value_int", &exact),
            ("count", "null"),
            ("bucket_counts", "null"),
            ("quantiles", "null"),
            ("exemplars", "null"),
            ("is_stale", "false"),
            ("flags", "0"),
        ],
    );
    check(samples, 1, &[("value", "0.25"), ("value_int", "null")]);
    let assumed = flags::TIME_ASSUMED.to_string();
    check(samples, 2, &[("timestamp", "1700000000000000"), ("flags", &assumed)]);
    let id = |row| cell(samples, "series_id", row);
    assert_eq!(id(0), id(1));
    assert_ne!(id(0), id(2));

    let series = rows(&decoded, Table::MetricSeries);
    assert_eq!(series.num_rows(), 2);
    check(
        series,
        0,
        &[
            ("timestamp", "1704067200123461"),
            ("first_timestamp", "1704067200123456"),
            ("series_id", &id(0)),
            ("metric", "m"),
            ("kind", "sum"),
            ("unit", "s"),
            ("description", "what it means"),
            ("temporality", "cumulative"),
            ("is_monotonic", "true"),
            ("service_name", "cart"),
            ("labels", "{path: /a, otel.scope.k: v}"),
            ("resource_attributes", "{host.name: node-1, zone: a}"),
            ("scope_name", "lib"),
            ("scope_version", "1"),
        ],
    );
}

#[test]
fn a_series_is_what_makes_it_whatever_the_order() {
    let id = |change: &dyn Fn(&mut ExportMetricsServiceRequest)| {
        let point = NumberDataPoint {
            attributes: vec![text("a", "1"), text("b", "2")],
            value: Some(number_data_point::Value::AsInt(1)),
            ..NumberDataPoint::default()
        };
        let mut request = request(vec![Data::Gauge(Gauge { data_points: vec![point] })]);
        change(&mut request);
        cell(rows(&metrics(request, OBSERVED), Table::MetricSamples), "series_id", 0)
    };
    fn metric(request: &mut ExportMetricsServiceRequest) -> &mut Metric {
        &mut request.resource_metrics[0].scope_metrics[0].metrics[0]
    }
    fn point(request: &mut ExportMetricsServiceRequest) -> &mut NumberDataPoint {
        let Some(Data::Gauge(gauge)) = &mut metric(request).data else { panic!("a gauge") };
        &mut gauge.data_points[0]
    }
    let same = id(&|_| {});
    assert_eq!(same, "-1098862005750975147", "the hash is written down in docs/tables.md and never changes");
    assert_eq!(id(&|request| point(request).attributes.reverse()), same);
    assert_eq!(id(&|request| metric(request).description.clear()), same);
    assert_eq!(id(&|request| point(request).time_unix_nano = 9), same);
    let resource = |request: &mut ExportMetricsServiceRequest| {
        request.resource_metrics[0].resource.as_mut().unwrap().attributes.reverse();
    };
    assert_eq!(id(&resource), same);
    assert_ne!(id(&|request| metric(request).name = "n".into()), same);
    assert_ne!(id(&|request| metric(request).unit.clear()), same);
    assert_ne!(id(&|request| point(request).attributes[0] = text("a", "12")), same);
    assert_ne!(id(&|request| request.resource_metrics[0].resource = None), same);
    assert_ne!(id(&|request| request.resource_metrics[0].scope_metrics[0].scope = None), same);
}

#[test]
fn histograms_come_with_and_without_buckets() {
    let point = HistogramDataPoint {
        time_unix_nano: NANOS,
        count: 6,
        sum: Some(1.5),
        bucket_counts: vec![1, 2, 3],
        explicit_bounds: vec![0.5, 1.0],
        min: Some(0.1),
        max: Some(2.0),
        exemplars: vec![
            Exemplar {
                filtered_attributes: vec![text("user", "u1")],
                time_unix_nano: NANOS,
                span_id: vec![1; 8],
                trace_id: vec![2; 16],
                value: Some(exemplar::Value::AsInt(3)),
            },
            Exemplar { value: Some(exemplar::Value::AsDouble(0.5)), ..Exemplar::default() },
        ],
        ..HistogramDataPoint::default()
    };
    let bare = HistogramDataPoint { count: 4, ..HistogramDataPoint::default() };
    let decoded =
        decode(Data::Histogram(Histogram { data_points: vec![point, bare], aggregation_temporality: 1 }));
    let samples = rows(&decoded, Table::MetricSamples);
    check(
        samples,
        0,
        &[
            ("kind", "histogram"),
            ("temporality", "delta"),
            ("is_monotonic", "null"),
            ("value", "null"),
            ("count", "6"),
            ("sum", "1.5"),
            ("min", "0.1"),
            ("max", "2"),
            ("bucket_counts", "[1, 2, 3]"),
            ("explicit_bounds", "[0.5, 1]"),
            ("start_timestamp", "null"),
            (
                "exemplars",
                "[{timestamp: 1704067200123456, value: 3, trace_id: \
                 02020202020202020202020202020202, span_id: 0101010101010101, attributes: {user: u1}}, \
                 {timestamp: 1704067200123456, value: 0.5, trace_id: null, span_id: null, attributes: {}}]",
            ),
        ],
    );
    check(
        samples,
        1,
        &[("count", "4"), ("sum", "null"), ("bucket_counts", "null"), ("explicit_bounds", "null")],
    );
}

#[test]
fn exponential_histograms_and_summaries_keep_all_they_say() {
    let exponential = ExponentialHistogramDataPoint {
        count: 10,
        sum: Some(-1.0),
        scale: -2,
        zero_count: 3,
        zero_threshold: 0.001,
        positive: Some(Buckets { offset: -4, bucket_counts: vec![1, 0, 2] }),
        negative: None,
        ..ExponentialHistogramDataPoint::default()
    };
    let data = ExponentialHistogram { data_points: vec![exponential], aggregation_temporality: 2 };
    check(
        rows(&decode(Data::ExponentialHistogram(data)), Table::MetricSamples),
        0,
        &[
            ("kind", "exponential_histogram"),
            ("count", "10"),
            ("scale", "-2"),
            ("zero_count", "3"),
            ("zero_threshold", "0.001"),
            ("positive_offset", "-4"),
            ("positive_counts", "[1, 0, 2]"),
            ("negative_offset", "null"),
            ("negative_counts", "null"),
        ],
    );
    let quantiles =
        vec![ValueAtQuantile { quantile: 0.5, value: 1.0 }, ValueAtQuantile { quantile: 1.0, value: 9.5 }];
    let summary = SummaryDataPoint { count: 2, sum: 3.0, quantile_values: quantiles, ..Default::default() };
    check(
        rows(&decode(Data::Summary(Summary { data_points: vec![summary] })), Table::MetricSamples),
        0,
        &[
            ("kind", "summary"),
            ("count", "2"),
            ("sum", "3"),
            ("quantiles", "[{quantile: 0.5, value: 1}, {quantile: 1, value: 9.5}]"),
        ],
    );
}

#[test]
fn a_stale_mark_is_a_row_without_a_value() {
    let stale = NumberDataPoint { flags: 1, time_unix_nano: NANOS, ..NumberDataPoint::default() };
    let decoded = decode(Data::Gauge(Gauge { data_points: vec![stale] }));
    check(
        rows(&decoded, Table::MetricSamples),
        0,
        &[("is_stale", "true"), ("value", "null"), ("value_int", "null")],
    );
}

#[test]
fn a_point_that_cannot_be_stored_as_it_is_is_rejected() {
    let histogram =
        |point| Data::Histogram(Histogram { data_points: vec![point], aggregation_temporality: 2 });
    let point = HistogramDataPoint::default();
    for (data, reason) in [
        (Data::Gauge(Gauge { data_points: vec![NumberDataPoint::default()] }), "a point has no value"),
        (
            histogram(HistogramDataPoint { bucket_counts: vec![1, 2], ..point.clone() }),
            "2 bucket counts do not fit 0 bounds",
        ),
        (
            histogram(HistogramDataPoint {
                bucket_counts: vec![1, 2, 3],
                explicit_bounds: vec![1.0, f64::NAN],
                ..point.clone()
            }),
            "bucket bounds do not rise",
        ),
        (
            histogram(HistogramDataPoint { count: u64::MAX, ..point }),
            "a count of 18446744073709551615 is not below 2^63",
        ),
    ] {
        let decoded = metrics(request(vec![data]), OBSERVED);
        assert_eq!((decoded.accepted, decoded.rejected, decoded.tables.len()), (0, 1, 0));
        let message = format!("1 of 1 metric points rejected, the first: metric \"m\": {reason}");
        assert_eq!(decoded.message, Some(message));
    }
}

#[test]
fn a_metric_without_a_name_or_known_data_is_told() {
    let mut unnamed = request(vec![Data::Gauge(Gauge { data_points: vec![NumberDataPoint::default(); 2] })]);
    unnamed.resource_metrics[0].scope_metrics[0].metrics[0].name.clear();
    let decoded = metrics(unnamed, OBSERVED);
    assert_eq!((decoded.accepted, decoded.rejected), (0, 2));
    let mut unknown = request(vec![Data::Gauge(Gauge::default())]);
    unknown.resource_metrics[0].scope_metrics[0].metrics[0].data = None;
    let decoded = metrics(unknown, OBSERVED);
    assert_eq!((decoded.accepted, decoded.rejected), (0, 0));
    assert_eq!(decoded.message.as_deref(), Some("metric \"m\" has no data of a kind known here"));
}

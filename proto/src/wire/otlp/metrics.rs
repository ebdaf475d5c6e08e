//! OTLP metric points to the columns of `metric_samples`, and what their series
//! are to `metric_series`.

mod point;
mod samples;
mod series;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, DataPointFlags, Metric, ScopeMetrics};

use self::point::Point;
use self::samples::{Sample, SampleColumns};
use self::series::{Series, SeriesColumns};
use super::context::{Producer, Scope};
use super::value::push_attributes;
use crate::limit::{EVENT_BYTES_MAX, SHORT_TEXT_BYTES_MAX};
use crate::model::flags;
use crate::schema::Table;
use crate::schema::metric::{kind, temporality};
use crate::wire::Decoded;
use crate::wire::columns::{AttributeSet, Budget, Time};
use crate::wire::decoded::Account;

/// Metric points to the columns of `metric_samples` and `metric_series`.
pub fn metrics(request: ExportMetricsServiceRequest, observed_micros: i64) -> Decoded {
    let mut writer = Writer {
        samples: SampleColumns::default(),
        series: SeriesColumns::default(),
        account: Account::new("metric points"),
        observed_micros,
        labels: AttributeSet::default(),
    };
    for resource in request.resource_metrics {
        let mut producer = Producer::of(resource.resource.as_ref());
        for scope in &resource.scope_metrics {
            writer.scope(&mut producer, scope);
        }
    }
    let tables = vec![
        (Table::MetricSamples, writer.samples.finish()),
        (Table::MetricSeries, writer.series.finish(observed_micros)),
    ];
    writer.account.finish(tables)
}

struct Writer {
    samples: SampleColumns,
    series: SeriesColumns,
    account: Account,
    observed_micros: i64,
    labels: AttributeSet,
}

/// What all points of a metric share.
struct Shared<'a> {
    series: Series<'a>,
    bytes: usize,
    is_limited: bool,
}

/// What every kind of point has.
struct Common<'a> {
    attributes: &'a [KeyValue],
    start_nanos: u64,
    nanos: u64,
    flags: u32,
}

impl Writer {
    fn scope(&mut self, producer: &mut Producer, metrics: &ScopeMetrics) {
        let mut scope = Scope::of(metrics.scope.as_ref());
        for metric in &metrics.metrics {
            self.metric(producer, &mut scope, metric);
        }
    }

    fn metric(&mut self, producer: &mut Producer, scope: &mut Scope<'_>, metric: &Metric) {
        let Some(data) = &metric.data else {
            self.account.warn(|| format!("metric {:?} has no data of a kind known here", metric.name));
            return;
        };
        if let Some(reason) = unfit_name(&metric.name) {
            self.account.reject_many(points(data) as u64, || reason);
            return;
        }
        let (kind, temporality, is_monotonic) = nature(data);
        let bytes = producer.bytes() + scope.bytes() + metric.name.len();
        let is_limited = producer.is_limited || scope.is_limited;
        let series = Series::new(metric, kind, temporality, is_monotonic, producer, scope);
        let shared = Shared { series, bytes, is_limited };
        match data {
            Data::Gauge(gauge) => self.points(&shared, &gauge.data_points),
            Data::Sum(sum) => self.points(&shared, &sum.data_points),
            Data::Histogram(histogram) => self.points(&shared, &histogram.data_points),
            Data::ExponentialHistogram(histogram) => self.points(&shared, &histogram.data_points),
            Data::Summary(summary) => self.points(&shared, &summary.data_points),
        }
    }

    fn points<P: Point>(&mut self, shared: &Shared<'_>, points: &[P]) {
        for point in points {
            let is_stale = point.common().flags & DataPointFlags::NoRecordedValueMask as u32 != 0;
            let fits = if is_stale { Ok(()) } else { point.check() };
            match fits.and_then(|()| self.account.check_room(shared.bytes)) {
                Ok(()) => {
                    let bytes = self.point(shared, point, is_stale);
                    self.account.accept(bytes + shared.bytes);
                }
                Err(reason) => {
                    self.account.reject(|| format!("metric {:?}: {reason}", shared.series.metric));
                }
            }
        }
    }

    /// Appends one sample and, once, its series; answers the bytes it took.
    fn point<P: Point>(&mut self, shared: &Shared<'_>, point: &P, is_stale: bool) -> usize {
        let common = point.common();
        let mut budget = Budget::new(EVENT_BYTES_MAX);
        self.labels.clear();
        push_attributes(&mut self.labels, "", common.attributes, 0, &mut budget);
        let mut marks = 0;
        let time = match common.nanos {
            0 => {
                marks |= flags::TIME_ASSUMED;
                Time::of_micros(self.observed_micros)
            }
            nanos => Time::of_nanos(nanos),
        };
        let series_id = self.series.add(&shared.series, &mut self.labels, time);
        let sample = Sample {
            series: &shared.series,
            series_id,
            time,
            observed_micros: self.observed_micros,
            start_nanos: common.start_nanos,
            is_stale,
        };
        self.samples.begin(&sample);
        // A point that says "no value" has none, whatever else it carries.
        let value = if is_stale { Default::default() } else { point.value() };
        self.samples.value(&value);
        self.samples.exemplars(point.exemplars(), time, &mut budget);
        if budget.is_limited() || shared.is_limited {
            marks |= flags::LIMITED;
        }
        self.samples.flags.append_value(marks);
        budget.used() + value.list_bytes()
    }
}

/// Why a metric's name is none.
fn unfit_name(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("a metric has no name".to_owned());
    }
    // Half a name would be another metric.
    (name.len() > SHORT_TEXT_BYTES_MAX)
        .then(|| format!("a metric's name is {} bytes, the limit is {SHORT_TEXT_BYTES_MAX}", name.len()))
}

fn points(data: &Data) -> usize {
    match data {
        Data::Gauge(gauge) => gauge.data_points.len(),
        Data::Sum(sum) => sum.data_points.len(),
        Data::Histogram(histogram) => histogram.data_points.len(),
        Data::ExponentialHistogram(histogram) => histogram.data_points.len(),
        Data::Summary(summary) => summary.data_points.len(),
    }
}

/// Kind, temporality and monotonicity of a metric.
fn nature(data: &Data) -> (&'static str, Option<&'static str>, Option<bool>) {
    match data {
        Data::Gauge(_) => (kind::GAUGE, None, None),
        Data::Sum(sum) => (kind::SUM, word(sum.aggregation_temporality()), Some(sum.is_monotonic)),
        Data::Histogram(histogram) => (kind::HISTOGRAM, word(histogram.aggregation_temporality()), None),
        Data::ExponentialHistogram(histogram) => {
            (kind::EXPONENTIAL_HISTOGRAM, word(histogram.aggregation_temporality()), None)
        }
        Data::Summary(_) => (kind::SUMMARY, None, None),
    }
}

fn word(sent: AggregationTemporality) -> Option<&'static str> {
    match sent {
        AggregationTemporality::Cumulative => Some(temporality::CUMULATIVE),
        AggregationTemporality::Delta => Some(temporality::DELTA),
        AggregationTemporality::Unspecified => None,
    }
}

//! Metrics.

use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint,
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, exemplar,
    number_data_point,
};

use super::common::{attributes, resource, scope};
use super::object::{Object, Read, double, signed, unsigned};

const TEMPORALITY: &str = "aggregationTemporality";
const POINTS: &str = "dataPoints";

pub(super) fn resource_metrics(metrics: &mut Object) -> Read<ResourceMetrics> {
    Ok(ResourceMetrics {
        resource: metrics.object("resource", resource)?,
        scope_metrics: metrics.list("scopeMetrics", scope_metrics)?,
        schema_url: metrics.text("schemaUrl")?,
    })
}

fn scope_metrics(metrics: &mut Object) -> Read<ScopeMetrics> {
    Ok(ScopeMetrics {
        scope: metrics.object("scope", scope)?,
        metrics: metrics.list("metrics", metric)?,
        schema_url: metrics.text("schemaUrl")?,
    })
}

fn metric(metric: &mut Object) -> Read<Metric> {
    Ok(Metric {
        name: metric.text("name")?,
        description: metric.text("description")?,
        unit: metric.text("unit")?,
        metadata: attributes(metric, "metadata")?,
        data: data(metric)?,
    })
}

fn data(metric: &mut Object) -> Read<Option<Data>> {
    if let Some(gauge) = metric.object("gauge", |gauge| Ok(Gauge { data_points: numbers(gauge)? }))? {
        return Ok(Some(Data::Gauge(gauge)));
    }
    if let Some(sum) = metric.object("sum", sum)? {
        return Ok(Some(Data::Sum(sum)));
    }
    if let Some(histogram) = metric.object("histogram", histogram)? {
        return Ok(Some(Data::Histogram(histogram)));
    }
    if let Some(histogram) = metric.object("exponentialHistogram", exponential_histogram)? {
        return Ok(Some(Data::ExponentialHistogram(histogram)));
    }
    let summary = |summary: &mut Object| Ok(Summary { data_points: summary.list(POINTS, summary_point)? });
    Ok(metric.object("summary", summary)?.map(Data::Summary))
}

fn sum(sum: &mut Object) -> Read<Sum> {
    Ok(Sum {
        data_points: numbers(sum)?,
        aggregation_temporality: sum.enumeration(TEMPORALITY)?,
        is_monotonic: sum.bool("isMonotonic")?,
    })
}

fn histogram(histogram: &mut Object) -> Read<Histogram> {
    Ok(Histogram {
        data_points: histogram.list(POINTS, histogram_point)?,
        aggregation_temporality: histogram.enumeration(TEMPORALITY)?,
    })
}

fn exponential_histogram(histogram: &mut Object) -> Read<ExponentialHistogram> {
    Ok(ExponentialHistogram {
        data_points: histogram.list(POINTS, exponential_point)?,
        aggregation_temporality: histogram.enumeration(TEMPORALITY)?,
    })
}

fn numbers(data: &mut Object) -> Read<Vec<NumberDataPoint>> {
    data.list(POINTS, |point| {
        let value = match point.optional("asInt", signed)? {
            Some(integer) => Some(number_data_point::Value::AsInt(integer)),
            None => point.optional("asDouble", double)?.map(number_data_point::Value::AsDouble),
        };
        Ok(NumberDataPoint {
            attributes: attributes(point, "attributes")?,
            start_time_unix_nano: point.u64("startTimeUnixNano")?,
            time_unix_nano: point.u64("timeUnixNano")?,
            exemplars: point.list("exemplars", exemplar)?,
            flags: point.u32("flags")?,
            value,
        })
    })
}

fn histogram_point(point: &mut Object) -> Read<HistogramDataPoint> {
    Ok(HistogramDataPoint {
        attributes: attributes(point, "attributes")?,
        start_time_unix_nano: point.u64("startTimeUnixNano")?,
        time_unix_nano: point.u64("timeUnixNano")?,
        count: point.u64("count")?,
        sum: point.optional("sum", double)?,
        bucket_counts: point.values("bucketCounts", unsigned)?,
        explicit_bounds: point.values("explicitBounds", double)?,
        exemplars: point.list("exemplars", exemplar)?,
        flags: point.u32("flags")?,
        min: point.optional("min", double)?,
        max: point.optional("max", double)?,
    })
}

fn exponential_point(point: &mut Object) -> Read<ExponentialHistogramDataPoint> {
    Ok(ExponentialHistogramDataPoint {
        attributes: attributes(point, "attributes")?,
        start_time_unix_nano: point.u64("startTimeUnixNano")?,
        time_unix_nano: point.u64("timeUnixNano")?,
        count: point.u64("count")?,
        sum: point.optional("sum", double)?,
        scale: point.i32("scale")?,
        zero_count: point.u64("zeroCount")?,
        positive: point.object("positive", buckets)?,
        negative: point.object("negative", buckets)?,
        flags: point.u32("flags")?,
        exemplars: point.list("exemplars", exemplar)?,
        min: point.optional("min", double)?,
        max: point.optional("max", double)?,
        zero_threshold: point.f64("zeroThreshold")?,
    })
}

fn buckets(buckets: &mut Object) -> Read<Buckets> {
    Ok(Buckets { offset: buckets.i32("offset")?, bucket_counts: buckets.values("bucketCounts", unsigned)? })
}

fn summary_point(point: &mut Object) -> Read<SummaryDataPoint> {
    let quantile =
        |at: &mut Object| Ok(ValueAtQuantile { quantile: at.f64("quantile")?, value: at.f64("value")? });
    Ok(SummaryDataPoint {
        attributes: attributes(point, "attributes")?,
        start_time_unix_nano: point.u64("startTimeUnixNano")?,
        time_unix_nano: point.u64("timeUnixNano")?,
        count: point.u64("count")?,
        sum: point.f64("sum")?,
        quantile_values: point.list("quantileValues", quantile)?,
        flags: point.u32("flags")?,
    })
}

fn exemplar(exemplar: &mut Object) -> Read<Exemplar> {
    let value = match exemplar.optional("asInt", signed)? {
        Some(integer) => Some(exemplar::Value::AsInt(integer)),
        None => exemplar.optional("asDouble", double)?.map(exemplar::Value::AsDouble),
    };
    Ok(Exemplar {
        filtered_attributes: attributes(exemplar, "filteredAttributes")?,
        time_unix_nano: exemplar.u64("timeUnixNano")?,
        span_id: exemplar.id("spanId")?,
        trace_id: exemplar.id("traceId")?,
        value,
    })
}

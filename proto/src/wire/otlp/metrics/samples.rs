//! The columns of `metric_samples`.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::builder::{
    ArrayBuilder, BooleanBuilder, Float64Builder, Int16Builder, Int32Builder, Int64Builder, ListBuilder,
    StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::types::{Float64Type, Int64Type};
use opentelemetry_proto::tonic::metrics::v1::Exemplar;
use opentelemetry_proto::tonic::metrics::v1::exemplar::Value as ExemplarValue;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;

use super::point::Value;
use super::series::Series;
use crate::limit::EXEMPLARS_MAX;
use crate::schema::Table;
use crate::schema::metric::sample::{exemplar_fields, quantile_fields};
use crate::wire::columns::{AttributeSet, Budget, MapColumn, RowList, Time, number_list, time_column};
use crate::wire::otlp::id::{self, SPAN_ID_BYTES, TRACE_ID_BYTES};
use crate::wire::otlp::value::push_attributes;

/// The builders, one per column.
pub(super) struct SampleColumns {
    timestamp: TimestampMicrosecondBuilder,
    timestamp_nanos: Int16Builder,
    observed_timestamp: TimestampMicrosecondBuilder,
    start_timestamp: TimestampMicrosecondBuilder,
    metric: StringBuilder,
    kind: StringBuilder,
    temporality: StringBuilder,
    is_monotonic: BooleanBuilder,
    series_id: Int64Builder,
    service_name: StringBuilder,
    value: Float64Builder,
    value_int: Int64Builder,
    count: Int64Builder,
    sum: Float64Builder,
    min: Float64Builder,
    max: Float64Builder,
    bucket_counts: ListBuilder<Int64Builder>,
    explicit_bounds: ListBuilder<Float64Builder>,
    scale: Int32Builder,
    zero_count: Int64Builder,
    zero_threshold: Float64Builder,
    positive: Side,
    negative: Side,
    quantiles: QuantileColumns,
    exemplars: ExemplarColumns,
    is_stale: BooleanBuilder,
    pub(super) flags: Int32Builder,
}

/// What a sample has beside its value.
pub(super) struct Sample<'a> {
    pub(super) series: &'a Series<'a>,
    pub(super) series_id: i64,
    pub(super) time: Time,
    pub(super) observed_micros: i64,
    pub(super) start_nanos: u64,
    pub(super) is_stale: bool,
}

impl Default for SampleColumns {
    fn default() -> Self {
        Self {
            timestamp: time_column(0),
            timestamp_nanos: Int16Builder::new(),
            observed_timestamp: time_column(0),
            start_timestamp: time_column(0),
            metric: StringBuilder::new(),
            kind: StringBuilder::new(),
            temporality: StringBuilder::new(),
            is_monotonic: BooleanBuilder::new(),
            series_id: Int64Builder::new(),
            service_name: StringBuilder::new(),
            value: Float64Builder::new(),
            value_int: Int64Builder::new(),
            count: Int64Builder::new(),
            sum: Float64Builder::new(),
            min: Float64Builder::new(),
            max: Float64Builder::new(),
            bucket_counts: number_list::<Int64Type>(),
            explicit_bounds: number_list::<Float64Type>(),
            scale: Int32Builder::new(),
            zero_count: Int64Builder::new(),
            zero_threshold: Float64Builder::new(),
            positive: Side::default(),
            negative: Side::default(),
            quantiles: QuantileColumns::default(),
            exemplars: ExemplarColumns::default(),
            is_stale: BooleanBuilder::new(),
            flags: Int32Builder::new(),
        }
    }
}

impl SampleColumns {
    /// Appends all but value, exemplars and flags.
    pub(super) fn begin(&mut self, sample: &Sample<'_>) {
        self.timestamp.append_value(sample.time.micros);
        self.timestamp_nanos.append_value(sample.time.nanos);
        self.observed_timestamp.append_value(sample.observed_micros);
        let start = Some(sample.start_nanos).filter(|nanos| *nanos > 0);
        self.start_timestamp.append_option(start.map(|nanos| Time::of_nanos(nanos).micros));
        let series = sample.series;
        self.metric.append_value(series.metric);
        self.kind.append_value(series.kind);
        self.temporality.append_option(series.temporality);
        self.is_monotonic.append_option(series.is_monotonic);
        self.series_id.append_value(sample.series_id);
        self.service_name.append_option(series.service_name());
        self.is_stale.append_value(sample.is_stale);
    }

    /// Appends the value: counts have been checked to fit.
    pub(super) fn value(&mut self, value: &Value<'_>) {
        let (double, integer) = match value.number {
            Some(Number::AsDouble(double)) => (Some(double), None),
            Some(Number::AsInt(integer)) => (Some(integer as f64), Some(integer)),
            None => (None, None),
        };
        self.value.append_option(double);
        self.value_int.append_option(integer);
        self.count.append_option(value.count.map(|count| count as i64));
        self.sum.append_option(value.sum);
        self.min.append_option(value.min);
        self.max.append_option(value.max);
        match value.buckets {
            Some((counts, bounds)) => {
                append_counts(&mut self.bucket_counts, counts);
                self.explicit_bounds.values().append_slice(bounds);
                self.explicit_bounds.append(true);
            }
            None => {
                self.bucket_counts.append(false);
                self.explicit_bounds.append(false);
            }
        }
        let exponential = value.exponential.as_ref();
        self.scale.append_option(exponential.map(|value| value.scale));
        self.zero_count.append_option(exponential.map(|value| value.zero_count as i64));
        self.zero_threshold.append_option(exponential.map(|value| value.zero_threshold));
        self.positive.append(exponential.and_then(|value| value.positive));
        self.negative.append(exponential.and_then(|value| value.negative));
        self.quantiles.append(value.quantiles);
    }

    /// Appends the exemplars; one without a time takes the point's.
    pub(super) fn exemplars(&mut self, exemplars: &[Exemplar], time: Time, budget: &mut Budget) {
        self.exemplars.append(exemplars, time, budget);
    }

    pub(super) fn finish(mut self) -> RecordBatch {
        let columns = vec![
            Arc::new(self.timestamp.finish()) as _,
            Arc::new(self.timestamp_nanos.finish()) as _,
            Arc::new(self.observed_timestamp.finish()) as _,
            Arc::new(self.start_timestamp.finish()) as _,
            Arc::new(self.metric.finish()) as _,
            Arc::new(self.kind.finish()) as _,
            Arc::new(self.temporality.finish()) as _,
            Arc::new(self.is_monotonic.finish()) as _,
            Arc::new(self.series_id.finish()) as _,
            Arc::new(self.service_name.finish()) as _,
            Arc::new(self.value.finish()) as _,
            Arc::new(self.value_int.finish()) as _,
            Arc::new(self.count.finish()) as _,
            Arc::new(self.sum.finish()) as _,
            Arc::new(self.min.finish()) as _,
            Arc::new(self.max.finish()) as _,
            Arc::new(self.bucket_counts.finish()) as _,
            Arc::new(self.explicit_bounds.finish()) as _,
            Arc::new(self.scale.finish()) as _,
            Arc::new(self.zero_count.finish()) as _,
            Arc::new(self.zero_threshold.finish()) as _,
            Arc::new(self.positive.offset.finish()) as _,
            Arc::new(self.positive.counts.finish()) as _,
            Arc::new(self.negative.offset.finish()) as _,
            Arc::new(self.negative.counts.finish()) as _,
            self.quantiles.finish(),
            self.exemplars.finish(),
            Arc::new(self.is_stale.finish()) as _,
            Arc::new(self.flags.finish()) as _,
        ];
        RecordBatch::try_new(Table::MetricSamples.payload_schema(), columns)
            .expect("columns follow the schema")
    }
}

fn append_counts(column: &mut ListBuilder<Int64Builder>, counts: &[u64]) {
    for count in counts {
        column.values().append_value(*count as i64);
    }
    column.append(true);
}

/// One side of exponential histograms.
struct Side {
    offset: Int32Builder,
    counts: ListBuilder<Int64Builder>,
}

impl Default for Side {
    fn default() -> Self {
        Self { offset: Int32Builder::new(), counts: number_list::<Int64Type>() }
    }
}

impl Side {
    fn append(&mut self, buckets: Option<&Buckets>) {
        self.offset.append_option(buckets.map(|buckets| buckets.offset));
        match buckets {
            Some(buckets) => append_counts(&mut self.counts, &buckets.bucket_counts),
            None => self.counts.append(false),
        }
    }
}

/// The quantiles of summaries.
struct QuantileColumns {
    rows: RowList,
    quantile: Float64Builder,
    value: Float64Builder,
}

impl Default for QuantileColumns {
    fn default() -> Self {
        let (quantile, value) = (Float64Builder::new(), Float64Builder::new());
        Self { rows: RowList::with_capacity(0), quantile, value }
    }
}

impl QuantileColumns {
    fn append(&mut self, quantiles: Option<&[ValueAtQuantile]>) {
        let Some(quantiles) = quantiles else {
            self.rows.append_null();
            return;
        };
        for at in quantiles {
            self.quantile.append_value(at.quantile);
            self.value.append_value(at.value);
        }
        self.rows.end_row(self.quantile.len());
    }

    fn finish(mut self) -> arrow_array::ArrayRef {
        let columns = vec![Arc::new(self.quantile.finish()) as _, Arc::new(self.value.finish()) as _];
        self.rows.finish(quantile_fields(), columns)
    }
}

/// Single measurements, with the trace they were made in.
struct ExemplarColumns {
    rows: RowList,
    timestamp: TimestampMicrosecondBuilder,
    value: Float64Builder,
    trace_id: StringBuilder,
    span_id: StringBuilder,
    attributes: MapColumn,
    labels: AttributeSet,
    hex: String,
}

impl Default for ExemplarColumns {
    fn default() -> Self {
        Self {
            rows: RowList::with_capacity(0),
            timestamp: time_column(0),
            value: Float64Builder::new(),
            trace_id: StringBuilder::new(),
            span_id: StringBuilder::new(),
            attributes: MapColumn::with_capacity(0),
            labels: AttributeSet::default(),
            hex: String::new(),
        }
    }
}

impl ExemplarColumns {
    fn append(&mut self, exemplars: &[Exemplar], point_time: Time, budget: &mut Budget) {
        if exemplars.is_empty() {
            self.rows.append_null();
            return;
        }
        for (index, exemplar) in exemplars.iter().enumerate() {
            let value = match exemplar.value {
                Some(ExemplarValue::AsDouble(double)) => double,
                Some(ExemplarValue::AsInt(integer)) => integer as f64,
                None => {
                    budget.limit();
                    continue;
                }
            };
            if index >= EXEMPLARS_MAX || !budget.take_entry() {
                budget.limit();
                break;
            }
            let time = match exemplar.time_unix_nano {
                0 => point_time,
                nanos => Time::of_nanos(nanos),
            };
            self.timestamp.append_value(time.micros);
            self.value.append_value(value);
            for (column, id, bytes) in [
                (&mut self.trace_id, &exemplar.trace_id, TRACE_ID_BYTES),
                (&mut self.span_id, &exemplar.span_id, SPAN_ID_BYTES),
            ] {
                let is_valid = id::is_valid(id, bytes);
                column.append_option(is_valid.then(|| id::write(&mut self.hex, id)));
            }
            self.labels.clear();
            push_attributes(&mut self.labels, "", &exemplar.filtered_attributes, 0, budget);
            self.attributes.append(&[&self.labels]);
        }
        self.rows.end_row(self.timestamp.len());
    }

    fn finish(mut self) -> arrow_array::ArrayRef {
        let columns = vec![
            Arc::new(self.timestamp.finish()) as _,
            Arc::new(self.value.finish()) as _,
            Arc::new(self.trace_id.finish()) as _,
            Arc::new(self.span_id.finish()) as _,
            self.attributes.finish(),
        ];
        self.rows.finish(exemplar_fields(), columns)
    }
}

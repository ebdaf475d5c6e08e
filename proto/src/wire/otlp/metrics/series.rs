//! What a series is, its id, and the columns of `metric_series`.

use std::collections::HashMap;
use std::hash::Hasher;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Int16Builder, Int64Builder, StringBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use opentelemetry_proto::tonic::metrics::v1::Metric;
use twox_hash::XxHash64;

use crate::limit::SHORT_TEXT_BYTES_MAX;
use crate::schema::Table;
use crate::wire::columns::{AttributeSet, MapColumn, Time, append_text, cut, hash_text, time_column};
use crate::wire::otlp::context::{Producer, Scope};

/// What all series of one metric share.
pub(super) struct Series<'a> {
    pub(super) metric: &'a str,
    pub(super) kind: &'static str,
    pub(super) temporality: Option<&'static str>,
    pub(super) is_monotonic: Option<bool>,
    unit: &'a str,
    description: &'a str,
    producer: &'a Producer,
    scope: &'a Scope<'a>,
    /// Of all that is above, without the description.
    hasher: XxHash64,
}

impl<'a> Series<'a> {
    pub(super) fn new(
        metric: &'a Metric,
        kind: &'static str,
        temporality: Option<&'static str>,
        is_monotonic: Option<bool>,
        producer: &'a mut Producer,
        scope: &'a mut Scope<'_>,
    ) -> Self {
        let unit = cut(&metric.unit, SHORT_TEXT_BYTES_MAX);
        let mut hasher = XxHash64::with_seed(0);
        let monotonic = is_monotonic.map(|value| if value { "true" } else { "false" });
        for text in [Some(&*metric.name), Some(kind), Some(unit), temporality, monotonic] {
            hash_text(&mut hasher, text);
        }
        hash_text(&mut hasher, Some(scope.name));
        hash_text(&mut hasher, Some(scope.version));
        scope.attributes.hash(&mut hasher);
        hash_text(&mut hasher, producer.service_name.as_deref());
        producer.attributes.hash(&mut hasher);
        Self {
            metric: &metric.name,
            kind,
            temporality,
            is_monotonic,
            unit,
            description: cut(&metric.description, SHORT_TEXT_BYTES_MAX),
            producer,
            scope,
            hasher,
        }
    }

    pub(super) fn service_name(&self) -> Option<&str> {
        self.producer.service_name.as_deref()
    }

    /// The id of the series with these labels.
    fn id(&self, labels: &mut AttributeSet) -> i64 {
        let mut hasher = self.hasher.clone();
        labels.hash(&mut hasher);
        hasher.finish() as i64
    }
}

/// The series of one batch: one row each, with the times of its first and last
/// point.
pub(super) struct SeriesColumns {
    rows: HashMap<i64, usize>,
    times: Vec<(Time, Time)>,
    series_id: Int64Builder,
    metric: StringBuilder,
    kind: StringBuilder,
    unit: StringBuilder,
    description: StringBuilder,
    temporality: StringBuilder,
    is_monotonic: BooleanBuilder,
    service_name: StringBuilder,
    labels: MapColumn,
    resource_attributes: MapColumn,
    scope_name: StringBuilder,
    scope_version: StringBuilder,
}

impl Default for SeriesColumns {
    fn default() -> Self {
        Self {
            rows: HashMap::new(),
            times: Vec::new(),
            series_id: Int64Builder::new(),
            metric: StringBuilder::new(),
            kind: StringBuilder::new(),
            unit: StringBuilder::new(),
            description: StringBuilder::new(),
            temporality: StringBuilder::new(),
            is_monotonic: BooleanBuilder::new(),
            service_name: StringBuilder::new(),
            labels: MapColumn::with_capacity(0),
            resource_attributes: MapColumn::with_capacity(0),
            scope_name: StringBuilder::new(),
            scope_version: StringBuilder::new(),
        }
    }
}

impl SeriesColumns {
    /// Notes a point of a series; answers the series' id.
    pub(super) fn add(&mut self, series: &Series<'_>, labels: &mut AttributeSet, time: Time) -> i64 {
        let id = series.id(labels);
        if let Some(row) = self.rows.get(&id) {
            let (first, last) = &mut self.times[*row];
            *first = time.min(*first);
            *last = time.max(*last);
            return id;
        }
        self.rows.insert(id, self.times.len());
        self.times.push((time, time));
        self.series_id.append_value(id);
        self.metric.append_value(series.metric);
        self.kind.append_value(series.kind);
        append_text(&mut self.unit, series.unit);
        append_text(&mut self.description, series.description);
        self.temporality.append_option(series.temporality);
        self.is_monotonic.append_option(series.is_monotonic);
        self.service_name.append_option(series.service_name());
        self.labels.append(&[labels, &series.scope.attributes]);
        self.resource_attributes.append(&[&series.producer.attributes]);
        append_text(&mut self.scope_name, series.scope.name);
        append_text(&mut self.scope_version, series.scope.version);
        id
    }

    pub(super) fn finish(mut self, observed_micros: i64) -> RecordBatch {
        let rows = self.times.len();
        let mut timestamp = time_column(rows);
        let mut timestamp_nanos = Int16Builder::with_capacity(rows);
        let mut observed = time_column(rows);
        let mut first_timestamp = time_column(rows);
        for (first, last) in &self.times {
            timestamp.append_value(last.micros);
            timestamp_nanos.append_value(last.nanos);
            observed.append_value(observed_micros);
            first_timestamp.append_value(first.micros);
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(timestamp.finish()),
            Arc::new(timestamp_nanos.finish()),
            Arc::new(observed.finish()),
            Arc::new(first_timestamp.finish()),
            Arc::new(self.series_id.finish()),
            Arc::new(self.metric.finish()),
            Arc::new(self.kind.finish()),
            Arc::new(self.unit.finish()),
            Arc::new(self.description.finish()),
            Arc::new(self.temporality.finish()),
            Arc::new(self.is_monotonic.finish()),
            Arc::new(self.service_name.finish()),
            self.labels.finish(),
            self.resource_attributes.finish(),
            Arc::new(self.scope_name.finish()),
            Arc::new(self.scope_version.finish()),
        ];
        RecordBatch::try_new(Table::MetricSeries.payload_schema(), columns)
            .expect("columns follow the schema")
    }
}

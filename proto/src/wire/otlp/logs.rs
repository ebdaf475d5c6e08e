//! OTLP log records to the columns of `logs`.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, Int16Builder, Int32Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{ArrayRef, RecordBatch};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ScopeLogs};

use super::context::{Producer, Scope};
use super::id::{self, SPAN_ID_BYTES, TRACE_ID_BYTES};
use super::value::{push_attributes, write_text};
use crate::limit::EVENT_BYTES_MAX;
use crate::model::flags;
use crate::schema::Table;
use crate::schema::log::PROMOTED;
use crate::wire::Decoded;
use crate::wire::columns::{AttributeSet, Budget, MapColumn, Time, append_text, time_column};
use crate::wire::decoded::Account;

/// The W3C trace flags.
const LOG_FLAGS_MASK: u32 = 0xff;

/// The highest of OpenTelemetry's severities.
const SEVERITY_MAX: i32 = 24;

/// Log records to the columns of `logs`.
pub fn logs(request: ExportLogsServiceRequest, observed_micros: i64) -> Decoded {
    let scopes = request.resource_logs.iter().flat_map(|resource| &resource.scope_logs);
    let records: usize = scopes.map(|scope| scope.log_records.len()).sum();
    let mut writer = Writer {
        columns: Columns::with_capacity(records.min(1 << 16)),
        account: Account::new("log records"),
        observed_micros,
        attributes: AttributeSet::default(),
        text: String::new(),
    };
    for resource in request.resource_logs {
        let producer = Producer::of(resource.resource.as_ref());
        for scope in &resource.scope_logs {
            writer.scope(&producer, scope);
        }
    }
    writer.account.finish(vec![(Table::Logs, writer.columns.finish())])
}

struct Writer {
    columns: Columns,
    account: Account,
    observed_micros: i64,
    attributes: AttributeSet,
    text: String,
}

impl Writer {
    fn scope(&mut self, producer: &Producer, logs: &ScopeLogs) {
        let scope = Scope::of(logs.scope.as_ref());
        let shared_bytes = producer.bytes() + scope.bytes();
        for record in &logs.log_records {
            match self.account.check_room(shared_bytes) {
                Ok(()) => {
                    let bytes = self.record(producer, &scope, record);
                    self.account.accept(bytes + shared_bytes);
                }
                Err(reason) => self.account.reject(|| reason),
            }
        }
    }

    /// Appends one row; answers what it took of its budget.
    fn record(&mut self, producer: &Producer, scope: &Scope<'_>, record: &LogRecord) -> usize {
        let mut budget = Budget::new(EVENT_BYTES_MAX);
        let mut marks = ((record.flags & LOG_FLAGS_MASK) << flags::SENT_SHIFT) as i32;
        let (time, is_assumed) = self.time(record);
        if is_assumed {
            marks |= flags::TIME_ASSUMED;
        }
        let columns = &mut self.columns;
        columns.timestamp.append_value(time.micros);
        columns.timestamp_nanos.append_value(time.nanos);
        let observed = match record.observed_time_unix_nano {
            0 => self.observed_micros,
            nanos => Time::of_nanos(nanos).micros,
        };
        columns.observed_timestamp.append_value(observed);

        append_text(&mut columns.severity_text, budget.take_text(&record.severity_text));
        let severity = Some(record.severity_number).filter(|number| (1..=SEVERITY_MAX).contains(number));
        columns.severity_number.append_option(severity.map(|number| number as i16));

        self.text.clear();
        let body = match record.body.as_ref().and_then(|body| body.value.as_ref()) {
            Some(Value::StringValue(text)) => text,
            _ => {
                write_text(&mut self.text, record.body.as_ref(), &mut budget);
                &self.text
            }
        };
        let kept = budget.take_text(body);
        if kept.len() < body.len() {
            marks |= flags::TRUNCATED;
        }
        columns.body.append_value(kept);

        self.attributes.clear();
        let attributes = &mut self.attributes;
        for (key, value) in [
            ("event.name", record.event_name.as_str()),
            ("otel.scope.name", scope.name),
            ("otel.scope.version", scope.version),
        ] {
            if !value.is_empty() {
                attributes.push(key, value, &mut budget);
            }
        }
        for (key, column, sent, bytes) in [
            ("otel.trace_id", &mut columns.trace_id, &record.trace_id, TRACE_ID_BYTES),
            ("otel.span_id", &mut columns.span_id, &record.span_id, SPAN_ID_BYTES),
        ] {
            if id::is_valid(sent, bytes) {
                column.append_value(id::write(&mut self.text, sent));
                continue;
            }
            // Not an id, so the record belongs to no trace; what was sent stays.
            column.append_null();
            if sent.iter().any(|byte| *byte != 0) {
                attributes.push(key, id::write(&mut self.text, sent), &mut budget);
            }
        }
        push_attributes(attributes, "", &record.attributes, record.dropped_attributes_count, &mut budget);
        columns.attributes.append(&[attributes, &scope.attributes]);
        columns.producer(producer);
        if budget.is_limited() || producer.is_limited || scope.is_limited {
            marks |= flags::LIMITED;
        }
        columns.flags.append_value(marks);
        budget.used()
    }

    /// The record's own time, else when it was observed, else now; and whether
    /// it is not its own.
    fn time(&self, record: &LogRecord) -> (Time, bool) {
        match (record.time_unix_nano, record.observed_time_unix_nano) {
            (0, 0) => (Time::of_micros(self.observed_micros), true),
            (0, observed) => (Time::of_nanos(observed), true),
            (time, _) => (Time::of_nanos(time), false),
        }
    }
}

struct Columns {
    timestamp: TimestampMicrosecondBuilder,
    timestamp_nanos: Int16Builder,
    observed_timestamp: TimestampMicrosecondBuilder,
    severity_text: StringBuilder,
    severity_number: Int16Builder,
    body: StringBuilder,
    trace_id: StringBuilder,
    span_id: StringBuilder,
    /// In the order of [`PROMOTED`].
    promoted: [StringBuilder; PROMOTED.len()],
    attributes: MapColumn,
    resource_attributes: MapColumn,
    flags: Int32Builder,
}

impl Columns {
    fn with_capacity(rows: usize) -> Self {
        let text = |bytes| StringBuilder::with_capacity(rows, rows * bytes);
        Self {
            timestamp: time_column(rows),
            timestamp_nanos: Int16Builder::with_capacity(rows),
            observed_timestamp: time_column(rows),
            severity_text: text(4),
            severity_number: Int16Builder::with_capacity(rows),
            body: text(64),
            trace_id: text(32),
            span_id: text(16),
            promoted: std::array::from_fn(|_| text(0)),
            attributes: MapColumn::with_capacity(rows),
            resource_attributes: MapColumn::with_capacity(rows),
            flags: Int32Builder::with_capacity(rows),
        }
    }

    fn producer(&mut self, producer: &Producer) {
        for ((name, _), column) in PROMOTED.iter().zip(&mut self.promoted) {
            if *name == "service.name" {
                column.append_option(producer.service_name.as_deref());
            } else {
                let found = producer.attributes.iter().find(|(key, _)| key == name);
                column.append_option(found.and_then(|(_, value)| value));
            }
        }
        let has_no_column = |key: &str| PROMOTED.iter().all(|(name, _)| *name != key);
        self.resource_attributes.append_if(&[&producer.attributes], has_no_column);
    }

    fn finish(mut self) -> RecordBatch {
        let rows = self.flags.values_slice().len();
        let mut body_raw = BinaryBuilder::new();
        body_raw.append_nulls(rows);
        let absent = || {
            let mut column = Int64Builder::new();
            column.append_nulls(rows);
            Arc::new(column.finish()) as ArrayRef
        };
        let [service_name, places @ ..] = &mut self.promoted;
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.timestamp.finish()),
            Arc::new(self.timestamp_nanos.finish()),
            Arc::new(self.observed_timestamp.finish()),
            Arc::new(service_name.finish()),
            Arc::new(self.severity_text.finish()),
            Arc::new(self.severity_number.finish()),
            Arc::new(self.body.finish()),
            Arc::new(body_raw.finish()),
            absent(),
            Arc::new(self.trace_id.finish()),
            Arc::new(self.span_id.finish()),
        ];
        columns.extend(places.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
        columns.extend([self.attributes.finish(), self.resource_attributes.finish(), absent()]);
        columns.push(Arc::new(self.flags.finish()));
        RecordBatch::try_new(Table::Logs.payload_schema(), columns).expect("columns follow the schema")
    }
}

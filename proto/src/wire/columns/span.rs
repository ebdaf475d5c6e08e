//! The columns of `spans`, filled a span at a time.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::builder::{
    ArrayBuilder, BooleanBuilder, Int16Builder, Int32Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};

use super::{MapColumn, RowList, Time, append_text, time_column};
use crate::schema::Table;
use crate::schema::span::{event_fields, link_fields};

/// The builders, one per column. Who fills them appends to each of them once
/// per span, or calls a method below that does.
#[derive(Debug)]
pub(in crate::wire) struct SpanColumns {
    timestamp: TimestampMicrosecondBuilder,
    timestamp_nanos: Int16Builder,
    observed_timestamp: TimestampMicrosecondBuilder,
    pub(in crate::wire) duration_ns: Int64Builder,
    trace_id: StringBuilder,
    trace_id_low: StringBuilder,
    span_id: StringBuilder,
    parent_span_id: StringBuilder,
    pub(in crate::wire) shared: BooleanBuilder,
    pub(in crate::wire) name: StringBuilder,
    pub(in crate::wire) kind: StringBuilder,
    service_name: StringBuilder,
    remote_service_name: StringBuilder,
    local_ip: StringBuilder,
    local_port: Int32Builder,
    remote_ip: StringBuilder,
    remote_port: Int32Builder,
    pub(in crate::wire) status_code: StringBuilder,
    pub(in crate::wire) status_message: StringBuilder,
    pub(in crate::wire) trace_state: StringBuilder,
    pub(in crate::wire) scope_name: StringBuilder,
    pub(in crate::wire) scope_version: StringBuilder,
    pub(in crate::wire) attributes: MapColumn,
    pub(in crate::wire) resource_attributes: MapColumn,
    pub(in crate::wire) events: EventColumns,
    pub(in crate::wire) links: LinkColumns,
    pub(in crate::wire) flags: Int32Builder,
}

/// One side of a call.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::wire) struct Endpoint<'a> {
    pub(in crate::wire) service_name: Option<&'a str>,
    pub(in crate::wire) ip: Option<&'a str>,
    pub(in crate::wire) port: Option<u16>,
}

impl SpanColumns {
    pub(in crate::wire) fn with_capacity(rows: usize) -> Self {
        let text = |bytes| StringBuilder::with_capacity(rows, rows * bytes);
        Self {
            timestamp: time_column(rows),
            timestamp_nanos: Int16Builder::with_capacity(rows),
            observed_timestamp: time_column(rows),
            duration_ns: Int64Builder::with_capacity(rows),
            trace_id: text(32),
            trace_id_low: text(16),
            span_id: text(16),
            parent_span_id: text(16),
            shared: BooleanBuilder::with_capacity(rows),
            name: text(16),
            kind: text(8),
            service_name: text(16),
            remote_service_name: text(0),
            local_ip: text(0),
            local_port: Int32Builder::with_capacity(rows),
            remote_ip: text(0),
            remote_port: Int32Builder::with_capacity(rows),
            status_code: text(0),
            status_message: text(0),
            trace_state: text(0),
            scope_name: text(16),
            scope_version: text(0),
            attributes: MapColumn::with_capacity(rows),
            resource_attributes: MapColumn::with_capacity(rows),
            events: EventColumns::with_capacity(rows),
            links: LinkColumns::with_capacity(rows),
            flags: Int32Builder::with_capacity(rows),
        }
    }

    /// Appends when it began and when it was received.
    pub(in crate::wire) fn times(&mut self, began: Time, observed_micros: i64) {
        self.timestamp.append_value(began.micros);
        self.timestamp_nanos.append_value(began.nanos);
        self.observed_timestamp.append_value(observed_micros);
    }

    /// Appends the ids; the trace's has at least 16 digits.
    pub(in crate::wire) fn ids(&mut self, trace: &str, span: &str, parent: Option<&str>) {
        self.trace_id.append_value(trace);
        self.trace_id_low.append_value(&trace[trace.len() - 16..]);
        self.span_id.append_value(span);
        self.parent_span_id.append_option(parent);
    }

    /// Appends both sides.
    pub(in crate::wire) fn endpoints(&mut self, local: Endpoint<'_>, remote: Endpoint<'_>) {
        self.service_name.append_option(local.service_name);
        self.local_ip.append_option(local.ip);
        self.local_port.append_option(local.port.map(i32::from));
        self.remote_service_name.append_option(remote.service_name);
        self.remote_ip.append_option(remote.ip);
        self.remote_port.append_option(remote.port.map(i32::from));
    }

    /// The rows, in the table's payload schema.
    pub(in crate::wire) fn finish(mut self) -> RecordBatch {
        let columns = vec![
            Arc::new(self.timestamp.finish()) as _,
            Arc::new(self.timestamp_nanos.finish()) as _,
            Arc::new(self.observed_timestamp.finish()) as _,
            Arc::new(self.duration_ns.finish()) as _,
            Arc::new(self.trace_id.finish()) as _,
            Arc::new(self.trace_id_low.finish()) as _,
            Arc::new(self.span_id.finish()) as _,
            Arc::new(self.parent_span_id.finish()) as _,
            Arc::new(self.shared.finish()) as _,
            Arc::new(self.name.finish()) as _,
            Arc::new(self.kind.finish()) as _,
            Arc::new(self.service_name.finish()) as _,
            Arc::new(self.remote_service_name.finish()) as _,
            Arc::new(self.local_ip.finish()) as _,
            Arc::new(self.local_port.finish()) as _,
            Arc::new(self.remote_ip.finish()) as _,
            Arc::new(self.remote_port.finish()) as _,
            Arc::new(self.status_code.finish()) as _,
            Arc::new(self.status_message.finish()) as _,
            Arc::new(self.trace_state.finish()) as _,
            Arc::new(self.scope_name.finish()) as _,
            Arc::new(self.scope_version.finish()) as _,
            self.attributes.finish(),
            self.resource_attributes.finish(),
            self.events.finish(),
            self.links.finish(),
            Arc::new(self.flags.finish()) as _,
        ];
        RecordBatch::try_new(Table::Spans.payload_schema(), columns).expect("columns follow the schema")
    }
}

/// What happened during the spans.
#[derive(Debug)]
pub(in crate::wire) struct EventColumns {
    rows: RowList,
    timestamp: TimestampMicrosecondBuilder,
    timestamp_nanos: Int16Builder,
    name: StringBuilder,
    pub(in crate::wire) attributes: MapColumn,
}

impl EventColumns {
    fn with_capacity(rows: usize) -> Self {
        Self {
            rows: RowList::with_capacity(rows),
            timestamp: time_column(0),
            timestamp_nanos: Int16Builder::new(),
            name: StringBuilder::new(),
            attributes: MapColumn::with_capacity(0),
        }
    }

    /// Adds an event to the span at hand; its attributes follow.
    pub(in crate::wire) fn push(&mut self, time: Time, name: &str) {
        self.timestamp.append_value(time.micros);
        self.timestamp_nanos.append_value(time.nanos);
        self.name.append_value(name);
    }

    /// The span at hand has no more.
    pub(in crate::wire) fn end_row(&mut self) {
        self.rows.end_row(self.timestamp.len());
    }

    fn finish(mut self) -> arrow_array::ArrayRef {
        let columns = vec![
            Arc::new(self.timestamp.finish()) as _,
            Arc::new(self.timestamp_nanos.finish()) as _,
            Arc::new(self.name.finish()) as _,
            self.attributes.finish(),
        ];
        self.rows.finish(event_fields(), columns)
    }
}

/// Other spans that the spans refer to.
#[derive(Debug)]
pub(in crate::wire) struct LinkColumns {
    rows: RowList,
    trace_id: StringBuilder,
    span_id: StringBuilder,
    trace_state: StringBuilder,
    pub(in crate::wire) attributes: MapColumn,
}

impl LinkColumns {
    fn with_capacity(rows: usize) -> Self {
        Self {
            rows: RowList::with_capacity(rows),
            trace_id: StringBuilder::new(),
            span_id: StringBuilder::new(),
            trace_state: StringBuilder::new(),
            attributes: MapColumn::with_capacity(0),
        }
    }

    /// Adds a link to the span at hand; its attributes follow.
    pub(in crate::wire) fn push(&mut self, trace_id: &str, span_id: &str, trace_state: &str) {
        self.trace_id.append_value(trace_id);
        self.span_id.append_value(span_id);
        append_text(&mut self.trace_state, trace_state);
    }

    /// The span at hand has no more.
    pub(in crate::wire) fn end_row(&mut self) {
        self.rows.end_row(self.trace_id.len());
    }

    fn finish(mut self) -> arrow_array::ArrayRef {
        let columns = vec![
            Arc::new(self.trace_id.finish()) as _,
            Arc::new(self.span_id.finish()) as _,
            Arc::new(self.trace_state.finish()) as _,
            self.attributes.finish(),
        ];
        self.rows.finish(link_fields(), columns)
    }
}

//! From rows of `spans` to spans of Zipkin.
//!
//! What came from Zipkin comes back as it was sent; what came by OTLP is
//! written as OpenTelemetry's Zipkin exporter would have sent it: attributes
//! of span and resource are tags, a status is a tag, events are annotations.
//! Names are in lower case, as Zipkin keeps them, so that what `/services`
//! says is what traces say.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, BooleanArray, Int32Array, Int64Array, ListArray, MapArray, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use serde_json::{Map, Value};
use weir_proto::model::flags;
use weir_proto::schema::span::{column, status};

use super::id::TraceKey;
use super::span::{Annotation, Endpoint, Kind, Span};
use crate::QueryError;

/// The tag that makes a span an error.
pub(super) const ERROR: &str = "error";

/// The tag with the status of an OTLP span.
pub(super) const STATUS_CODE: &str = "otel.status_code";

/// The tag with the library that made an OTLP span.
pub(super) const SCOPE_NAME: &str = "otel.scope.name";

/// The tag with its version.
pub(super) const SCOPE_VERSION: &str = "otel.scope.version";

/// The columns that a span is read from.
struct Columns<'a> {
    trace_id: &'a StringArray,
    span_id: &'a StringArray,
    parent_span_id: &'a StringArray,
    shared: &'a BooleanArray,
    name: &'a StringArray,
    kind: &'a StringArray,
    timestamp: &'a TimestampMicrosecondArray,
    duration_ns: &'a Int64Array,
    local: Side<'a>,
    remote: Side<'a>,
    status_code: &'a StringArray,
    status_message: &'a StringArray,
    scope_name: &'a StringArray,
    scope_version: &'a StringArray,
    attributes: Texts<'a>,
    resource_attributes: Texts<'a>,
    events: Events<'a>,
    flags: &'a Int32Array,
}

/// The columns of an endpoint.
struct Side<'a> {
    service_name: &'a StringArray,
    ip: &'a StringArray,
    port: &'a Int32Array,
}

/// A column of texts by key.
struct Texts<'a> {
    map: &'a MapArray,
    keys: &'a StringArray,
    values: &'a StringArray,
}

/// The column of events.
struct Events<'a> {
    list: &'a ListArray,
    timestamp: &'a TimestampMicrosecondArray,
    name: &'a StringArray,
    attributes: Texts<'a>,
}

/// The spans of some rows, in the order of the rows.
pub(crate) fn spans(batch: &RecordBatch) -> Result<Vec<Span>, QueryError> {
    let columns = Columns::of(batch).ok_or_else(|| QueryError::internal("a column of spans is missing"))?;
    Ok((0..batch.num_rows()).map(|row| columns.span(row)).collect())
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Option<Self> {
        let text = |name: &str| batch.column_by_name(name)?.as_string_opt::<i32>();
        let number = |name: &str| batch.column_by_name(name)?.as_primitive_opt::<Int32Type>();
        let texts = |name: &str| Texts::of(batch.column_by_name(name)?.as_map_opt()?);
        let list = batch.column_by_name(column::EVENTS)?.as_list_opt::<i32>()?;
        let events = list.values().as_struct_opt()?;
        Some(Self {
            trace_id: text(column::TRACE_ID)?,
            span_id: text(column::SPAN_ID)?,
            parent_span_id: text(column::PARENT_SPAN_ID)?,
            shared: batch.column_by_name(column::SHARED)?.as_boolean_opt()?,
            name: text(column::NAME)?,
            kind: text(column::KIND)?,
            timestamp: batch.column_by_name(column::TIMESTAMP)?.as_primitive_opt()?,
            duration_ns: batch.column_by_name(column::DURATION_NS)?.as_primitive_opt::<Int64Type>()?,
            local: Side {
                service_name: text(column::SERVICE_NAME)?,
                ip: text(column::LOCAL_IP)?,
                port: number(column::LOCAL_PORT)?,
            },
            remote: Side {
                service_name: text(column::REMOTE_SERVICE_NAME)?,
                ip: text(column::REMOTE_IP)?,
                port: number(column::REMOTE_PORT)?,
            },
            status_code: text(column::STATUS_CODE)?,
            status_message: text(column::STATUS_MESSAGE)?,
            scope_name: text(column::SCOPE_NAME)?,
            scope_version: text(column::SCOPE_VERSION)?,
            attributes: texts(column::ATTRIBUTES)?,
            resource_attributes: texts(column::RESOURCE_ATTRIBUTES)?,
            events: Events {
                list,
                timestamp: events
                    .column_by_name("timestamp")?
                    .as_primitive_opt::<TimestampMicrosecondType>()?,
                name: events.column_by_name("name")?.as_string_opt::<i32>()?,
                attributes: Texts::of(events.column_by_name("attributes")?.as_map_opt()?)?,
            },
            flags: number(column::FLAGS)?,
        })
    }

    fn span(&self, row: usize) -> Span {
        let id = said(self.span_id, row).unwrap_or_default();
        let is_marked = |flag| self.flags.value(row) & flag != 0;
        // Nobody is one's own parent; a tree made of that would have no root.
        let parent = said(self.parent_span_id, row).filter(|parent| *parent != id);
        Span {
            trace_id: TraceKey::of_row(said(self.trace_id, row).unwrap_or_default()),
            parent_id: parent.map(str::to_owned),
            id: id.to_owned(),
            kind: said(self.kind, row).and_then(Kind::of),
            name: said(self.name, row).map(str::to_lowercase),
            timestamp: (!is_marked(flags::TIME_ASSUMED)).then(|| self.timestamp.value(row)),
            duration: self.duration_ns.is_valid(row).then(|| micros(self.duration_ns.value(row))),
            local_endpoint: self.local.endpoint(row),
            remote_endpoint: self.remote.endpoint(row),
            annotations: self.events.annotations(row),
            tags: self.tags(row),
            debug: is_marked(flags::DEBUG),
            shared: self.shared.is_valid(row) && self.shared.value(row),
        }
    }

    /// What the span says of itself counts before what its resource says, and
    /// both before what is derived.
    fn tags(&self, row: usize) -> BTreeMap<String, String> {
        let pairs = self.resource_attributes.of_row(row).chain(self.attributes.of_row(row));
        let mut tags: BTreeMap<_, _> = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let code = said(self.status_code, row);
        let has_error = tags.contains_key(ERROR);
        let mut derive = |key: &str, value: Option<&str>| {
            if let Some(value) = value.filter(|_| !tags.contains_key(key)) {
                tags.insert(key.to_owned(), value.to_owned());
            }
        };
        derive(SCOPE_NAME, said(self.scope_name, row));
        derive(SCOPE_VERSION, said(self.scope_version, row));
        // A span of Zipkin has its status from its tag, and nothing to add.
        if !has_error {
            derive(STATUS_CODE, code);
            if code == Some(status::ERROR) {
                derive(ERROR, Some(said(self.status_message, row).unwrap_or("true")));
            }
        }
        tags
    }
}

impl Side<'_> {
    fn endpoint(&self, row: usize) -> Option<Endpoint> {
        let ip = said(self.ip, row).map(str::to_owned);
        let (ipv6, ipv4): (Option<_>, Option<_>) = match ip {
            Some(ip) if ip.contains(':') => (Some(ip), None),
            ip => (None, ip),
        };
        let port = self.port.is_valid(row).then(|| self.port.value(row)).filter(|port| *port > 0);
        let service_name = said(self.service_name, row).map(str::to_lowercase);
        Endpoint { service_name, ipv4, ipv6, port }.known()
    }
}

impl<'a> Texts<'a> {
    fn of(map: &'a MapArray) -> Option<Self> {
        let keys = map.keys().as_string_opt::<i32>()?;
        Some(Self { map, keys, values: map.values().as_string_opt::<i32>()? })
    }

    fn of_row(&self, row: usize) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let (keys, values) = (self.keys, self.values);
        let offsets = self.map.value_offsets();
        let entries = match self.map.is_valid(row) {
            true => offsets[row] as usize..offsets[row + 1] as usize,
            false => 0..0,
        };
        entries.filter(|entry| values.is_valid(*entry)).map(|entry| (keys.value(entry), values.value(entry)))
    }
}

impl Events<'_> {
    /// The name is the value; what else an event says follows as JSON.
    fn annotations(&self, row: usize) -> Vec<Annotation> {
        let offsets = self.list.value_offsets();
        let events = match self.list.is_valid(row) {
            true => offsets[row] as usize..offsets[row + 1] as usize,
            false => 0..0,
        };
        let mut annotations: Vec<_> = events
            .filter(|event| self.timestamp.is_valid(*event))
            .map(|event| {
                let name = said(self.name, event).unwrap_or_default();
                let attributes: Map<String, Value> = self
                    .attributes
                    .of_row(event)
                    .map(|(key, value)| (key.to_owned(), Value::from(value)))
                    .collect();
                let value = match attributes.is_empty() {
                    true => name.to_owned(),
                    false => format!("{}: {}", Value::from(name), Value::from(attributes)),
                };
                Annotation { timestamp: self.timestamp.value(event), value }
            })
            .collect();
        annotations.sort();
        annotations
    }
}

/// Whole microseconds; what took less took one, for 0 means unknown.
fn micros(nanos: i64) -> i64 {
    (nanos / 1_000).max(1)
}

/// The text of a row, if it has one that is not empty.
fn said(texts: &StringArray, row: usize) -> Option<&str> {
    (texts.is_valid(row)).then(|| texts.value(row)).filter(|text| !text.is_empty())
}

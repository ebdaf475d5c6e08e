//! The `spans` table.

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};

use super::{map_type, struct_list_type, timestamp_type};

/// The table's name in SQL, in paths and in the catalog.
pub const TABLE: &str = "spans";

/// Column names, in the order of the schema.
pub mod column {
    /// Whose row it is.
    pub const TENANT: &str = "tenant";
    /// When the span began, microseconds, UTC.
    pub const TIMESTAMP: &str = "timestamp";
    /// The nanoseconds (0-999) that `timestamp` does not hold.
    pub const TIMESTAMP_NANOS: &str = "timestamp_nanos";
    /// When a receiver read the span.
    pub const OBSERVED_TIMESTAMP: &str = "observed_timestamp";
    /// How long it took; null: not known.
    pub const DURATION_NS: &str = "duration_ns";
    /// 32 lower-case hexadecimal digits; 16 where a Zipkin client sent no more.
    pub const TRACE_ID: &str = "trace_id";
    /// The right 16 digits of `trace_id`.
    pub const TRACE_ID_LOW: &str = "trace_id_low";
    /// 16 lower-case hexadecimal digits.
    pub const SPAN_ID: &str = "span_id";
    /// The span that caused it; null for a root.
    pub const PARENT_SPAN_ID: &str = "parent_span_id";
    /// Zipkin: client and server of one call report the same span id.
    pub const SHARED: &str = "shared";
    /// What was done.
    pub const NAME: &str = "name";
    /// One of [`super::kind`]; null: not known.
    pub const KIND: &str = "kind";
    /// Who did it.
    pub const SERVICE_NAME: &str = "service_name";
    /// Who was on the other side.
    pub const REMOTE_SERVICE_NAME: &str = "remote_service_name";
    /// The address of this side.
    pub const LOCAL_IP: &str = "local_ip";
    /// The port of this side.
    pub const LOCAL_PORT: &str = "local_port";
    /// The address of the other side.
    pub const REMOTE_IP: &str = "remote_ip";
    /// The port of the other side.
    pub const REMOTE_PORT: &str = "remote_port";
    /// `OK` or `ERROR`; null: unset.
    pub const STATUS_CODE: &str = "status_code";
    /// What went wrong.
    pub const STATUS_MESSAGE: &str = "status_message";
    /// W3C `tracestate`.
    pub const TRACE_STATE: &str = "trace_state";
    /// The instrumentation scope's name.
    pub const SCOPE_NAME: &str = "scope_name";
    /// The instrumentation scope's version.
    pub const SCOPE_VERSION: &str = "scope_version";
    /// What the span says; nested values as JSON text.
    pub const ATTRIBUTES: &str = "attributes";
    /// What the resource says, without `service.name`.
    pub const RESOURCE_ATTRIBUTES: &str = "resource_attributes";
    /// What happened meanwhile: [`super::event_fields`].
    pub const EVENTS: &str = "events";
    /// Other spans it refers to: [`super::link_fields`].
    pub const LINKS: &str = "links";
    /// Bits of [`crate::model::flags`].
    pub const FLAGS: &str = "flags";
    /// Which receiver or partition it came through.
    pub const SOURCE_ID: &str = "source_id";
    /// Its number in the source.
    pub const SOURCE_START: &str = "source_start";
    /// The number after it.
    pub const SOURCE_END: &str = "source_end";
}

/// The words in the `kind` column.
pub mod kind {
    /// Answered a call.
    pub const SERVER: &str = "SERVER";
    /// Made a call.
    pub const CLIENT: &str = "CLIENT";
    /// Sent a message.
    pub const PRODUCER: &str = "PRODUCER";
    /// Handled a message.
    pub const CONSUMER: &str = "CONSUMER";
    /// Stayed inside.
    pub const INTERNAL: &str = "INTERNAL";
}

/// The words in the `status_code` column.
pub mod status {
    /// Somebody said that it went well.
    pub const OK: &str = "OK";
    /// It failed.
    pub const ERROR: &str = "ERROR";
}

/// One entry of `events`.
pub fn event_fields() -> Fields {
    Fields::from(vec![
        Field::new("timestamp", timestamp_type(), false),
        Field::new("timestamp_nanos", DataType::Int16, false),
        Field::new("name", DataType::Utf8, false),
        Field::new("attributes", map_type(), false),
    ])
}

/// One entry of `links`.
pub fn link_fields() -> Fields {
    Fields::from(vec![
        Field::new("trace_id", DataType::Utf8, false),
        Field::new("span_id", DataType::Utf8, false),
        Field::new("trace_state", DataType::Utf8, true),
        Field::new("attributes", map_type(), false),
    ])
}

/// The schema of `spans`, sorted by minute and trace within a file.
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        use column::*;
        let text = |name| Field::new(name, DataType::Utf8, true);
        Arc::new(Schema::new(vec![
            Field::new(TENANT, DataType::Utf8, false),
            Field::new(TIMESTAMP, timestamp_type(), false),
            Field::new(TIMESTAMP_NANOS, DataType::Int16, false),
            Field::new(OBSERVED_TIMESTAMP, timestamp_type(), false),
            Field::new(DURATION_NS, DataType::Int64, true),
            Field::new(TRACE_ID, DataType::Utf8, false),
            Field::new(TRACE_ID_LOW, DataType::Utf8, false),
            Field::new(SPAN_ID, DataType::Utf8, false),
            text(PARENT_SPAN_ID),
            Field::new(SHARED, DataType::Boolean, false),
            text(NAME),
            text(KIND),
            text(SERVICE_NAME),
            text(REMOTE_SERVICE_NAME),
            text(LOCAL_IP),
            Field::new(LOCAL_PORT, DataType::Int32, true),
            text(REMOTE_IP),
            Field::new(REMOTE_PORT, DataType::Int32, true),
            text(STATUS_CODE),
            text(STATUS_MESSAGE),
            text(TRACE_STATE),
            text(SCOPE_NAME),
            text(SCOPE_VERSION),
            Field::new(ATTRIBUTES, map_type(), false),
            Field::new(RESOURCE_ATTRIBUTES, map_type(), false),
            Field::new(EVENTS, struct_list_type(event_fields()), false),
            Field::new(LINKS, struct_list_type(link_fields()), false),
            Field::new(FLAGS, DataType::Int32, false),
            Field::new(SOURCE_ID, DataType::Utf8, false),
            Field::new(SOURCE_START, DataType::Int64, false),
            Field::new(SOURCE_END, DataType::Int64, false),
        ]))
    });
    SCHEMA.clone()
}

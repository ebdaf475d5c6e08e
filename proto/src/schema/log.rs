//! The `logs` table.

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field, Schema, SchemaRef};

pub use super::kind::{map_entry_fields, map_type, timestamp_type};

/// The table's name in SQL, in paths and in the catalog.
pub const TABLE: &str = "logs";

/// Column names, in the order of the schema.
pub mod column {
    /// Whose row it is.
    pub const TENANT: &str = "tenant";
    /// Event time, microseconds, UTC: the line's own, else the framing's, else
    /// the observed time.
    pub const TIMESTAMP: &str = "timestamp";
    /// The nanoseconds (0-999) that `timestamp` does not hold.
    pub const TIMESTAMP_NANOS: &str = "timestamp_nanos";
    /// When the agent read the line.
    pub const OBSERVED_TIMESTAMP: &str = "observed_timestamp";
    /// `service.name` of the resource.
    pub const SERVICE_NAME: &str = "service_name";
    /// The severity as the line spelled it.
    pub const SEVERITY_TEXT: &str = "severity_text";
    /// OpenTelemetry's severity number, 1-24.
    pub const SEVERITY_NUMBER: &str = "severity_number";
    /// The message: a structured line's message field, else the whole line.
    pub const BODY: &str = "body";
    /// The exact line, only where nothing else rebuilds it.
    pub const BODY_RAW: &str = "body_raw";
    /// How to rebuild the exact line; null: `body` is the line.
    pub const LAYOUT_ID: &str = "layout_id";
    /// 32 lower-case hexadecimal digits.
    pub const TRACE_ID: &str = "trace_id";
    /// 16 lower-case hexadecimal digits.
    pub const SPAN_ID: &str = "span_id";
    /// `k8s.cluster.name`.
    pub const K8S_CLUSTER_NAME: &str = "k8s_cluster_name";
    /// `k8s.namespace.name`.
    pub const K8S_NAMESPACE_NAME: &str = "k8s_namespace_name";
    /// `k8s.pod.name`.
    pub const K8S_POD_NAME: &str = "k8s_pod_name";
    /// `k8s.pod.uid`.
    pub const K8S_POD_UID: &str = "k8s_pod_uid";
    /// `k8s.container.name`.
    pub const K8S_CONTAINER_NAME: &str = "k8s_container_name";
    /// `k8s.node.name`.
    pub const K8S_NODE_NAME: &str = "k8s_node_name";
    /// `host.name`.
    pub const HOST_NAME: &str = "host_name";
    /// The line's other fields, in its order; nested values as JSON text.
    pub const ATTRIBUTES: &str = "attributes";
    /// What the agent added and has no column of its own.
    pub const RESOURCE_ATTRIBUTES: &str = "resource_attributes";
    /// Reserved for patterns; null.
    pub const TEMPLATE_ID: &str = "template_id";
    /// Bits of [`crate::model::flags`].
    pub const FLAGS: &str = "flags";
    /// Which stream it came from.
    pub const SOURCE_ID: &str = "source_id";
    /// First byte of the row in its source.
    pub const SOURCE_START: &str = "source_start";
    /// First byte after it, line ending included.
    pub const SOURCE_END: &str = "source_end";
}

/// Resource attributes that have a column of their own, by OpenTelemetry name.
pub const PROMOTED: [(&str, &str); 8] = [
    ("service.name", column::SERVICE_NAME),
    ("k8s.cluster.name", column::K8S_CLUSTER_NAME),
    ("k8s.namespace.name", column::K8S_NAMESPACE_NAME),
    ("k8s.pod.name", column::K8S_POD_NAME),
    ("k8s.pod.uid", column::K8S_POD_UID),
    ("k8s.container.name", column::K8S_CONTAINER_NAME),
    ("k8s.node.name", column::K8S_NODE_NAME),
    ("host.name", column::HOST_NAME),
];

/// The schema of `logs`, sorted by `timestamp` within a file.
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        use column::*;
        let text = |name| Field::new(name, DataType::Utf8, true);
        Arc::new(Schema::new(vec![
            Field::new(TENANT, DataType::Utf8, false),
            Field::new(TIMESTAMP, timestamp_type(), false),
            Field::new(TIMESTAMP_NANOS, DataType::Int16, false),
            Field::new(OBSERVED_TIMESTAMP, timestamp_type(), false),
            text(SERVICE_NAME),
            text(SEVERITY_TEXT),
            Field::new(SEVERITY_NUMBER, DataType::Int16, true),
            Field::new(BODY, DataType::Utf8, false),
            Field::new(BODY_RAW, DataType::Binary, true),
            Field::new(LAYOUT_ID, DataType::Int64, true),
            text(TRACE_ID),
            text(SPAN_ID),
            text(K8S_CLUSTER_NAME),
            text(K8S_NAMESPACE_NAME),
            text(K8S_POD_NAME),
            text(K8S_POD_UID),
            text(K8S_CONTAINER_NAME),
            text(K8S_NODE_NAME),
            text(HOST_NAME),
            Field::new(ATTRIBUTES, map_type(), false),
            Field::new(RESOURCE_ATTRIBUTES, map_type(), false),
            Field::new(TEMPLATE_ID, DataType::Int64, true),
            Field::new(FLAGS, DataType::Int32, false),
            Field::new(SOURCE_ID, DataType::Utf8, false),
            Field::new(SOURCE_START, DataType::Int64, false),
            Field::new(SOURCE_END, DataType::Int64, false),
        ]))
    });
    SCHEMA.clone()
}

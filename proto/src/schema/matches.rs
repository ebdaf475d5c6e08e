//! The `matches` table, in SQL `weir.matches`: the log rows that a rule found,
//! each beside the rule's name.
//!
//! A row has the place of its log row, so `rule`, `source_id` and
//! `source_start` together name a match once, whoever found it and how often.

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::kind::timestamp_type;
use super::log;

/// The table's name in paths and in the catalog.
pub const TABLE: &str = "matches";

/// Column names beside those of `logs`.
pub mod column {
    /// The rule that found the row, `group/name`.
    pub const RULE: &str = "rule";
    /// The `timestamp` of the log row. That of the match is when it was found.
    pub const LOG_TIMESTAMP: &str = "log_timestamp";
}

/// The columns that are as in `logs`, without those that every table has.
pub const COPIED: [&str; 16] = [
    log::column::SERVICE_NAME,
    log::column::SEVERITY_TEXT,
    log::column::SEVERITY_NUMBER,
    log::column::BODY,
    log::column::TRACE_ID,
    log::column::SPAN_ID,
    log::column::K8S_CLUSTER_NAME,
    log::column::K8S_NAMESPACE_NAME,
    log::column::K8S_POD_NAME,
    log::column::K8S_POD_UID,
    log::column::K8S_CONTAINER_NAME,
    log::column::K8S_NODE_NAME,
    log::column::HOST_NAME,
    log::column::ATTRIBUTES,
    log::column::RESOURCE_ATTRIBUTES,
    log::column::FLAGS,
];

/// The schema of `matches`, sorted by `timestamp` within a file.
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        use log::column::*;
        let logs = log::schema();
        let of_logs =
            |name: &str| logs.field_with_name(name).expect("a column of logs is copied by its name").clone();
        let mut fields = vec![
            of_logs(TENANT),
            of_logs(TIMESTAMP),
            of_logs(TIMESTAMP_NANOS),
            of_logs(OBSERVED_TIMESTAMP),
            Field::new(column::RULE, DataType::Utf8, false),
            Field::new(column::LOG_TIMESTAMP, timestamp_type(), false),
        ];
        fields.extend(COPIED.iter().copied().chain([SOURCE_ID, SOURCE_START, SOURCE_END]).map(of_logs));
        Arc::new(Schema::new(fields))
    });
    SCHEMA.clone()
}

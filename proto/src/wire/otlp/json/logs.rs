//! Log records.

use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};

use super::common::{any_value, attributes, resource, scope};
use super::object::{Object, Read};

pub(super) fn resource_logs(logs: &mut Object) -> Read<ResourceLogs> {
    Ok(ResourceLogs {
        resource: logs.object("resource", resource)?,
        scope_logs: logs.list("scopeLogs", scope_logs)?,
        schema_url: logs.text("schemaUrl")?,
    })
}

fn scope_logs(logs: &mut Object) -> Read<ScopeLogs> {
    Ok(ScopeLogs {
        scope: logs.object("scope", scope)?,
        log_records: logs.list("logRecords", log_record)?,
        schema_url: logs.text("schemaUrl")?,
    })
}

fn log_record(record: &mut Object) -> Read<LogRecord> {
    Ok(LogRecord {
        time_unix_nano: record.u64("timeUnixNano")?,
        observed_time_unix_nano: record.u64("observedTimeUnixNano")?,
        severity_number: record.enumeration("severityNumber")?,
        severity_text: record.text("severityText")?,
        body: record.object("body", any_value)?,
        attributes: attributes(record, "attributes")?,
        dropped_attributes_count: record.u32("droppedAttributesCount")?,
        flags: record.u32("flags")?,
        trace_id: record.id("traceId")?,
        span_id: record.id("spanId")?,
        event_name: record.text("eventName")?,
    })
}

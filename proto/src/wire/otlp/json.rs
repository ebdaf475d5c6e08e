//! OTLP/JSON to the protocol's messages.
//!
//! Read here and not by the crate that has the messages: its reader takes enum
//! names, which the protocol forbids, refuses null, and fails on an unknown
//! field of an attribute's value. Here the rules of the protocol hold: ids are
//! hexadecimal, enums and only enums must be numbers, 64-bit integers come as
//! numbers or strings, bytes in base64, unknown fields are ignored, and an error
//! says where in the request it is.

mod common;
mod logs;
mod metrics;
mod object;
mod traces;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

use self::object::{Object, Read};
use crate::DecodeError;

const WHAT: &str = "OTLP JSON";

pub(super) fn traces(json: &[u8]) -> Result<ExportTraceServiceRequest, DecodeError> {
    request(json, |request| {
        let resource_spans = request.list("resourceSpans", traces::resource_spans)?;
        Ok(ExportTraceServiceRequest { resource_spans })
    })
}

pub(super) fn metrics(json: &[u8]) -> Result<ExportMetricsServiceRequest, DecodeError> {
    request(json, |request| {
        let resource_metrics = request.list("resourceMetrics", metrics::resource_metrics)?;
        Ok(ExportMetricsServiceRequest { resource_metrics })
    })
}

pub(super) fn logs(json: &[u8]) -> Result<ExportLogsServiceRequest, DecodeError> {
    request(json, |request| {
        let resource_logs = request.list("resourceLogs", logs::resource_logs)?;
        Ok(ExportLogsServiceRequest { resource_logs })
    })
}

fn request<T>(json: &[u8], read: impl FnOnce(&mut Object) -> Read<T>) -> Result<T, DecodeError> {
    let value = serde_json::from_slice(json).map_err(|error| DecodeError::malformed(WHAT, error))?;
    Object::of(value)
        .and_then(|mut request| read(&mut request))
        .map_err(|fault| DecodeError::malformed(WHAT, fault))
}

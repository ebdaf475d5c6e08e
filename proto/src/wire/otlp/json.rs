//! OTLP/JSON to the protocol's messages.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;

use crate::DecodeError;

pub(super) fn traces(json: &[u8]) -> Result<ExportTraceServiceRequest, DecodeError> {
    serde_json::from_slice(json).map_err(|error| DecodeError::malformed("OTLP JSON", error))
}

pub(super) fn metrics(json: &[u8]) -> Result<ExportMetricsServiceRequest, DecodeError> {
    serde_json::from_slice(json).map_err(|error| DecodeError::malformed("OTLP JSON", error))
}

pub(super) fn logs(json: &[u8]) -> Result<ExportLogsServiceRequest, DecodeError> {
    serde_json::from_slice(json).map_err(|error| DecodeError::malformed("OTLP JSON", error))
}

//! OpenTelemetry's protocol, to columns.
//!
//! Bytes become the protocol's messages ([`decode_traces`] and its siblings),
//! messages become columns ([`traces`] and its siblings). A record that cannot
//! be a row is rejected alone and counted, as the protocol's partial success
//! wants it; the others are kept.

mod context;
mod id;
mod json;
mod logs;
mod metrics;
mod traces;
mod value;

#[cfg(test)]
mod tests;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

pub use logs::logs;
pub use metrics::metrics;
pub use traces::traces;

use super::Decoded;
use crate::DecodeError;
use crate::model::Signal;

/// How a request is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `application/x-protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}

impl Encoding {
    /// The encoding that a content type names, parameters ignored.
    pub fn of_content_type(content_type: &str) -> Option<Self> {
        let name = content_type.split(';').next().unwrap_or_default().trim();
        if name.eq_ignore_ascii_case(Self::Protobuf.content_type()) {
            Some(Self::Protobuf)
        } else if name.eq_ignore_ascii_case(Self::Json.content_type()) {
            Some(Self::Json)
        } else {
            None
        }
    }

    /// The content type, for the answer.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// Bytes of a signal's request to columns.
///
/// # Errors
/// [`DecodeError::Malformed`] when the bytes are no such request.
pub fn decode(
    signal: Signal,
    bytes: &[u8],
    encoding: Encoding,
    observed_micros: i64,
) -> Result<Decoded, DecodeError> {
    Ok(match signal {
        Signal::Logs => logs(decode_logs(bytes, encoding)?, observed_micros),
        Signal::Spans => traces(decode_traces(bytes, encoding)?, observed_micros),
        Signal::Metrics => metrics(decode_metrics(bytes, encoding)?, observed_micros),
    })
}

/// Reads a request with spans.
///
/// # Errors
/// [`DecodeError::Malformed`] when the bytes are no such request.
pub fn decode_traces(bytes: &[u8], encoding: Encoding) -> Result<ExportTraceServiceRequest, DecodeError> {
    match encoding {
        Encoding::Protobuf => protobuf(bytes),
        Encoding::Json => json::traces(bytes),
    }
}

/// Reads a request with metrics.
///
/// # Errors
/// [`DecodeError::Malformed`] when the bytes are no such request.
pub fn decode_metrics(bytes: &[u8], encoding: Encoding) -> Result<ExportMetricsServiceRequest, DecodeError> {
    match encoding {
        Encoding::Protobuf => protobuf(bytes),
        Encoding::Json => json::metrics(bytes),
    }
}

/// Reads a request with log records.
///
/// # Errors
/// [`DecodeError::Malformed`] when the bytes are no such request.
pub fn decode_logs(bytes: &[u8], encoding: Encoding) -> Result<ExportLogsServiceRequest, DecodeError> {
    match encoding {
        Encoding::Protobuf => protobuf(bytes),
        Encoding::Json => json::logs(bytes),
    }
}

fn protobuf<M: Message + Default>(bytes: &[u8]) -> Result<M, DecodeError> {
    M::decode(bytes).map_err(|error| DecodeError::malformed("OTLP protobuf", error))
}

//! What the receivers are told.

use serde::{Deserialize, Serialize};
use weir_runtime::ByteSize;

use crate::Share;

/// The receivers' configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReceiveConfig {
    /// Largest request, before and after decompression. A larger one is
    /// answered 413 or `RESOURCE_EXHAUSTED`, and no client repeats it.
    pub max_body: ByteSize,
    /// Memory for requests that are being worked on, as estimated by their
    /// size. When it is in use, requests wait, and after 2 s are told to come
    /// again.
    pub memory: ByteSize,
    /// What each signal's spool may hold while the event log takes nothing.
    /// When it is full, requests are told to come again.
    pub spool_bytes: ByteSize,
    /// The share of traces that is kept, from 0 to 1, decided by the trace id:
    /// every agent keeps the same ones, and those that an SDK or a Collector
    /// keeps by OpenTelemetry's rule at the same share. The others are answered
    /// with success, and counted. Zipkin's debug spans are always kept.
    pub sample_traces: Share,
}

impl Default for ReceiveConfig {
    fn default() -> Self {
        Self {
            max_body: ByteSize::mib(16),
            memory: ByteSize::mib(128),
            spool_bytes: ByteSize::mib(1024),
            sample_traces: Share::ALL,
        }
    }
}

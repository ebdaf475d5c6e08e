//! Why a request is not taken, and what each protocol calls that.
//!
//! OTLP's words: `opentelemetry-proto`, `docs/specification.md`, "Failures",
//! "Retryable Response Codes" and "OTLP/gRPC Throttling".

use std::time::Duration;

use axum::http::StatusCode;
use tonic::Code;
use weir_proto::DecodeError;
use weir_stream::AppendError;

/// A request that was not taken. Nothing of it is stored, but for [`Why::Unknown`].
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) why: Why,
    pub(super) text: String,
}

/// The kinds of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The process ends.
    Stopping,
    /// The spool failed while it took it: it may be stored.
    Unknown,
    /// The event log takes nothing, and the spool is full of it.
    SpoolFull,
    /// Other requests hold the memory that there is.
    Busy,
    /// The body did not come in time.
    Slow,
    /// Over the limit.
    TooLarge,
    /// Not a type or an encoding that is read here.
    Unsupported,
    /// Not what it claims to be.
    Malformed,
}

impl Why {
    /// The label under which refusals are counted.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Stopping => "stopping",
            Self::Unknown => "unknown",
            Self::SpoolFull => "spool_full",
            Self::Busy => "busy",
            Self::Slow => "slow",
            Self::TooLarge => "too_large",
            Self::Unsupported => "unsupported",
            Self::Malformed => "malformed",
        }
    }

    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Stopping | Self::SpoolFull | Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unknown => StatusCode::GATEWAY_TIMEOUT,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Malformed => StatusCode::BAD_REQUEST,
        }
    }

    pub(super) const fn code(self) -> Code {
        match self {
            Self::Stopping | Self::SpoolFull | Self::Busy => Code::Unavailable,
            // What may have been done for all that; OTLP's clients repeat it.
            Self::Slow | Self::Unknown => Code::DeadlineExceeded,
            // Without RetryInfo: not to be repeated.
            Self::TooLarge => Code::ResourceExhausted,
            Self::Unsupported | Self::Malformed => Code::InvalidArgument,
        }
    }

    /// When to come again; nothing where that would not help.
    pub(super) const fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Stopping | Self::Unknown | Self::Busy => Some(Duration::from_secs(1)),
            Self::SpoolFull => Some(Duration::from_secs(5)),
            Self::Slow | Self::TooLarge | Self::Unsupported | Self::Malformed => None,
        }
    }
}

impl Refusal {
    pub(super) fn new(why: Why, text: impl Into<String>) -> Self {
        Self { why, text: text.into() }
    }

    pub(super) fn stopping() -> Self {
        Self::new(Why::Stopping, "this agent is stopping: send again, to another one or later")
    }

    pub(super) fn unknown() -> Self {
        Self::new(
            Why::Unknown,
            "this agent failed while it stored this, and restarts: it may be stored or not; send again later",
        )
    }

    pub(super) fn disk_full(error: &AppendError) -> Self {
        Self::new(Why::SpoolFull, format!("this agent's spool cannot be written: {error}; send again later"))
    }

    pub(super) fn spool_full() -> Self {
        Self::new(Why::SpoolFull, "this agent's spool is full, the event log takes nothing: send again later")
    }

    pub(super) fn busy() -> Self {
        Self::new(Why::Busy, "this agent works on as many requests as it has memory for: send again")
    }

    pub(super) fn too_large(limit: usize, is_compressed: bool) -> Self {
        let when = if is_compressed { " once decompressed" } else { "" };
        let text = format!("the request is over the limit of {limit} bytes{when}: send smaller ones");
        Self::new(Why::TooLarge, text)
    }

    pub(super) fn malformed(text: impl Into<String>) -> Self {
        Self::new(Why::Malformed, text)
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        let why = if matches!(error, DecodeError::Oversized { .. }) { Why::TooLarge } else { Why::Malformed };
        Self::new(why, error.to_string())
    }
}

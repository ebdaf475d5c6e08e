//! A span while it lasts, and when it has ended.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::context::{SpanContext, SpanId};
use super::service::Service;

/// Which side of what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Server,
    Client,
    Internal,
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) service: &'static str,
    pub(super) pod: String,
    pub(super) host: String,
    pub(super) ip: Ipv4Addr,
}

/// A span that has ended.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) origin: Arc<Origin>,
    pub(super) context: SpanContext,
    pub(super) parent: Option<SpanId>,
    pub(super) name: String,
    pub(super) kind: Kind,
    /// By the service's own clock, microseconds.
    pub(super) start_micros: i64,
    pub(super) end_micros: i64,
    pub(super) remote: Option<&'static str>,
    pub(super) attributes: Vec<(&'static str, String)>,
    pub(super) error: Option<String>,
    /// Type and message.
    pub(super) exception: Option<(&'static str, String)>,
}

/// A span that lasts. However it ends, also by being dropped half way, it is
/// sent: a call that is given up is a call.
#[derive(Debug)]
pub(super) struct ActiveSpan {
    service: Arc<Service>,
    span: Span,
}

impl ActiveSpan {
    pub(super) fn begin(service: &Arc<Service>, span: Span) -> Self {
        service.begun(&span);
        Self { service: service.clone(), span }
    }

    pub(super) fn context(&self) -> SpanContext {
        self.span.context
    }

    /// Says something about it.
    pub(super) fn set(&mut self, key: &'static str, value: impl Into<String>) {
        self.span.attributes.push((key, value.into()));
    }

    /// It failed.
    pub(super) fn fail(&mut self, why: impl Into<String>) {
        self.span.error = Some(why.into());
    }

    /// It failed by an exception.
    pub(super) fn throw(&mut self, kind: &'static str, message: &str) {
        self.span.exception = Some((kind, message.to_owned()));
        self.fail(message);
    }
}

impl Drop for ActiveSpan {
    fn drop(&mut self) {
        self.span.end_micros = self.service.now_micros().max(self.span.start_micros + 1);
        self.service.ended(&self.span);
    }
}

//! A span as Zipkin's API v2 writes it.
//!
//! Times are microseconds and whole numbers, tags are texts: clients such as
//! zipkin-go fail a whole answer on anything else. What is absent is left out.

use std::collections::BTreeMap;

use serde::Serialize;

use super::id::TraceKey;

/// A span, or the part of one that was reported together.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Span {
    #[serde(serialize_with = "key")]
    pub(crate) trace_id: TraceKey,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parent_id: Option<String>,
    pub(crate) id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<Kind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timestamp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) duration: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) local_endpoint: Option<Endpoint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) remote_endpoint: Option<Endpoint>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) annotations: Vec<Annotation>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) tags: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) debug: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) shared: bool,
}

/// What a span is in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Kind {
    Client,
    Server,
    Producer,
    Consumer,
}

impl Kind {
    /// Anything else, INTERNAL too, is no kind to Zipkin.
    pub(crate) fn of(name: &str) -> Option<Self> {
        match name {
            "CLIENT" => Some(Self::Client),
            "SERVER" => Some(Self::Server),
            "PRODUCER" => Some(Self::Producer),
            "CONSUMER" => Some(Self::Consumer),
            _ => None,
        }
    }
}

/// One side of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Endpoint {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ipv4: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ipv6: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<i32>,
}

/// Something that happened in a span.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Annotation {
    pub(crate) timestamp: i64,
    pub(crate) value: String,
}

impl Endpoint {
    /// None when nothing is known.
    pub(crate) fn known(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}

impl Span {
    /// About how many bytes of memory it takes.
    pub(crate) fn weight(&self) -> usize {
        /// What a text takes beside its letters.
        const TEXT: usize = 48;
        let tags: usize = self.tags.iter().map(|(key, value)| key.len() + value.len() + 2 * TEXT).sum();
        let annotations: usize = self.annotations.iter().map(|said| said.value.len() + TEXT).sum();
        size_of::<Self>() + 4 * TEXT + self.name.as_ref().map_or(0, String::len) + tags + annotations
    }
}

/// When a trace began: the time of its root span, or else of its oldest.
pub(crate) fn time(trace: &[Span]) -> Option<i64> {
    let roots = trace.iter().filter(|span| span.parent_id.is_none());
    let root = roots.filter_map(|span| span.timestamp).min();
    root.or_else(|| trace.iter().filter_map(|span| span.timestamp).min())
}

fn is_false(value: &bool) -> bool {
    !value
}

fn key<S: serde::Serializer>(key: &TraceKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(key.as_str())
}

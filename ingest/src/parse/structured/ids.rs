//! Ids of trace and span: in fields, in `traceparent`, and one level deeper in
//! what loggers call their context.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::super::field::{Field, Kind, Role, role};
use super::super::json;
use super::super::trace::{self, Ids};
use super::Roles;

/// Datadog writes ids of 64 bits as decimal numbers, and some of those look like
/// hexadecimal ones.
const DECIMAL_PREFIX: &str = "dd.";

/// The id in a field that is named for it.
pub(super) fn trace_id<'a>(key: &str, value: &'a str) -> Option<&'a str> {
    let id = trace::trace_id(value)?;
    (!key.starts_with(DECIMAL_PREFIX) || id.len() == 32).then_some(id)
}

/// An object, if it may hold ids.
pub(super) fn context<'a>(field: &Field, text: &'a str) -> Option<&'a str> {
    let value = field.value.of(text);
    static MENTION: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("race"));
    let is_object = field.kind == Kind::Other && value.starts_with('{');
    let may_hold = || MENTION.find(value.as_bytes()).is_some() || field.key.of(text) == "trace";
    (is_object && may_hold()).then_some(value)
}

impl<'a> Roles<'a> {
    /// The line's ids: those with fields of their own, else the parent's, else
    /// the context's.
    pub(super) fn ids(&self, nested: &mut Vec<Field>) -> Ids<'a> {
        let own = Ids { trace_id: self.trace_id.value().copied(), span_id: self.span_id.value().copied() };
        if own.trace_id.is_some() {
            return own;
        }
        let found = self.parent.value().copied().or_else(|| in_context(self.context.value()?, nested));
        match found {
            Some(found) => Ids { trace_id: found.trace_id, span_id: own.span_id.or(found.span_id) },
            None => own,
        }
    }
}

fn in_context<'a>(object: &'a str, nested: &mut Vec<Field>) -> Option<Ids<'a>> {
    json::scan(object.as_bytes(), nested).ok()?;
    let mut ids = Ids::default();
    for field in nested.iter().filter(|field| field.kind == Kind::Quoted && !field.key_escaped) {
        let (key, value) = (field.key.of(object), field.value.of(object));
        match role(key) {
            Some((Role::TraceId, _)) => ids.trace_id = ids.trace_id.or_else(|| trace_id(key, value)),
            Some((Role::SpanId, _)) if trace::is_span_id(value) => ids.span_id = ids.span_id.or(Some(value)),
            Some((Role::TraceParent, _)) if ids.trace_id.is_none() => {
                ids = trace::parent(value).unwrap_or(ids);
            }
            // Elastic's `"trace":{"id":"..."}`.
            None if key == "id" => ids.trace_id = ids.trace_id.or_else(|| trace_id(key, value)),
            _ => {}
        }
    }
    ids.trace_id.map(|_| ids)
}

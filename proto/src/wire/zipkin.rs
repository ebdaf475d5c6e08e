//! Zipkin's second format, to columns.
//!
//! What Zipkin's own collector accepts is accepted, and means the same: names
//! are lower-cased, ids padded, zero is absent, a list is taken whole or not at
//! all. Ids in capitals, which it refuses, are accepted, too.

mod id;
mod json;

#[cfg(test)]
mod tests;

use self::json::{Annotation, Endpoint as SentEndpoint, Span};
use super::Decoded;
use super::columns::{AttributeSet, Budget, Endpoint, SpanColumns, Time, cut};
use super::decoded::Account;
use crate::DecodeError;
use crate::limit::{EVENT_BYTES_MAX, SHORT_TEXT_BYTES_MAX};
use crate::model::flags;
use crate::schema::Table;
use crate::schema::span::{kind, status};

const WHAT: &str = "Zipkin spans";

/// The tag that says that a span failed, whatever its value.
const ERROR_TAG: &str = "error";

/// Reads a JSON list of spans. No bytes at all are an empty list, as clients
/// send them to probe.
///
/// # Errors
/// [`DecodeError::Malformed`] when one of them is not a span of version 2; for a
/// list of version 1 the reason begins with Zipkin's own words.
pub fn decode(json: &[u8], observed_micros: i64) -> Result<Decoded, DecodeError> {
    decode_edited(json, observed_micros, |_| true)
}

/// The same; `edit` may change a span's texts before it is written, and leaves
/// it out by answering false.
///
/// # Errors
/// As [`decode`].
pub fn decode_edited(
    json: &[u8],
    observed_micros: i64,
    mut edit: impl FnMut(&mut SentSpan<'_, '_>) -> bool,
) -> Result<Decoded, DecodeError> {
    let mut writer = Writer {
        columns: SpanColumns::with_capacity(0),
        account: Account::new("spans"),
        observed_micros,
        tags: AttributeSet::default(),
        none: AttributeSet::default(),
    };
    if !json.is_empty() {
        let take = |mut span: Span<'_>| match edit(&mut SentSpan(&mut span)) {
            true => writer.span(&span),
            // A list with one that is none is refused all the same.
            false => Checked::of(&span).map(drop),
        };
        json::each_span(json, take).map_err(|reason| DecodeError::malformed(WHAT, reason))?;
    }
    Ok(writer.account.finish(vec![(Table::Spans, writer.columns.finish())]))
}

/// A span as it was sent.
pub struct SentSpan<'s, 'a>(&'s mut Span<'a>);

impl SentSpan<'_, '_> {
    /// Calls `edit` with each text that a user may have written, and its name: a
    /// tag's key, an address's field, nothing for annotations. What it answers
    /// stands instead.
    pub fn rewrite(&mut self, mut edit: impl FnMut(&str, &str) -> Option<String>) {
        for (key, value) in self.0.tags.iter_mut().flat_map(|tags| &mut tags.0) {
            value.replace(edit(key, value));
        }
        for annotation in self.0.annotations.iter_mut().flatten() {
            if let Some(value) = &mut annotation.value {
                value.replace(edit("", value));
            }
        }
        for endpoint in [&mut self.0.local_endpoint, &mut self.0.remote_endpoint].into_iter().flatten() {
            for (name, address) in [("ipv4", &mut endpoint.ipv4), ("ipv6", &mut endpoint.ipv6)] {
                if let Some(address) = address {
                    address.replace(edit(name, address));
                }
            }
        }
    }
}

struct Writer {
    columns: SpanColumns,
    account: Account,
    observed_micros: i64,
    tags: AttributeSet,
    none: AttributeSet,
}

/// What has been checked of a span, before anything of it is appended.
struct Checked {
    trace_id: String,
    id: String,
    parent_id: Option<String>,
    kind: Option<&'static str>,
    local: Side,
    remote: Side,
}

/// An endpoint as it is stored.
#[derive(Default)]
struct Side {
    service_name: Option<String>,
    ip: Option<String>,
    port: Option<u16>,
}

impl Writer {
    fn span(&mut self, span: &Span<'_>) -> Result<(), String> {
        let checked = Checked::of(span)?;
        if let Err(reason) = self.account.check_room(0) {
            self.account.reject(|| reason);
            return Ok(());
        }
        let bytes = self.append(span, &checked);
        self.account.accept(bytes);
        Ok(())
    }

    /// Appends one row; answers what it took of its budget.
    fn append(&mut self, span: &Span<'_>, checked: &Checked) -> usize {
        let mut budget = Budget::new(EVENT_BYTES_MAX);
        let mut marks = if span.debug == Some(true) { flags::DEBUG } else { 0 };
        let columns = &mut self.columns;
        let sent = present(span.timestamp);
        if sent.is_none() {
            marks |= flags::TIME_ASSUMED;
        }
        let first_annotation =
            || span.annotations.iter().flatten().filter_map(|a| present(a.timestamp)).min();
        let began = sent.or_else(first_annotation).unwrap_or(self.observed_micros);
        columns.times(Time::of_micros(began), self.observed_micros);
        columns.duration_ns.append_option(present(span.duration).and_then(|micros| micros.checked_mul(1000)));
        columns.ids(&checked.trace_id, &checked.id, checked.parent_id.as_deref());
        // A client starts its span, so it cannot share it with itself.
        let is_shared = span.shared == Some(true) && checked.kind != Some(kind::CLIENT);
        columns.shared.append_value(is_shared);
        let name = lower(span.name.as_deref());
        columns.name.append_option(name.as_deref().map(|name| budget.take_text(name)));
        columns.kind.append_option(checked.kind);
        columns.endpoints(checked.local.as_endpoint(), checked.remote.as_endpoint());

        self.tags.clear();
        for (key, value) in span.tags.iter().flat_map(|tags| &tags.0) {
            self.tags.push(key, value, &mut budget);
        }
        columns.attributes.append(&[&self.tags]);
        let error = self.tags.iter().find(|(key, _)| *key == ERROR_TAG).map(|(_, value)| value);
        columns.status_code.append_option(error.map(|_| status::ERROR));
        let message = error.flatten().filter(|text| !text.is_empty());
        columns.status_message.append_option(message.map(|text| cut(text, SHORT_TEXT_BYTES_MAX)));
        columns.trace_state.append_null();
        columns.scope_name.append_null();
        columns.scope_version.append_null();
        columns.resource_attributes.append(&[]);

        for Annotation { timestamp, value, .. } in span.annotations.iter().flatten() {
            let (Some(micros), Some(value)) = (present(*timestamp), value) else { continue };
            if !budget.take_entry() {
                break;
            }
            columns.events.push(Time::of_micros(micros), budget.take_text(value));
            columns.events.attributes.append(&[&self.none]);
        }
        columns.events.end_row();
        columns.links.end_row();
        let long = |side: Option<&SentEndpoint<'_>>| {
            let name = side.and_then(|side| side.service_name.as_deref());
            name.is_some_and(|name| name.len() > SHORT_TEXT_BYTES_MAX)
        };
        let sides = [span.local_endpoint.as_ref(), span.remote_endpoint.as_ref()];
        if budget.is_limited() || sides.into_iter().any(long) {
            marks |= flags::LIMITED;
        }
        columns.flags.append_value(marks);
        budget.used()
    }
}

impl Checked {
    fn of(span: &Span<'_>) -> Result<Self, String> {
        if span.binary_annotations.is_some()
            || span.annotations.iter().flatten().any(|a| a.endpoint.is_some())
        {
            return Err(json::IS_VERSION_1.to_owned());
        }
        let trace_id = id::trace(span.trace_id.as_deref().ok_or("traceId is missing")?)?;
        let id = id::span("id", span.id.as_deref().ok_or("id is missing")?)?.ok_or("id is all zeros")?;
        let parent_id = span.parent_id.as_deref().map(|parent| id::span("parentId", parent)).transpose()?;
        for (index, annotation) in span.annotations.iter().flatten().enumerate() {
            if present(annotation.timestamp).is_none() || annotation.value.is_none() {
                return Err(format!("Incomplete annotation at $.annotations[{index}]"));
            }
        }
        Ok(Self {
            trace_id,
            // A span that is its own parent would be a circle.
            parent_id: parent_id.flatten().filter(|parent| *parent != id),
            id,
            kind: span.kind.as_deref().map(kind_word).transpose()?,
            local: Side::of(span.local_endpoint.as_ref())?,
            remote: Side::of(span.remote_endpoint.as_ref())?,
        })
    }
}

impl Side {
    fn of(endpoint: Option<&SentEndpoint<'_>>) -> Result<Self, String> {
        let Some(endpoint) = endpoint else { return Ok(Self::default()) };
        let port = match endpoint.port.map_or(0, |port| port.0.max(0)) {
            0 => None,
            port => Some(u16::try_from(port).map_err(|_| format!("invalid port {port}"))?),
        };
        let ips = [&endpoint.ipv4, &endpoint.ipv6].into_iter().flatten();
        // Zipkin leaves out an address that is none.
        let ip = ips.filter_map(|text| text.parse::<std::net::IpAddr>().ok()).next();
        Ok(Self {
            service_name: lower(endpoint.service_name.as_deref().map(|name| cut(name, SHORT_TEXT_BYTES_MAX))),
            ip: ip.map(|ip| ip.to_canonical().to_string()),
            port,
        })
    }

    fn as_endpoint(&self) -> Endpoint<'_> {
        Endpoint { service_name: self.service_name.as_deref(), ip: self.ip.as_deref(), port: self.port }
    }
}

/// Zero and less are absent.
fn present(number: Option<json::Integer>) -> Option<i64> {
    number.map(|number| number.0).filter(|number| *number > 0)
}

fn lower(text: Option<&str>) -> Option<String> {
    text.filter(|text| !text.is_empty()).map(str::to_lowercase)
}

fn kind_word(sent: &str) -> Result<&'static str, String> {
    [kind::CLIENT, kind::SERVER, kind::PRODUCER, kind::CONSUMER]
        .into_iter()
        .find(|word| *word == sent)
        .ok_or_else(|| format!("kind {sent:?} is none of CLIENT, SERVER, PRODUCER, CONSUMER"))
}

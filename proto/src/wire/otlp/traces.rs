//! OTLP spans to the columns of `spans`.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Span};

use super::context::{Producer, Scope};
use super::id::{self, SPAN_ID_BYTES, TRACE_ID_BYTES};
use super::value::{push_attributes, push_count};
use crate::limit::{EVENT_BYTES_MAX, SHORT_TEXT_BYTES_MAX};
use crate::model::flags;
use crate::schema::Table;
use crate::schema::span::{kind, status};
use crate::wire::Decoded;
use crate::wire::columns::{AttributeSet, Budget, Endpoint, SpanColumns, Time, append_text};
use crate::wire::decoded::Account;

/// OTLP's ten bits: W3C trace flags, "has is-remote", "is remote".
const SPAN_FLAGS_MASK: u32 = 0x3ff;

/// Spans to the columns of `spans`.
pub fn traces(request: ExportTraceServiceRequest, observed_micros: i64) -> Decoded {
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    let mut writer = Writer::new(scopes.map(|scope| scope.spans.len()).sum(), observed_micros);
    for resource in request.resource_spans {
        let producer = Producer::of(resource.resource.as_ref());
        for scope in &resource.scope_spans {
            writer.scope(&producer, scope);
        }
    }
    writer.account.finish(vec![(Table::Spans, writer.columns.finish())])
}

struct Writer {
    columns: SpanColumns,
    account: Account,
    observed_micros: i64,
    attributes: AttributeSet,
    inner: AttributeSet,
    hex: [String; 3],
}

impl Writer {
    fn new(spans: usize, observed_micros: i64) -> Self {
        // A request of many empty spans reserves no more than a full one.
        let rows = spans.min(1 << 16);
        Self {
            columns: SpanColumns::with_capacity(rows),
            account: Account::new("spans"),
            observed_micros,
            attributes: AttributeSet::default(),
            inner: AttributeSet::default(),
            hex: Default::default(),
        }
    }

    fn scope(&mut self, producer: &Producer, spans: &ScopeSpans) {
        let scope = Scope::of(spans.scope.as_ref());
        let shared_bytes = producer.bytes() + scope.bytes();
        for span in &spans.spans {
            match check(span).and_then(|()| self.account.check_room(shared_bytes)) {
                Ok(()) => {
                    let bytes = self.span(producer, &scope, span);
                    self.account.accept(bytes + shared_bytes);
                }
                Err(reason) => self.account.reject(|| format!("span {:?}: {reason}", span.name)),
            }
        }
    }

    /// Appends one row; answers what it took of its budget.
    fn span(&mut self, producer: &Producer, scope: &Scope<'_>, span: &Span) -> usize {
        let mut budget = Budget::new(EVENT_BYTES_MAX);
        let columns = &mut self.columns;
        columns.times(Time::of_nanos(span.start_time_unix_nano), self.observed_micros);
        let duration = duration(span);
        columns.duration_ns.append_option(duration);
        columns.shared.append_value(false);

        let [trace, id, parent] = &mut self.hex;
        let has_parent = id::is_valid(&span.parent_span_id, SPAN_ID_BYTES);
        columns.ids(
            id::write(trace, &span.trace_id),
            id::write(id, &span.span_id),
            has_parent.then(|| id::write(parent, &span.parent_span_id)),
        );
        append_text(&mut columns.name, budget.take_text(&span.name));
        columns.kind.append_option(kind_word(span.kind()));
        let status = span.status.as_ref();
        columns.status_code.append_option(status.and_then(|status| status_word(status.code())));
        let message = status.map_or("", |status| &status.message);
        append_text(&mut columns.status_message, budget.take_text(message));
        append_text(&mut columns.trace_state, budget.take_text(&span.trace_state));
        append_text(&mut columns.scope_name, scope.name);
        append_text(&mut columns.scope_version, scope.version);
        let sides = Sides::of(span);
        let local = Endpoint { service_name: producer.service_name.as_deref(), ..sides.local };
        columns.endpoints(local, sides.remote);

        let attributes = &mut self.attributes;
        attributes.clear();
        for (key, count) in [
            ("otel.dropped_events_count", span.dropped_events_count),
            ("otel.dropped_links_count", span.dropped_links_count),
        ] {
            if count > 0 {
                push_count(attributes, key, count, &mut budget);
            }
        }
        if duration.is_none() && span.end_time_unix_nano > 0 {
            let end = span.end_time_unix_nano.to_string();
            attributes.push("otel.end_time_unix_nano", &end, &mut budget);
        }
        if !has_parent && span.parent_span_id.iter().any(|byte| *byte != 0) {
            attributes.push("otel.parent_span_id", id::write(parent, &span.parent_span_id), &mut budget);
        }
        push_attributes(attributes, "", &span.attributes, span.dropped_attributes_count, &mut budget);
        columns.attributes.append(&[attributes, &scope.attributes]);
        columns.resource_attributes.append(&[&producer.attributes]);

        self.events(&span.events, &mut budget);
        self.links(&span.links, &mut budget);
        let is_limited = budget.is_limited() || producer.is_limited || scope.is_limited;
        let sent = ((span.flags & SPAN_FLAGS_MASK) << flags::SENT_SHIFT) as i32;
        self.columns.flags.append_value(sent | if is_limited { flags::LIMITED } else { 0 });
        budget.used()
    }

    fn events(&mut self, events: &[Event], budget: &mut Budget) {
        for event in events {
            if !budget.take_entry() {
                break;
            }
            let name = budget.take_text(&event.name);
            self.columns.events.push(Time::of_nanos(event.time_unix_nano), name);
            self.inner.clear();
            push_attributes(&mut self.inner, "", &event.attributes, event.dropped_attributes_count, budget);
            self.columns.events.attributes.append(&[&self.inner]);
        }
        self.columns.events.end_row();
    }

    fn links(&mut self, links: &[Link], budget: &mut Budget) {
        for link in links {
            if !budget.take_entry() {
                break;
            }
            let [trace, id, _] = &mut self.hex;
            let trace = budget.take_text(id::write(trace, &link.trace_id));
            let id = budget.take_text(id::write(id, &link.span_id));
            let state = budget.take_text(&link.trace_state);
            self.columns.links.push(trace, id, state);
            self.inner.clear();
            push_attributes(&mut self.inner, "", &link.attributes, link.dropped_attributes_count, budget);
            self.columns.links.attributes.append(&[&self.inner]);
        }
        self.columns.links.end_row();
    }
}

/// What makes a span one: without ids nothing finds it, without a time it has no
/// place in the table.
fn check(span: &Span) -> Result<(), String> {
    id::check("trace id", &span.trace_id, TRACE_ID_BYTES)?;
    id::check("span id", &span.span_id, SPAN_ID_BYTES)?;
    if span.start_time_unix_nano == 0 {
        return Err("start time is missing".to_owned());
    }
    Ok(())
}

/// Nothing when the end is missing, lies before the start, or 292 years after.
fn duration(span: &Span) -> Option<i64> {
    span.end_time_unix_nano.checked_sub(span.start_time_unix_nano).and_then(|nanos| i64::try_from(nanos).ok())
}

fn kind_word(sent: SpanKind) -> Option<&'static str> {
    match sent {
        SpanKind::Server => Some(kind::SERVER),
        SpanKind::Client => Some(kind::CLIENT),
        SpanKind::Producer => Some(kind::PRODUCER),
        SpanKind::Consumer => Some(kind::CONSUMER),
        SpanKind::Internal => Some(kind::INTERNAL),
        SpanKind::Unspecified => None,
    }
}

fn status_word(code: StatusCode) -> Option<&'static str> {
    match code {
        StatusCode::Ok => Some(status::OK),
        StatusCode::Error => Some(status::ERROR),
        StatusCode::Unset => None,
    }
}

/// Attributes that name the other side of an outgoing call, the best first: the
/// order of OpenTelemetry's Zipkin exporter.
const REMOTE_NAMES: [&str; 8] = [
    "peer.service",
    "server.address",
    "net.peer.name",
    "server.socket.domain",
    "net.sock.peer.name",
    "peer.hostname",
    "peer.address",
    "db.name",
];

/// What the attributes say of the two sides of a call.
#[derive(Default)]
struct Sides<'a> {
    local: Endpoint<'a>,
    remote: Endpoint<'a>,
}

impl<'a> Sides<'a> {
    fn of(span: &'a Span) -> Self {
        let is_outgoing = matches!(span.kind(), SpanKind::Client | SpanKind::Producer);
        let mut sides = Self::default();
        let mut best = usize::MAX;
        for attribute in &span.attributes {
            let key = attribute.key.as_str();
            match key {
                "network.peer.address" | "net.sock.peer.addr" | "net.peer.ip" => {
                    sides.remote.ip = address(attribute);
                }
                "network.peer.port" | "net.sock.peer.port" | "net.peer.port" => {
                    sides.remote.port = port(attribute);
                }
                "network.local.address" | "net.sock.host.addr" | "net.host.ip" => {
                    sides.local.ip = address(attribute);
                }
                "network.local.port" | "net.sock.host.port" => sides.local.port = port(attribute),
                _ => {}
            }
            // Incoming calls name the caller only by `peer.service`.
            let names = if is_outgoing { &REMOTE_NAMES[..] } else { &REMOTE_NAMES[..1] };
            if let Some(rank) = names.iter().position(|name| *name == key)
                && rank < best
                && let Some(name) = text(attribute)
            {
                best = rank;
                sides.remote.service_name = Some(name);
            }
        }
        sides
    }
}

fn text(attribute: &KeyValue) -> Option<&str> {
    match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) if !text.is_empty() && text.len() <= SHORT_TEXT_BYTES_MAX => Some(text),
        _ => None,
    }
}

fn address(attribute: &KeyValue) -> Option<&str> {
    text(attribute).filter(|text| text.parse::<std::net::IpAddr>().is_ok())
}

fn port(attribute: &KeyValue) -> Option<u16> {
    match attribute.value.as_ref()?.value.as_ref()? {
        Value::IntValue(port) => u16::try_from(*port).ok(),
        Value::StringValue(port) => port.parse().ok(),
        _ => None,
    }
    .filter(|port| *port > 0)
}

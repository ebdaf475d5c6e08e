//! Spans.

use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

use super::common::{attributes, resource, scope};
use super::object::{Object, Read};

pub(super) fn resource_spans(spans: &mut Object) -> Read<ResourceSpans> {
    Ok(ResourceSpans {
        resource: spans.object("resource", resource)?,
        scope_spans: spans.list("scopeSpans", scope_spans)?,
        schema_url: spans.text("schemaUrl")?,
    })
}

fn scope_spans(spans: &mut Object) -> Read<ScopeSpans> {
    Ok(ScopeSpans {
        scope: spans.object("scope", scope)?,
        spans: spans.list("spans", span)?,
        schema_url: spans.text("schemaUrl")?,
    })
}

fn span(span: &mut Object) -> Read<Span> {
    Ok(Span {
        trace_id: span.id("traceId")?,
        span_id: span.id("spanId")?,
        trace_state: span.text("traceState")?,
        parent_span_id: span.id("parentSpanId")?,
        flags: span.u32("flags")?,
        name: span.text("name")?,
        kind: span.enumeration("kind")?,
        start_time_unix_nano: span.u64("startTimeUnixNano")?,
        end_time_unix_nano: span.u64("endTimeUnixNano")?,
        attributes: attributes(span, "attributes")?,
        dropped_attributes_count: span.u32("droppedAttributesCount")?,
        events: span.list("events", event)?,
        dropped_events_count: span.u32("droppedEventsCount")?,
        links: span.list("links", link)?,
        dropped_links_count: span.u32("droppedLinksCount")?,
        status: span.object("status", status)?,
    })
}

fn event(event: &mut Object) -> Read<Event> {
    Ok(Event {
        time_unix_nano: event.u64("timeUnixNano")?,
        name: event.text("name")?,
        attributes: attributes(event, "attributes")?,
        dropped_attributes_count: event.u32("droppedAttributesCount")?,
    })
}

fn link(link: &mut Object) -> Read<Link> {
    Ok(Link {
        trace_id: link.id("traceId")?,
        span_id: link.id("spanId")?,
        trace_state: link.text("traceState")?,
        attributes: attributes(link, "attributes")?,
        dropped_attributes_count: link.u32("droppedAttributesCount")?,
        flags: link.u32("flags")?,
    })
}

fn status(status: &mut Object) -> Read<Status> {
    Ok(Status { message: status.text("message")?, code: status.enumeration("code")? })
}

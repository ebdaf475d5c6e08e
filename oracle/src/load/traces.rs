//! Spans, pushed as OTLP over HTTP, in protobuf. A span's text is its name and its
//! attribute `pad`.

use std::ops::Range;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

use super::message::{attribute, now, post, resource};
use super::{Place, push_on};
use crate::event::Style;
use crate::ledger::{Feed, Ledger, Table};
use crate::worker::Worker;

/// Spans of a request.
const SPANS: u64 = 3;

pub(super) fn start(place: &Place, ledger: &Ledger, n: u32) -> Worker {
    let name = format!("t{n}");
    let feed = ledger.open(&name, &name, Table::Spans, Style::Plain);
    let (agent, tick) = (place.agent, place.tick);
    Worker::start(&name, move |stop| {
        push_on(&feed, SPANS, tick, stop, |numbers| {
            let request = request(&feed, numbers);
            let is_partial = |answer: &ExportTraceServiceResponse| answer.partial_success.is_some();
            post(agent, "/v1/traces", &request, is_partial)
        });
    })
}

fn request(feed: &Feed, numbers: Range<u64>) -> ExportTraceServiceRequest {
    let spans = numbers.map(|number| span(feed, number)).collect();
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource(feed)),
            scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    }
}

fn span(feed: &Feed, number: u64) -> Span {
    let (text, time) = (feed.text(number), now());
    let (name, pad) = text.split_once(' ').unwrap_or((&text, ""));
    // An id of zeros is none.
    let id = number + 1;
    Span {
        trace_id: u128::from(id).to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        name: name.to_owned(),
        start_time_unix_nano: time,
        end_time_unix_nano: time + 1_000_000,
        attributes: vec![attribute("pad", pad)],
        ..Span::default()
    }
}

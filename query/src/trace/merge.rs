//! Spans that were reported in parts become whole.
//!
//! A span may come twice or in pieces (an annotation that was late, the end
//! after the beginning), and in Zipkin's own propagation client and server
//! share one id. Parts of one side are merged; the two sides stay two spans,
//! the server's marked as shared and below the client's parent.

use std::cmp::Ordering;

use super::span::{Endpoint, Kind, Span};

/// Merges the parts of one trace's spans.
pub(crate) fn merge(mut spans: Vec<Span>) -> Vec<Span> {
    if spans.len() < 2 {
        return spans;
    }
    spans.sort_by(cleanup_order);
    let trace_id = spans.iter().map(|span| &span.trace_id).find(|id| id.is_long()).cloned();
    let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
    let mut spans = spans.into_iter().peekable();
    while let Some(mut span) = spans.next() {
        let mut place = Place::default();
        place.is_same(span.local_endpoint.as_ref());
        let is_shared = span.shared;
        while let Some(part) = spans.next_if(|next| {
            next.id == span.id && next.shared == is_shared && place.is_same(next.local_endpoint.as_ref())
        }) {
            absorb(&mut span, part);
        }
        span.annotations.sort();
        span.annotations.dedup();
        if let Some(id) = &trace_id {
            span.trace_id = id.clone();
        }
        if let Some(client) = merged.last().filter(|last| last.id == span.id) {
            share(client, &mut span);
        }
        merged.push(span);
    }
    merged
}

/// Corrects the server's half of a span by the client's, which stands before.
fn share(client: &Span, server: &mut Span) {
    if client.kind == Some(Kind::Client) && server.kind == Some(Kind::Server) {
        server.shared = true;
    }
    if server.shared && server.parent_id.is_none() {
        server.parent_id.clone_from(&client.parent_id);
    }
}

/// What a span has not yet is taken from its other part; a tag that both have
/// is the later part's.
fn absorb(span: &mut Span, part: Span) {
    fn fill<T>(to: &mut Option<T>, from: Option<T>) {
        if to.is_none() {
            *to = from;
        }
    }
    fill(&mut span.parent_id, part.parent_id);
    fill(&mut span.kind, part.kind);
    fill(&mut span.name, part.name);
    fill(&mut span.timestamp, part.timestamp);
    fill(&mut span.duration, part.duration);
    for (to, from) in
        [(&mut span.local_endpoint, part.local_endpoint), (&mut span.remote_endpoint, part.remote_endpoint)]
    {
        match (to, from) {
            (Some(to), Some(from)) => {
                fill(&mut to.service_name, from.service_name);
                fill(&mut to.ipv4, from.ipv4);
                fill(&mut to.ipv6, from.ipv6);
                fill(&mut to.port, from.port);
            }
            (to, from) => fill(to, from),
        }
    }
    span.annotations.extend(part.annotations);
    span.tags.extend(part.tags);
    span.debug |= part.debug;
}

/// By id; of one id, shared spans last, clients first, then by place, unknown
/// places first, so that what they say goes to the first span of the id. Parts
/// that are alike in all that stand in order of time, for rows have none.
fn cleanup_order(left: &Span, right: &Span) -> Ordering {
    let is_client = |span: &Span| span.kind == Some(Kind::Client);
    left.id
        .cmp(&right.id)
        .then_with(|| left.shared.cmp(&right.shared))
        .then_with(|| match left.shared {
            true => Ordering::Equal,
            false => is_client(right).cmp(&is_client(left)),
        })
        .then_with(|| place_order(left.local_endpoint.as_ref(), right.local_endpoint.as_ref()))
        .then_with(|| absent_last(left.timestamp.as_ref(), right.timestamp.as_ref()))
}

fn place_order(left: Option<&Endpoint>, right: Option<&Endpoint>) -> Ordering {
    let (Some(left), Some(right)) = (left, right) else { return left.is_some().cmp(&right.is_some()) };
    absent_last(left.service_name.as_ref(), right.service_name.as_ref())
        .then_with(|| absent_last(left.ipv4.as_ref(), right.ipv4.as_ref()))
        .then_with(|| absent_last(left.ipv6.as_ref(), right.ipv6.as_ref()))
}

fn absent_last<T: Ord>(left: Option<&T>, right: Option<&T>) -> Ordering {
    match (left, right) {
        (Some(left), Some(right)) => left.cmp(right),
        (left, right) => left.is_none().cmp(&right.is_none()),
    }
}

/// Where parts were reported from, as far as they said.
#[derive(Default)]
struct Place(Endpoint);

impl Place {
    /// True, and what is new is kept, unless the endpoint contradicts.
    fn is_same(&mut self, endpoint: Option<&Endpoint>) -> bool {
        fn fits<T: PartialEq>(known: &Option<T>, said: &Option<T>) -> bool {
            known.is_none() || said.is_none() || known == said
        }
        let Some(said) = endpoint else { return true };
        let known = &mut self.0;
        let is_same = fits(&known.service_name, &said.service_name)
            && fits(&known.ipv4, &said.ipv4)
            && fits(&known.ipv6, &said.ipv6)
            && fits(&known.port, &said.port);
        if is_same {
            known.service_name = known.service_name.take().or_else(|| said.service_name.clone());
            known.ipv4 = known.ipv4.take().or_else(|| said.ipv4.clone());
            known.ipv6 = known.ipv6.take().or_else(|| said.ipv6.clone());
            known.port = known.port.or(said.port);
        }
        is_same
    }
}

#[cfg(test)]
mod tests;

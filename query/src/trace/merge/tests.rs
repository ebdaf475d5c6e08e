//! The cases of Zipkin's own tests of merging, written anew.

use std::collections::BTreeMap;

use super::*;
use crate::trace::id::TraceKey;
use crate::trace::span::Annotation;

const SHORT: &str = "48485a3953bb6124";
const LONG: &str = "463ac35c9f6413ad48485a3953bb6124";

fn span(id: &str, parent: Option<&str>, kind: Option<Kind>) -> Span {
    Span {
        trace_id: TraceKey::parse(SHORT).expect("an id"),
        parent_id: parent.map(str::to_owned),
        id: id.to_owned(),
        kind,
        name: None,
        timestamp: None,
        duration: None,
        local_endpoint: None,
        remote_endpoint: None,
        annotations: Vec::new(),
        tags: BTreeMap::new(),
        debug: false,
        shared: false,
    }
}

fn at(service: &str) -> Option<Endpoint> {
    Endpoint { service_name: Some(service.to_owned()), ..Endpoint::default() }.known()
}

fn client(id: &str, parent: Option<&str>) -> Span {
    Span { local_endpoint: at("frontend"), ..span(id, parent, Some(Kind::Client)) }
}

fn server(id: &str, parent: Option<&str>) -> Span {
    Span { local_endpoint: at("backend"), ..span(id, parent, Some(Kind::Server)) }
}

/// Whatever the order in which the parts are read.
fn check(parts: &[Span], expected: &[Span]) {
    let mut parts = parts.to_vec();
    assert_eq!(merge(parts.clone()), expected);
    parts.reverse();
    assert_eq!(merge(parts), expected, "read backwards");
}

#[test]
fn whole_spans_stay_as_they_are() {
    check(&[], &[]);
    check(&[client("1", None)], &[client("1", None)]);
    check(&[server("2", Some("1")), client("1", None)], &[client("1", None), server("2", Some("1"))]);
}

#[test]
fn a_span_reported_twice_is_one() {
    let twice = Span {
        timestamp: Some(5),
        annotations: vec![Annotation { timestamp: 6, value: "ws".to_owned() }],
        ..client("1", None)
    };
    check(&[twice.clone(), twice.clone()], std::slice::from_ref(&twice));
}

#[test]
fn both_sides_of_one_id_stay_two_spans() {
    let shared = Span { shared: true, ..server("2", Some("1")) };
    let both = [client("2", Some("1")), shared];
    check(&both, &both);
}

#[test]
fn a_server_that_did_not_say_so_is_shared() {
    let expected = [client("2", Some("1")), Span { shared: true, ..server("2", Some("1")) }];
    check(&[client("2", Some("1")), server("2", Some("1"))], &expected);
}

#[test]
fn a_server_that_did_not_get_its_parent_takes_the_clients() {
    let expected = [client("2", Some("1")), Span { shared: true, ..server("2", Some("1")) }];
    check(&[client("2", Some("1")), Span { shared: true, ..server("2", None) }], &expected);
    check(&[client("2", Some("1")), server("2", None)], &expected);
}

#[test]
fn what_comes_late_goes_to_its_span() {
    let first = Span { timestamp: Some(10), name: Some("get".to_owned()), ..client("2", Some("1")) };
    let late = Span {
        duration: Some(5),
        annotations: vec![Annotation { timestamp: 12, value: "foo".to_owned() }],
        tags: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
        debug: true,
        ..span("2", None, None)
    };
    let expected = Span {
        duration: late.duration,
        annotations: late.annotations.clone(),
        tags: late.tags.clone(),
        debug: true,
        ..first.clone()
    };
    check(&[first, late], &[expected]);
}

#[test]
fn what_comes_late_from_a_known_place_does_not_go_to_another() {
    let shared = Span { shared: true, ..server("2", Some("1")) };
    let late = Span { duration: Some(7), shared: true, ..server("2", None) };
    let expected = [client("2", Some("1")), Span { duration: Some(7), ..shared.clone() }];
    check(&[client("2", Some("1")), shared, late], &expected);
}

#[test]
fn two_services_that_share_an_id_are_not_one() {
    let other = Span { local_endpoint: at("other"), shared: true, ..server("2", Some("1")) };
    let shared = Span { shared: true, ..server("2", Some("1")) };
    let all = [client("2", Some("1")), shared, other];
    check(&all, &all);
}

#[test]
fn pieces_of_an_endpoint_are_put_together() {
    let port = |service: Option<&str>, ipv4: Option<&str>, port| Span {
        local_endpoint: Endpoint {
            service_name: service.map(str::to_owned),
            ipv4: ipv4.map(str::to_owned),
            ipv6: None,
            port,
        }
        .known(),
        ..span("2", None, None)
    };
    let whole = port(Some("a"), Some("10.0.0.1"), Some(80));
    check(&[port(Some("a"), None, Some(80)), port(Some("a"), Some("10.0.0.1"), None)], &[whole]);
    let elsewhere =
        [port(Some("a"), Some("10.0.0.1"), Some(80)), port(Some("a"), Some("10.0.0.1"), Some(81))];
    assert_eq!(merge(elsewhere.to_vec()).len(), 2, "another port");
}

#[test]
fn the_long_id_is_the_traces() {
    let long = TraceKey::parse(LONG).expect("an id");
    let merged = merge(vec![client("1", None), Span { trace_id: long.clone(), ..server("2", Some("1")) }]);
    assert_eq!(merged.iter().map(|span| &span.trace_id).collect::<Vec<_>>(), [&long, &long]);
}

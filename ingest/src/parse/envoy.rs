//! Envoy's default access log, and Istio's.
//!
//! ```text
//! [2016-04-15T20:17:00.310Z] "POST /a HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "nsq2http" "cc21d9b0" "locations" "tcp://10.0.2.1:80"
//! [2020-11-25T21:26:18.409Z] "GET /a HTTP/1.1" 418 - via_upstream - "-" 0 135 3 1 "-" "curl/7.73.0-DEV" "84961386" "httpbin:8000" "127.0.0.1:80" inbound|8000|| 127.0.0.1:41854 10.44.1.27:80 10.44.1.23:37652 outbound_.8000_._.httpbin default
//! ```
//!
//! A number behind the response flags is Envoy's count of bytes; Istio has the
//! response code's details there. Lines of TCP say `- - -` for the request.
//! Envoy escapes no quotes: a value ends at a quote with a space behind it.
//!
//! Names are OpenTelemetry's where it has one, else those of Istio's own JSON
//! form, so that a question holds for both.

use super::beside::Beside;
use super::cursor::Cursor;
use super::field::Span;
use super::time::{self, Reading};

/// Attributes of a line in one of the two formats, and its time; none when it
/// is in neither.
pub(super) fn read<'a>(line: &'a str, beside: &mut Beside) -> Option<Reading<'a>> {
    beside.clear();
    let mut cursor = Cursor::new(line);
    cursor.take("[")?;
    let reading = time::iso(cursor.rest())?;
    cursor.skip(reading.length);
    cursor.take("] ")?;
    let request = cursor.quoted_raw()?;
    cursor.take(" ")?;
    let status = cursor.digits().filter(|status| status.len() <= 3)?;
    cursor.take(" ")?;
    let flags = cursor.some(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b',' | b'_'))?;
    cursor.take(" ")?;
    let is_tcp = request.of(line) == "- - -";
    if !is_tcp {
        beside.add_request(line, (request, false));
        beside.add(line, "http.response.status_code", status);
    }
    beside.add(line, "response_flags", flags);
    let is_istio = !matches!(cursor.rest().as_bytes().first(), Some(b'0'..=b'9'));
    if is_istio {
        details(line, &mut cursor, beside)?;
    }
    let numbers = numbers(&mut cursor)?;
    let [forwarded, agent, id, authority, upstream] = quoted(&mut cursor)?;
    let [received, sent, duration, service_time] = numbers;
    let sizes = if is_tcp {
        ["bytes_received", "bytes_sent"]
    } else {
        ["http.request.body.size", "http.response.body.size"]
    };
    for (key, value) in [
        (sizes[0], received),
        (sizes[1], sent),
        ("duration", duration),
        ("upstream_service_time", service_time),
        ("user_agent.original", agent),
        ("http.request.header.x-request-id", id),
        ("upstream_host", upstream),
    ] {
        beside.add(line, key, value);
    }
    beside.add_address(line, ("server.address", Some("server.port")), authority);
    let peer = if is_istio { addresses(line, &mut cursor, beside)? } else { None };
    beside.add_forwarded(line, forwarded, peer);
    matches!(cursor.rest().as_bytes().first(), None | Some(b' ')).then_some(reading)
}

/// `via_upstream - "-" `: details of the response code, of the connection's end
/// and of the upstream's failure.
fn details(line: &str, cursor: &mut Cursor<'_>, beside: &mut Beside) -> Option<()> {
    for key in ["response_code_details", "connection_termination_details"] {
        let value = detail(cursor)?;
        cursor.take(" ")?;
        beside.add(line, key, value);
    }
    let failure = cursor.quoted_raw()?;
    cursor.take(" ")?;
    beside.add(line, "upstream_transport_failure_reason", failure);
    Some(())
}

/// A word; older releases left spaces in its braces.
fn detail(cursor: &mut Cursor<'_>) -> Option<Span> {
    let start = cursor.at();
    let first = cursor.some(|byte| !matches!(byte, b' ' | b'{' | b'"'))?;
    if cursor.take("{").is_none() {
        return Some(first);
    }
    cursor.until(b'}')?;
    Some(Span::new(start, cursor.at()))
}

/// Bytes received and sent, duration, the upstream's own time; in milliseconds.
fn numbers(cursor: &mut Cursor<'_>) -> Option<[Span; 4]> {
    let mut numbers = [Span::new(0, 0); 4];
    for number in &mut numbers {
        *number = cursor.count()?;
        cursor.take(" ")?;
    }
    Some(numbers)
}

/// X-Forwarded-For, user agent, request's id, authority, upstream's host.
fn quoted(cursor: &mut Cursor<'_>) -> Option<[Span; 5]> {
    let mut values = [Span::new(0, 0); 5];
    for (index, value) in values.iter_mut().enumerate() {
        if index > 0 {
            cursor.take(" ")?;
        }
        *value = cursor.quoted_raw()?;
    }
    Some(values)
}

/// What Istio appends: the cluster, addresses, the name asked for by TLS, the
/// route. The answer is the client's address, if it is given.
fn addresses(line: &str, cursor: &mut Cursor<'_>, beside: &mut Beside) -> Option<Option<Span>> {
    let mut values = [Span::new(0, 0); 6];
    for value in &mut values {
        cursor.take(" ")?;
        *value = cursor.word()?;
    }
    let [cluster, upstream_local, local, remote, server_name, route] = values;
    for (key, value) in [
        ("upstream_cluster", cluster),
        ("upstream_local_address", upstream_local),
        ("downstream_local_address", local),
        ("requested_server_name", server_name),
        ("route_name", route),
    ] {
        beside.add(line, key, value);
    }
    beside.add_address(line, ("network.peer.address", Some("network.peer.port")), remote);
    Some((remote.of(line) != "-").then_some(remote))
}

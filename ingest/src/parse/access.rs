//! Lines of web servers: the common and the combined log format, as nginx,
//! Apache and many others write them, and the errors of these two.
//!
//! ```text
//! 10.0.0.7 - ann [10/Oct/2000:13:55:36 -0700] "GET /a?b=c HTTP/1.1" 200 2326
//! ... 200 2326 "https://a.b/" "curl/8.5"
//! 2023/10/11 14:32:52 [error] 7#7: *12 open() "/x" failed, client: 10.0.0.7, ...
//! [Wed Oct 11 14:32:52.123456 2023] [core:error] [pid 7:tid 139] [client 10.0.0.7:51312] x
//! ```
//!
//! What stands behind the combined format is free: servers are configured to
//! append to it. Of what is appended, the forms that nginx and the ingress
//! controller of Kubernetes ship with are known.

use std::ops::Range;

use super::beside::{Beside, first_of_list, is_addresses};
use super::cursor::Cursor;
use super::field::Span;
use super::time::{self, Reading};

/// How far into a line the time of an access is looked for.
const TIME_BYTES: usize = 512;

/// Attributes of a line in the common or combined format, and its time; none
/// when it is in neither.
pub(super) fn read<'a>(line: &'a str, beside: &mut Beside) -> Option<Reading<'a>> {
    beside.clear();
    let open = time_at(line)?;
    let head = Span::new(0, open.checked_sub(1)?);
    let mut cursor = Cursor::new(line);
    cursor.skip(open + 1);
    let reading = time::read_access(cursor.rest())?;
    cursor.skip(reading.length);
    cursor.take("] ")?;
    let request = cursor.quoted()?;
    cursor.take(" ")?;
    let status = cursor.digits().filter(|status| status.len() == 3)?;
    cursor.take(" ")?;
    let bytes = cursor.count()?;
    ends_field(&cursor)?;
    client(line, head, beside)?;
    beside.add_request(line, request);
    beside.add(line, "http.response.status_code", status);
    beside.add(line, "http.response.body.size", bytes);
    combined(line, cursor, beside);
    Some(reading)
}

/// Where the bracket before `10/Oct/2000:` stands: what tells such a line from
/// all others.
fn time_at(line: &str) -> Option<usize> {
    let bytes = line.as_bytes();
    let start = &bytes[..bytes.len().min(TIME_BYTES)];
    memchr::memchr_iter(b'[', start).find(|open| {
        let Some([day @ .., slash, _, _, _, slash2]) = bytes.get(open + 1..open + 8) else { return false };
        let is_date = day.iter().all(u8::is_ascii_digit) && *slash == b'/' && *slash2 == b'/';
        is_date && *open > 0 && bytes[open - 1] == b' '
    })
}

/// What stands before the time: `host ident user`, after the virtual host where
/// Apache was told to write it.
fn client(line: &str, head: Span, beside: &mut Beside) -> Option<()> {
    let mut words = Cursor::new(&line[..head.range().end]);
    let first = words.word()?;
    words.take(" ")?;
    let second = words.word()?;
    words.take(" ")?;
    let third = words.rest().split(' ').next()?;
    let is_host = second.of(line) != "-" && third == "-" && first.of(line).contains(':');
    let client = if is_host {
        words.word()?;
        words.take(" ")?;
        beside.add_address(line, ("server.address", Some("server.port")), first);
        second
    } else {
        first
    };
    let user = Span::new(words.at(), head.range().end);
    if user.len() == 0 {
        return None;
    }
    beside.add(line, "client.address", client);
    beside.add_quoted(line, "user.name", (user, true));
    Some(())
}

/// What the combined format has more than the common one, and what nginx and
/// its ingress controller append.
fn combined(line: &str, mut cursor: Cursor<'_>, beside: &mut Beside) -> Option<()> {
    cursor.take(" ")?;
    let referer = cursor.quoted()?;
    cursor.take(" ")?;
    let agent = cursor.quoted()?;
    ends_field(&cursor)?;
    beside.add_quoted(line, "http.request.header.referer", referer);
    beside.add_quoted(line, "user_agent.original", agent);
    cursor.take(" ")?;
    let mut last = cursor;
    if let Some((forwarded, _)) = last.quoted() {
        if last.is_at_end() && is_addresses(forwarded.of(line)) {
            beside.add(line, "http.request.header.x-forwarded-for", forwarded);
        }
        return Some(());
    }
    ingress(line, cursor, beside)
}

/// `$request_length $request_time [$proxy_upstream_name]
/// [$proxy_alternative_upstream_name] $upstream_addr $upstream_response_length
/// $upstream_response_time $upstream_status $req_id`. After a repeated try, the
/// four of the upstream are lists.
fn ingress(line: &str, mut cursor: Cursor<'_>, beside: &mut Beside) -> Option<()> {
    let length = cursor.digits()?;
    cursor.take(" ")?;
    let time = cursor.some(is_decimal)?;
    cursor.take(" [")?;
    let name = cursor.until(b']')?;
    cursor.take(" [")?;
    cursor.until(b']')?;
    let mut lists = [length; 4];
    for list in &mut lists {
        cursor.take(" ")?;
        *list = words_of_list(line, &mut cursor)?;
    }
    cursor.take(" ")?;
    let id = cursor.word().filter(|_| cursor.is_at_end())?;
    let [address, response_length, response_time, status] = lists;
    for (key, value) in [
        ("http.request.size", length),
        ("request_time", time),
        ("proxy_upstream_name", name),
        ("upstream_addr", address),
        ("upstream_response_length", response_length),
        ("upstream_response_time", response_time),
        ("upstream_status", status),
        ("http.request.header.x-request-id", id),
    ] {
        beside.add(line, key, value);
    }
    Some(())
}

/// `a`, `a, b`, `a : b`.
fn words_of_list(line: &str, cursor: &mut Cursor<'_>) -> Option<Span> {
    let start = cursor.at();
    loop {
        let word = cursor.word()?;
        let goes_on = word.of(line).ends_with(',') || cursor.rest().starts_with(" : ");
        if !goes_on {
            return Some(Span::new(start, cursor.at()));
        }
        cursor.take(" : ").or_else(|| cursor.take(" "))?;
    }
}

/// Attributes of a line of nginx's error log; false when it is none. Its time
/// and severity are read as those of any line.
pub(super) fn read_nginx_error(line: &str, beside: &mut Beside) -> bool {
    beside.clear();
    nginx_error(line, beside).is_some()
}

fn nginx_error(line: &str, beside: &mut Beside) -> Option<()> {
    let mut cursor = Cursor::new(line);
    let [_, _, _, _, b'/', _, _, b'/', _, _, b' ', _, _, b':', _, _, b':', ..] = line.as_bytes() else {
        return None;
    };
    cursor.some(|byte| byte.is_ascii_digit() || matches!(byte, b'/' | b':' | b' '))?;
    cursor.take("[")?;
    cursor.some(|byte| byte.is_ascii_lowercase())?;
    cursor.take("] ")?;
    let process = cursor.digits()?;
    cursor.take("#")?;
    let thread = cursor.digits()?;
    cursor.take(": ")?;
    beside.add(line, "process.pid", process);
    beside.add(line, "thread.id", thread);
    // What the request was is appended to the message, which may hold anything.
    let places = memchr::memmem::find_iter(cursor.rest().as_bytes(), b", client: ");
    let details = places.map(|at| cursor.at() + at).find_map(|at| nginx_details(line, at));
    for (name, value) in details.into_iter().flatten() {
        match name {
            "client" => beside.add(line, "client.address", value.0),
            "server" => beside.add(line, "server.address", value.0),
            "request" => beside.add_request(line, value),
            "upstream" => beside.add_quoted(line, "upstream_addr", value),
            "host" => beside.add_quoted(line, "http.request.header.host", value),
            "referrer" => beside.add_quoted(line, "http.request.header.referer", value),
            _ => {}
        }
    }
    Some(())
}

/// `, client: 10.0.0.7, server: a.b, request: "GET / HTTP/1.1"`, to the line's
/// end: names, each once, and values.
fn nginx_details(line: &str, at: usize) -> Option<Vec<(&str, (Span, bool))>> {
    let mut details: Vec<(&str, _)> = Vec::new();
    let mut cursor = Cursor::new(line);
    cursor.skip(at);
    while !cursor.is_at_end() {
        cursor.take(", ")?;
        let name = cursor.some(|byte| byte.is_ascii_lowercase() || byte == b' ')?.of(line);
        cursor.take(": ")?;
        let value = match cursor.quoted() {
            Some(value) => value,
            None => {
                let start = cursor.at();
                cursor.skip(cursor.rest().find(", ").unwrap_or(cursor.rest().len()));
                (Span::new(start, cursor.at()), false)
            }
        };
        if details.iter().any(|(held, _)| *held == name) {
            return None;
        }
        details.push((name, value));
    }
    Some(details)
}

/// The same for Apache's error log, of version 2.2 or 2.4.
pub(super) fn read_apache_error(line: &str, beside: &mut Beside) -> bool {
    beside.clear();
    apache_error(line, beside).is_some()
}

fn apache_error(line: &str, beside: &mut Beside) -> Option<()> {
    let mut cursor = Cursor::new(line);
    cursor.take("[")?;
    time::read_ctime(cursor.until(b']')?.of(line))?;
    cursor.take(" [")?;
    cursor.some(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'-'))?;
    cursor.take("]")?;
    let is_newer = cursor.take(" [pid ").is_some();
    if is_newer {
        let process = cursor.digits()?;
        let thread = cursor.take(":tid ").and_then(|()| cursor.digits());
        cursor.take("]")?;
        beside.add(line, "process.pid", process);
        if let Some(thread) = thread {
            beside.add(line, "thread.id", thread);
        }
    }
    if cursor.take(" [client ").is_some() {
        let client = cursor.until(b']')?;
        // Version 2.4 appends the port, to IPv6 addresses without brackets, too.
        match client.of(line).rfind(':').filter(|_| is_newer) {
            Some(colon) => {
                let Range { start, end } = client.range();
                beside.add(line, "client.address", Span::new(start, start + colon));
                beside.add(line, "client.port", Span::new(start + colon + 1, end));
            }
            None => beside.add_address(line, ("client.address", Some("client.port")), client),
        }
    }
    Some(())
}

/// A field ends where a space or the line's end is.
fn ends_field(cursor: &Cursor<'_>) -> Option<()> {
    matches!(cursor.rest().as_bytes().first(), None | Some(b' ')).then_some(())
}

fn is_decimal(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'.'
}

/// Adds what a proxy was told of its client: the list, and the first of it,
/// else the peer, as the client.
pub(super) fn add_forwarded(line: &str, forwarded: Span, peer: Option<Span>, beside: &mut Beside) {
    beside.add(line, "http.request.header.x-forwarded-for", forwarded);
    let is_given = !matches!(forwarded.of(line), "" | "-");
    let client = if is_given { Some(first_of_list(line, forwarded)) } else { peer };
    if let Some(client) = client {
        beside.add_address(line, ("client.address", None), client);
    }
}

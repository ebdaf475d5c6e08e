//! Errors of web servers: nginx's and Apache's error logs.
//!
//! ```text
//! 2023/10/11 14:32:52 [error] 7#7: *12 open() "/x" failed, client: 10.0.0.7, ...
//! [Wed Oct 11 14:32:52.123456 2023] [core:error] [pid 7:tid 139] [client 10.0.0.7:51312] x
//! ```

use std::ops::Range;

use super::beside::Beside;
use super::cursor::Cursor;
use super::field::Span;
use super::time;

/// Attributes of a line of nginx's error log; false when it is none. Its time
/// and severity are read as those of any line.
pub(super) fn read_nginx(line: &str, beside: &mut Beside) -> bool {
    beside.clear();
    nginx(line, beside).is_some()
}

fn nginx(line: &str, beside: &mut Beside) -> Option<()> {
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
    let found = places.map(|at| cursor.at() + at).find_map(|at| details(line, at));
    for (name, value) in found.into_iter().flatten() {
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
fn details(line: &str, at: usize) -> Option<Vec<(&str, (Span, bool))>> {
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
pub(super) fn read_apache(line: &str, beside: &mut Beside) -> bool {
    beside.clear();
    apache(line, beside).is_some()
}

fn apache(line: &str, beside: &mut Beside) -> Option<()> {
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

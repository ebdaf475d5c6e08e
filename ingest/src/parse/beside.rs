//! Attributes that stand beside a line whose body is the whole line: what web
//! servers and proxies say of a request, under OpenTelemetry's names.

use super::escape;
use super::field::Span;
use crate::columns::Columns;

/// Attributes of one line, by position in it. Reused between lines.
#[derive(Debug, Default)]
pub(super) struct Beside(Vec<Attribute>);

#[derive(Debug)]
struct Attribute {
    key: &'static str,
    value: Span,
    is_escaped: bool,
}

impl Beside {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Appends the attributes to the open row.
    pub(super) fn push_to(&self, line: &str, columns: &mut Columns) {
        for attribute in &self.0 {
            let value = attribute.value.of(line);
            columns.attributes.keys.push(attribute.key);
            if attribute.is_escaped && value.contains('\\') {
                columns.attributes.values.push_with(|text| escape::undo(value, text));
            } else {
                columns.attributes.values.push(value);
            }
        }
    }

    /// Adds a value, unless the line says that there is none.
    pub(super) fn add(&mut self, line: &str, key: &'static str, value: Span) {
        self.add_quoted(line, key, (value, false));
    }

    /// Adds a value that may be escaped.
    pub(super) fn add_quoted(&mut self, line: &str, key: &'static str, (value, is_escaped): (Span, bool)) {
        if !matches!(value.of(line), "" | "-") {
            self.0.push(Attribute { key, value, is_escaped });
        }
    }

    /// Adds an address and its port: `10.0.0.1:80`, `[::1]:80`, `::1`, `a.b`.
    pub(super) fn add_address(
        &mut self,
        line: &str,
        keys: (&'static str, Option<&'static str>),
        value: Span,
    ) {
        let (address, port) = split_port(line, value);
        self.add(line, keys.0, address);
        if let (Some(key), Some(port)) = (keys.1, port) {
            self.add(line, key, port);
        }
    }

    /// Adds what a proxy was told of its client: the list, and the first of it,
    /// else the peer, as the client.
    pub(super) fn add_forwarded(&mut self, line: &str, forwarded: Span, peer: Option<Span>) {
        self.add(line, "http.request.header.x-forwarded-for", forwarded);
        let is_given = !matches!(forwarded.of(line), "" | "-");
        let client = if is_given { Some(first_of_list(line, forwarded)) } else { peer };
        if let Some(client) = client {
            self.add_address(line, ("client.address", None), client);
        }
    }

    /// Adds what a request line says: `GET /a?b=c HTTP/1.1`. Of what is none,
    /// as scanners send it, nothing: it stands in the body.
    pub(super) fn add_request(&mut self, line: &str, (request, is_escaped): (Span, bool)) {
        let start = request.range().start;
        let text = request.of(line);
        let Some((method, rest)) = text.split_once(' ') else { return };
        let (target, version) = match rest.rsplit_once(' ') {
            Some((target, protocol)) => match protocol.strip_prefix("HTTP/") {
                Some(version) => (target, version),
                None => return,
            },
            // HTTP/0.9 says no version.
            None => (rest, ""),
        };
        let is_method = (1..=24).contains(&method.len())
            && method.bytes().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_'));
        if !is_method || method == "-" {
            return;
        }
        let mut add = |key: &'static str, from: usize, length: usize| {
            let value = Span::new(start + from, start + from + length);
            self.add_quoted(line, key, (value, is_escaped));
        };
        add("http.request.method", 0, method.len());
        let target_at = method.len() + 1;
        match target.split_once('?') {
            _ if !target.starts_with('/') => add("url.original", target_at, target.len()),
            Some((path, query)) => {
                add("url.path", target_at, path.len());
                add("url.query", target_at + path.len() + 1, query.len());
            }
            None => add("url.path", target_at, target.len()),
        }
        add("network.protocol.version", text.len() - version.len(), version.len());
    }
}

/// An address without its port and brackets, and the port.
fn split_port(line: &str, value: Span) -> (Span, Option<Span>) {
    let range = value.range();
    let text = value.of(line);
    let (from, host) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => (1, host),
        // Several colons and no brackets: IPv6 alone.
        None if text.bytes().filter(|byte| *byte == b':').count() != 1 => (0, text),
        None => (0, text.split(':').next().unwrap_or(text)),
    };
    let host_start = range.start + from;
    let host_end = host_start + host.len();
    let after = host_end + from;
    let port = line.get(after..range.end).and_then(|rest| rest.strip_prefix(':'));
    let is_port =
        |port: &&str| (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    match port {
        Some(port) if is_port(&port) => {
            (Span::new(host_start, host_end), Some(Span::new(range.end - port.len(), range.end)))
        }
        Some(_) => (value, None),
        None => (Span::new(host_start, host_end), None),
    }
}

/// The first address of a list: `10.0.0.1, 10.0.0.2`.
fn first_of_list(line: &str, list: Span) -> Span {
    let start = list.range().start;
    let first = list.of(line).split(',').next().unwrap_or_default();
    let trimmed = first.trim_ascii();
    let start = start + (first.len() - first.trim_ascii_start().len());
    Span::new(start, start + trimmed.len())
}

/// Digits, dots and colons, as addresses have them, several with commas.
pub(super) fn is_addresses(text: &str) -> bool {
    let is_part =
        |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':' | b',' | b' ' | b'[' | b']');
    text.bytes().all(is_part) && text.bytes().any(|byte| matches!(byte, b'.' | b':'))
}

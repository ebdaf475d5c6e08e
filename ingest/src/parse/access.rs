//! Accesses in the common and the combined log format, as nginx, Apache and many
//! other servers write them.
//!
//! ```text
//! 10.0.0.7 - ann [10/Oct/2000:13:55:36 -0700] "GET /a?b=c HTTP/1.1" 200 2326
//! ... 200 2326 "https://a.b/" "curl/8.5"
//! ```
//!
//! What stands behind the combined format is free: servers are configured to
//! append to it. Of what is appended, the forms that nginx and the ingress
//! controller of Kubernetes ship with are known.

use super::beside::{Beside, is_addresses};
use super::cursor::Cursor;
use super::field::Span;
use super::time::{self, Reading};

/// How far into a line the time of an access is looked for.
const TIME_BYTES: usize = 256;

/// How many brackets may open before it: an address of IPv6 can stand in some.
const BRACKETS_MAX: usize = 2;

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
    memchr::memchr_iter(b'[', start).take(BRACKETS_MAX).find(|open| {
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

/// A field ends where a space or the line's end is.
fn ends_field(cursor: &Cursor<'_>) -> Option<()> {
    matches!(cursor.rest().as_bytes().first(), None | Some(b' ')).then_some(())
}

fn is_decimal(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'.'
}

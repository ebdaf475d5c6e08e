//! Lines without a structure of their own: the body is the line, and what is
//! read from it stands beside.
//!
//! A line with an exception has its trace as attribute `exception.stacktrace`,
//! and what stands before it as its body: side by side, with a layout that joins
//! them again, so that a trace is stored once.

use weir_proto::model::flags;
use weir_proto::wire::layout::Quoting;

use super::exception::{self, Exception};
use super::field::Span;
use super::shape::{Filling, Place};
use super::time::Reading;
use super::{Exact, LineParser, Parser, Row, access, ansi, envoy, plain, recycle, server_error, time, trace};
use crate::columns::Columns;

impl LineParser {
    pub(super) fn plain_row(&mut self, mut row: Row<'_>, parser: Parser, columns: &mut Columns) {
        let line = row.text;
        // Time, severity and ids are read without colours; the body keeps them.
        let text = ansi::strip(line);
        let first = first_line(&text);
        let access = self.access(line, parser);
        let is_access = access.is_some();
        let reading = access.or_else(|| time::read_start(&text, row.line.observed_micros));
        // A request has no severity; words in it have nothing to say.
        let found = if is_access {
            None
        } else {
            plain::severity(first, reading.as_ref().map_or(0, |reading| reading.length))
        };
        let instant = row.instant(reading.as_ref());
        columns.severity_text.push_optional(found.and_then(|found| found.text));
        columns.severity_number.push(found.map(|found| found.number));
        trace::find(first).push(columns);
        self.beside.push_to(line, columns);
        let mut places: Vec<Place<'_>> = recycle(std::mem::take(&mut self.places));
        let exception = if first.len() < text.len() { exception::find(line) } else { None };
        match &exception {
            Some(exception) => push_split(exception, line, 0, &mut places, columns),
            None => columns.body.push(line),
        }
        // A line that is too deep is plain: its body is the line.
        let kept = if exception.is_some() {
            Exact::Layout(&places, Quoting::Raw)
        } else if row.flags & flags::INVALID_UTF8 != 0 {
            Exact::Bytes
        } else {
            Exact::Body
        };
        self.end_row(&row, instant, &kept, columns);
        self.places = recycle(places);
    }

    /// The time of a line that says of a request, whose attributes are then in
    /// `self.beside`. Those of a server's errors are there, too: their time is
    /// read as that of any line.
    fn access<'a>(&mut self, line: &'a str, parser: Parser) -> Option<Reading<'a>> {
        self.beside.clear();
        let (is_server, is_envoy) = match parser {
            Parser::Auto => (true, true),
            Parser::WebServer => (true, false),
            Parser::Envoy => (false, true),
            _ => return None,
        };
        match line.as_bytes() {
            [b'[', b'0'..=b'9', ..] if is_envoy => {
                let reading = envoy::read(line, &mut self.beside);
                self.keep_beside(reading.is_some());
                reading
            }
            [b'[', b'A'..=b'Z', ..] if is_server => {
                let is_error = server_error::read_apache(line, &mut self.beside);
                self.keep_beside(is_error);
                None
            }
            [b'0'..=b'9', _, _, _, b'/', ..] if is_server => {
                let is_error = server_error::read_nginx(line, &mut self.beside);
                self.keep_beside(is_error);
                None
            }
            // Dates are not what an access begins with.
            [b'0'..=b'9', _, _, _, b'-', ..] => None,
            _ if is_server => {
                let reading = access::read(line, &mut self.beside);
                self.keep_beside(reading.is_some());
                reading
            }
            _ => None,
        }
    }

    /// What was found before it showed that the line is of another format is
    /// let go of.
    fn keep_beside(&mut self, is_read: bool) {
        if !is_read {
            self.beside.clear();
        }
    }
}

/// What stands before the first line feed: most events are of one line, and are
/// searched for one only once.
pub(super) fn first_line(text: &str) -> &str {
    memchr::memchr(b'\n', text.as_bytes()).map_or(text, |end| &text[..end])
}

/// Appends body and trace of a text that begins at `from` in its line, and what
/// was thrown.
pub(super) fn push_split<'a>(
    exception: &Exception<'_>,
    line: &'a str,
    from: usize,
    places: &mut Vec<Place<'a>>,
    columns: &mut Columns,
) {
    let text = &line[from..];
    let before = text[..exception.start].trim_end_matches(['\n', '\r']);
    if before.trim().is_empty() {
        columns.body.push(text[exception.head.clone()].trim_end());
    } else {
        columns.body.push(before);
        places.push(place(from, from + before.len(), Filling::Body));
    }
    // Blank lines at the beginning belong to the layout, where there is no body.
    let entry = columns.attributes.open_entries().count();
    columns.attributes.keys.push(exception::STACKTRACE);
    columns.attributes.values.push(&text[exception.start..]);
    let entry = u32::try_from(entry).unwrap_or(u32::MAX);
    places.push(place(from + exception.start, line.len(), Filling::Attribute(entry)));
    push_thrown(exception.kind.as_deref(), exception.message, columns);
}

/// Appends type and message.
pub(super) fn push_thrown(kind: Option<&str>, message: Option<&str>, columns: &mut Columns) {
    for (key, value) in [(exception::TYPE, kind), (exception::MESSAGE, message)] {
        if let Some(value) = value
            && columns.attributes.open_entries().all(|(held, _)| held != key)
        {
            columns.attributes.keys.push(key);
            columns.attributes.values.push(&ansi::strip(value));
        }
    }
}

fn place(start: usize, end: usize, filling: Filling<'_>) -> Place<'_> {
    Place { span: Span::new(start, end), filling, is_quoted: false }
}

//! Structured lines: which field fills which column.

use weir_proto::wire::layout::{LineParts, Quoting};

use super::field::{Field, Kind, Role, role};
use super::shape::{Filling, Place};
use super::time::{self, Reading, Spelling};
use super::{LineParser, Row, escape, severity};
use crate::columns::{Columns, TextColumn};

/// Digits of a trace id and of a span id.
const TRACE_ID_DIGITS: usize = 32;
const SPAN_ID_DIGITS: usize = 16;

/// How the line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    Json,
    Logfmt,
}

/// The fields that fill columns of their own, by position in the list.
#[derive(Default)]
struct Roles<'a> {
    message: Choice<()>,
    severity: Choice<()>,
    time: Choice<Reading<'a>>,
    trace_id: Choice<()>,
    span_id: Choice<()>,
}

/// The field with the lowest rank so far.
struct Choice<T>(Option<(u8, usize, T)>);

impl<T> Default for Choice<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Choice<T> {
    fn is_better(&self, rank: u8) -> bool {
        self.0.as_ref().is_none_or(|(held, ..)| rank < *held)
    }

    fn offer(&mut self, rank: u8, index: usize, value: Option<T>) {
        if let Some(value) = value
            && self.is_better(rank)
        {
            self.0 = Some((rank, index, value));
        }
    }

    fn is(&self, index: usize) -> bool {
        self.0.as_ref().is_some_and(|(_, held, _)| *held == index)
    }
}

impl LineParser {
    /// Adds the row of a line whose fields have been listed.
    pub(super) fn structured_row(&mut self, row: &mut Row<'_>, syntax: Syntax, columns: &mut Columns) {
        let text = row.text;
        let roles = choose(&self.fields, text, row.line.observed_micros);
        let mut places: Vec<Place<'_>> = recycle(std::mem::take(&mut self.places));
        let mut has_escapes = false;
        let (mut message, mut severity, mut trace_id, mut span_id) = (None, None, None, None);
        let mut attributes = 0;
        for (index, field) in self.fields.iter().enumerate() {
            if field.kind == Kind::Null {
                continue;
            }
            has_escapes |= field.escaped;
            let filling = if roles.message.is(index) {
                message = Some(field);
                Filling::Body
            } else if roles.severity.is(index) {
                severity = Some(field);
                Filling::SeverityText
            } else if roles.trace_id.is(index) {
                trace_id = Some(field);
                Filling::TraceId
            } else if roles.span_id.is(index) {
                span_id = Some(field);
                Filling::SpanId
            } else if let Some(spelling) = roles.spelled_time(index) {
                Filling::Timestamp(spelling)
            } else {
                push(&mut columns.attributes.keys, field.key.of(text), field.key_escaped);
                push(&mut columns.attributes.values, field.value.of(text), field.escaped);
                attributes += 1;
                Filling::Attribute(attributes - 1)
            };
            places.push(Place { span: field.value, filling, is_quoted: field.kind == Kind::Quoted });
        }
        let reading = roles.time.0.as_ref().map(|(_, _, reading)| reading);
        let instant = row.instant(reading);
        match severity {
            Some(field) => push(&mut columns.severity_text, field.value.of(text), field.escaped),
            None => columns.severity_text.push_optional(None),
        }
        let number = columns.severity_text.last().and_then(|text| severity::of_value(text.as_bytes()));
        columns.severity_number.push(number);
        columns.trace_id.push_optional(trace_id.map(|field| field.value.of(text)));
        columns.span_id.push_optional(span_id.map(|field| field.value.of(text)));
        match message {
            Some(field) => push(&mut columns.body, field.value.of(text), field.escaped),
            None => columns.body.push(text),
        }
        let mut layout = None;
        if message.is_some() && !row.keeps_bytes() {
            let mut entries: Vec<(&str, &str)> = recycle(std::mem::take(&mut self.parts));
            entries.extend(columns.attributes.open_entries());
            let parts = LineParts {
                body: columns.body.last().unwrap_or_default(),
                severity_text: columns.severity_text.last(),
                trace_id: columns.trace_id.last(),
                span_id: columns.span_id.last(),
                timestamp_micros: instant.micros,
                timestamp_nanos: instant.nanos,
                attributes: &entries,
            };
            let quoting = if has_escapes { dialect(text, syntax) } else { Quoting::Json };
            layout = self.layouts.find(text, &places, quoting, &parts);
            self.parts = recycle(entries);
        }
        self.places = recycle(places);
        // Without a message the body is the line already.
        let is_body = message.is_none() && !row.keeps_bytes();
        let keeps_bytes = layout.is_none() && !is_body;
        columns.body_raw.push(keeps_bytes.then_some(row.line.text));
        columns.layout_id.push(layout.map(|layout| layout.0));
        columns.attributes.end_row();
        columns.end_row(row.line, instant, row.flags);
    }
}

impl<'a> Roles<'a> {
    /// The spelling of the time, if this field is it and it can be written
    /// again; otherwise the field stays an attribute.
    fn spelled_time(&self, index: usize) -> Option<Spelling<'a>> {
        let (_, held, reading) = self.time.0.as_ref()?;
        reading.spelling.filter(|_| *held == index)
    }
}

fn choose<'a>(fields: &[Field], text: &'a str, observed_micros: i64) -> Roles<'a> {
    let mut roles = Roles::default();
    for (index, field) in fields.iter().enumerate() {
        if field.key_escaped {
            continue;
        }
        let Some((role, rank)) = role(field.key.of(text)) else { continue };
        let value = field.value.of(text);
        let is_text = matches!(field.kind, Kind::Quoted | Kind::Word);
        let is_scalar = is_text || field.kind == Kind::Number;
        match role {
            Role::Message => roles.message.offer(rank, index, is_text.then_some(())),
            Role::Severity => roles.severity.offer(rank, index, is_scalar.then_some(())),
            Role::Time if is_scalar && !field.escaped && roles.time.is_better(rank) => {
                roles.time.offer(rank, index, time::read_value(value, observed_micros));
            }
            Role::Time => {}
            Role::TraceId => {
                let is_id = is_text && is_id(value, TRACE_ID_DIGITS);
                roles.trace_id.offer(rank, index, is_id.then_some(()));
            }
            Role::SpanId => {
                let is_id = is_text && is_id(value, SPAN_ID_DIGITS);
                roles.span_id.offer(rank, index, is_id.then_some(()));
            }
        }
    }
    roles
}

/// Lower-case digits, not all zero: the columns are compared as text.
fn is_id(value: &str, digits: usize) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
    value.len() == digits && value.bytes().all(is_digit) && value.bytes().any(|byte| byte != b'0')
}

/// Which escaping the writer of this line used, by what it escaped. A wrong
/// guess costs the row its layout and nothing else.
fn dialect(line: &str, syntax: Syntax) -> Quoting {
    let mut rest = line;
    let mut guess = Quoting::Json;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        let escape = &rest.as_bytes()[at + 1..];
        match escape.first() {
            Some(b'x' | b'a' | b'v') if syntax == Syntax::Logfmt => return Quoting::Logfmt,
            Some(b'u') => match escape.get(1..5) {
                Some(b"003c" | b"003e" | b"0026" | b"2028" | b"2029") => guess = Quoting::JsonHtml,
                Some(b"007f") => return Quoting::JsonAscii,
                Some([b'0', b'0', b'0' | b'1', _]) => {}
                _ => return Quoting::JsonAscii,
            },
            _ => {}
        }
        // Behind the escaped character, which may be a backslash itself.
        let after = at + 1 + rest[at + 1..].chars().next().map_or(0, char::len_utf8);
        rest = &rest[after..];
    }
    guess
}

fn push(column: &mut TextColumn, value: &str, is_escaped: bool) {
    if is_escaped {
        column.push_with(|text| escape::undo(value, text));
    } else {
        column.push(value);
    }
}

/// Empties a list and keeps its allocation for entries of another lifetime:
/// collecting in place reuses it.
fn recycle<A, B>(mut list: Vec<A>) -> Vec<B> {
    list.clear();
    list.into_iter().map(|_| unreachable!("the list is empty")).collect()
}

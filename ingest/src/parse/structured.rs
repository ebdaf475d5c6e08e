//! Structured lines: which field fills which column.

mod ids;
mod thrown;

use weir_proto::wire::layout::Quoting;

use super::field::{Field, Kind, Role, Span, role};
use super::shape::{Filling, Place};
use super::time::{self, Reading, Spelling};
use super::trace::Ids;
use super::unstructured::push_thrown;
use super::{Exact, LineParser, Row, ansi, escape, exception, recycle, severity, trace};
use crate::columns::{Columns, TextColumn};
use thrown::{Form, Object, Split, Thrown};

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
    trace_id: Choice<&'a str>,
    span_id: Choice<&'a str>,
    parent: Choice<Ids<'a>>,
    exception: Choice<Form>,
    context: Choice<&'a str>,
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
        self.of(index).is_some()
    }

    /// What was read of the field, if it has the role.
    fn of(&self, index: usize) -> Option<&T> {
        self.0.as_ref().filter(|(_, held, _)| *held == index).map(|(.., value)| value)
    }

    fn value(&self) -> Option<&T> {
        self.0.as_ref().map(|(.., value)| value)
    }
}

/// Where the body comes from.
enum Body {
    /// There is no message: it is the line.
    Line,
    /// A part of the line, and whether it holds escapes.
    Field(Span, bool),
    /// The message before a trace.
    Text(String),
}

impl LineParser {
    /// Adds the row of a line whose fields have been listed.
    pub(super) fn structured_row(&mut self, row: &mut Row<'_>, syntax: Syntax, columns: &mut Columns) {
        let text = row.text;
        let roles = choose(&self.fields, text, row.line.observed_micros);
        let mut places: Vec<Place<'_>> = recycle(std::mem::take(&mut self.places));
        let mut has_escapes = false;
        let (mut body, mut severity, mut thrown) = (Body::Line, None, None);
        let (mut attributes, mut trace_entry) = (0u32, None);
        for (index, field) in self.fields.iter().enumerate() {
            if field.kind == Kind::Null {
                continue;
            }
            has_escapes |= field.escaped;
            let mut span = field.value;
            let is_quoted = field.kind == Kind::Quoted;
            let filling = if roles.message.is(index) {
                if let Some(split) = roles.split(field, text) {
                    let Split { before, trace, .. } = split;
                    places.extend(before.map(|span| Place { span, filling: Filling::Body, is_quoted }));
                    columns.attributes.keys.push(exception::STACKTRACE);
                    push(&mut columns.attributes.values, trace.of(text), field.escaped);
                    (span, body, thrown) = (trace, Body::Text(split.body), Some(split.thrown));
                    attributes += 1;
                    Filling::Attribute(attributes - 1)
                } else {
                    span = bare(field, text, syntax);
                    body = Body::Field(span, field.escaped);
                    Filling::Body
                }
            } else if roles.severity.is(index) {
                span = bare(field, text, syntax);
                severity = Some((span, field.escaped));
                Filling::SeverityText
            } else if roles.trace_id.of(index).is_some_and(|id| is_column(id, field)) {
                Filling::TraceId
            } else if roles.span_id.of(index).is_some_and(|id| is_column(id, field)) {
                Filling::SpanId
            } else if let Some(spelling) = roles.spelled_time(index) {
                Filling::Timestamp(spelling)
            } else if roles.exception.of(index) == Some(&Form::Object)
                && let Some(object) = Object::of(field, text, &mut self.nested)
            {
                object.push(&mut attributes, &mut places, columns);
                has_escapes = true;
                thrown = Some(object.thrown());
                continue;
            } else {
                if roles.exception.of(index) == Some(&Form::Trace) {
                    // One name for all; the layout has the line's own.
                    trace_entry = Some(columns.attributes.keys.len());
                    columns.attributes.keys.push(exception::STACKTRACE);
                } else {
                    push(&mut columns.attributes.keys, field.key.of(text), field.key_escaped);
                }
                push(&mut columns.attributes.values, field.value.of(text), field.escaped);
                attributes += 1;
                Filling::Attribute(attributes - 1)
            };
            places.push(Place { span, filling, is_quoted });
        }
        let instant = row.instant(roles.time.value());
        match severity {
            Some((span, is_escaped)) => push_bare(&mut columns.severity_text, span.of(text), is_escaped),
            None => {
                columns.severity_text.push_optional(None);
                false
            }
        };
        let number = columns.severity_text.last().and_then(|text| severity::of_value(text.as_bytes()));
        columns.severity_number.push(number);
        roles.ids(&mut self.nested).push(columns);
        let is_coloured = match &body {
            Body::Line => {
                columns.body.push(text);
                false
            }
            Body::Field(span, is_escaped) => {
                push_bare(&mut columns.body, span.of(text), *is_escaped || syntax == Syntax::Logfmt)
            }
            Body::Text(text) => {
                columns.body.push(text);
                false
            }
        };
        let thrown = thrown.or_else(|| {
            let trace = trace_entry.and_then(|entry| columns.attributes.values.get(entry));
            Thrown::of_field(&roles.exception, &self.fields, text, trace)
        });
        if let Some(thrown) = thrown {
            thrown.push(columns);
        }
        // Without a message the body is the line already; without its colours it
        // is no value that gives the line back.
        let kept = if matches!(body, Body::Line) && !row.keeps_bytes() {
            Exact::Body
        } else if matches!(body, Body::Line) || is_coloured {
            Exact::Bytes
        } else {
            let quoting = if has_escapes { dialect(text, syntax) } else { Quoting::Json };
            Exact::Layout(&places, quoting)
        };
        self.end_row(row, instant, &kept, columns);
        self.places = recycle(places);
    }
}

impl<'a> Roles<'a> {
    /// The spelling of the time, if this field is it and it can be written
    /// again; otherwise the field stays an attribute.
    fn spelled_time(&self, index: usize) -> Option<Spelling<'a>> {
        self.time.of(index)?.spelling
    }

    /// The message in two, if it has an exception with its trace in it and no
    /// field has one.
    fn split(&self, message: &Field, text: &str) -> Option<Split> {
        if !message.escaped || self.exception.0.is_some() {
            return None;
        }
        Split::of(message.value, text)
    }
}

fn choose<'a>(fields: &[Field], text: &'a str, observed_micros: i64) -> Roles<'a> {
    let mut roles = Roles::default();
    for (index, field) in fields.iter().enumerate() {
        if field.key_escaped {
            continue;
        }
        let key = field.key.of(text);
        let Some((role, rank)) = role(key) else { continue };
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
            Role::TraceId if is_text => roles.trace_id.offer(rank, index, ids::trace_id(key, value)),
            Role::SpanId if is_text => {
                roles.span_id.offer(rank, index, trace::is_span_id(value).then_some(value));
            }
            Role::TraceParent if is_text => roles.parent.offer(rank, index, trace::parent(value)),
            Role::TraceId | Role::SpanId | Role::TraceParent => {}
            Role::Exception => roles.exception.offer(rank, index, Form::of(field, text)),
            Role::Context => roles.context.offer(rank, index, ids::context(field, text)),
        }
    }
    roles
}

/// True when the id is all of the field's value and written as the column has
/// it; otherwise the field stays an attribute beside the column.
fn is_column(id: &str, field: &Field) -> bool {
    id.len() == field.value.len() && trace::is_lower(id)
}

/// The field's value without colours around it. JSON always escapes them.
fn bare(field: &Field, text: &str, syntax: Syntax) -> Span {
    if field.kind != Kind::Quoted || !field.escaped && syntax == Syntax::Json {
        return field.value;
    }
    let start = field.value.range().start;
    let bare = ansi::bare(field.value.of(text));
    Span::new(start + bare.start, start + bare.end)
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

pub(super) fn push(column: &mut TextColumn, value: &str, is_escaped: bool) {
    if is_escaped {
        column.push_with(|text| escape::undo(value, text));
    } else {
        column.push(value);
    }
}

/// Appends a value without the colours within it. True: there were some.
fn push_bare(column: &mut TextColumn, value: &str, may_be_coloured: bool) -> bool {
    if !may_be_coloured {
        column.push(value);
        return false;
    }
    let mut is_coloured = false;
    column.push_with(|text| {
        let start = text.len();
        escape::undo(value, text);
        let bare = ansi::strip(&text[start..]);
        if bare.len() < text.len() - start {
            let bare = bare.into_owned();
            text.truncate(start);
            text.push_str(&bare);
            is_coloured = true;
        }
    });
    is_coloured
}

//! Exceptions in structured lines: a field that has the trace, an object that
//! has type, message and trace, or a message with a trace in it.

use super::super::field::{Field, Kind, Span};
use super::super::shape::{Filling, Place};
use super::super::{escape, exception, json};
use super::{Choice, push, push_thrown};
use crate::columns::Columns;

/// What a field that is named for an exception holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The trace, in several lines.
    Trace,
    /// Type and message, in one.
    Name,
    /// An object with a trace in it.
    Object,
}

impl Form {
    pub(super) fn of(field: &Field, text: &str) -> Option<Self> {
        let value = field.value.of(text);
        match field.kind {
            Kind::Quoted if field.escaped && value.contains("\\n") => {
                // What is only called an error may be any text.
                let key = field.key.of(text);
                let is_called = key.contains("tack") || key.contains("race");
                (is_called || exception::find(&unescaped(field, text)).is_some()).then_some(Self::Trace)
            }
            Kind::Quoted if !field.escaped && exception::named(value).is_some() => Some(Self::Name),
            Kind::Other if value.starts_with('{') && (value.contains("tack") || value.contains("race")) => {
                Some(Self::Object)
            }
            _ => None,
        }
    }
}

/// What was thrown.
#[derive(Debug, Default)]
pub(super) struct Thrown {
    kind: Option<String>,
    message: Option<String>,
}

/// Names under which loggers write what was thrown into an object.
const KINDS: [&str; 7] = ["type", "name", "class", "kind", "exceptionType", "exception_class", "className"];
const MESSAGES: [&str; 3] = ["message", "msg", "localizedMessage"];
const TRACES: [&str; 7] =
    ["stack", "stack_trace", "stackTrace", "stacktrace", "extendedStackTrace", "trace", "backtrace"];

/// Names of the error's text beside a trace that does not say what was thrown,
/// as zap's does not.
const ERRORS: [&str; 3] = ["error", "err", "error.message"];

impl Thrown {
    /// What the chosen field says. `trace` is its text, where it is one.
    pub(super) fn of_field(
        choice: &Choice<Form>,
        fields: &[Field],
        text: &str,
        trace: Option<&str>,
    ) -> Option<Self> {
        let (_, index, form) = choice.0.as_ref()?;
        let value = fields.get(*index)?.value.of(text);
        match form {
            Form::Trace => Self::of_text(trace?).or_else(|| {
                let is_error =
                    |field: &&Field| field.kind == Kind::Quoted && ERRORS.contains(&field.key.of(text));
                let error = fields.iter().find(is_error)?;
                Some(Self { message: Some(unescaped(error, text)), ..Self::default() })
            }),
            Form::Name => {
                let (kind, message) = exception::named(value)?;
                Some(Self { kind: Some(kind.into()), message: message.map(Into::into) })
            }
            // Said by the object itself, if it is one.
            Form::Object => None,
        }
    }

    fn of_text(text: &str) -> Option<Self> {
        let found = exception::find(text)?;
        Some(Self { kind: found.kind.map(Into::into), message: found.message.map(Into::into) })
    }

    pub(super) fn push(&self, columns: &mut Columns) {
        push_thrown(self.kind.as_deref(), self.message.as_deref(), columns);
    }
}

/// An object with a trace: its fields stand in the line's place of it, so that the
/// trace is stored once and under its own name.
pub(super) struct Object<'a> {
    field: &'a Field,
    line: &'a str,
    fields: &'a [Field],
    trace: usize,
}

impl<'a> Object<'a> {
    /// Lists the fields of an object; none when it has no trace, or too much.
    pub(super) fn of(field: &'a Field, line: &'a str, nested: &'a mut Vec<Field>) -> Option<Self> {
        let object = field.value.of(line);
        if json::scan(object.as_bytes(), nested).ok()? {
            return None;
        }
        let is_trace = |field: &Field| {
            let is_text = field.kind == Kind::Quoted && field.escaped;
            is_text && TRACES.contains(&field.key.of(object)) && field.value.of(object).contains("\\n")
        };
        let trace = nested.iter().position(is_trace)?;
        Some(Self { field, line, fields: nested, trace })
    }

    /// Appends the fields as attributes; `entries` counts those of the row.
    pub(super) fn push<'b>(&self, entries: &mut u32, places: &mut Vec<Place<'b>>, columns: &mut Columns) {
        let object = self.field.value.of(self.line);
        let start = self.field.value.range().start;
        for (index, field) in self.fields.iter().enumerate() {
            if field.kind == Kind::Null {
                continue;
            }
            if index == self.trace {
                columns.attributes.keys.push(exception::STACKTRACE);
            } else {
                columns.attributes.keys.push_with(|key| {
                    escape::undo(self.field.key.of(self.line), key);
                    key.push('.');
                    escape::undo(field.key.of(object), key);
                });
            }
            push(&mut columns.attributes.values, field.value.of(object), field.escaped);
            let value = field.value.range();
            let span = Span::new(start + value.start, start + value.end);
            let filling = Filling::Attribute(*entries);
            places.push(Place { span, filling, is_quoted: field.kind == Kind::Quoted });
            *entries += 1;
        }
    }

    /// What it says was thrown.
    pub(super) fn thrown(&self) -> Thrown {
        let object = self.field.value.of(self.line);
        let value = |names: &[&str]| {
            let is_named =
                |field: &&Field| field.kind == Kind::Quoted && names.contains(&field.key.of(object));
            self.fields.iter().find(is_named).map(|field| unescaped(field, object))
        };
        let found = Thrown::of_text(&unescaped(&self.fields[self.trace], object)).unwrap_or_default();
        Thrown { kind: value(&KINDS).or(found.kind), message: value(&MESSAGES).or(found.message) }
    }
}

/// A message in two: what stands before the trace, and the trace.
#[derive(Debug)]
pub(super) struct Split {
    /// Where the body stands in the line, if anything is before the trace.
    pub(super) before: Option<Span>,
    pub(super) trace: Span,
    pub(super) body: String,
    pub(super) thrown: Thrown,
}

impl Split {
    /// The message of which `value` is the escaped text in the line.
    pub(super) fn of(value: Span, line: &str) -> Option<Self> {
        let escaped = value.of(line);
        memchr::memmem::find(escaped.as_bytes(), b"\\n")?;
        let mut text = String::with_capacity(escaped.len());
        escape::undo(escaped, &mut text);
        let found = exception::find(&text)?;
        let thrown = Thrown { kind: found.kind.map(Into::into), message: found.message.map(Into::into) };
        let before = text[..found.start].trim_end_matches(['\n', '\r']);
        if before.trim().is_empty() {
            let body = text[found.head].trim_end().to_owned();
            return Some(Self { before: None, trace: value, body, thrown });
        }
        let start = value.range().start;
        let lines = |text: &str| memchr::memchr_iter(b'\n', text.as_bytes()).count();
        let (mut end, _) = line_end(escaped, lines(before))?;
        if escaped[..end].ends_with("\\r") && !escaped[..end].ends_with("\\\\r") {
            end -= "\\r".len();
        }
        let (_, from) = line_end(escaped, lines(&text[..found.start]).checked_sub(1)?)?;
        let mut body = String::with_capacity(end);
        escape::undo(&escaped[..end], &mut body);
        let trace = Span::new(start + from, value.range().end);
        Some(Self { before: Some(Span::new(start, start + end)), trace, body, thrown })
    }
}

/// Where the escaped line feed number `count`, from 0, begins and ends.
fn line_end(escaped: &str, count: usize) -> Option<(usize, usize)> {
    let bytes = escaped.as_bytes();
    let (mut at, mut seen) = (0, 0);
    loop {
        at += memchr::memchr(b'\\', bytes.get(at..)?)?;
        if bytes.get(at + 1) == Some(&b'n') {
            if seen == count {
                return Some((at, at + 2));
            }
            seen += 1;
        }
        at += 2;
    }
}

fn unescaped(field: &Field, line: &str) -> String {
    let value = field.value.of(line);
    let mut text = String::with_capacity(value.len());
    escape::undo(value, &mut text);
    text
}

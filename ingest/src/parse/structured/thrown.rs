//! Exceptions in structured lines: a field that has the trace, an object that
//! has type, message and trace, or a message with a trace in it.

use super::super::field::{Field, Kind, Span};
use super::super::{escape, exception, json};
use super::{Choice, push_thrown};
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
            Kind::Quoted if field.escaped && value.contains("\\n") => Some(Self::Trace),
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
    /// Where no attribute is the trace already.
    trace: Option<String>,
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
        nested: &mut Vec<Field>,
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
                Some(Self { kind: Some(kind.into()), message: message.map(Into::into), trace: None })
            }
            Form::Object => Self::of_object(value, nested),
        }
    }

    fn of_text(text: &str) -> Option<Self> {
        let found = exception::find(text)?;
        Some(Self { kind: found.kind.map(Into::into), message: found.message.map(Into::into), trace: None })
    }

    fn of_object(object: &str, nested: &mut Vec<Field>) -> Option<Self> {
        json::scan(object.as_bytes(), nested).ok()?;
        let value = |names: &[&str]| {
            let is_named =
                |field: &&Field| field.kind == Kind::Quoted && names.contains(&field.key.of(object));
            nested.iter().find(is_named).map(|field| unescaped(field, object))
        };
        let trace = value(&TRACES).filter(|trace| trace.contains('\n'))?;
        let found = Self::of_text(&trace).unwrap_or_default();
        let kind = value(&KINDS).or(found.kind);
        let message = value(&MESSAGES).or(found.message);
        Some(Self { kind, message, trace: Some(trace) })
    }

    pub(super) fn push(&self, columns: &mut Columns) {
        if let Some(trace) = &self.trace {
            columns.attributes.keys.push(exception::STACKTRACE);
            columns.attributes.values.push(trace);
        }
        push_thrown(self.kind.as_deref(), self.message.as_deref(), columns);
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
        let thrown =
            Thrown { kind: found.kind.map(Into::into), message: found.message.map(Into::into), trace: None };
        let before = text[..found.start].trim_end_matches(['\n', '\r']);
        if before.trim().is_empty() {
            let body = text[found.head].trim_end().to_owned();
            return Some(Self { before: None, trace: value, body, thrown });
        }
        let start = value.range().start;
        let lines = |text: &str| memchr::memchr_iter(b'\n', text.as_bytes()).count();
        let (end, _) = line_end(escaped, lines(before))?;
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

//! Exceptions in texts of several lines: their type, their message, and where
//! their trace begins.
//!
//! The first line that only stands in a trace tells the language; what was
//! thrown is then looked for where that language writes it. Of a chain it is
//! the outermost: what OpenTelemetry wants in `exception.type`. A trace that
//! does not say what was thrown is none: a rest that was cut off, a dump of
//! threads.

mod frames;
mod go;
mod name;
mod python;
mod script;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

/// Names of the attributes.
pub(super) const TYPE: &str = "exception.type";
pub(super) const MESSAGE: &str = "exception.message";
pub(super) const STACKTRACE: &str = "exception.stacktrace";

/// Lines of a text that are looked at. The agent joins no more into one event.
const LINES_MAX: usize = 2048;

/// An exception that was found in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Exception<'a> {
    pub(super) kind: Option<Cow<'a, str>>,
    pub(super) message: Option<&'a str>,
    /// Where its trace begins, which goes on to the end of the text: the start
    /// of a line.
    pub(super) start: usize,
    /// The line, or lines, that say what was thrown.
    pub(super) head: Range<usize>,
}

/// Looks for an exception in a text of several lines.
pub(super) fn find(text: &str) -> Option<Exception<'_>> {
    let lines = Lines::of(text);
    let (at, sign) = lines.all.iter().enumerate().find_map(|(at, line)| Some((at, sign(line.text)?)))?;
    let exception = match sign {
        Sign::At => frames::find(&lines, at),
        Sign::Python => python::find(&lines, at),
        Sign::Go => go::find(&lines, at),
        Sign::Ruby => script::ruby(&lines, at),
        Sign::Php => script::php(&lines, at),
        Sign::Numbered => script::dart(&lines, at).or_else(|| script::php(&lines, at)),
        Sign::Rust => script::rust(&lines, at),
        Sign::Elixir => script::elixir(&lines, at),
        Sign::Causes => script::causes(&lines, at),
    };
    exception.filter(|exception| exception.kind.is_some() || exception.message.is_some())
}

/// Type and message of a text of one line that says nothing else:
/// `java.io.IOException: no`.
pub(super) fn named(text: &str) -> Option<(&str, Option<&str>)> {
    let name = name::at_start(text, name::Accept::Endings)?;
    Some((&text[name.kind.clone()], name.message.clone().map(|message| text[message].trim())))
}

/// What only stands in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    /// `at` and a place: Java, .NET, Node.
    At,
    Python,
    Go,
    Ruby,
    Php,
    /// `#0`: PHP or Dart.
    Numbered,
    Rust,
    Elixir,
    /// Causes one below the other: anyhow, eyre.
    Causes,
}

fn sign(line: &str) -> Option<Sign> {
    let text = line.trim_start_matches([' ', '\t']);
    let is_indented = text.len() < line.len();
    let starts = |start: &str| text.starts_with(start);
    match text.as_bytes().first()? {
        b'a' if is_indented && starts("at ") && is_place(text) => Some(Sign::At),
        b'.' if is_indented && starts("... ") && (text.ends_with(" more") || text.ends_with("omitted")) => {
            Some(Sign::At)
        }
        b'C' if starts("Caused by: ") => Some(Sign::At),
        b'C' if text == "Caused by:" => Some(Sign::Causes),
        b'F' if is_indented && python::is_frame(text) => Some(Sign::Python),
        b'+' if python::is_group(text) => Some(Sign::Python),
        b'g' if go::is_goroutine(text) => Some(Sign::Go),
        b't' if starts("thread '") && text.contains(" panicked at ") => Some(Sign::Rust),
        b'S' if starts("Stack trace:") => Some(Sign::Php),
        b'[' if text == "[stacktrace]" => Some(Sign::Php),
        b'#' if starts("#0 ") => Some(Sign::Numbered),
        b'*' if starts("** (") => Some(Sign::Elixir),
        _ if text.contains(python::TRACEBACK) => Some(Sign::Python),
        _ if script::ruby_place(text).is_some() => Some(Sign::Ruby),
        _ => None,
    }
}

/// A place in code stands in parentheses or ends in a line's number.
fn is_place(text: &str) -> bool {
    text.contains('(') || text.ends_with(|last: char| last.is_ascii_digit())
}

/// A text by its lines.
struct Lines<'a> {
    text: &'a str,
    all: Vec<Line<'a>>,
}

#[derive(Clone, Copy, Debug)]
struct Line<'a> {
    /// Where it stands in the text.
    start: usize,
    /// Without its end.
    text: &'a str,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let mut start = 0;
        let line = |line: &'a str| {
            let line_start = start;
            start += line.len() + 1;
            Line { start: line_start, text: line.strip_suffix('\r').unwrap_or(line) }
        };
        Self { text, all: text.split('\n').take(LINES_MAX).map(line).collect() }
    }

    fn before(&self, at: usize) -> &[Line<'a>] {
        self.all.get(..at).unwrap_or_default()
    }

    fn from(&self, at: usize) -> &[Line<'a>] {
        self.all.get(at..).unwrap_or_default()
    }

    /// Where the line before this one ends; where this one begins when there is
    /// none.
    fn end_before(&self, at: usize) -> usize {
        let before = at.checked_sub(1).and_then(|at| self.all.get(at));
        before.map_or(0, |line| line.start + line.text.len())
    }

    /// The text in a range, without blanks around it; none when it is empty.
    fn message(&self, range: Range<usize>) -> Option<&'a str> {
        let text = self.text.get(range)?.trim();
        (!text.is_empty()).then_some(text)
    }
}

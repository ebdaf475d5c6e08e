//! From lines to columns.
//!
//! Sketch: a 300 B JSON line is validated and taken apart in one pass, its
//! values are copied once into the columns, and it is rebuilt and compared
//! once: three passes over memory that is in cache. No allocation per line.
//!
//! Parsing never refuses a line. What is not structured is plain; what does not
//! rebuild byte for byte keeps its bytes in `body_raw`. `docs/parsing.md` says
//! what becomes of which format.
//!
//! One format, one module: it says of a line what is where, or that the line is
//! of another format. A format is told by its first bytes where it can be, so that
//! a plain line pays for few of them; exceptions are only looked for in texts of
//! several lines.

mod access;
mod ansi;
mod beside;
mod cursor;
mod envoy;
mod escape;
mod exception;
mod field;
mod json;
mod klog;
mod logfmt;
mod plain;
mod server_error;
mod severity;
mod shape;
mod structured;
mod time;
mod trace;
mod unstructured;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use weir_proto::model::{LayoutId, flags};
use weir_proto::wire::batch::Line;
use weir_proto::wire::layout::{LineParts, Quoting};

use crate::columns::Columns;
use beside::Beside;
use field::Field;
use shape::{Layouts, Place};

pub(crate) use time::Instant;

/// What a source's lines are taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parser {
    /// Told apart by its shape, line by line.
    Auto,
    /// JSON or plain.
    Json,
    /// logfmt or plain.
    Logfmt,
    /// klog, glog or plain.
    Klog,
    /// What nginx and Apache write of accesses and errors, or plain.
    WebServer,
    /// Envoy's and Istio's accesses, or plain.
    Envoy,
    /// Plain.
    Plain,
}

impl Parser {
    /// The parser of a name in a batch. An unknown name is [`Self::Auto`]: every
    /// parser falls back to plain, so a guess loses nothing.
    pub(crate) fn of_name(name: &str) -> Self {
        match name {
            "json" => Self::Json,
            "logfmt" => Self::Logfmt,
            "klog" | "glog" => Self::Klog,
            "nginx" | "apache" => Self::WebServer,
            "envoy" | "istio" => Self::Envoy,
            "plain" | "none" => Self::Plain,
            _ => Self::Auto,
        }
    }
}

/// Parses the lines of one partition. Holds what is reused between lines.
#[derive(Debug, Default)]
pub(crate) struct LineParser {
    fields: Vec<Field>,
    /// Those of an object within a field.
    nested: Vec<Field>,
    beside: Beside,
    places: Vec<Place<'static>>,
    parts: Vec<(&'static str, &'static str)>,
    layouts: Layouts,
}

impl LineParser {
    /// Adds a line to the columns as one row. Its severity number, if known.
    pub(crate) fn parse(&mut self, line: &Line<'_>, parser: Parser, columns: &mut Columns) -> Option<i16> {
        let text = match std::str::from_utf8(line.text) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(line.text),
        };
        let mut row = Row { line, text: &text, flags: line.flags };
        if matches!(text, Cow::Owned(_)) {
            row.flags |= flags::INVALID_UTF8;
        }
        let is_taken = self.structured(&mut row, parser, columns)
            || matches!(parser, Parser::Auto | Parser::Klog) && self.klog(&mut row, columns);
        if !is_taken {
            self.plain_row(row, parser, columns);
        }
        columns.severity_number.last()
    }

    /// The layouts that rows since the last call name, each once.
    pub(crate) fn take_layouts(&mut self) -> Vec<(LayoutId, Arc<str>)> {
        self.layouts.take_used()
    }

    /// Adds the row if its line is structured.
    fn structured(&mut self, row: &mut Row<'_>, parser: Parser, columns: &mut Columns) -> bool {
        let bytes = row.text.as_bytes();
        let is_object = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
        let (syntax, limited) = match parser {
            Parser::Auto | Parser::Json if is_object => match json::scan(bytes, &mut self.fields) {
                Ok(limited) => (structured::Syntax::Json, limited),
                Err(json::Refused::Syntax) => return false,
                Err(json::Refused::TooDeep) => {
                    row.flags |= flags::LIMITED;
                    return false;
                }
            },
            Parser::Auto | Parser::Logfmt if !is_object => match logfmt::scan(bytes, &mut self.fields) {
                Some(limited) => (structured::Syntax::Logfmt, limited),
                None => return false,
            },
            _ => return false,
        };
        if limited {
            row.flags |= flags::LIMITED;
        }
        self.structured_row(row, syntax, columns);
        true
    }

    /// Ends a row whose values have been appended, but for what gives its exact
    /// line back.
    fn end_row(&mut self, row: &Row<'_>, instant: Instant, exact: &Exact<'_>, columns: &mut Columns) {
        let layout = match exact {
            Exact::Layout(places, quoting) if !row.keeps_bytes() => {
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
                let layout = self.layouts.find(row.text, places, *quoting, &parts);
                self.parts = recycle(entries);
                layout
            }
            _ => None,
        };
        let keeps_bytes = layout.is_none() && !matches!(exact, Exact::Body);
        columns.body_raw.push(keeps_bytes.then_some(row.line.text));
        columns.layout_id.push(layout.map(|layout| layout.0));
        columns.attributes.end_row();
        columns.end_row(row.line, instant, row.flags);
    }
}

/// What gives the exact line back.
enum Exact<'a> {
    /// The body is the line.
    Body,
    /// A layout of these places, if it does.
    Layout(&'a [Place<'a>], Quoting),
    /// Only its bytes.
    Bytes,
}

/// A line on its way to a row.
struct Row<'a> {
    line: &'a Line<'a>,
    /// Its text, lossy where it is not UTF-8.
    text: &'a str,
    flags: i32,
}

impl Row<'_> {
    /// True when only the bytes themselves give the line back.
    fn keeps_bytes(&self) -> bool {
        self.flags & (flags::INVALID_UTF8 | flags::LIMITED) != 0
    }

    /// The row's instant, from the line's own time if there is one, else from
    /// the framing's, else from when it was observed.
    fn instant(&mut self, own: Option<&time::Reading<'_>>) -> Instant {
        if let Some(reading) = own {
            self.flags |= reading.assumed;
            return reading.instant;
        }
        if let Some(nanos) = self.line.timestamp_nanos {
            return Instant::from_nanos(nanos);
        }
        self.flags |= flags::TIME_ASSUMED;
        Instant { micros: self.line.observed_micros, nanos: 0 }
    }
}

/// Empties a list and keeps its allocation for entries of another lifetime:
/// collecting in place reuses it.
fn recycle<A, B>(mut list: Vec<A>) -> Vec<B> {
    list.clear();
    list.into_iter().map(|_| unreachable!("the list is empty")).collect()
}

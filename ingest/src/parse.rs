//! From lines to columns.
//!
//! Sketch: a 300 B JSON line is validated and taken apart in one pass, its
//! values are copied once into the columns, and it is rebuilt and compared
//! once: three passes over memory that is in cache. No allocation per line.
//!
//! Parsing never refuses a line. What is not structured is plain; what does not
//! rebuild byte for byte keeps its bytes in `body_raw`.

mod ansi;
mod escape;
mod field;
mod json;
mod logfmt;
mod plain;
mod severity;
mod shape;
mod structured;
mod time;
mod trace;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use weir_proto::model::{LayoutId, flags};
use weir_proto::wire::batch::Line;

use crate::columns::Columns;
use field::Field;
use shape::{Layouts, Place};

pub(crate) use time::Instant;

/// What a source's lines are taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parser {
    /// JSON if it starts with `{`, else logfmt, else plain.
    Auto,
    /// JSON or plain.
    Json,
    /// logfmt or plain.
    Logfmt,
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
            "plain" | "none" => Self::Plain,
            _ => Self::Auto,
        }
    }
}

/// Parses the lines of one partition. Holds what is reused between lines.
#[derive(Debug, Default)]
pub(crate) struct LineParser {
    fields: Vec<Field>,
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
        if !self.structured(&mut row, parser, columns) {
            plain_row(row, columns);
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

fn plain_row(mut row: Row<'_>, columns: &mut Columns) {
    // Time, severity and ids are read without colours; the body keeps them.
    let text = ansi::strip(row.text);
    let reading = time::read_start(&text, row.line.observed_micros);
    let found = plain::severity(&text, reading.as_ref().map_or(0, |reading| reading.length));
    let instant = row.instant(reading.as_ref());
    columns.severity_text.push_optional(found.and_then(|found| found.text));
    columns.severity_number.push(found.map(|found| found.number));
    columns.body.push(row.text);
    // A line that is too deep is plain: its body is the line.
    let is_lossy = row.flags & flags::INVALID_UTF8 != 0;
    columns.body_raw.push(is_lossy.then_some(row.line.text));
    columns.layout_id.push(None);
    trace::find(&text).push(columns);
    columns.attributes.end_row();
    columns.end_row(row.line, instant, row.flags);
}

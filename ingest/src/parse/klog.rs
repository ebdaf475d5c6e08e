//! klog and glog: `I1127 10:11:12.123456   12345 file.go:123] message`, and
//! klog's structured form, `... file.go:123] "message" key="value"`.
//!
//! The header fills columns and attributes, the message is the body, and a
//! layout has what is between. The time has no format of layouts: it is kept as
//! attribute `time`.

use weir_proto::limit::{FIELD_NAME_BYTES_MAX, FIELDS_MAX};

use weir_proto::model::flags;
use weir_proto::wire::layout::Quoting;

use super::cursor::Cursor;
use super::field::{Field, Kind, Span};
use super::shape::{Filling, Place};
use super::structured::push;
use super::time::{self, Reading};
use super::unstructured::{first_line, push_split};
use super::{Exact, LineParser, Row, exception, logfmt, recycle, severity, trace};
use crate::columns::Columns;

impl LineParser {
    /// Adds the row if its line has a header of klog's.
    pub(super) fn klog(&mut self, row: &mut Row<'_>, columns: &mut Columns) -> bool {
        let Some(header) = header(row.text, row.line.observed_micros) else { return false };
        let line = row.text;
        let instant = row.instant(Some(&header.reading));
        let letter = header.severity.of(line);
        columns.severity_text.push(letter);
        columns.severity_number.push(severity::of_value(letter.as_bytes()));
        let first = first_line(line);
        trace::find(first).push(columns);
        let mut places: Vec<Place<'_>> = recycle(std::mem::take(&mut self.places));
        let mut place = |span, filling, is_quoted| places.push(Place { span, filling, is_quoted });
        place(header.severity, Filling::SeverityText, false);
        let attributes = [
            ("time", header.time),
            ("thread.id", header.thread),
            ("code.file.path", header.file),
            ("code.line.number", header.line),
        ];
        for (entry, (key, value)) in (0..).zip(attributes) {
            columns.attributes.keys.push(key);
            columns.attributes.values.push(value.of(line));
            place(value, Filling::Attribute(entry), false);
        }
        if let Some((message, is_escaped, is_limited)) = structured(line, header.end, &mut self.fields) {
            if is_limited {
                row.flags |= flags::LIMITED;
            }
            push(&mut columns.body, message.of(line), is_escaped);
            place(message, Filling::Body, true);
            for (entry, field) in (4..).zip(&self.fields) {
                columns.attributes.keys.push(field.key.of(line));
                push(&mut columns.attributes.values, field.value.of(line), field.escaped);
                place(field.value, Filling::Attribute(entry), field.kind == Kind::Quoted);
            }
        } else if first.len() < line.len()
            && let Some(exception) = exception::find(&line[header.end..])
        {
            push_split(&exception, line, header.end, &mut places, columns);
        } else {
            columns.body.push(&line[header.end..]);
            place(Span::new(header.end, line.len()), Filling::Body, false);
        }
        self.end_row(row, instant, &Exact::Layout(&places, Quoting::Logfmt), columns);
        self.places = recycle(places);
        true
    }
}

/// What stands before the message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header<'a> {
    pub(super) reading: Reading<'a>,
    pub(super) severity: Span,
    pub(super) time: Span,
    pub(super) thread: Span,
    pub(super) file: Span,
    pub(super) line: Span,
    /// Where the message begins.
    pub(super) end: usize,
}

/// Digits of the fraction: both print microseconds.
const FRACTION_DIGITS: usize = 6;

/// The header of a line; none when it has none.
pub(super) fn header(line: &str, observed_micros: i64) -> Option<Header<'_>> {
    let [b'I' | b'W' | b'E' | b'F', digits @ ..] = line.as_bytes().first_chunk::<5>()? else {
        return None;
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let reading = time::read_klog(line, observed_micros)?;
    let mut cursor = Cursor::new(line);
    cursor.skip(reading.length);
    let fraction = reading.length.checked_sub(FRACTION_DIGITS + 1)?;
    if line.as_bytes()[fraction] != b'.' {
        return None;
    }
    cursor.take(" ")?;
    cursor.spaces();
    let thread = cursor.digits()?;
    cursor.take(" ")?;
    let file = cursor.some(|byte| !matches!(byte, b' ' | b':' | b']' | b'\n'))?;
    cursor.take(":")?;
    let number = cursor.digits()?;
    cursor.take("]")?;
    if !cursor.is_at_end() {
        cursor.take(" ")?;
    }
    Some(Header {
        reading,
        severity: Span::new(0, 1),
        time: Span::new(1, reading.length),
        thread,
        file,
        line: number,
        end: cursor.at(),
    })
}

/// The message of a structured line, whether it is escaped, and, in `fields`,
/// the pairs behind it. None when what stands behind the header is not all of
/// that form.
pub(super) fn structured(line: &str, from: usize, fields: &mut Vec<Field>) -> Option<(Span, bool, bool)> {
    fields.clear();
    let mut limited = false;
    let mut cursor = Cursor::new(line);
    cursor.skip(from);
    let (message, escaped) = cursor.quoted()?;
    while !cursor.is_at_end() {
        cursor.take(" ")?;
        let key = cursor.some(logfmt::is_key)?;
        cursor.take("=")?;
        let (value, kind, escaped) = match cursor.quoted() {
            Some((value, escaped)) => (value, Kind::Quoted, escaped),
            None => (value(&mut cursor)?, Kind::Word, false),
        };
        if fields.len() < FIELDS_MAX && key.len() <= FIELD_NAME_BYTES_MAX {
            fields.push(Field { key, key_escaped: false, value, kind, escaped });
        } else {
            limited = true;
        }
    }
    Some((message, escaped, limited))
}

/// A value without quotes: a word, or a list or structure in its brackets.
fn value(cursor: &mut Cursor<'_>) -> Option<Span> {
    let start = cursor.at();
    let length = match cursor.rest().as_bytes().first() {
        Some(b'[' | b'{') => bracketed(cursor.rest())?,
        _ => {
            let rest = cursor.rest();
            let length = rest.bytes().take_while(|byte| *byte != b' ').count();
            let is_word = rest.bytes().take(length).all(|byte| byte != b'"' && !byte.is_ascii_control());
            is_word.then_some(length)?
        }
    };
    cursor.skip(length);
    Some(Span::new(start, start + length))
}

/// Bytes up to the bracket that closes the first; quotes hide brackets.
fn bracketed(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut inside = Cursor::new(text);
    loop {
        match inside.rest().as_bytes().first()? {
            b'"' => {
                inside.quoted()?;
                continue;
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.checked_sub(1)?,
            byte if byte.is_ascii_control() => return None,
            _ => {}
        }
        inside.skip(inside.rest().chars().next()?.len_utf8());
        if depth == 0 {
            return Some(inside.at());
        }
    }
}

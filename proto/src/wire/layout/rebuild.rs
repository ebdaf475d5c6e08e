//! From columns back to the line.

use super::{Hole, Layout, Piece};

/// The columns of one row that a layout may ask for.
#[derive(Clone, Copy, Debug)]
pub struct LineParts<'a> {
    /// The `body` column.
    pub body: &'a str,
    /// The `severity_text` column.
    pub severity_text: Option<&'a str>,
    /// The `trace_id` column.
    pub trace_id: Option<&'a str>,
    /// The `span_id` column.
    pub span_id: Option<&'a str>,
    /// The `timestamp` column.
    pub timestamp_micros: i64,
    /// The `timestamp_nanos` column.
    pub timestamp_nanos: i16,
    /// Keys and values of the `attributes` column, in its order.
    pub attributes: &'a [(&'a str, &'a str)],
}

impl Layout {
    /// Appends the line to `line`. False when the parts do not fit the layout:
    /// a value is missing or a time cannot be written; `line` then holds a
    /// beginning that must not be used.
    pub fn rebuild(&self, parts: &LineParts<'_>, line: &mut Vec<u8>) -> bool {
        self.pieces.iter().all(|piece| match piece {
            Piece::Text(text) => {
                line.extend_from_slice(text.as_bytes());
                true
            }
            Piece::Hole { value: Hole::Timestamp(format), .. } => {
                format.write(parts.timestamp_micros, parts.timestamp_nanos, line)
            }
            Piece::Hole { value, quoting } => match parts.value(value) {
                Some(text) => {
                    quoting.write(text, line);
                    true
                }
                None => false,
            },
        })
    }
}

impl<'a> LineParts<'a> {
    fn value(&self, hole: &Hole) -> Option<&'a str> {
        match hole {
            Hole::Body => Some(self.body),
            Hole::Attribute(index) => {
                self.attributes.get(usize::try_from(*index).ok()?).map(|(_, value)| *value)
            }
            Hole::SeverityText => self.severity_text,
            Hole::TraceId => self.trace_id,
            Hole::SpanId => self.span_id,
            Hole::Timestamp(_) => None,
        }
    }
}

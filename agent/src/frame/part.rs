//! What a container's line says, whichever runtime wrote it.

use super::{Format, RawLine, Stream};

/// What a container's line says of itself.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) stream: Stream,
    pub(super) partial: bool,
    pub(super) timestamp_nanos: Option<i64>,
    pub(super) text: &'a [u8],
    /// The text is all there, so that a CR at its end belongs to its newline.
    pub(super) ended: bool,
    /// Where the text stands in the line.
    pub(super) text_at: usize,
    /// It stands there with escapes.
    pub(super) escaped: bool,
    /// The rest of a line that was cut in its middle; it has no header.
    pub(super) after_cut: bool,
}

impl<'a> Part<'a> {
    /// Not what the format promises: kept as it is, as text of stdout.
    pub(super) fn as_it_is(line: &RawLine<'a>) -> Self {
        Self {
            stream: Stream::Stdout,
            partial: false,
            timestamp_nanos: None,
            text: line.head,
            ended: line.is_ended(),
            text_at: 0,
            escaped: false,
            after_cut: false,
        }
    }

    /// Where the text's byte `at` stands in the file.
    pub(super) fn source_of(&self, line: &RawLine<'_>, at: usize) -> u64 {
        let raw = &line.head[self.text_at..];
        let inside = if self.escaped { super::docker::source_of(raw, at) } else { at };
        line.range.start + (self.text_at + inside) as u64
    }
}

/// The format that a line has, if it is one of a container.
pub(super) fn format_of(line: &[u8]) -> Option<Format> {
    let cri = super::cri::parse(line).map(|_| Format::Cri);
    cri.or_else(|| super::docker::parse(line).map(|_| Format::Docker))
}

/// What a CRI line says.
pub(super) fn cri<'a>(line: &RawLine<'a>) -> Part<'a> {
    let part = Part::as_it_is(line);
    let Some(header) = super::cri::parse(line.head) else { return part };
    Part {
        stream: header.stream,
        partial: header.partial,
        timestamp_nanos: Some(header.timestamp_nanos),
        text: &line.head[header.text_at..],
        text_at: header.text_at,
        ..part
    }
}

/// What a line of Docker's says; `scratch` takes text that has escapes.
pub(super) fn docker<'a>(line: &RawLine<'a>, scratch: &'a mut Vec<u8>) -> Part<'a> {
    let part = Part::as_it_is(line);
    let Some(found) = super::docker::parse(line.head).filter(|_| line.whole) else { return part };
    let raw = &line.head[found.text_at..found.text_end];
    let text = if found.escaped {
        scratch.clear();
        super::docker::unescape(raw, scratch);
        scratch.as_slice()
    } else {
        raw
    };
    Part {
        stream: found.stream,
        partial: found.partial,
        timestamp_nanos: Some(found.timestamp_nanos),
        text,
        ended: !found.partial,
        text_at: found.text_at,
        escaped: found.escaped,
        after_cut: false,
    }
}

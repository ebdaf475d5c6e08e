//! A field of a structured line, by position, and what its name makes of it.

use std::ops::Range;

/// A key and its value, as positions in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) key: Span,
    /// The key holds escapes.
    pub(super) key_escaped: bool,
    /// The value, without its quotes.
    pub(super) value: Span,
    pub(super) kind: Kind,
    /// The value holds escapes.
    pub(super) escaped: bool,
}

/// `[start, end)` in a line; a line is shorter than 4 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

/// How the value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Between quotes.
    Quoted,
    /// A word of logfmt.
    Word,
    /// A number of JSON.
    Number,
    /// `true`, `false`, an object or an array.
    Other,
    /// `null`: no value.
    Null,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Self {
        let bound = |at| u32::try_from(at).expect("a line is shorter than 4 GiB");
        Self { start: bound(start), end: bound(end) }
    }

    pub(super) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    pub(super) fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    pub(super) fn of(self, line: &str) -> &str {
        &line[self.range()]
    }
}

/// A column that a field may fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Message,
    Severity,
    Time,
    TraceId,
    SpanId,
}

/// What a key means, and its rank: of several fields with one role, the lowest
/// rank has it and the others are attributes.
pub(super) fn role(key: &[u8]) -> Option<(Role, u8)> {
    use Role::*;
    Some(match key {
        b"message" => (Message, 0),
        b"msg" => (Message, 1),
        b"body" => (Message, 2),
        b"log" => (Message, 3),
        b"event" => (Message, 4),
        b"MESSAGE" => (Message, 5),
        b"Message" | b"@m" => (Message, 6),
        b"level" => (Severity, 0),
        b"severity" => (Severity, 1),
        b"lvl" => (Severity, 2),
        b"log.level" => (Severity, 3),
        b"severity_text" | b"severityText" => (Severity, 4),
        b"levelname" | b"log_level" | b"loglevel" | b"logLevel" => (Severity, 5),
        b"Level" | b"LEVEL" | b"Severity" | b"SEVERITY" | b"@l" | b"PRIORITY" => (Severity, 6),
        b"timestamp" => (Time, 0),
        b"@timestamp" => (Time, 1),
        b"ts" => (Time, 2),
        b"time" => (Time, 3),
        b"datetime" | b"date" | b"asctime" | b"eventTime" | b"event_time" => (Time, 4),
        b"t" | b"Timestamp" | b"Time" | b"TimeStamp" | b"@t" => (Time, 5),
        b"trace_id" => (TraceId, 0),
        b"traceId" | b"traceID" | b"trace.id" | b"traceid" | b"TraceId" | b"@tr" => (TraceId, 1),
        b"span_id" => (SpanId, 0),
        b"spanId" | b"spanID" | b"span.id" | b"spanid" | b"SpanId" | b"@sp" => (SpanId, 1),
        _ => return None,
    })
}

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

/// Which keys mean what, with a rank: of several fields with one role, the
/// lowest rank has it and the others are attributes.
const ROLES: [(&str, Role, u8); 45] = {
    use Role::*;
    [
        ("message", Message, 0),
        ("msg", Message, 1),
        ("body", Message, 2),
        ("log", Message, 3),
        ("event", Message, 4),
        ("MESSAGE", Message, 5),
        ("Message", Message, 6),
        ("@m", Message, 6),
        ("level", Severity, 0),
        ("severity", Severity, 1),
        ("lvl", Severity, 2),
        ("log.level", Severity, 3),
        ("severity_text", Severity, 4),
        ("severityText", Severity, 4),
        ("levelname", Severity, 5),
        ("log_level", Severity, 5),
        ("loglevel", Severity, 5),
        ("logLevel", Severity, 5),
        ("Level", Severity, 6),
        ("LEVEL", Severity, 6),
        ("Severity", Severity, 6),
        ("SEVERITY", Severity, 6),
        ("@l", Severity, 6),
        ("PRIORITY", Severity, 6),
        ("timestamp", Time, 0),
        ("@timestamp", Time, 1),
        ("ts", Time, 2),
        ("time", Time, 3),
        ("datetime", Time, 4),
        ("date", Time, 4),
        ("asctime", Time, 4),
        ("eventTime", Time, 4),
        ("event_time", Time, 4),
        ("Timestamp", Time, 5),
        ("Time", Time, 5),
        ("t", Time, 5),
        ("@t", Time, 5),
        ("trace_id", TraceId, 0),
        ("traceId", TraceId, 1),
        ("traceID", TraceId, 1),
        ("trace.id", TraceId, 1),
        ("traceid", TraceId, 1),
        ("span_id", SpanId, 0),
        ("spanId", SpanId, 1),
        ("span.id", SpanId, 1),
    ]
};

/// For each length of a key, the first bytes that a key of [`ROLES`] has, as
/// bits of the byte's low six: most keys of a line are told apart by this.
const STARTS: [u64; 16] = {
    let mut starts = [0; 16];
    let mut index = 0;
    while index < ROLES.len() {
        let key = ROLES[index].0.as_bytes();
        starts[key.len()] |= 1 << (key[0] & 63);
        index += 1;
    }
    starts
};

/// What a key means, and its rank.
pub(super) fn role(key: &str) -> Option<(Role, u8)> {
    let first = key.as_bytes().first()?;
    if STARTS.get(key.len())? & (1 << (first & 63)) == 0 {
        return None;
    }
    ROLES.iter().find(|(name, ..)| *name == key).map(|(_, role, rank)| (*role, *rank))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_with_a_role() {
        for (name, role_of, rank) in ROLES {
            assert_eq!(role(name), Some((role_of, rank)), "{name}");
        }
        for name in ["", "messages", "tags", "service", "a key that is longer than any", "é"] {
            assert_eq!(role(name), None, "{name}");
        }
    }
}

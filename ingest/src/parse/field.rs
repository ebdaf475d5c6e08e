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

/// What a field may fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Message,
    Severity,
    Time,
    TraceId,
    SpanId,
    /// Both ids, as W3C's `traceparent`.
    TraceParent,
    /// The trace of an exception, or an object that has one.
    Exception,
    /// An object that may hold the ids of a trace.
    Context,
}

/// Which keys mean what, with a rank: of several fields with one role, the
/// lowest rank has it and the others are attributes.
const ROLES: [(&str, Role, u8); 97] = {
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
        ("TraceId", TraceId, 2),
        ("TraceID", TraceId, 2),
        ("trace-id", TraceId, 2),
        ("otelTraceID", TraceId, 2),
        ("X-B3-TraceId", TraceId, 3),
        ("logging.googleapis.com/trace", TraceId, 3),
        ("dd.trace_id", TraceId, 4),
        ("span_id", SpanId, 0),
        ("spanId", SpanId, 1),
        ("spanID", SpanId, 1),
        ("span.id", SpanId, 1),
        ("spanid", SpanId, 1),
        ("SpanId", SpanId, 2),
        ("SpanID", SpanId, 2),
        ("span-id", SpanId, 2),
        ("otelSpanID", SpanId, 2),
        ("X-B3-SpanId", SpanId, 3),
        ("logging.googleapis.com/spanId", SpanId, 3),
        ("traceparent", TraceParent, 0),
        ("traceParent", TraceParent, 1),
        ("trace_parent", TraceParent, 1),
        ("exception.stacktrace", Exception, 0),
        ("stack_trace", Exception, 1),
        ("stacktrace", Exception, 1),
        ("stackTrace", Exception, 1),
        ("StackTrace", Exception, 1),
        ("error.stack_trace", Exception, 1),
        ("error.stack", Exception, 1),
        ("stack", Exception, 2),
        ("exception", Exception, 2),
        ("Exception", Exception, 2),
        ("@x", Exception, 2),
        ("exc_info", Exception, 2),
        ("exc_text", Exception, 3),
        ("traceback", Exception, 2),
        ("backtrace", Exception, 3),
        ("thrown", Exception, 3),
        ("errorVerbose", Exception, 3),
        ("err", Exception, 4),
        ("error", Exception, 4),
        ("mdc", Context, 0),
        ("MDC", Context, 0),
        ("contextMap", Context, 0),
        ("context", Context, 1),
        ("Context", Context, 1),
        ("ctx", Context, 1),
        ("trace", Context, 1),
        ("otel", Context, 1),
        ("Properties", Context, 2),
        ("properties", Context, 2),
        ("fields", Context, 2),
        ("extra", Context, 2),
        ("data", Context, 3),
        ("labels", Context, 3),
        ("attributes", Context, 3),
    ]
};

/// Longest key of [`ROLES`].
const KEY_BYTES_MAX: usize = 29;

/// For each length of a key, the first bytes that a key of [`ROLES`] has, as
/// bits of the byte's low six: most keys of a line are told apart by this.
static STARTS: [u64; KEY_BYTES_MAX + 1] = {
    let mut starts = [0; KEY_BYTES_MAX + 1];
    let mut index = 0;
    while index < ROLES.len() {
        let key = ROLES[index].0.as_bytes();
        starts[key.len()] |= 1 << (key[0] & 63);
        index += 1;
    }
    starts
};

/// [`ROLES`] in the order of their keys' lengths.
static BY_LENGTH: [(&str, Role, u8); ROLES.len()] = {
    let mut order = ROLES;
    let (mut length, mut next) = (0, 0);
    while length <= KEY_BYTES_MAX {
        let mut index = 0;
        while index < ROLES.len() {
            if ROLES[index].0.len() == length {
                order[next] = ROLES[index];
                next += 1;
            }
            index += 1;
        }
        length += 1;
    }
    assert!(next == ROLES.len());
    order
};

/// Where each length begins in [`BY_LENGTH`]: a key is compared with those of its
/// length.
static LENGTHS: [usize; KEY_BYTES_MAX + 2] = {
    let mut from = [0; KEY_BYTES_MAX + 2];
    let mut length = 0;
    while length <= KEY_BYTES_MAX {
        let (mut index, mut count) = (0, 0);
        while index < ROLES.len() {
            if ROLES[index].0.len() == length {
                count += 1;
            }
            index += 1;
        }
        from[length + 1] = from[length] + count;
        length += 1;
    }
    from
};

/// What a key means, and its rank.
pub(super) fn role(key: &str) -> Option<(Role, u8)> {
    let first = key.as_bytes().first()?;
    if STARTS.get(key.len())? & (1 << (first & 63)) == 0 {
        return None;
    }
    let same_length = &BY_LENGTH[LENGTHS[key.len()]..LENGTHS[key.len() + 1]];
    let is_key = |name: &str| name.as_bytes().first() == Some(first) && name == key;
    same_length.iter().find(|(name, ..)| is_key(name)).map(|(_, role, rank)| (*role, *rank))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_with_a_role() {
        for (name, role_of, rank) in ROLES {
            assert_eq!(role(name), Some((role_of, rank)), "{name}");
        }
        for name in ["", "messages", "tags", "service", "a key that is longer than any of them", "é"] {
            assert_eq!(role(name), None, "{name}");
        }
    }
}

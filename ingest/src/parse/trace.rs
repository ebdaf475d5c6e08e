//! Ids of traces and spans: which values are ids, and where plain lines hold
//! them.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::columns::Columns;

/// Digits of a trace id; 64-bit ones, which Zipkin's older clients make, have
/// half, and stand in `spans` as they do here.
const TRACE_ID_DIGITS: [usize; 2] = [32, 16];
const SPAN_ID_DIGITS: usize = 16;

/// How far into a line ids are looked for.
const SEARCH_BYTES: usize = 1024;

/// Longest content of brackets that may hold ids.
const BRACKET_BYTES_MAX: usize = 160;

/// What a line says of the trace it belongs to. Digits in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ids<'a> {
    pub(super) trace_id: Option<&'a str>,
    pub(super) span_id: Option<&'a str>,
}

impl Ids<'_> {
    /// Appends them to their columns, in lower case: those are compared as text.
    pub(super) fn push(self, columns: &mut Columns) {
        for (id, column) in [(self.trace_id, &mut columns.trace_id), (self.span_id, &mut columns.span_id)] {
            match id {
                Some(id) if !is_lower(id) => {
                    column.push_with(|text| text.extend(id.chars().map(|digit| digit.to_ascii_lowercase())));
                }
                id => column.push_optional(id),
            }
        }
    }
}

/// What Google's names of traces have before the id: `projects/shop/traces/4bf9...`.
const GOOGLE_PATH: &str = "/traces/";

/// The trace id that a field's value is, or ends with.
pub(super) fn trace_id(value: &str) -> Option<&str> {
    let [digits, _] = TRACE_ID_DIGITS;
    let id = if value.len() <= digits {
        value
    } else {
        let id = value.get(value.len() - digits..)?;
        value[..value.len() - digits].ends_with(GOOGLE_PATH).then_some(id)?
    };
    is_trace_id(id).then_some(id)
}

/// Digits as the columns have them: in lower case.
pub(super) fn is_lower(id: &str) -> bool {
    // Without an early end: many bytes are compared at once.
    !id.bytes().fold(false, |upper, byte| upper | byte.is_ascii_uppercase())
}

pub(super) fn is_trace_id(value: &str) -> bool {
    TRACE_ID_DIGITS.contains(&value.len()) && is_id(value)
}

pub(super) fn is_span_id(value: &str) -> bool {
    value.len() == SPAN_ID_DIGITS && is_id(value)
}

/// Digits, not all of them zero.
fn is_id(value: &str) -> bool {
    let (is_digits, is_some) = value
        .bytes()
        .fold((true, false), |(all, any), byte| (all & byte.is_ascii_hexdigit(), any | (byte != b'0')));
    is_digits && is_some
}

/// The ids of a W3C `traceparent`: `00-TRACE-SPAN-01`.
pub(super) fn parent(value: &str) -> Option<Ids<'_>> {
    let mut parts = value.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let is_parent = version.len() == 2 && flags.len() == 2 && trace.len() == 32;
    (is_parent && is_trace_id(trace) && is_span_id(span))
        .then_some(Ids { trace_id: Some(trace), span_id: Some(span) })
}

/// Looks for ids in the first line of an event: labelled (`trace_id=...`,
/// `traceparent: ...`), else in brackets as Spring's patterns print them
/// (`[app,TRACE,SPAN]`, `[TRACE-SPAN]`).
pub(super) fn find(text: &str) -> Ids<'_> {
    let bytes = &text.as_bytes()[..text.len().min(SEARCH_BYTES)];
    labelled(text, bytes).or_else(|| bracketed(text, bytes)).unwrap_or_default()
}

/// Both cases of the word are found by its tail.
fn labelled<'a>(text: &'a str, bytes: &[u8]) -> Option<Ids<'a>> {
    static TRACE: LazyLock<[Finder<'static>; 2]> =
        LazyLock::new(|| [Finder::new("race"), Finder::new("RACE")]);
    static SPAN: LazyLock<[Finder<'static>; 2]> = LazyLock::new(|| [Finder::new("pan"), Finder::new("PAN")]);
    let ends = |finders: &[Finder<'static>; 2]| {
        let [lower, upper] = finders;
        let found = |finder: &Finder<'static>| {
            finder.find_iter(bytes).map(|at| at + finder.needle().len()).collect::<Vec<_>>()
        };
        let mut ends = found(lower);
        ends.extend(found(upper));
        ends
    };
    let mut ids = Ids::default();
    for end in ends(&TRACE) {
        let Some(rest) = text.get(end..) else { continue };
        if let Some(rest) = rest.strip_prefix("parent") {
            let value =
                assigned(rest).map(|rest| word(rest, |byte| byte.is_ascii_hexdigit() || byte == b'-'));
            if let Some(ids) = value.and_then(parent) {
                return Some(ids);
            }
        }
        ids.trace_id = ids.trace_id.or_else(|| labelled_id(rest).filter(|id| is_trace_id(id)));
    }
    ids.trace_id?;
    for end in ends(&SPAN) {
        let Some(rest) = text.get(end..) else { continue };
        ids.span_id = ids.span_id.or_else(|| labelled_id(rest).filter(|id| is_span_id(id)));
    }
    Some(ids)
}

/// The id after the rest of its label: `_id=`, `Id":"`, `ID: `.
fn labelled_id(rest: &str) -> Option<&str> {
    let rest = rest.strip_prefix(['_', '-', '.', ' ']).unwrap_or(rest);
    let label = rest.get(..2).filter(|label| label.eq_ignore_ascii_case("id"))?;
    Some(word(assigned(&rest[label.len()..])?, |byte| byte.is_ascii_alphanumeric()))
}

/// What stands behind an equals sign or a colon.
fn assigned(rest: &str) -> Option<&str> {
    let rest = rest.trim_start_matches(['"', '\'', ' ']);
    let rest = rest.strip_prefix(['=', ':'])?;
    Some(rest.trim_start_matches(['"', '\'', ' ']))
}

fn word(rest: &str, is_in: impl Fn(u8) -> bool) -> &str {
    &rest[..rest.bytes().take_while(|byte| is_in(*byte)).count()]
}

fn bracketed<'a>(text: &'a str, bytes: &[u8]) -> Option<Ids<'a>> {
    memchr::memchr_iter(b'[', bytes).find_map(|open| {
        let content = &bytes[open + 1..];
        let content = &content[..content.len().min(BRACKET_BYTES_MAX)];
        let close = memchr::memchr(b']', content)?;
        // Too short for two ids.
        if close < 2 * SPAN_ID_DIGITS + 1 {
            return None;
        }
        let content = text.get(open + 1..open + 1 + close)?;
        let separator = if content.contains(',') { ',' } else { '-' };
        let mut before = "";
        for part in content.split(separator).map(str::trim) {
            if is_trace_id(before) && is_span_id(part) {
                return Some(Ids { trace_id: Some(before), span_id: Some(part) });
            }
            before = part;
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn ids_in_plain_lines() {
        let check = |line: String, trace_id: Option<&str>, span_id: Option<&str>| {
            assert_eq!(find(&line), Ids { trace_id, span_id }, "{line}");
        };
        let both = |line: String| check(line, Some(TRACE), Some(SPAN));
        both(format!(
            "2026-01-02 03:04:05.006  INFO [shop,{TRACE},{SPAN}] 1 --- [nio-8080-exec-1] c.e.Shop : hi"
        ));
        both(format!("2026-01-02 03:04:05.006  INFO [shop,{TRACE},{SPAN},true] 1 --- [main] c.e.Shop : hi"));
        both(format!("INFO 1 --- [shop] [nio-8080-exec-1] [{TRACE}-{SPAN}] c.e.Shop : hi"));
        both(format!("[{TRACE}, {SPAN}] hi"));
        both(format!("hi trace_id={TRACE} span_id={SPAN}"));
        both(format!("hi trace_id={TRACE}, span_id={SPAN}, trace_flags=01"));
        both(format!("hi {{\"traceId\": \"{TRACE}\", \"spanId\": \"{SPAN}\"}} more"));
        both(format!("hi TraceId:{TRACE} SpanID: {SPAN}"));
        both(format!("TRACE_ID={TRACE} SPAN_ID={SPAN}"));
        both(format!("traceparent: 00-{TRACE}-{SPAN}-01"));
        both(format!("the trace of traceparent=00-{TRACE}-{SPAN}-01 x"));
        both(format!("retraced trace id: '{TRACE}' span id: '{SPAN}'"));
        check(format!("trace_id={TRACE} no span"), Some(TRACE), None);
        // 64-bit ids stand as they are.
        check(format!("[shop,{SPAN},{SPAN}] hi"), Some(SPAN), Some(SPAN));
        for line in [
            String::new(),
            format!("span_id={SPAN}"),
            format!("trace_id={TRACE}0"),
            format!("trace_id={}", &TRACE[1..]),
            format!("trace_id={}", "0".repeat(32)),
            format!("[shop,{},{}]", "0".repeat(32), "0".repeat(16)),
            "[shop,,] hi".to_owned(),
            format!("traceparent=00-{TRACE}-01"),
            format!("[{TRACE}] of a hash"),
            format!("[{TRACE} {SPAN}"),
            "Traceback (most recent call last):".to_owned(),
        ] {
            check(line, None, None);
        }
    }

    proptest! {
        #[test]
        fn foreign_text_never_panics(line in any::<String>(), near in "(\\[|\\]|trace|Trace|parent|_id|=|:|\"|,|-|é|[0-9a-f]{16}){0,20}") {
            for line in [line, near] {
                find(&line);
            }
        }
    }
}

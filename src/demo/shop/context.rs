//! Who a span is and how it is told to whoever is called: W3C Trace Context.

use std::fmt;

/// The header.
pub(super) const TRACEPARENT: &str = "traceparent";

/// A trace's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TraceId(pub(super) u128);

/// A span's id within its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct SpanId(pub(super) u64);

/// The span that calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SpanContext {
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
}

impl SpanContext {
    /// The header's value.
    pub(super) fn traceparent(self) -> String {
        format!("00-{}-{}-01", self.trace, self.span)
    }

    /// Reads the header; none when it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
        if version != "00" || trace.len() != 32 || span.len() != 16 {
            return None;
        }
        let trace = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0)?;
        let span = u64::from_str_radix(span, 16).ok().filter(|id| *id != 0)?;
        Some(Self { trace: TraceId(trace), span: SpanId(span) })
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_comes_back_from_its_header() {
        let context = SpanContext { trace: TraceId(0xabc), span: SpanId(7) };
        let text = context.traceparent();
        assert_eq!(text, "00-00000000000000000000000000000abc-0000000000000007-01");
        assert_eq!(SpanContext::parse(&text), Some(context));
        for wrong in ["", "00-abc-7-01", "01-00000000000000000000000000000abc-0000000000000007-01"] {
            assert_eq!(SpanContext::parse(wrong), None, "{wrong}");
        }
    }
}

//! What a batch says of each stream it carries.

use super::{ByteRange, SourceId};

/// One source's entry in a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Which stream.
    pub id: SourceId,
    /// OpenTelemetry resource attributes that the agent added, sorted by key:
    /// `service.name`, `log.file.path`, `k8s.pod.uid`, ...
    pub resource: Vec<(String, String)>,
    /// The parser chosen for its lines, one of [`parser::NAMES`].
    pub parser: String,
    /// Rows whose severity number is known and lower are left out; none: all
    /// are kept.
    pub min_severity: Option<i16>,
    /// All bytes settled for this source by this batch: its own lines, the
    /// other stream's lines of the same file, line endings, dropped ranges.
    /// Never past a record that is still open.
    pub covered: ByteRange,
    /// What was dropped on purpose inside `covered`.
    pub drops: Vec<Drop>,
    /// How many events came before `covered`, where the sender knows: by it
    /// whoever misses some knows how many.
    pub counted: Option<Counted>,
}

/// Events of a source before some byte of it, counted from where a process took
/// the source up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// Where counting began.
    pub from: u64,
    /// Where it stands.
    pub to: u64,
    /// Events between the two: those that were sent, and those that were told
    /// as dropped.
    pub events: u64,
}

impl Counted {
    /// Nothing is counted yet.
    pub const fn from(byte: u64) -> Self {
        Self { from: byte, to: byte, events: 0 }
    }

    /// Behind a batch with so many rows of the source. Where the batch tells of
    /// a loss that nobody could count, counting begins anew.
    #[must_use]
    pub fn after(self, source: &Source, rows: u64) -> Self {
        if source.drops.iter().any(|drop| drop.count == 0) {
            return Self::from(source.covered.end);
        }
        // The cut-off rest of a line is no event: its beginning is a row.
        let is_event = |drop: &&Drop| drop.reason != drop_reason::LINE_TOO_LONG;
        let dropped: u64 = source.drops.iter().filter(is_event).map(|drop| drop.count).sum();
        Self { to: source.covered.end, events: self.events.saturating_add(rows + dropped), ..self }
    }

    /// Events between where `self` stood and where `later` stands, if both
    /// counted from the same place.
    pub fn until(self, later: Self) -> Option<u64> {
        (self.from == later.from).then(|| later.events.checked_sub(self.events)).flatten()
    }
}

/// Lines or bytes that the agent dropped, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drop {
    /// The bytes concerned: all of them, or those among which the dropped
    /// events lie beside others that were not.
    pub range: ByteRange,
    /// How many events; 1 for the cut-off rest of a line, 0 where nobody could
    /// count them.
    pub count: u64,
    /// One of [`drop_reason`].
    pub reason: String,
}

/// Names of what a source's lines are taken for.
pub mod parser {
    /// Told apart by its shape, line by line.
    pub const AUTO: &str = "auto";

    /// Every name that is known. What does not have the shape of its parser is
    /// plain text; a name that is not known here is taken for [`AUTO`], so that
    /// an agent may be newer than what reads its batches.
    pub const NAMES: [&str; 11] =
        [AUTO, "json", "logfmt", "klog", "glog", "nginx", "apache", "envoy", "istio", "plain", "none"];
}

/// Why bytes did not become rows. These words stand in `weir.gaps.reason` and
/// in metrics labels.
pub mod drop_reason {
    /// The rest of a line longer than [`crate::limit::LINE_BYTES_MAX`].
    pub const LINE_TOO_LONG: &str = "line_too_long";
    /// The file shrank or was replaced before these bytes were read.
    pub const TRUNCATED_UNREAD: &str = "truncated_unread";
    /// More lines or bytes than `agent.limits` lets pass for a pod or a namespace.
    pub const RATE_LIMITED: &str = "rate_limited";
    /// Left out by sampling, as configured.
    pub const SAMPLED: &str = "sampled";
    /// The event held what `agent.redact` has events left out for.
    pub const REDACTED: &str = "redacted";
    /// The file was deleted or compressed away before these bytes were read,
    /// and no copy of them could be kept.
    pub const ROTATED_UNREAD: &str = "rotated_unread";
    /// The lines of a command came faster than the agent took them, and the
    /// buffer of `weir run` was full.
    pub const SENDER_FULL: &str = "sender_full";
    /// A covered range began beyond the end of what had been covered.
    pub const HOLE: &str = "hole";
    /// A row lay across the end of what had been covered. Never in health.
    pub const STRADDLE: &str = "straddle";
    /// The event log no longer held the offsets that came next.
    pub const LOG_GAP: &str = "log_gap";
    /// The event log was replaced by another one, and an operator had it read
    /// from its start: what the old one held beyond this offset is lost.
    pub const LOG_REPLACED: &str = "log_replaced";
    /// A frame of the event log failed its checksum.
    pub const LOG_CORRUPT: &str = "log_corrupt";
    /// Records of a message that could not become rows; its other records did.
    pub const REJECTED: &str = "rejected";
    /// Rows below the minimum severity that their source asked for.
    pub const BELOW_MIN_LEVEL: &str = "below_min_level";
    /// The message could not be decoded and went to the dead letters.
    pub const UNDECODABLE: &str = "undecodable";

    /// All of them.
    pub const ALL: [&str; 14] = [
        LINE_TOO_LONG,
        TRUNCATED_UNREAD,
        RATE_LIMITED,
        SAMPLED,
        REDACTED,
        ROTATED_UNREAD,
        SENDER_FULL,
        HOLE,
        STRADDLE,
        LOG_GAP,
        LOG_CORRUPT,
        REJECTED,
        BELOW_MIN_LEVEL,
        UNDECODABLE,
    ];

    /// The word for a metric's label: senders may be newer, and labels are few.
    pub fn label(reason: &str) -> &'static str {
        ALL.into_iter().find(|known| *known == reason).unwrap_or("other")
    }
}

/// True when an operator declared that such events are to be dropped: nobody
/// need look at each.
pub fn is_declared(reason: &str) -> bool {
    matches!(
        reason,
        drop_reason::RATE_LIMITED
            | drop_reason::SAMPLED
            | drop_reason::REDACTED
            | drop_reason::BELOW_MIN_LEVEL
    )
}

/// Bits of the `flags` column.
pub mod flags {
    /// The line was longer than the limit; the row holds its beginning.
    pub const TRUNCATED: i32 = 1;
    /// The framing said that more was to come, and it never came.
    pub const PARTIAL: i32 = 1 << 1;
    /// Cut by time-out, not by content: a [`CONTINUATION`] may follow.
    pub const CUT: i32 = 1 << 2;
    /// Continues the row of the same source that ends where this one starts.
    pub const CONTINUATION: i32 = 1 << 3;
    /// Sent before the metadata of its pod was known.
    pub const METADATA_PENDING: i32 = 1 << 4;
    /// The line ended in CR LF; `body` is without either.
    pub const CRLF: i32 = 1 << 5;
    /// The line was not valid UTF-8: `body` is the lossy text, `body_raw` the
    /// bytes.
    pub const INVALID_UTF8: i32 = 1 << 6;
    /// The time in the line had no year; the latest fitting one was taken.
    pub const YEAR_ASSUMED: i32 = 1 << 7;
    /// The time in the line had no zone; UTC was taken.
    pub const ZONE_ASSUMED: i32 = 1 << 8;
    /// Neither the line nor its framing held a time; `timestamp` is the observed
    /// time.
    pub const TIME_ASSUMED: i32 = 1 << 9;
    /// A limit on fields, names, depth or size was hit. Of a line, the exact
    /// text is in `body_raw`; of a pushed event, what was beyond is gone.
    pub const LIMITED: i32 = 1 << 10;
    /// Zipkin's `debug`: the trace was to be kept whatever the sampling.
    pub const DEBUG: i32 = 1 << 11;
    /// Where the sender's own flags begin: OTLP's ten bits (W3C trace flags,
    /// then "has is-remote" and "is remote") lie at 16-25.
    pub const SENT_SHIFT: u32 = 16;
}

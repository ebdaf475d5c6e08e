//! From a search for traces to statements.
//!
//! The rules are Zipkin's. A trace has one time, its root span's, or else its
//! oldest span's, and that must lie in the window. Each criterion must be met
//! by some span of the trace, not all by one; with a service name, only spans
//! of that service count. Names are compared without regard to case.

use weir_proto::model::flags;
use weir_proto::schema::Table;
use weir_proto::schema::span::{column, status};
use weir_storage::catalog::TimeRange;

use super::id::TraceKey;
use crate::engine::has_event;
use crate::literal;

/// How far before its trace's time a span is looked for: as far as clocks of
/// hosts may differ.
const BEFORE_MICROS: i64 = 60 * 1_000_000;

/// How far after its trace's time a span is looked for. Of a trace that takes
/// longer, the first minutes decide whether it is found; it is given whole.
const AFTER_MICROS: i64 = 15 * 60 * 1_000_000;

/// How far around a found trace's time its spans are read.
const WHOLE_MICROS: i64 = 24 * 3_600 * 1_000_000;

/// The latest time that a statement can spell.
const LAST_MICROS: i64 = 253_402_300_799_999_999;

/// A search for the newest traces that match.
#[derive(Clone, Debug)]
pub(crate) struct TraceSearch {
    /// The service whose spans are looked at, in lower case; all without.
    pub(crate) service_name: Option<String>,
    pub(crate) remote_service_name: Option<String>,
    pub(crate) span_name: Option<String>,
    /// Tags with a value, or without: then a tag's key or an annotation.
    pub(crate) annotations: Vec<(String, String)>,
    /// Microseconds that one span takes at least.
    pub(crate) min_duration: Option<i64>,
    /// Microseconds that the same span takes at most.
    pub(crate) max_duration: Option<i64>,
    /// Where the time of a trace must lie, both ends included.
    pub(crate) time: TimeRange,
    pub(crate) limit: usize,
    /// Whether all 128 bits of an id tell traces apart, or the right 64.
    pub(crate) strict: bool,
}

impl TraceSearch {
    /// The window between two times of Zipkin, in milliseconds.
    pub(crate) fn window(end_millis: i64, lookback_millis: i64) -> TimeRange {
        let micros = |millis: i64| millis.saturating_mul(1_000).clamp(0, LAST_MICROS);
        TimeRange {
            min_micros: micros(end_millis.saturating_sub(lookback_millis)),
            max_micros: micros(end_millis),
        }
    }

    /// Everything that finding and reading the traces may look at.
    pub(crate) fn reach(&self) -> TimeRange {
        widened(self.time, WHOLE_MICROS, WHOLE_MICROS)
    }

    /// Ids and times of the newest traces that match and whose time lies in
    /// `window`.
    pub(crate) fn ids_sql(&self, window: TimeRange, limit: usize) -> String {
        let around = literal::within(widened(window, BEFORE_MICROS, AFTER_MICROS)).join(" AND ");
        let (table, key) = (Table::Spans.name(), key(self.strict));
        // A span that did not say when it began says nothing of its trace's time.
        let said = format!("{} & {} = 0", column::FLAGS, flags::TIME_ASSUMED);
        let (timestamp, parent) = (column::TIMESTAMP, column::PARENT_SPAN_ID);
        let of_some = match self.anchor() {
            Some(anchor) => format!(" AND {key} IN (SELECT {key} FROM {table} WHERE {around} AND {anchor})"),
            None => String::new(),
        };
        let mut met = String::new();
        let mut conditions = literal::between("trace_time", window);
        for (index, criterion) in self.wanted().iter().enumerate() {
            met.push_str(&format!(", bool_or({criterion}) AS met_{index}"));
            conditions.push(format!("met_{index}"));
        }
        format!(
            "SELECT trace_key, trace_time FROM (SELECT {key} AS trace_key, \
             coalesce(min(CASE WHEN {said} AND {parent} IS NULL THEN {timestamp} END), \
             min(CASE WHEN {said} THEN {timestamp} END)) AS trace_time{met} \
             FROM {table} WHERE {around}{of_some} GROUP BY {key}) \
             WHERE {} ORDER BY trace_time DESC, trace_key LIMIT {limit}",
            conditions.join(" AND "),
        )
    }

    /// The oldest and the newest time of spans that match what is rarest, null
    /// without one: where in a large window it is worth to look.
    pub(crate) fn span_sql(&self, window: TimeRange) -> Option<String> {
        let around = literal::within(widened(window, BEFORE_MICROS, AFTER_MICROS)).join(" AND ");
        let (timestamp, table) = (column::TIMESTAMP, Table::Spans.name());
        let anchor = self.anchor()?;
        Some(format!("SELECT min({timestamp}), max({timestamp}) FROM {table} WHERE {around} AND {anchor}"))
    }

    /// The times that traces of `window` may have when their spans that match
    /// what is rarest lie in `spans`.
    pub(crate) fn narrowed(window: TimeRange, spans: TimeRange) -> TimeRange {
        let near = widened(spans, AFTER_MICROS, BEFORE_MICROS);
        TimeRange {
            min_micros: window.min_micros.max(near.min_micros),
            max_micros: window.max_micros.min(near.max_micros),
        }
    }

    /// What spans of a trace must say, each met by one of them.
    fn wanted(&self) -> Vec<String> {
        let own = self.own();
        let criteria = self.criteria();
        match (own, criteria.is_empty()) {
            (None, _) => criteria,
            (Some(own), true) => vec![own],
            (Some(own), false) => {
                criteria.into_iter().map(|criterion| format!("({own} AND {criterion})")).collect()
            }
        }
    }

    /// What the fewest spans say of what is wanted.
    fn anchor(&self) -> Option<String> {
        self.wanted().into_iter().next()
    }

    fn own(&self) -> Option<String> {
        self.service_name.as_ref().map(|name| is_named(column::SERVICE_NAME, name))
    }

    /// What is asked beside the service, from what is rare to what is common.
    fn criteria(&self) -> Vec<String> {
        let mut annotations: Vec<_> = self.annotations.iter().collect();
        annotations.sort_by_key(|(_, value)| value.is_empty());
        let mut criteria: Vec<_> =
            annotations.into_iter().map(|(key, value)| annotated(key, value)).collect();
        criteria.extend(self.duration());
        criteria.extend(self.span_name.as_ref().map(|name| is_named(column::NAME, name)));
        let remote = self.remote_service_name.as_ref();
        criteria.extend(remote.map(|name| is_named(column::REMOTE_SERVICE_NAME, name)));
        criteria
    }

    fn duration(&self) -> Option<String> {
        let nanos = column::DURATION_NS;
        // A time below a microsecond counts as one, as in answers.
        let micros = format!("greatest({nanos} / 1000, 1)");
        match (self.min_duration, self.max_duration) {
            (Some(min), Some(max)) => Some(format!("({micros} >= {min} AND {micros} <= {max})")),
            (Some(min), None) => Some(format!("({micros} >= {min})")),
            (None, _) => None,
        }
    }
}

/// The statements that read all spans of traces; several, for a statement has
/// a largest size.
pub(crate) fn spans_sql<'a>(
    keys: &'a [TraceKey],
    strict: bool,
    time: TimeRange,
) -> impl Iterator<Item = String> + 'a {
    /// Ids in one statement.
    const IDS: usize = 256;
    keys.chunks(IDS).map(move |keys| {
        let mut conditions = vec![match strict {
            true => {
                let spellings: Vec<_> = keys.iter().flat_map(TraceKey::spellings).collect();
                let spellings = literal::texts(spellings.iter().map(String::as_str));
                format!("{} IN ({spellings})", column::TRACE_ID)
            }
            false => {
                format!("{} IN ({})", column::TRACE_ID_LOW, literal::texts(keys.iter().map(TraceKey::low)))
            }
        }];
        conditions.extend(literal::within(time));
        format!("SELECT * FROM {} WHERE {}", Table::Spans.name(), conditions.join(" AND "))
    })
}

/// Where the spans of traces found at these times are read.
pub(crate) fn around(found: TimeRange) -> TimeRange {
    widened(found, WHOLE_MICROS, WHOLE_MICROS)
}

fn widened(time: TimeRange, before: i64, after: i64) -> TimeRange {
    TimeRange {
        min_micros: time.min_micros.saturating_sub(before).max(0),
        max_micros: time.max_micros.saturating_add(after).min(LAST_MICROS),
    }
}

/// What tells traces apart: one id, however a row spells it.
fn key(strict: bool) -> String {
    let (id, low) = (column::TRACE_ID, column::TRACE_ID_LOW);
    match strict {
        true => format!("CASE WHEN starts_with({id}, '0000000000000000') THEN {low} ELSE {id} END"),
        false => low.to_owned(),
    }
}

fn is_named(column: &str, name: &str) -> String {
    format!("(lower({column}) = {})", literal::text(name))
}

/// A tag of this value; without one, a tag of any value or an annotation.
fn annotated(key: &str, value: &str) -> String {
    let tag = tag(key);
    let name = literal::text(key);
    match value {
        "" => format!("({tag} IS NOT NULL OR {}({}, {name}))", has_event::NAME, column::EVENTS),
        value => format!("({tag} = {})", literal::text(value)),
    }
}

/// The value of a tag as answers have it; see [`super::assemble`].
fn tag(key: &str) -> String {
    let name = literal::text(key);
    let (own, given) = (column::ATTRIBUTES, column::RESOURCE_ATTRIBUTES);
    let said = format!("{own}[{name}], {given}[{name}]");
    let derived = match key {
        super::assemble::ERROR => {
            let (code, message) = (column::STATUS_CODE, column::STATUS_MESSAGE);
            format!("CASE WHEN {code} = '{}' THEN coalesce(nullif({message}, ''), 'true') END", status::ERROR)
        }
        super::assemble::STATUS_CODE => {
            format!("CASE WHEN {own}['{}'] IS NULL THEN {} END", super::assemble::ERROR, column::STATUS_CODE)
        }
        super::assemble::SCOPE_NAME => column::SCOPE_NAME.to_owned(),
        super::assemble::SCOPE_VERSION => column::SCOPE_VERSION.to_owned(),
        _ => return format!("coalesce({said})"),
    };
    format!("coalesce({said}, {derived})")
}

//! The tables, and what is particular to each.

use std::fmt;
use std::sync::{Arc, LazyLock};

use arrow_schema::{Schema, SchemaRef};
use serde::{Deserialize, Serialize};

use super::{log, matches, metric, span};
use crate::model::Signal;

/// A table that events become rows of.
///
/// Every table begins with `tenant`, ends with `source_id`, `source_start` and
/// `source_end`, and has `timestamp`, `timestamp_nanos` and
/// `observed_timestamp`, so files, pruning and exactly-once are the same for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// One row per line or log record.
    Logs,
    /// One row per span.
    Spans,
    /// One row per metric point.
    MetricSamples,
    /// What a series is: one row per series and batch.
    MetricSeries,
    /// One row per log row that a rule found: made here, never received.
    Matches,
}

/// How a table's rows are ordered within a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// By time.
    Time,
    /// By minute, then trace: a trace's spans lie together.
    MinuteTrace,
    /// By metric, then series, then time.
    MetricSeriesTime,
}

/// Columns before the payload, and after it.
const LEADING: usize = 1;
const TRAILING: usize = 3;

impl Table {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Logs, Self::Spans, Self::MetricSamples, Self::MetricSeries, Self::Matches];

    /// The name in SQL, in paths and in the catalog.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Logs => log::TABLE,
            Self::Spans => span::TABLE,
            Self::MetricSamples => metric::sample::TABLE,
            Self::MetricSeries => metric::series::TABLE,
            Self::Matches => matches::TABLE,
        }
    }

    /// The table of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.name() == name)
    }

    /// Whether a message may bring its rows.
    pub fn is_received(self) -> bool {
        self.signal().tables().contains(&self)
    }

    /// Whether a row is an event: what a loss is counted in.
    pub const fn holds_events(self) -> bool {
        match self {
            Self::Logs | Self::Spans | Self::MetricSamples => true,
            Self::MetricSeries | Self::Matches => false,
        }
    }

    /// The signal whose events it holds.
    pub const fn signal(self) -> Signal {
        match self {
            Self::Logs | Self::Matches => Signal::Logs,
            Self::Spans => Signal::Spans,
            Self::MetricSamples | Self::MetricSeries => Signal::Metrics,
        }
    }

    /// The columns as stored.
    pub fn schema(self) -> SchemaRef {
        match self {
            Self::Logs => log::schema(),
            Self::Spans => span::schema(),
            Self::MetricSamples => metric::sample::schema(),
            Self::MetricSeries => metric::series::schema(),
            Self::Matches => matches::schema(),
        }
    }

    /// The columns that travel: all but whose row it is and where it came from,
    /// which a batch says once.
    pub fn payload_schema(self) -> SchemaRef {
        static SCHEMAS: LazyLock<[SchemaRef; 5]> = LazyLock::new(|| {
            Table::ALL.map(|table| {
                let stored = table.schema();
                let payload = &stored.fields()[LEADING..stored.fields().len() - TRAILING];
                Arc::new(Schema::new(payload.to_vec()))
            })
        });
        SCHEMAS[self as usize].clone()
    }

    /// The order of rows within a file.
    pub const fn sort(self) -> Sort {
        match self {
            Self::Logs | Self::Matches => Sort::Time,
            Self::Spans => Sort::MinuteTrace,
            Self::MetricSamples | Self::MetricSeries => Sort::MetricSeriesTime,
        }
    }
}

impl Signal {
    /// The tables that its events become as they come.
    pub const fn tables(self) -> &'static [Table] {
        match self {
            Self::Logs => &[Table::Logs],
            Self::Spans => &[Table::Spans],
            Self::Metrics => &[Table::MetricSamples, Table::MetricSeries],
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_what_files_and_exactly_once_rest_on() {
        for table in Table::ALL {
            let stored = table.schema();
            let names: Vec<_> = stored.fields().iter().map(|field| field.name().as_str()).collect();
            assert_eq!(names[..3], ["tenant", "timestamp", "timestamp_nanos"], "{table}");
            assert_eq!(names[3], "observed_timestamp", "{table}");
            assert_eq!(names[names.len() - 3..], ["source_id", "source_start", "source_end"], "{table}");
            for shared in [&names[..4], &names[names.len() - 3..]].concat() {
                assert_eq!(
                    stored.field_with_name(shared).unwrap(),
                    log::schema().field_with_name(shared).unwrap(),
                    "{table}.{shared}"
                );
            }
            assert_eq!(table.payload_schema().fields().len() + 4, names.len());
            assert_eq!(Table::of_name(table.name()), Some(table));
            assert_eq!(serde_json::to_value(table).unwrap(), table.name());
            assert_eq!(table.is_received(), table != Table::Matches);
        }
    }

    #[test]
    fn a_topic_says_its_signal_by_its_last_word() {
        for (topic, signal) in [
            ("weir.logs", Some(Signal::Logs)),
            ("a.b.spans", Some(Signal::Spans)),
            ("metrics", Some(Signal::Metrics)),
            ("weir.dead-letter", None),
            ("weir.logs.", None),
            ("", None),
        ] {
            assert_eq!(Signal::of_topic(topic), signal, "{topic}");
        }
    }
}

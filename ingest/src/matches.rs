//! Rules that look for lines: judged as rows come, before anybody asks.
//!
//! What they find becomes rows of `matches`, in the same message as the log
//! rows and so in the same commit: a match is there exactly when its line is.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, Int16Array, PrimitiveArray, RecordBatch, StringArray};
use arrow_select::concat::concat_batches;
use arrow_select::filter::filter_record_batch;
use weir_proto::schema::{Table, log, matches};
use weir_storage::predicate::{Predicate, PredicateError};

use crate::metrics::IngestMetrics;

/// A rule that looks for lines.
#[derive(Clone, Debug)]
pub struct LogRule {
    /// What its matches are called by, `group/name`.
    pub name: String,
    /// What it looks for.
    pub predicate: Arc<dyn Predicate>,
}

/// All rules of a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Matcher {
    rules: Arc<[LogRule]>,
}

impl Matcher {
    pub(crate) fn new(rules: Vec<LogRule>) -> Self {
        Self { rules: rules.into() }
    }

    /// The matches among these rows of any table. A rule that cannot be judged
    /// is said and counted; the rows are taken in all the same.
    pub(crate) fn find(
        &self,
        rows: &[(Table, RecordBatch)],
        now_micros: i64,
        metrics: &IngestMetrics,
    ) -> Option<RecordBatch> {
        let mut found = Vec::new();
        for (_, rows) in rows.iter().filter(|(table, _)| *table == Table::Logs) {
            for rule in self.rules.iter() {
                match matched(rule, rows, now_micros) {
                    Ok(matched) => found.extend(matched),
                    Err(error) => {
                        metrics.match_failures.inc();
                        tracing::error!(rule = rule.name, %error, "lines were not compared with a rule");
                    }
                }
            }
        }
        if found.is_empty() {
            return None;
        }
        Some(concat_batches(&matches::schema(), &found).expect("matches have one schema"))
    }
}

fn matched(
    rule: &LogRule,
    rows: &RecordBatch,
    now_micros: i64,
) -> Result<Option<RecordBatch>, PredicateError> {
    let answers = rule.predicate.matches(rows)?;
    if answers.true_count() == 0 {
        return Ok(None);
    }
    let rows = filter_record_batch(rows, &answers)?;
    let column = |name: &str| rows.column_by_name(name).cloned().ok_or_else(|| format!("{name} is missing"));
    let count = rows.num_rows();
    let noticed = PrimitiveArray::<TimestampMicrosecondType>::from_value(now_micros, count);
    let log_timestamp = column(log::column::TIMESTAMP)?;
    let log_timestamp = log_timestamp.as_primitive_opt::<TimestampMicrosecondType>().cloned();
    let log_timestamp = log_timestamp.ok_or("the time is none")?;
    let mut columns: Vec<ArrayRef> = vec![
        column(log::column::TENANT)?,
        Arc::new(noticed.with_timezone("UTC")),
        Arc::new(Int16Array::from_value(0, count)),
        column(log::column::OBSERVED_TIMESTAMP)?,
        Arc::new(StringArray::from_iter_values(std::iter::repeat_n(&rule.name, count))),
        Arc::new(log_timestamp),
    ];
    for name in matches::COPIED {
        columns.push(column(name)?);
    }
    for name in [log::column::SOURCE_ID, log::column::SOURCE_START, log::column::SOURCE_END] {
        columns.push(column(name)?);
    }
    Ok(Some(RecordBatch::try_new(matches::schema(), columns)?))
}

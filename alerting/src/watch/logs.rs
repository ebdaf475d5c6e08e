//! Rules that look for lines. The ingesters have found them already, as they
//! came, and hold them in `weir.matches`; here they are asked for a few times a
//! second, and each is taken once.
//!
//! A match is found by when it was noticed, by the clock of an ingester that
//! may be another's or late to answer. So each look begins a little before the
//! end of the last, and now and then far before; what was taken is remembered.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::Instant;
use weir_runtime::telemetry::error_chain;
use weir_runtime::{Handles, TaskError};

use super::{sample, text};
use crate::book::{Book, Evaluation};
use crate::error::{SourceError, StoreError};
use crate::evaluate::Values;
use crate::instance::Sample;
use crate::metric::AlertingMetrics;
use crate::rule::{LogCondition, Rule};
use crate::source::{Answer, Source};
use crate::store::Change;
use crate::time::{micros, micros_of};

/// Between two looks: what a look costs is a few milliseconds.
const LOOK: Duration = Duration::from_millis(250);

/// Between looks while nobody answers.
const PAUSE: Duration = Duration::from_secs(1);

/// How far before the end of the last look the next begins, and every
/// `FAR_EVERY`.
const NEAR: Duration = Duration::from_secs(10);
const FAR: Duration = Duration::from_secs(15 * 60);
const FAR_EVERY: Duration = Duration::from_secs(30);

/// Rows of one look. When there are more, the next look follows at once.
const ROWS_MAX: usize = 5_000;

/// How long it is remembered which lines were taken.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);
const FORGET_EVERY: Duration = Duration::from_secs(3600);

/// An alert ends when answers are complete for the time in which nothing came;
/// at the latest this long after.
const MAX_WAIT: Duration = Duration::from_secs(180);

/// The name under which it is kept how far all of them have come.
const PROGRESS: &str = "weir.matches";

/// What is asked for.
const COLUMNS: &str = "rule, timestamp, log_timestamp, service_name, severity_text, body, trace_id, span_id, \
                       k8s_cluster_name, k8s_namespace_name, k8s_pod_name, k8s_container_name, k8s_node_name, \
                       host_name, attributes, resource_attributes, source_id, source_start";

/// Evaluates all rules that look for lines.
pub(crate) struct Watch {
    pub(crate) rules: Vec<(Rule, LogCondition)>,
    pub(crate) book: Arc<Book>,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) handles: Handles,
}

/// A line that a rule found.
struct Match {
    id: String,
    rule: String,
    noticed_micros: i64,
    row: Map<String, Value>,
}

/// A look that failed.
enum Failure {
    Source(SourceError),
    Store(StoreError),
}

impl Watch {
    /// Looks until told to end.
    pub(crate) async fn run(self) -> Result<(), TaskError> {
        let shutdown = self.handles.shutdown.clone();
        tokio::select! {
            () = shutdown.begun() => Ok(()),
            outcome = self.looks() => outcome,
        }
    }

    async fn looks(&self) -> Result<(), TaskError> {
        let known = self.book.store.progress(PROGRESS).await?;
        let mut cursor = known.unwrap_or_else(|| self.book.clock.now_micros());
        let (mut far, mut forgot) = (None::<Instant>, None::<Instant>);
        loop {
            let is_far = far.is_none_or(|at| at.elapsed() >= FAR_EVERY);
            let back = if is_far { FAR } else { NEAR };
            match self.look(cursor - micros(back), cursor).await {
                Ok(next) => {
                    cursor = next;
                    if is_far {
                        far = Some(Instant::now());
                    }
                    tokio::time::sleep(LOOK).await;
                }
                Err(failure) => {
                    let why = match failure {
                        Failure::Source(error) => error_chain(&error),
                        Failure::Store(error) => error_chain(&error),
                    };
                    self.rules.iter().for_each(|(rule, _)| self.book.failed(&rule.id(), &why));
                    tokio::time::sleep(PAUSE).await;
                }
            }
            if forgot.is_none_or(|at| at.elapsed() >= FORGET_EVERY) {
                forgot = Some(Instant::now());
                let before = self.book.clock.now_micros() - micros(REMEMBERED);
                if let Err(error) = self.book.store.forget(before).await {
                    tracing::warn!(error = error_chain(&error), "old lines are not forgotten");
                }
            }
        }
    }

    /// Takes what was noticed since a time, and ends what has ended. Answers
    /// with the time up to which everything was taken.
    async fn look(&self, from_micros: i64, cursor: i64) -> Result<i64, Failure> {
        let mut from = from_micros;
        let mut reached = cursor;
        let complete_until = loop {
            let statement = format!(
                "SELECT {COLUMNS} FROM weir.matches WHERE timestamp >= to_timestamp_micros({from}) \
                 ORDER BY timestamp, source_id, source_start LIMIT {ROWS_MAX}"
            );
            let answer = self.source.ask(&statement).await.map_err(Failure::Source)?;
            let matches = read(&answer).map_err(Failure::Source)?;
            let last = matches.last().map(|found| found.noticed_micros);
            let is_full = answer.is_truncated || matches.len() >= ROWS_MAX;
            self.take(matches).await.map_err(Failure::Store)?;
            reached = reached.max(last.unwrap_or(reached));
            match last {
                // More than a look's rows at one instant: over the instant.
                Some(last) if is_full && last == from => from = last + 1,
                Some(last) if is_full => from = last,
                _ => break answer.complete_until_micros,
            }
        };
        if reached != cursor {
            let change = Change { progress_micros: Some(reached), ..Change::default() };
            let now_micros = self.book.clock.now_micros();
            self.book.store.apply(PROGRESS, &change, now_micros).await.map_err(Failure::Store)?;
        }
        self.expire(complete_until).await.map_err(Failure::Store)?;
        Ok(reached)
    }

    /// Takes those lines that were not taken before.
    async fn take(&self, matches: Vec<Match>) -> Result<(), StoreError> {
        if matches.is_empty() {
            return Ok(());
        }
        let mut by_id: BTreeMap<String, Match> =
            matches.into_iter().map(|found| (found.id.clone(), found)).collect();
        let unseen = self.book.store.unseen(by_id.keys().cloned().collect()).await?;
        let mut by_rule: BTreeMap<String, Vec<Match>> = BTreeMap::new();
        for found in unseen.iter().filter_map(|id| by_id.remove(id)) {
            by_rule.entry(found.rule.clone()).or_default().push(found);
        }
        for (rule, condition) in &self.rules {
            let id = rule.id();
            let Some(mut found) = by_rule.remove(&id) else { continue };
            found.sort_by_key(|found| found.noticed_micros);
            self.book.metrics.matches.inc_by(found.len() as u64);
            let mut instances = self.book.instances(&id);
            let now_micros = self.book.clock.now_micros();
            let outcome = rule.timing(self.book.repeat_interval).seen(
                &mut instances,
                samples(rule, condition, &found),
                now_micros,
                true,
                Values::Add,
            );
            if outcome.beyond_limit > 0 {
                let labels = AlertingMetrics::rule(&id);
                self.book.metrics.beyond_limit.get_or_create(&labels).inc_by(outcome.beyond_limit as u64);
                tracing::warn!(rule = id, limit = rule.limit, "a rule has too many instances");
            }
            let seen = found.into_iter().map(|found| found.id).collect();
            let evaluation =
                Evaluation { instances, transitions: outcome.transitions, progress_micros: None, seen };
            self.book.record(rule, evaluation).await?;
        }
        Ok(())
    }

    async fn expire(&self, complete_until: Option<i64>) -> Result<(), StoreError> {
        let latest = self.book.clock.now_micros() - micros(MAX_WAIT);
        let at_micros = complete_until.unwrap_or(latest).max(latest);
        for (rule, _) in &self.rules {
            let mut instances = self.book.instances(&rule.id());
            let count = instances.len();
            let timing = rule.timing(self.book.repeat_interval);
            let transitions = timing.expired(&mut instances, at_micros);
            let is_new = self.book.page(&rule.id()).evaluated_micros.is_none();
            if instances.len() != count || is_new || self.book.page(&rule.id()).error.is_some() {
                let evaluation = Evaluation { instances, transitions, ..Evaluation::default() };
                self.book.record(rule, evaluation).await?;
            }
        }
        Ok(())
    }
}

/// One sample for each set of labels: how many lines, and the last of them.
fn samples(rule: &Rule, condition: &LogCondition, found: &[Match]) -> Vec<Sample> {
    let mut groups: BTreeMap<BTreeMap<String, String>, (usize, &Match)> = BTreeMap::new();
    for one in found {
        let own = condition.by.iter().filter_map(|name| Some((name.clone(), field(&one.row, name)?)));
        let group = groups.entry(own.collect()).or_insert((0, one));
        *group = (group.0 + 1, one);
    }
    let sample = |(own, (count, last)): (_, (usize, &Match))| sample(rule, own, count as f64, &last.row);
    groups.into_iter().map(sample).collect()
}

/// A column, by its name or OpenTelemetry's, or an attribute.
fn field(row: &Map<String, Value>, name: &str) -> Option<String> {
    if let Some(value) = row.get(name).or_else(|| row.get(&name.replace('.', "_"))) {
        return text(value);
    }
    let key = name.strip_prefix("attributes.").unwrap_or(name);
    let of = |map: &str| row.get(map)?.get(key).and_then(text);
    of("attributes").or_else(|| of("resource_attributes"))
}

fn read(answer: &Answer) -> Result<Vec<Match>, SourceError> {
    let wrong = |what: &str| SourceError::Answer { url: "weir.matches".to_owned(), reason: what.to_owned() };
    let read = |row: &Vec<Value>| {
        let row: Map<String, Value> = answer.columns.iter().cloned().zip(row.iter().cloned()).collect();
        let rule = row.get("rule").and_then(Value::as_str).ok_or_else(|| wrong("no rule"))?.to_owned();
        let at = row.get("timestamp").and_then(Value::as_str).and_then(micros_of);
        let source = row.get("source_id").and_then(Value::as_str).ok_or_else(|| wrong("no source"))?;
        let start = row.get("source_start").and_then(Value::as_i64).ok_or_else(|| wrong("no start"))?;
        Ok(Match {
            id: format!("{rule}|{source}|{start}"),
            noticed_micros: at.ok_or_else(|| wrong("no time"))?,
            rule,
            row,
        })
    };
    answer.rows.iter().map(read).collect()
}

#[cfg(test)]
mod tests;

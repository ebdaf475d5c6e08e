//! A rule with a statement: asked about one window after the other, each when
//! it is complete.
//!
//! A window that is not complete is waited for, at the latest for `max_wait`,
//! and then judged and marked. Windows that were missed, because nobody
//! answered or this process was down, are caught up and told once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use weir_runtime::telemetry::error_chain;
use weir_runtime::{Handles, TaskError};

use super::{sample, text};
use crate::book::{Book, Evaluation};
use crate::evaluate::{Instances, Transition};
use crate::instance::Sample;
use crate::label::fingerprint;
use crate::metric::AlertingMetrics;
use crate::rule::{Rule, SqlCondition};
use crate::source::{Answer, Source};
use crate::time::{between, micros, rfc3339};

/// How far back missed windows are caught up.
const CATCH_UP_MAX: Duration = Duration::from_secs(3600);

/// Between two looks at a window that is not complete, or a source that does
/// not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// How late a window usually is, marks and a flush together.
const USUAL: Duration = Duration::from_secs(10);

/// The column that is compared.
const VALUE: &str = "value";

/// Evaluates one rule.
pub(crate) struct Watch {
    pub(crate) rule: Rule,
    pub(crate) condition: SqlCondition,
    pub(crate) book: Arc<Book>,
    pub(crate) source: Arc<dyn Source>,
    pub(crate) handles: Handles,
}

/// Windows that were judged one after the other, not stored yet.
struct Unrecorded {
    instances: Instances,
    /// By fingerprint, the last that is to be told.
    told: BTreeMap<String, Transition>,
}

/// Why a window cannot be judged now.
enum NotYet {
    /// Not everything of it is there.
    Incomplete(String),
    /// There is no answer.
    Failed(String),
}

impl Watch {
    /// Evaluates until told to end.
    pub(crate) async fn run(self) -> Result<(), TaskError> {
        let shutdown = self.handles.shutdown.clone();
        tokio::select! {
            () = shutdown.begun() => Ok(()),
            outcome = self.windows() => outcome,
        }
    }

    async fn windows(&self) -> Result<(), TaskError> {
        let every = micros(self.condition.every);
        let timing = self.rule.timing(self.book.repeat_interval);
        let mut end = self.first().await?;
        let mut unrecorded: Option<Unrecorded> = None;
        loop {
            self.until_settled(end).await;
            let (samples, is_complete) = match self.judge(end).await {
                Ok(found) => found,
                Err(not_yet) => {
                    if let Some(unrecorded) = unrecorded.take() {
                        self.record(unrecorded, end - every).await;
                    }
                    self.say(&not_yet, end);
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let found = unrecorded.get_or_insert_with(|| Unrecorded {
                instances: self.book.instances(&self.rule.id()),
                told: BTreeMap::new(),
            });
            let outcome = timing.evaluate(&mut found.instances, samples, end, is_complete);
            self.report_limit(outcome.beyond_limit);
            for transition in outcome.transitions {
                found.told.insert(fingerprint(&transition.instance.labels), transition);
            }
            let next = (end + every).max(self.oldest());
            let is_last = next + micros(self.condition.lateness) > self.book.clock.now_micros();
            if let Some(unrecorded) = unrecorded.take_if(|_| is_last) {
                self.record(unrecorded, end).await;
            }
            end = next;
        }
    }

    /// The end of the first window: the one after the last that was judged.
    async fn first(&self) -> Result<i64, TaskError> {
        let every = micros(self.condition.every);
        let now_micros = self.book.clock.now_micros();
        let known = self.book.store.progress(&self.rule.id()).await?;
        let next = known.map_or(i64::MIN, |at| at + every);
        Ok(match known {
            Some(_) => next.max(self.oldest()),
            // The window that has just ended.
            None => now_micros.div_euclid(every) * every,
        })
    }

    /// The end of the oldest window that is still worth judging.
    fn oldest(&self) -> i64 {
        let every = micros(self.condition.every);
        (self.book.clock.now_micros() - micros(CATCH_UP_MAX)).div_euclid(every) * every
    }

    /// A window that is a moment late is no failure.
    fn say(&self, not_yet: &NotYet, end_micros: i64) {
        let late = between(end_micros + micros(self.condition.lateness), self.book.clock.now_micros());
        match not_yet {
            NotYet::Incomplete(_) if late < USUAL => {}
            NotYet::Incomplete(why) | NotYet::Failed(why) => self.book.failed(&self.rule.id(), why),
        }
    }

    async fn until_settled(&self, end_micros: i64) {
        let settled = end_micros + micros(self.condition.lateness);
        loop {
            let early = between(self.book.clock.now_micros(), settled);
            if early.is_zero() {
                return;
            }
            tokio::time::sleep(early.min(PAUSE)).await;
        }
    }

    /// What the window has, and whether that is all of it. An error says why
    /// it cannot be judged yet.
    async fn judge(&self, end_micros: i64) -> Result<(Vec<Sample>, bool), NotYet> {
        let settled = end_micros + micros(self.condition.lateness);
        let asked = self.source.ask(&self.condition.statement_at(end_micros)).await;
        let answer = asked.map_err(|error| NotYet::Failed(error_chain(&error)))?;
        let until = answer.complete_until_micros;
        let is_complete = self.condition.window.is_none() || until.is_some_and(|until| until >= settled);
        if !is_complete && self.book.clock.now_micros() < settled + micros(self.condition.max_wait) {
            return Err(NotYet::Incomplete(format!(
                "waiting for the window to be complete: it ended at {}, answers are complete until {}",
                rfc3339(end_micros),
                until.map_or_else(|| "an unknown time".to_owned(), rfc3339)
            )));
        }
        Ok((self.read(&answer).map_err(NotYet::Failed)?, is_complete))
    }

    fn read(&self, answer: &Answer) -> Result<Vec<Sample>, String> {
        let value = answer.column(VALUE);
        if self.condition.threshold.is_some() && value.is_none() {
            return Err("the rule has a threshold, and its statement no column `value`".to_owned());
        }
        let mut samples = Vec::new();
        for row in &answer.rows {
            let number = match value.map(|column| &row[column]) {
                None => 1.0,
                Some(Value::Null) => f64::NAN,
                Some(found) => {
                    let number = found.as_f64().or_else(|| found.as_str().and_then(|text| text.parse().ok()));
                    number.ok_or_else(|| format!("the column `value` has {found}, which is no number"))?
                }
            };
            if self.condition.threshold.is_some_and(|threshold| !threshold.holds(number)) {
                continue;
            }
            let named: Map<String, Value> = answer.columns.iter().cloned().zip(row.iter().cloned()).collect();
            let own = named.iter().filter(|(name, _)| *name != VALUE);
            let own = own.filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect();
            samples.push(sample(&self.rule, own, number, &named));
        }
        Ok(samples)
    }

    fn report_limit(&self, beyond: usize) {
        if beyond > 0 {
            let id = self.rule.id();
            let labels = AlertingMetrics::rule(&id);
            self.book.metrics.beyond_limit.get_or_create(&labels).inc_by(beyond as u64);
            tracing::warn!(rule = id, beyond, limit = self.rule.limit, "a rule has too many instances");
        }
    }

    /// Stores it, however long that takes: it was found.
    async fn record(&self, found: Unrecorded, end_micros: i64) {
        let Unrecorded { instances, told } = found;
        let transitions: Vec<_> = told.into_values().collect();
        loop {
            let evaluation = Evaluation {
                instances: instances.clone(),
                transitions: transitions.clone(),
                progress_micros: Some(end_micros),
                seen: Vec::new(),
            };
            match self.book.record(&self.rule, evaluation).await {
                Ok(()) => return,
                Err(error) => self.book.failed(&self.rule.id(), &error_chain(&error)),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests;

//! Rules, read and checked.
//!
//! ```yaml
//! groups:
//!   - name: shop
//!     rules:
//!       - alert: PaymentDeclined
//!         logs: 'severity>=error "payment declined"'
//!       - alert: CheckoutErrors
//!         sql: >
//!           SELECT service_name, count(*) AS value FROM spans WHERE status_code = 'ERROR'
//!           AND timestamp >= $start AND timestamp < $end GROUP BY service_name
//!         threshold: '> 5'
//! ```

mod file;
mod threshold;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::RuleError;
use crate::evaluate::Timing;
use crate::template::Template;
use crate::time::micros;

pub(crate) use threshold::Threshold;

/// The placeholders of a window's ends in a statement.
pub(crate) const START: &str = "$start";
pub(crate) const END: &str = "$end";

/// Every rule of every file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleSet {
    rules: Vec<Rule>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The alert's name, unique within its group.
    pub name: String,
    /// The group's name.
    pub group: String,
    /// Where it was read.
    pub file: PathBuf,
    /// When it is true.
    pub condition: Condition,
    pub(crate) keep_firing_for: Duration,
    pub(crate) limit: usize,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, Template>,
}

/// When a rule is true.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// While lines match.
    Logs(LogCondition),
    /// While a statement finds rows.
    Sql(SqlCondition),
}

/// While lines match.
#[derive(Clone, Debug, PartialEq)]
pub struct LogCondition {
    /// A search, as `GET /api/v1/logs` takes it.
    pub search: String,
    /// The columns and attributes that tell instances apart.
    pub(crate) by: Vec<String>,
}

/// While a statement finds rows.
#[derive(Clone, Debug, PartialEq)]
pub struct SqlCondition {
    /// The statement. `$start` and `$end` are the window's ends.
    pub statement: String,
    /// The window's length; none when the statement has no window.
    pub(crate) window: Option<Duration>,
    pub(crate) every: Duration,
    pub(crate) lateness: Duration,
    pub(crate) max_wait: Duration,
    pub(crate) threshold: Option<Threshold>,
    pub(crate) holds_for: Duration,
}

impl RuleSet {
    /// Reads the files that these paths and globs name.
    ///
    /// # Errors
    /// The file, and what is wrong with it and where.
    pub fn load(patterns: &[String]) -> Result<Self, RuleError> {
        let mut rules = Vec::new();
        for path in file::find(patterns)? {
            rules.extend(file::read(&path)?);
        }
        file::unique(&rules)?;
        Ok(Self { rules })
    }

    /// All of them, in the order of files and groups.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Those that look for lines, with their names as matches have them.
    pub fn log_rules(&self) -> impl Iterator<Item = (&Rule, &LogCondition)> {
        self.rules.iter().filter_map(|rule| match &rule.condition {
            Condition::Logs(logs) => Some((rule, logs)),
            Condition::Sql(_) => None,
        })
    }

    /// True without a rule.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

impl Rule {
    /// `group/name`: what it is called wherever it is stored.
    pub fn id(&self) -> String {
        format!("{}/{}", self.group, self.name)
    }

    /// The question as people may read it.
    pub(crate) fn question(&self) -> &str {
        match &self.condition {
            Condition::Logs(logs) => &logs.search,
            Condition::Sql(sql) => &sql.statement,
        }
    }

    pub(crate) fn holds_for(&self) -> Duration {
        match &self.condition {
            Condition::Logs(_) => Duration::ZERO,
            Condition::Sql(sql) => sql.holds_for,
        }
    }

    pub(crate) fn timing(&self, repeat_interval: Duration) -> Timing {
        Timing {
            for_micros: micros(self.holds_for()),
            keep_firing_micros: micros(self.keep_firing_for),
            repeat_micros: micros(repeat_interval),
            limit: self.limit,
        }
    }
}

impl SqlCondition {
    /// The statement for the window that ends at a time.
    pub(crate) fn statement_at(&self, end_micros: i64) -> String {
        let start = end_micros - self.window.map_or(0, micros);
        // `$start` first would be wrong if one name began with the other.
        self.statement
            .replace(START, &format!("to_timestamp_micros({start})"))
            .replace(END, &format!("to_timestamp_micros({end_micros})"))
    }
}

#[cfg(test)]
mod tests;

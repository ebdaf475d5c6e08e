//! Files of rules: what is written, and what it means.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use globset::Glob;
use serde::Deserialize;
use weir_runtime::HumanDuration;

use super::{Condition, END, LogCondition, Rule, START, SqlCondition, Threshold};
use crate::error::RuleError;
use crate::template::Template;

const EVERY: Duration = Duration::from_secs(60);
const EVERY_MIN: Duration = Duration::from_secs(1);
const LATENESS: Duration = Duration::from_secs(10);
const MAX_WAIT: Duration = Duration::from_secs(180);
const LOGS_KEEP_FIRING: Duration = Duration::from_secs(300);
const LIMIT: usize = 100;

/// A file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    name: String,
    rules: Vec<Written>,
}

/// A rule as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    alert: String,
    logs: Option<String>,
    by: Option<Vec<String>>,
    sql: Option<String>,
    window: Option<HumanDuration>,
    every: Option<HumanDuration>,
    lateness: Option<HumanDuration>,
    max_wait: Option<HumanDuration>,
    threshold: Option<String>,
    #[serde(rename = "for")]
    holds_for: Option<HumanDuration>,
    keep_firing_for: Option<HumanDuration>,
    limit: Option<usize>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// The files that paths and globs name, each once, in order.
pub(super) fn find(patterns: &[String]) -> Result<BTreeSet<PathBuf>, RuleError> {
    let mut found = BTreeSet::new();
    for pattern in patterns {
        let path = Path::new(pattern);
        if !pattern.contains(['*', '?', '[', '{']) {
            if !path.is_file() {
                return Err(RuleError::Missing(path.to_owned()));
            }
            found.insert(path.to_owned());
            continue;
        }
        let no_pattern = |reason: String| RuleError::Pattern { pattern: pattern.clone(), reason };
        let (dir, name) = match (path.parent(), path.file_name().and_then(|name| name.to_str())) {
            (Some(dir), Some(name)) if !dir.to_string_lossy().contains(['*', '?', '[', '{']) => (dir, name),
            _ => return Err(no_pattern("only the last part of a path may have wildcards".to_owned())),
        };
        let glob = Glob::new(name).map_err(|error| no_pattern(error.to_string()))?.compile_matcher();
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        let read = |source| RuleError::Read { path: dir.to_owned(), source };
        for entry in std::fs::read_dir(dir).map_err(read)? {
            let entry = entry.map_err(read)?;
            // A mounted ConfigMap has its files behind links.
            if glob.is_match(entry.file_name()) && entry.path().is_file() {
                found.insert(entry.path());
            }
        }
    }
    Ok(found)
}

/// The rules of a file.
pub(super) fn read(path: &Path) -> Result<Vec<Rule>, RuleError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| RuleError::Read { path: path.to_owned(), source })?;
    let file: Option<File> = serde_saphyr::from_str(&text).map_err(|error| {
        let error = error.without_snippet();
        let at = error.location().map(|at| format!("line {}, column {}: ", at.line(), at.column()));
        RuleError::File { path: path.to_owned(), reason: format!("{}{error}", at.unwrap_or_default()) }
    })?;
    let mut rules = Vec::new();
    for group in file.unwrap_or_default().groups {
        for written in group.rules {
            let name = written.alert.clone();
            let rule = rule(written, &group.name, path);
            rules.push(rule.map_err(|reason| RuleError::Rule {
                path: path.to_owned(),
                rule: name,
                reason,
            })?);
        }
    }
    Ok(rules)
}

/// No two rules of a group have one name: state is kept by it.
pub(super) fn unique(rules: &[Rule]) -> Result<(), RuleError> {
    let mut names = BTreeMap::new();
    for rule in rules {
        if let Some(other) = names.insert(rule.id(), &rule.file) {
            let reason = format!("group {:?} has it already, in {}", rule.group, other.display());
            return Err(RuleError::Rule { path: rule.file.clone(), rule: rule.name.clone(), reason });
        }
    }
    Ok(())
}

fn rule(written: Written, group: &str, path: &Path) -> Result<Rule, String> {
    if written.alert.trim().is_empty() {
        return Err("alert, its name, is empty".to_owned());
    }
    for name in written.labels.keys() {
        if name == "alertname" {
            return Err("labels: alertname is the rule's name, and cannot be set".to_owned());
        }
    }
    let template = |(name, text): (&String, &String)| {
        let template = Template::parse(text).map_err(|error| format!("annotations.{name}: {error}"))?;
        Ok((name.clone(), template))
    };
    let annotations = written.annotations.iter().map(template).collect::<Result<_, String>>()?;
    let is_logs = written.logs.is_some();
    let keep_firing_for = written
        .keep_firing_for
        .map_or(if is_logs { LOGS_KEEP_FIRING } else { Duration::ZERO }, |time| time.0);
    let limit = written.limit.unwrap_or(LIMIT);
    let labels = written.labels.clone();
    let name = written.alert.clone();
    let condition = match (written.logs.clone(), written.sql.clone()) {
        (Some(search), None) => Condition::Logs(logs(search, written)?),
        (None, Some(statement)) => Condition::Sql(sql(statement, &written)?),
        _ => return Err("write one of logs and sql".to_owned()),
    };
    Ok(Rule {
        name,
        group: group.to_owned(),
        file: path.to_owned(),
        condition,
        keep_firing_for,
        limit,
        labels,
        annotations,
    })
}

fn logs(search: String, written: Written) -> Result<LogCondition, String> {
    let of_sql = [
        ("window", written.window.is_some()),
        ("every", written.every.is_some()),
        ("lateness", written.lateness.is_some()),
        ("max_wait", written.max_wait.is_some()),
        ("threshold", written.threshold.is_some()),
        ("for", written.holds_for.is_some()),
    ];
    if let Some((key, _)) = of_sql.iter().find(|(_, is_set)| *is_set) {
        return Err(format!("{key} is for rules with sql; lines are told as they come"));
    }
    if search.trim().is_empty() {
        return Err("logs is empty: it would tell of every line".to_owned());
    }
    Ok(LogCondition { search, by: written.by.unwrap_or_else(|| vec!["service_name".to_owned()]) })
}

fn sql(statement: String, written: &Written) -> Result<SqlCondition, String> {
    if written.by.is_some() {
        return Err("by is for rules with logs; a statement has its columns".to_owned());
    }
    let has = |name: &str| statement.contains(name);
    if has(START) != has(END) {
        return Err(format!("sql has only one of {START} and {END}"));
    }
    let window = match (has(START), written.window) {
        (true, Some(window)) if window.0 >= EVERY_MIN => Some(window.0),
        (true, Some(_)) => return Err("window must be at least 1s".to_owned()),
        (true, None) => return Err(format!("sql has {START} and no window is set")),
        (false, Some(_)) => {
            return Err(format!("window is set, and sql has no {START} and {END} to use it"));
        }
        (false, None) => None,
    };
    let every = written.every.map_or(EVERY, |time| time.0);
    if every < EVERY_MIN {
        return Err("every must be at least 1s".to_owned());
    }
    Ok(SqlCondition {
        statement,
        window,
        every,
        lateness: written.lateness.map_or(LATENESS, |time| time.0),
        max_wait: written.max_wait.map_or(MAX_WAIT, |time| time.0),
        threshold: written.threshold.as_deref().map(Threshold::parse).transpose()?,
        holds_for: written.holds_for.map_or(Duration::ZERO, |time| time.0),
    })
}

//! The tasks that evaluate rules: one for each statement, one for all rules
//! that look for lines.

pub(crate) mod logs;
pub(crate) mod sql;
#[cfg(test)]
mod testkit;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::harmless::harmless;
use crate::instance::Sample;
use crate::label::Labels;
use crate::rule::Rule;

/// The label that every alert has.
const ALERTNAME: &str = "alertname";

/// A row as text and numbers that are safe to show.
fn shown(row: &Map<String, Value>) -> Value {
    let shown = |value: &Value| match value {
        Value::String(text) => Value::String(harmless(text)),
        other => other.clone(),
    };
    row.iter().map(|(name, value)| (name.clone(), shown(value))).collect()
}

/// A sample: the rule's labels, the instance's own, annotations filled in.
fn sample(rule: &Rule, own: BTreeMap<String, String>, value: f64, row: &Map<String, Value>) -> Sample {
    let mut labels: Labels = own.into_iter().map(|(name, text)| (name, harmless(&text))).collect();
    labels.extend(rule.labels.clone());
    labels.insert(ALERTNAME.to_owned(), rule.name.clone());
    let row = shown(row);
    let context = json!({"labels": labels, "value": number(value), "sample": row, "rule": rule.id()});
    let render = |(name, template): (&String, &crate::template::Template)| {
        (name.clone(), harmless(&template.render(&context)))
    };
    Sample {
        labels: labels.clone(),
        annotations: rule.annotations.iter().map(render).collect(),
        value,
        row: Some(row),
    }
}

/// Whole numbers without a point.
fn number(value: f64) -> Value {
    match value.fract() == 0.0 && value.abs() < 9e15 {
        true => json!(value as i64),
        false => json!(value),
    }
}

/// A value as a label: text without quotes, nothing for null.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

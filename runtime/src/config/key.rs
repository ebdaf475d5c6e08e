//! The keys of a tree, and which of them a wrong one was meant to be.

use serde::Serialize;
use serde_json::Value;

use super::ConfigError;

/// One thing that can be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// From the root, for example `["query", "memory"]`.
    pub path: Vec<String>,
    /// The environment variable that sets it.
    pub variable: String,
    /// Its value in the tree it was read from, as JSON text.
    pub value: String,
}

impl Key {
    /// As written in a file: `query.memory`.
    pub fn dotted(&self) -> String {
        self.path.join(".")
    }
}

/// All keys of a tree, in the order of their declaration, or of their names
/// where the tree is a map.
pub fn keys<T: Serialize>(tree: &T, prefix: &str) -> Result<Vec<Key>, ConfigError> {
    let tree = serde_json::to_value(tree).map_err(ConfigError::Shape)?;
    Ok(of_value(&tree, prefix))
}

pub(super) fn of_value(tree: &Value, prefix: &str) -> Vec<Key> {
    let mut found = Vec::new();
    collect(tree, prefix, &mut Vec::new(), &mut found);
    found
}

fn collect(value: &Value, prefix: &str, path: &mut Vec<String>, found: &mut Vec<Key>) {
    match value {
        Value::Object(entries) if !entries.is_empty() || path.is_empty() => {
            for (name, value) in entries {
                path.push(name.clone());
                collect(value, prefix, path, found);
                path.pop();
            }
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => {
            let variable = format!("{prefix}{}", path.join("_").to_uppercase().replace(['-', '.'], "_"));
            found.push(Key { path: path.clone(), variable, value: value.to_string() });
        }
    }
}

/// The name most like the given one, if one is like enough to have been meant.
pub(super) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let close = |other: &&str| distance(name, other) <= name.chars().count().max(3) / 3;
    names.filter(close).min_by_key(|other| distance(name, other))
}

/// The edits (insert, delete, replace, swap neighbours) between two words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<_>, Vec<_>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let replace = above[j] + usize::from(a[i] != b[j]);
            let mut least = replace.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let check = |a, b, edits| assert_eq!((distance(a, b), distance(b, a)), (edits, edits), "{a} {b}");
        check("", "abc", 3);
        check("memory", "memory", 0);
        check("memry", "memory", 1);
        check("mmeory", "memory", 1);
        check("spill", "memory", 6);
    }

    #[test]
    fn only_a_likely_name_is_suggested() {
        let check = |name, expected| {
            let names = ["memory", "deadline", "spill_max"];
            assert_eq!(nearest(name, names.into_iter()), expected, "{name}");
        };
        check("memroy", Some("memory"));
        check("spil_max", Some("spill_max"));
        check("port", None);
        check("", None);
    }
}

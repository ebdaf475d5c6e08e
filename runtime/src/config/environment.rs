//! The environment variables.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::key::{Key, nearest, of_value};
use super::{ConfigError, RESERVED};

pub(super) fn apply<T: Serialize + DeserializeOwned>(
    mut config: T,
    variables: impl Iterator<Item = (String, String)>,
    prefix: &str,
) -> Result<T, ConfigError> {
    let mut variables: Vec<_> = variables.filter(|(name, _)| is_ours(name, prefix)).collect();
    if variables.is_empty() {
        return Ok(config);
    }
    // In a fixed order, so that of two mistakes always the same is told.
    variables.sort();
    let mut tree = serde_json::to_value(&config).map_err(ConfigError::Shape)?;
    let keys = of_value(&tree, prefix);
    for (name, text) in variables {
        let path = match find(&keys, &name, prefix) {
            Err(ConfigError::UnknownVariable { .. }) if is_service_link(&name, &text) => continue,
            found => found?,
        };
        (config, tree) = set(&tree, &path, &text).map_err(|reason| ConfigError::Variable {
            name,
            key: path.join("."),
            reason,
        })?;
    }
    Ok(config)
}

fn is_ours(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| !RESERVED.contains(&rest))
}

/// Kubernetes tells every container of the services around it by variables: one
/// named `weir` makes `WEIR_SERVICE_HOST`, `WEIR_PORT` and their like. They set
/// nothing here, and nobody has mistyped them.
fn is_service_link(name: &str, text: &str) -> bool {
    let is_protocol = |word: &str| matches!(word, "TCP" | "UDP" | "SCTP");
    let words: Vec<_> = name.split('_').collect();
    let is_port = |pair: &[&str]| pair[0].parse::<u16>().is_ok() && is_protocol(pair[1]);
    let url = text.split_once("://").is_some_and(|(scheme, _)| is_protocol(&scheme.to_uppercase()));
    name.ends_with("_SERVICE_HOST")
        || words.windows(2).any(|pair| pair == ["SERVICE", "PORT"])
        || (name.ends_with("_PORT") && url)
        || (words.contains(&"PORT") && words.windows(2).any(is_port))
}

/// The path of the key that a variable sets.
fn find(keys: &[Key], name: &str, prefix: &str) -> Result<Vec<String>, ConfigError> {
    let mut fitting = keys.iter().filter(|key| key.variable == name);
    if let Some(key) = fitting.next() {
        return match fitting.next() {
            None => Ok(key.path.clone()),
            Some(other) => Err(ConfigError::AmbiguousVariable {
                name: name.to_owned(),
                first: key.dotted(),
                second: other.dotted(),
            }),
        };
    }
    // An empty map takes entries of any name.
    for key in keys.iter().filter(|key| key.value == "{}") {
        if let Some(entry) = name.strip_prefix(&key.variable).and_then(|rest| rest.strip_prefix('_'))
            && !entry.is_empty()
        {
            let mut path = key.path.clone();
            path.push(entry.to_lowercase());
            return Ok(path);
        }
    }
    let without = |name: &str| name.strip_prefix(prefix).unwrap_or(name).to_owned();
    let known: Vec<_> = keys.iter().map(|key| without(&key.variable)).collect();
    let suggestion = nearest(&without(name), known.iter().map(String::as_str));
    let suggestion = suggestion.map(|rest| format!("{prefix}{rest}"));
    Err(ConfigError::UnknownVariable { name: name.to_owned(), suggestion })
}

/// The tree with one value replaced, read back. The text is tried in each way
/// it can be meant; the first error is the one to tell.
fn set<T: Serialize + DeserializeOwned>(
    tree: &Value,
    path: &[String],
    text: &str,
) -> Result<(T, Value), String> {
    let current = path.iter().try_fold(tree, |value, name| value.get(name)).unwrap_or(&Value::Null);
    let mut reason = None;
    for meaning in meanings(current, text) {
        let mut changed = tree.clone();
        // Indexing an object by a new name makes the entry.
        *path.iter().fold(&mut changed, |value, name| &mut value[name.as_str()]) = meaning;
        match serde_json::from_value(changed.clone()) {
            Ok(config) => return Ok((config, changed)),
            Err(error) => {
                reason.get_or_insert_with(|| error.to_string());
            }
        }
    }
    Err(reason.unwrap_or_else(|| format!("{text:?} is no list: write a,b or [a, b]")))
}

/// What a text can mean where the given value stands now.
fn meanings(current: &Value, text: &str) -> Vec<Value> {
    let plain = Value::from(text);
    let yaml = || serde_saphyr::from_str::<Value>(text).ok();
    match current {
        Value::String(_) => vec![plain],
        Value::Array(_) => {
            let flow = yaml().filter(|value| text.trim_start().starts_with('[') && value.is_array());
            if let Some(flow) = flow {
                return vec![flow];
            }
            let items = || text.split(',').map(str::trim).filter(|item| !item.is_empty());
            let texts = items().map(Value::from).collect();
            let typed =
                items().map(|item| serde_saphyr::from_str(item).unwrap_or_else(|_| Value::from(item)));
            vec![texts, typed.collect()]
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            yaml().into_iter().chain([plain]).collect()
        }
    }
}

//! The YAML file.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_saphyr::granit_parser::{Event, Parser};
use serde_saphyr::{Error, MessageFormatter, UserMessageFormatter};

use super::ConfigError;
use super::error::suggested;
use super::key::nearest;

/// A place in the text and the key it belongs to.
struct Place {
    line: u64,
    column: u64,
    key: String,
    /// Where a value would go that is not there: `key:` and nothing more.
    missing_at: Option<usize>,
}

pub(super) fn parse<T>(path: &Path, text: &str) -> Result<T, ConfigError>
where
    T: Serialize + DeserializeOwned + Default,
{
    let wrong = |error: Error| explain(path, text, &error);
    let written: Value = serde_saphyr::from_str(text).map_err(wrong)?;
    // Nothing but comments is a file all of defaults.
    if written.is_null() {
        return Ok(T::default());
    }
    let defaults = serde_json::to_value(T::default()).map_err(ConfigError::Shape)?;
    let config: T = serde_saphyr::from_str(&with_sections(text, &defaults)).map_err(wrong)?;
    // A struct that forgot `deny_unknown_fields` must not let a typo through:
    // what was written has to be found again in what was read.
    let read = serde_json::to_value(&config).map_err(ConfigError::Shape)?;
    match lost(&written, &read, &mut Vec::new()) {
        None => Ok(config),
        Some((key, reason)) => {
            let place = places(text).into_iter().find(|place| place.key == key);
            let (line, column) = place.map_or((1, 1), |place| (place.line, place.column));
            Err(ConfigError::File { path: path.to_owned(), line, column, key, reason })
        }
    }
}

/// What was written, sections without keys included.
pub(super) fn written<T: Serialize + Default>(path: &Path, text: &str) -> Result<Value, ConfigError> {
    let defaults = serde_json::to_value(T::default()).map_err(ConfigError::Shape)?;
    let written: Value = serde_saphyr::from_str(&with_sections(text, &defaults))
        .map_err(|error| explain(path, text, &error))?;
    // Nothing but comments sets nothing.
    Ok(if written.is_null() { Value::Object(serde_json::Map::new()) } else { written })
}

/// The text with `{}` for each section that has a name and no keys, as happens
/// when all of them are commented out. YAML calls that null, people call it
/// nothing set. Lines keep their numbers.
fn with_sections(text: &str, defaults: &Value) -> String {
    let mut filled = text.to_owned();
    for place in places(text).iter().rev() {
        let section = place.key.split('.').try_fold(defaults, |value, name| value.get(name));
        // The parser puts an absent value where the colon is.
        if let (Some(at), Some(Value::Object(_))) = (place.missing_at, section)
            && text.get(at..).is_some_and(|rest| rest.starts_with(':'))
        {
            filled.insert_str(at + 1, " {}");
        }
    }
    filled
}

fn explain(path: &Path, text: &str, error: &Error) -> ConfigError {
    let error = error.without_snippet();
    let (line, column) = error.location().map_or((1, 1), |location| (location.line(), location.column()));
    let key = places(text)
        .into_iter()
        .take_while(|place| (place.line, place.column) <= (line, column))
        .last()
        .map_or_else(String::new, |place| place.key);
    let reason = match error {
        Error::SerdeUnknownField { field, expected, .. } => unknown(field, expected.iter().copied()),
        Error::DuplicateMappingKey { .. } => "is set twice: keep one of the two".to_owned(),
        other => UserMessageFormatter.format_message(other).into_owned(),
    };
    ConfigError::File { path: path.to_owned(), line, column, key, reason }
}

fn unknown<'a>(field: &str, allowed: impl Iterator<Item = &'a str> + Clone) -> String {
    let suggestion = suggested(nearest(field, allowed.clone()));
    let allowed: Vec<_> = allowed.collect();
    format!("unknown key{suggestion} (allowed: {})", allowed.join(", "))
}

/// The first key that was written and is not in what was read, and why.
fn lost(written: &Value, read: &Value, path: &mut Vec<String>) -> Option<(String, String)> {
    match (written, read) {
        (Value::Object(written), Value::Object(read)) => written.iter().find_map(|(name, value)| {
            path.push(name.clone());
            let found = match read.get(name) {
                Some(read) => lost(value, read, path),
                None if value.is_null() => None,
                None => Some((path.join("."), unknown(name, read.keys().map(String::as_str)))),
            };
            path.pop();
            found
        }),
        (Value::Array(written), Value::Array(read)) => {
            written.iter().zip(read).find_map(|(written, read)| lost(written, read, path))
        }
        // Another spelling of the same: the type decides.
        _ => None,
    }
}

/// Every node of the text in order, each with its key. List items have the key
/// of their list. Ends where the text stops being YAML.
fn places(text: &str) -> Vec<Place> {
    /// A mapping holds the key whose value comes next, if it was read.
    enum Open {
        Mapping(Option<String>),
        Sequence,
    }
    let mut open: Vec<Open> = Vec::new();
    let mut found = Vec::new();
    for event in Parser::new_from_str(text) {
        let Ok((event, span)) = event else { break };
        let enters = match event {
            Event::Scalar(ref name, ..) => {
                if let Some(Open::Mapping(pending @ None)) = open.last_mut() {
                    *pending = Some(name.to_string());
                    None
                } else {
                    Some(None)
                }
            }
            Event::MappingStart(..) => Some(Some(Open::Mapping(None))),
            Event::SequenceStart(..) => Some(Some(Open::Sequence)),
            Event::Alias(..) => Some(None),
            Event::MappingEnd | Event::SequenceEnd => {
                open.pop();
                close(&mut open);
                continue;
            }
            _ => continue,
        };
        let names = open.iter().filter_map(|open| match open {
            Open::Mapping(name) => name.as_deref(),
            Open::Sequence => None,
        });
        let key = names.collect::<Vec<_>>().join(".");
        let (line, column) = (span.start.line() as u64, span.start.col() as u64 + 1);
        let missing = span.byte_range().filter(std::ops::Range::is_empty);
        let missing = missing.filter(|_| matches!(event, Event::Scalar(..)));
        found.push(Place { line, column, key, missing_at: missing.map(|range| range.start) });
        match enters {
            Some(Some(collection)) => open.push(collection),
            Some(None) => close(&mut open),
            None => {}
        }
    }
    return found;

    /// A value has ended: its mapping waits for the next key.
    fn close(open: &mut [Open]) {
        if let Some(Open::Mapping(pending)) = open.last_mut() {
            *pending = None;
        }
    }
}

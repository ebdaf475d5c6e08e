//! What a field's name means.

use arrow_schema::DataType;
use weir_proto::schema::log::{self, column};

/// A field of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// The message: searched for words, for nobody compares all of it.
    Body,
    /// The severity, compared by its number.
    Severity,
    /// A time, which `start` and `end` are for.
    Time,
    /// A column of text.
    Text(&'static str),
    /// A column of lower-case hexadecimal digits.
    Hex(&'static str),
    /// A column of numbers.
    Number(String),
    /// A key of a map column.
    Key(&'static str, String),
    /// A key that the line or the agent may have given.
    AnyKey(String),
    /// A column that is no text and no number.
    Opaque,
}

/// Finds what a name means: a column, its OpenTelemetry name, a key of a map,
/// or else an attribute.
pub(super) fn field(name: &str) -> Field {
    match name {
        "body" | "message" | "msg" => return Field::Body,
        "severity" | "level" => return Field::Severity,
        "trace.id" | column::TRACE_ID => return Field::Hex(column::TRACE_ID),
        "span.id" | column::SPAN_ID => return Field::Hex(column::SPAN_ID),
        _ => {}
    }
    if let Some((_, promoted)) = log::PROMOTED.iter().find(|(known, own)| *known == name || *own == name) {
        return Field::Text(promoted);
    }
    let maps = [
        ("attributes.", column::ATTRIBUTES),
        ("resource_attributes.", column::RESOURCE_ATTRIBUTES),
        ("resource.", column::RESOURCE_ATTRIBUTES),
    ];
    for (prefix, map) in maps {
        if let Some(key) = name.strip_prefix(prefix).filter(|key| !key.is_empty()) {
            return Field::Key(map, key.to_owned());
        }
    }
    let texts = [column::TENANT, column::SEVERITY_TEXT, column::SOURCE_ID];
    if let Some(text) = texts.into_iter().find(|text| *text == name) {
        return Field::Text(text);
    }
    match log::schema().field_with_name(name).map(|field| field.data_type().clone()) {
        Ok(DataType::Timestamp(..)) => Field::Time,
        Ok(DataType::Int16 | DataType::Int32 | DataType::Int64) => Field::Number(name.to_owned()),
        Ok(_) => Field::Opaque,
        Err(_) => Field::AnyKey(name.to_owned()),
    }
}

//! Attribute values to text.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};

use crate::limit::{EVENT_BYTES_MAX, JSON_DEPTH_MAX};
use crate::wire::columns::{AttributeSet, Budget};

/// The attribute that says how many attributes the sender dropped.
const DROPPED_ATTRIBUTES: &str = "otel.dropped_attributes_count";

const TO_TEXT: &str = "writing to text cannot fail";

/// Adds attributes, and how many the sender and the limits left out.
pub(super) fn push_attributes(
    set: &mut AttributeSet,
    prefix: &str,
    attributes: &[KeyValue],
    dropped: u32,
    budget: &mut Budget,
) {
    if dropped > 0 {
        push_count(set, DROPPED_ATTRIBUTES, dropped, budget);
    }
    for attribute in attributes {
        let value = attribute.value.as_ref();
        if prefix.is_empty() {
            push_value(set, &attribute.key, value, budget);
        } else {
            push_value(set, &format!("{prefix}{}", attribute.key), value, budget);
        }
    }
}

pub(super) fn push_value(set: &mut AttributeSet, key: &str, value: Option<&AnyValue>, budget: &mut Budget) {
    set.push_with(key, budget, |out, budget| write_text(out, value, budget));
}

/// Adds how many of something the sender left out.
pub(super) fn push_count(set: &mut AttributeSet, key: &str, count: u32, budget: &mut Budget) {
    set.push_with(key, budget, |out, _| write!(out, "{count}").is_ok());
}

/// Writes a value as text: a string as it is, lists and maps as JSON, bytes in
/// base64. False if there is no value.
pub(super) fn write_text(out: &mut String, value: Option<&AnyValue>, budget: &mut Budget) -> bool {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => out.push_str(text),
        Some(Value::BytesValue(bytes)) => STANDARD.encode_string(bytes, out),
        Some(Value::DoubleValue(number)) => write_double(out, *number),
        // The second is a reference into a table that only profiles have.
        None | Some(Value::StringValueStrindex(_)) => return false,
        value @ Some(_) => write_json(out, value, JSON_DEPTH_MAX, budget),
    }
    true
}

/// Writes a value as JSON. What lies too deep, or beyond the size that an event
/// may have, is null.
fn write_json(out: &mut String, value: Option<&Value>, depth: usize, budget: &mut Budget) {
    let inner = |value: &AnyValue, out: &mut String, budget: &mut Budget| {
        if depth == 0 || out.len() > EVENT_BYTES_MAX * 2 {
            budget.limit();
            out.push_str("null");
        } else {
            write_json(out, value.value.as_ref(), depth - 1, budget);
        }
    };
    match value {
        Some(Value::StringValue(text)) => write_quoted(out, text),
        Some(Value::BytesValue(bytes)) => write_quoted(out, &STANDARD.encode(bytes)),
        Some(Value::BoolValue(value)) => out.push_str(if *value { "true" } else { "false" }),
        Some(Value::IntValue(number)) => write!(out, "{number}").expect(TO_TEXT),
        Some(Value::DoubleValue(number)) if number.is_finite() => write_double(out, *number),
        Some(Value::DoubleValue(number)) => {
            out.push('"');
            write_double(out, *number);
            out.push('"');
        }
        Some(Value::ArrayValue(array)) => {
            out.push('[');
            for (index, value) in array.values.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                inner(value, out, budget);
            }
            out.push(']');
        }
        Some(Value::KvlistValue(list)) => {
            out.push('{');
            for (index, entry) in list.values.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_quoted(out, &entry.key);
                out.push(':');
                inner(entry.value.as_ref().unwrap_or(&AnyValue { value: None }), out, budget);
            }
            out.push('}');
        }
        Some(Value::StringValueStrindex(_)) | None => out.push_str("null"),
    }
}

fn write_quoted(out: &mut String, text: &str) {
    out.push_str(&serde_json::to_string(text).expect("text is JSON"));
}

/// The shortest text that reads back as the same number, with an exponent where
/// JavaScript and Go would write one.
fn write_double(out: &mut String, number: f64) {
    let size = number.abs();
    let written = if number.is_infinite() {
        write!(out, "{}Infinity", if number < 0.0 { "-" } else { "" })
    } else if size == 0.0 || (1e-6..1e21).contains(&size) || number.is_nan() {
        write!(out, "{number}")
    } else {
        write!(out, "{number:e}")
    };
    written.expect(TO_TEXT);
}

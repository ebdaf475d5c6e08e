//! From requests to rows, checked cell by cell.

mod json;
mod logs;
mod metrics;
mod random;
mod traces;

use arrow_array::RecordBatch;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::resource::v1::Resource;

use crate::schema::Table;
use crate::wire::Decoded;
use crate::wire::cells::{cell, check, rows};

/// When the receiver of these tests read its requests.
const OBSERVED: i64 = 1_700_000_000_000_000;
/// 2024-01-01T00:00:00.123456789Z
const NANOS: u64 = 1_704_067_200_123_456_789;

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any(value)), key_strindex: 0 }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn resource(service: &str) -> Option<Resource> {
    let attributes = vec![text("host.name", "node-1"), text("service.name", service), text("zone", "a")];
    Some(Resource { attributes, dropped_attributes_count: 0, entity_refs: Vec::new() })
}

/// One attribute of every type.
fn every_type() -> Vec<KeyValue> {
    let list =
        vec![any(Value::IntValue(1)), any(Value::StringValue("x\"y".into())), AnyValue { value: None }];
    let map = vec![text("a", "b"), attribute("nan", Value::DoubleValue(f64::NAN))];
    vec![
        text("s", "text"),
        attribute("b", Value::BoolValue(true)),
        attribute("i", Value::IntValue(i64::MIN)),
        attribute("d", Value::DoubleValue(0.1)),
        attribute("big", Value::DoubleValue(1e300)),
        attribute("bytes", Value::BytesValue(vec![0xff, 0])),
        attribute("list", Value::ArrayValue(ArrayValue { values: list })),
        attribute("map", Value::KvlistValue(KeyValueList { values: map })),
        KeyValue { key: "none".into(), value: None, key_strindex: 0 },
    ]
}

const EVERY_TYPE: &str = r#"{s: text, b: true, i: -9223372036854775808, d: 0.1, big: 1e300, bytes: /wA=, list: [1,"x\"y",null], map: {"a":"b","nan":"NaN"}, none: null}"#;

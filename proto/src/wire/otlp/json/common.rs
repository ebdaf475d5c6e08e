//! What all signals share: resources, scopes, attributes.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Sent;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::object::{Object, Read, bool, bytes, double, signed, text};

pub(super) fn resource(resource: &mut Object) -> Read<Resource> {
    Ok(Resource {
        attributes: attributes(resource, "attributes")?,
        dropped_attributes_count: resource.u32("droppedAttributesCount")?,
        entity_refs: Vec::new(),
    })
}

pub(super) fn scope(scope: &mut Object) -> Read<InstrumentationScope> {
    Ok(InstrumentationScope {
        name: scope.text("name")?,
        version: scope.text("version")?,
        attributes: attributes(scope, "attributes")?,
        dropped_attributes_count: scope.u32("droppedAttributesCount")?,
    })
}

pub(super) fn attributes(object: &mut Object, name: &str) -> Read<Vec<KeyValue>> {
    object.list(name, key_value)
}

fn key_value(entry: &mut Object) -> Read<KeyValue> {
    let value = entry.object("value", any_value)?;
    Ok(KeyValue { key: entry.text("key")?, value, key_strindex: 0 })
}

/// A value without a field that is known is empty.
pub(super) fn any_value(value: &mut Object) -> Read<AnyValue> {
    let mut found = value.optional("stringValue", text)?.map(Sent::StringValue);
    if found.is_none() {
        found = value.optional("boolValue", bool)?.map(Sent::BoolValue);
    }
    if found.is_none() {
        found = value.optional("intValue", signed)?.map(Sent::IntValue);
    }
    if found.is_none() {
        found = value.optional("doubleValue", double)?.map(Sent::DoubleValue);
    }
    if found.is_none() {
        found = value.optional("bytesValue", bytes)?.map(Sent::BytesValue);
    }
    if found.is_none() {
        let list = |list: &mut Object| Ok(ArrayValue { values: list.list("values", any_value)? });
        found = value.object("arrayValue", list)?.map(Sent::ArrayValue);
    }
    if found.is_none() {
        let map = |map: &mut Object| Ok(KeyValueList { values: map.list("values", key_value)? });
        found = value.object("kvlistValue", map)?.map(Sent::KvlistValue);
    }
    Ok(AnyValue { value: found })
}

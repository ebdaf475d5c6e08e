//! What a resource and a scope say of all that stands below them, made into
//! text once.

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::value::{push_attributes, push_value, write_text};
use crate::limit::{RESOURCE_BYTES_MAX, SCOPE_BYTES_MAX, SHORT_TEXT_BYTES_MAX};
use crate::wire::columns::{AttributeSet, Budget, cut};

/// Has a column of its own in every table.
const SERVICE_NAME: &str = "service.name";

/// Where a scope's attributes go, among those of its events.
const SCOPE_PREFIX: &str = "otel.scope.";

/// Who produced the events.
#[derive(Debug)]
pub(super) struct Producer {
    /// `service.name`; OpenTelemetry's `unknown_service` is not invented here.
    pub(super) service_name: Option<String>,
    /// All other attributes.
    pub(super) attributes: AttributeSet,
    pub(super) is_limited: bool,
}

impl Producer {
    pub(super) fn of(resource: Option<&Resource>) -> Self {
        let mut producer =
            Self { service_name: None, attributes: AttributeSet::default(), is_limited: false };
        let Some(resource) = resource else { return producer };
        let mut budget = Budget::new(RESOURCE_BYTES_MAX);
        push_attributes(&mut producer.attributes, "", &[], resource.dropped_attributes_count, &mut budget);
        for attribute in &resource.attributes {
            if attribute.key == SERVICE_NAME && producer.service_name.is_none() {
                let mut name = String::new();
                write_text(&mut name, attribute.value.as_ref(), &mut budget);
                let kept = cut(&name, SHORT_TEXT_BYTES_MAX).len();
                producer.is_limited |= kept < name.len();
                name.truncate(kept);
                producer.service_name = Some(name).filter(|name| !name.is_empty());
            } else {
                push_value(&mut producer.attributes, &attribute.key, attribute.value.as_ref(), &mut budget);
            }
        }
        producer.is_limited |= budget.is_limited();
        producer
    }

    /// Bytes that every row repeats.
    pub(super) fn bytes(&self) -> usize {
        self.attributes.bytes() + self.service_name.as_ref().map_or(0, String::len)
    }
}

/// Which library made the events.
#[derive(Debug, Default)]
pub(super) struct Scope<'a> {
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    /// Its attributes as `otel.scope.KEY`.
    pub(super) attributes: AttributeSet,
    pub(super) is_limited: bool,
}

impl<'a> Scope<'a> {
    pub(super) fn of(scope: Option<&'a InstrumentationScope>) -> Self {
        let Some(scope) = scope else { return Self::default() };
        let mut budget = Budget::new(SCOPE_BYTES_MAX);
        let name = budget.take_text(&scope.name);
        let version = budget.take_text(&scope.version);
        let mut attributes = AttributeSet::default();
        push_attributes(&mut attributes, SCOPE_PREFIX, &scope.attributes, 0, &mut budget);
        Self { name, version, attributes, is_limited: budget.is_limited() }
    }

    /// Bytes that every row repeats.
    pub(super) fn bytes(&self) -> usize {
        self.name.len() + self.version.len() + self.attributes.bytes()
    }
}

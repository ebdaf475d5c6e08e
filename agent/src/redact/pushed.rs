//! What clients push: every text of their events, before it becomes columns.
//!
//! Redacted: bodies, values of attributes however deep (of events, links,
//! exemplars, scopes and resources, too), messages of statuses, names of span
//! events, Zipkin's tags, annotations and addresses. Left as they are: ids,
//! numbers but those that may be card numbers, bytes, trace states, and names:
//! of spans, metrics, services, scopes and attributes, by which events are found.
//!
//! A series is what its redacted labels say. An event is left out for its own
//! texts alone; what it shares with others, of its resource or scope, is masked.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::Exemplar;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use weir_proto::wire::zipkin::SentSpan;

use super::{Outcome, Redactor, Scratch};

/// Says who made an event: it is looked for by this.
const SERVICE_NAME: &str = "service.name";

/// A card number has this many digits or more.
const LONG_NUMBER: u64 = 1_000_000_000_000;

/// Redacts requests.
#[derive(Debug)]
pub(crate) struct Editor {
    redactor: Option<Arc<Redactor>>,
    scratch: Scratch,
    /// Events left out.
    left_out: u64,
    /// The event at hand is to be left out.
    is_dropped: bool,
}

impl Editor {
    /// An editor for one request; without a redactor it changes nothing.
    pub(crate) fn new(redactor: Option<Arc<Redactor>>) -> Self {
        Self { redactor, scratch: Scratch::default(), left_out: 0, is_dropped: false }
    }

    /// Events that were left out so far.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Redacts log records.
    pub(crate) fn logs(&mut self, request: &mut ExportLogsServiceRequest) {
        let Some(redactor) = self.redactor.clone() else { return };
        for resource in &mut request.resource_logs {
            self.shared(&redactor, resource.resource.as_mut(), None);
            for scope in &mut resource.scope_logs {
                self.shared(&redactor, None, scope.scope.as_mut());
                scope.log_records.retain_mut(|record| {
                    self.event(|editor| {
                        if let Some(body) = &mut record.body {
                            editor.value(&redactor, "", body, true);
                        }
                        editor.attributes(&redactor, &mut record.attributes, true);
                    })
                });
            }
        }
    }

    /// Redacts spans.
    pub(crate) fn traces(&mut self, request: &mut ExportTraceServiceRequest) {
        let Some(redactor) = self.redactor.clone() else { return };
        for resource in &mut request.resource_spans {
            self.shared(&redactor, resource.resource.as_mut(), None);
            for scope in &mut resource.scope_spans {
                self.shared(&redactor, None, scope.scope.as_mut());
                scope.spans.retain_mut(|span| self.event(|editor| editor.span(&redactor, span)));
            }
        }
    }

    /// Redacts metric points.
    pub(crate) fn metrics(&mut self, request: &mut ExportMetricsServiceRequest) {
        let Some(redactor) = self.redactor.clone() else { return };
        for resource in &mut request.resource_metrics {
            self.shared(&redactor, resource.resource.as_mut(), None);
            for scope in &mut resource.scope_metrics {
                self.shared(&redactor, None, scope.scope.as_mut());
                for data in scope.metrics.iter_mut().filter_map(|metric| metric.data.as_mut()) {
                    self.points(&redactor, data);
                }
            }
        }
    }

    /// Redacts a span of Zipkin's. False: it is to be left out.
    pub(crate) fn zipkin(&mut self, span: &mut SentSpan<'_, '_>) -> bool {
        let Some(redactor) = self.redactor.clone() else { return true };
        self.event(|editor| span.rewrite(|name, text| editor.text(&redactor, name, text, true)))
    }

    fn span(&mut self, redactor: &Redactor, span: &mut Span) {
        self.attributes(redactor, &mut span.attributes, true);
        if let Some(status) = &mut span.status {
            self.rewrite(redactor, "", &mut status.message, true);
        }
        for event in &mut span.events {
            self.rewrite(redactor, "", &mut event.name, true);
            self.attributes(redactor, &mut event.attributes, true);
        }
        for link in &mut span.links {
            self.attributes(redactor, &mut link.attributes, true);
        }
    }

    fn points(&mut self, redactor: &Redactor, data: &mut Data) {
        let mut keeps = |attributes: &mut Vec<KeyValue>, exemplars: &mut Vec<Exemplar>| {
            self.event(|editor| {
                editor.attributes(redactor, attributes, true);
                for exemplar in exemplars {
                    editor.attributes(redactor, &mut exemplar.filtered_attributes, true);
                }
            })
        };
        match data {
            Data::Gauge(of) => {
                of.data_points.retain_mut(|point| keeps(&mut point.attributes, &mut point.exemplars));
            }
            Data::Sum(of) => {
                of.data_points.retain_mut(|point| keeps(&mut point.attributes, &mut point.exemplars));
            }
            Data::Histogram(of) => {
                of.data_points.retain_mut(|point| keeps(&mut point.attributes, &mut point.exemplars));
            }
            Data::ExponentialHistogram(of) => {
                of.data_points.retain_mut(|point| keeps(&mut point.attributes, &mut point.exemplars));
            }
            Data::Summary(of) => {
                of.data_points.retain_mut(|point| keeps(&mut point.attributes, &mut Vec::new()));
            }
        }
    }

    fn shared(
        &mut self,
        redactor: &Redactor,
        resource: Option<&mut Resource>,
        scope: Option<&mut InstrumentationScope>,
    ) {
        if let Some(resource) = resource {
            for attribute in resource.attributes.iter_mut().filter(|attribute| attribute.key != SERVICE_NAME)
            {
                self.attribute(redactor, attribute, false);
            }
        }
        if let Some(scope) = scope {
            self.attributes(redactor, &mut scope.attributes, false);
        }
    }

    /// Edits one event. False: it is to be left out.
    fn event(&mut self, edit: impl FnOnce(&mut Self)) -> bool {
        self.is_dropped = false;
        edit(self);
        self.left_out += u64::from(self.is_dropped);
        !self.is_dropped
    }

    fn attributes(&mut self, redactor: &Redactor, attributes: &mut [KeyValue], may_drop: bool) {
        for attribute in attributes {
            self.attribute(redactor, attribute, may_drop);
        }
    }

    fn attribute(&mut self, redactor: &Redactor, attribute: &mut KeyValue, may_drop: bool) {
        if let Some(value) = &mut attribute.value {
            self.value(redactor, &attribute.key, value, may_drop);
        }
    }

    fn value(&mut self, redactor: &Redactor, name: &str, value: &mut AnyValue, may_drop: bool) {
        let Some(inner) = &mut value.value else { return };
        let whole = match inner {
            Value::StringValue(text) => return self.rewrite(redactor, name, text, may_drop),
            Value::IntValue(number) if number.unsigned_abs() >= LONG_NUMBER => {
                let text = number.to_string();
                self.text(redactor, name, &text, may_drop)
            }
            Value::IntValue(number) => self.named(redactor, name, || number.to_string(), may_drop),
            Value::DoubleValue(number) => self.named(redactor, name, || number.to_string(), may_drop),
            Value::BytesValue(bytes) => self.named(redactor, name, || format!("{bytes:?}"), may_drop),
            Value::BoolValue(flag) if redactor.takes_all_of(name) => {
                self.named(redactor, name, || flag.to_string(), may_drop)
            }
            Value::KvlistValue(list) => {
                if redactor.takes_all_of(name) {
                    self.named(redactor, name, || format!("{list:?}"), may_drop)
                } else {
                    return self.attributes(redactor, &mut list.values, may_drop);
                }
            }
            Value::ArrayValue(list) => {
                let found = self.named(redactor, name, || format!("{list:?}"), may_drop);
                if found.is_none() {
                    list.values.iter_mut().for_each(|value| self.value(redactor, name, value, may_drop));
                }
                found
            }
            Value::BoolValue(_) | Value::StringValueStrindex(_) => return,
        };
        if let Some(text) = whole {
            *inner = Value::StringValue(text);
        }
    }

    fn rewrite(&mut self, redactor: &Redactor, name: &str, text: &mut String, may_drop: bool) {
        if let Some(changed) = self.text(redactor, name, text, may_drop) {
            *text = changed;
        }
    }

    /// What stands instead of a text that has a name, if anything does.
    fn text(&mut self, redactor: &Redactor, name: &str, text: &str, may_drop: bool) -> Option<String> {
        match redactor.redact_named(name, text.as_bytes(), may_drop, &mut self.scratch) {
            Outcome::Clean => None,
            Outcome::Changed(changed) => Some(String::from_utf8_lossy(changed).into_owned()),
            Outcome::Dropped => {
                self.is_dropped = true;
                None
            }
        }
    }

    /// What stands instead of a value that is no text, if its name says that it goes.
    fn named(
        &mut self,
        redactor: &Redactor,
        name: &str,
        write: impl FnOnce() -> String,
        may_drop: bool,
    ) -> Option<String> {
        redactor.knows(name).then(write).and_then(|text| self.text(redactor, name, &text, may_drop))
    }
}

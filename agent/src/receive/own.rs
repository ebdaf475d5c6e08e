//! What the agent itself has to say, as log records that go the way of those
//! that clients push.
//!
//! It cannot feed itself: nothing that is pushed is limited, so nothing said
//! here makes more to say. What the spool does not take is said on standard
//! error.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use opentelemetry_proto::tonic::resource::v1::Resource;
use tokio::sync::mpsc;
use weir_proto::model::Signal;
use weir_proto::wire::otlp;

use super::door::Door;
use super::refusal::Refusal;
use crate::attribute::Origin;
use crate::limit::Loss;
use crate::redact::pushed::Editor;

/// `service.name` of what the agent says.
const SERVICE: &str = "weir-agent";

/// `event.name` of a record that tells of dropped lines.
const LOSS: &str = "weir.agent.loss";

/// Stores what is told, until nobody tells any more.
pub(super) async fn say(door: &Door, origin: &Origin, mut losses: mpsc::Receiver<Vec<Loss>>) {
    while let Some(told) = losses.recv().await {
        if let Err(refusal) = store(door, origin, &told).await {
            door.refused(Signal::Logs, &refusal);
            for loss in &told {
                tracing::warn!(event = LOSS, reason = loss.reason, "{}", loss.describe());
            }
        }
    }
}

async fn store(door: &Door, origin: &Origin, losses: &[Loss]) -> Result<(), Refusal> {
    door.check(Signal::Logs)?;
    let request = request(origin, losses);
    let decode = move |observed_micros: i64, _: &mut Editor| {
        let mut request = request;
        stamp(&mut request, observed_micros);
        Ok(otlp::logs(request, observed_micros))
    };
    door.take(Signal::Logs, decode).await.map(drop)
}

fn request(origin: &Origin, losses: &[Loss]) -> ExportLogsServiceRequest {
    let about = [
        ("service.name", Some(SERVICE)),
        ("host.name", origin.host.as_deref()),
        ("k8s.cluster.name", origin.cluster.as_deref()),
        ("k8s.node.name", origin.node.as_deref()),
    ];
    let attributes = about.into_iter().filter_map(|(key, value)| Some(text(key, value?))).collect();
    let scope_logs =
        vec![ScopeLogs { log_records: losses.iter().map(record).collect(), ..ScopeLogs::default() }];
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(Resource { attributes, ..Resource::default() }),
            scope_logs,
            ..ResourceLogs::default()
        }],
    }
}

/// What happened, as of whom: the pod is what the record is about, not who
/// says it.
fn record(loss: &Loss) -> LogRecord {
    let subject = &loss.subject;
    let about = [
        ("k8s.namespace.name", subject.namespace.as_deref()),
        ("k8s.pod.name", subject.pod.as_deref()),
        ("weir.drop.service", subject.service.as_deref()),
        ("weir.drop.reason", Some(loss.reason)),
    ];
    let about = about.into_iter().filter_map(|(key, value)| Some(text(key, value?)));
    let counts = [number("weir.drop.lines", loss.lines), number("weir.drop.bytes", loss.bytes)];
    LogRecord {
        severity_number: SeverityNumber::Warn as i32,
        severity_text: "WARN".to_owned(),
        event_name: LOSS.to_owned(),
        body: Some(AnyValue { value: Some(Value::StringValue(loss.describe())) }),
        attributes: about.chain(counts).collect(),
        ..LogRecord::default()
    }
}

fn stamp(request: &mut ExportLogsServiceRequest, observed_micros: i64) {
    let nanos = u64::try_from(observed_micros).unwrap_or(0).saturating_mul(1_000);
    let scopes = request.resource_logs.iter_mut().flat_map(|resource| &mut resource.scope_logs);
    for record in scopes.flat_map(|scope| &mut scope.log_records) {
        (record.time_unix_nano, record.observed_time_unix_nano) = (nanos, nanos);
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn number(key: &str, value: u64) -> KeyValue {
    attribute(key, Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

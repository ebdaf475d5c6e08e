//! Spans over OTLP/HTTP, as an SDK sends them: 512 in a request, with the
//! attributes of a web service. Each request is answered after an fsync.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

use super::running::Running;

/// Spans of one request: the batch of OpenTelemetry's SDKs.
const SPANS: usize = 512;

/// Clients that send at once.
const CLIENTS: usize = 4;

/// The agent takes `requests` requests, then an ingester stores them.
pub(crate) fn run(report: &dyn Fn(&str, f64), requests: usize) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let agent = Running::start("agent", &data, &[], &[])?;
    let bodies: Vec<Vec<u8>> = (0..requests).map(request).collect();
    let next = AtomicUsize::new(0);
    let client = agent.client();
    let sent: Result<()> = std::thread::scope(|scope| {
        let send = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                let headers = [("content-type", "application/x-protobuf")];
                let answer = runtime.block_on(client.post("/v1/traces", &headers, body.clone().into()))?;
                if !answer.status.is_success() || !answer.body.is_empty() {
                    bail!("{}: {}", answer.status, answer.text());
                }
            }
            Ok(())
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(send)).collect();
        clients.into_iter().try_for_each(|client| client.join().ok().context("a client ends well")?)
    });
    sent?;
    let spans = (requests * SPANS) as u64;
    let stored = agent.metric("weir_agent_receive_records_total{signal=\"spans\"}")?;
    if stored != spans {
        bail!("{stored} spans of {spans} were taken");
    }
    agent.wait_for_metric_zero("weir_agent_receive_spool_bytes{signal=\"spans\"}")?;
    report("receive_spans", spans as f64 / agent.cpu_seconds()?);
    report("receive_rss", agent.peak_rss_mib()?);
    agent.stop()?;

    let ingest = Running::start("ingest", &data, &[], &[("WEIR_INGEST_FLUSH_INTERVAL", "5s")])?;
    ingest.wait_for_stored_rows(&data, "spans", spans)?;
    report("ingest_spans", spans as f64 / ingest.cpu_seconds()?);
    ingest.stop()
}

fn request(number: usize) -> Vec<u8> {
    let text = |key: &str, value: String| pair(key, Value::StringValue(value));
    let resource = vec![
        text("service.name", "checkout".into()),
        text("service.version", "1.42.0".into()),
        text("host.name", "node-17".into()),
        text("k8s.namespace.name", "shop".into()),
        text("k8s.pod.name", "checkout-5d9c7b6f4-x2x7q".into()),
        text("telemetry.sdk.language", "java".into()),
    ];
    let span = |index: usize| {
        let n = (number * SPANS + index) as u64;
        let start = 1_767_225_600_000_000_000 + n * 1_000_003;
        let scattered = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Span {
            trace_id: [(n / 8).wrapping_mul(0x9e37_79b9_7f4a_7c15), n / 8 + 1].map(u64::to_be_bytes).concat(),
            span_id: (scattered | 1).to_be_bytes().to_vec(),
            parent_span_id: if n.is_multiple_of(8) { Vec::new() } else { (n + 1).to_be_bytes().to_vec() },
            name: format!("GET /api/v1/items/{{id}}/{}", n % 17),
            kind: 2 + (n % 2) as i32,
            start_time_unix_nano: start,
            end_time_unix_nano: start + scattered % 90_000_000,
            attributes: vec![
                text("http.request.method", "GET".into()),
                text("url.path", format!("/api/v1/items/{}", scattered % 100_000)),
                text("url.scheme", "http".into()),
                pair("http.response.status_code", Value::IntValue(200)),
                text("server.address", "checkout.shop.svc".into()),
                text("client.address", format!("10.1.{}.{}", scattered % 250, n % 250)),
                pair("thread.id", Value::IntValue((n % 64) as i64)),
                text("user_agent.original", "okhttp/4.12.0".into()),
            ],
            ..Span::default()
        }
    };
    let scope = InstrumentationScope { name: "io.opentelemetry.tomcat-10.0".into(), ..Default::default() };
    let spans = (0..SPANS).map(span).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
    let resource = Some(Resource { attributes: resource, ..Resource::default() });
    let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

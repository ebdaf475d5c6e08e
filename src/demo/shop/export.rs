//! The way of spans out of a service: gathered for a moment, then sent until
//! they are answered.

pub(super) mod otlp;
mod zipkin;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message;
use tonic::transport::{Channel, Endpoint};
use weir_runtime::Handles;

use super::ledger::Ledger;
use super::span::Span;
use crate::http::Client;

/// How long spans are gathered.
const GATHER: Duration = Duration::from_millis(200);

/// Between attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// Spans of one request.
const SPANS_MAX: usize = 500;

/// Spans that may wait. More are left out, which the ledger notices.
const WAITING_MAX: usize = 50_000;

/// How spans are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    OtlpGrpc,
    OtlpHttp,
    Zipkin,
}

/// Sends the spans of one service. Cloning shares.
#[derive(Clone, Debug)]
pub(super) struct Exporter {
    waiting: Arc<Mutex<Vec<Span>>>,
    ledger: Ledger,
}

/// A connection to the agent.
enum Way {
    Grpc(TraceServiceClient<Channel>),
    Http(Client),
    Zipkin(Client),
}

impl Exporter {
    pub(super) fn start(
        protocol: Protocol,
        agent: &Client,
        ledger: Ledger,
        handles: &Handles,
    ) -> Result<Self> {
        let mut way = match protocol {
            Protocol::OtlpGrpc => {
                let endpoint = Endpoint::from_shared(format!("http://{}", agent.authority()))?;
                Way::Grpc(TraceServiceClient::new(endpoint.connect_lazy()))
            }
            Protocol::OtlpHttp => Way::Http(agent.clone()),
            Protocol::Zipkin => Way::Zipkin(agent.clone()),
        };
        let own = Self { waiting: Arc::default(), ledger };
        let (exporter, shutdown) = (own.clone(), handles.shutdown.clone());
        handles.tasks.spawn("exporter", async move {
            loop {
                let is_last = shutdown.has_begun();
                for spans in exporter.take().chunks(SPANS_MAX) {
                    while let Err(error) = way.send(spans).await {
                        tracing::debug!(error = %format!("{error:#}"), "spans are sent again");
                        tokio::time::sleep(PAUSE).await;
                    }
                    spans.iter().for_each(|span| exporter.ledger.answered(span.context.trace));
                }
                if is_last {
                    return Ok(());
                }
                tokio::select! {
                    () = shutdown.begun() => {}
                    () = tokio::time::sleep(GATHER) => {}
                }
            }
        });
        Ok(own)
    }

    pub(super) fn begun(&self, span: &Span) {
        self.ledger.begun(span.context.trace);
    }

    pub(super) fn send(&self, span: Span) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING_MAX {
            waiting.push(span);
        }
    }

    fn take(&self) -> Vec<Span> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Way {
    async fn send(&mut self, spans: &[Span]) -> Result<()> {
        match self {
            Self::Grpc(client) => {
                let answer = client.export(otlp::request(spans)).await.context("OTLP over gRPC")?;
                let refused = answer.into_inner().partial_success.map_or(0, |said| said.rejected_spans);
                if refused > 0 {
                    bail!("{refused} spans were refused");
                }
                Ok(())
            }
            Self::Http(client) => {
                let body = otlp::request(spans).encode_to_vec();
                post(client, "/v1/traces", "application/x-protobuf", body).await
            }
            Self::Zipkin(client) => {
                post(client, "/api/v2/spans", "application/json", zipkin::body(spans)?).await
            }
        }
    }
}

async fn post(client: &Client, path: &str, kind: &str, body: Vec<u8>) -> Result<()> {
    let answer = client.post(path, &[("content-type", kind)], Bytes::from(body)).await?;
    if !answer.status.is_success() {
        bail!("{path} was answered with {}: {}", answer.status, answer.text());
    }
    Ok(())
}

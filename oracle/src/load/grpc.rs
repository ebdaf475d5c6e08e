//! Log records, pushed as OTLP over gRPC: many requests on one connection, and a new one
//! after each request that was not answered.

use std::error::Error;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, Result};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use super::message::{now, resource, text};
use super::{ANSWER, Place, push_on};
use crate::event::Style;
use crate::ledger::{Fate, Feed, Ledger, Table};
use crate::worker::Worker;

/// Records of a request.
const RECORDS: u64 = 3;

const CONNECT: Duration = Duration::from_secs(2);

pub(super) fn start(place: &Place, ledger: &Ledger, n: u32) -> Result<Worker> {
    let name = format!("g{n}");
    let feed = ledger.open(&name, &name, Table::Lines, Style::Plain);
    let (mut client, tick) = (Client::of(place.agent)?, place.tick);
    Ok(Worker::start(&name, move |stop| {
        push_on(&feed, RECORDS, tick, stop, |numbers| client.push(request(&feed, numbers)));
    }))
}

/// Somebody who pushes to one agent.
struct Client {
    endpoint: Endpoint,
    open: Option<LogsServiceClient<Channel>>,
    runtime: Runtime,
}

impl Client {
    fn of(agent: SocketAddr) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{agent}")).context("the agent's address")?;
        let runtime = Builder::new_current_thread().enable_all().build().context("a runtime for gRPC")?;
        Ok(Self { endpoint: endpoint.connect_timeout(CONNECT), open: None, runtime })
    }

    /// What becomes of a request. It is not pushed again.
    fn push(&mut self, request: ExportLogsServiceRequest) -> Fate {
        let (fate, open) = self.runtime.block_on(attempt(&self.endpoint, self.open.take(), request));
        self.open = open;
        fate
    }
}

/// The fate, and the connection if the agent answered on it.
async fn attempt(
    endpoint: &Endpoint,
    open: Option<LogsServiceClient<Channel>>,
    request: ExportLogsServiceRequest,
) -> (Fate, Option<LogsServiceClient<Channel>>) {
    let mut client = match open {
        Some(client) => client,
        None => match timeout(ANSWER, endpoint.connect()).await {
            Ok(Ok(channel)) => LogsServiceClient::new(channel),
            // Nobody listens: the request was not sent.
            _ => return (Fate::Refused, None),
        },
    };
    match timeout(ANSWER, client.export(request)).await {
        Ok(Ok(answer)) if answer.get_ref().partial_success.is_none() => (Fate::Owed, Some(client)),
        Ok(Err(status)) if is_refusal(&status) => (Fate::Refused, Some(client)),
        _ => (Fate::Unanswered, None),
    }
}

/// True if the agent itself says that it stored nothing. The client makes statuses of the
/// same codes for what became of its connection: those have a source, or are without the
/// headers of an answer.
fn is_refusal(status: &Status) -> bool {
    let is_answer = status.source().is_none() && status.metadata().contains_key("content-type");
    is_answer && matches!(status.code(), Code::Unavailable | Code::ResourceExhausted | Code::InvalidArgument)
}

fn request(feed: &Feed, numbers: Range<u64>) -> ExportLogsServiceRequest {
    let time = now();
    let record = |number| LogRecord {
        time_unix_nano: time,
        severity_number: SeverityNumber::Info.into(),
        body: Some(text(&feed.text(number))),
        ..LogRecord::default()
    };
    let log_records = numbers.map(record).collect();
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(resource(feed)),
            scope_logs: vec![ScopeLogs { log_records, ..ScopeLogs::default() }],
            ..ResourceLogs::default()
        }],
    }
}

#[cfg(test)]
mod tests;

//! Live rows over Arrow Flight: `DoGet`, at a TCP port for other hosts and at a
//! Unix socket for this one, by one code path. The messages are in [`wire`].
//!
//! [`wire`]: super::wire

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, SchemaResult, Ticket,
};
use async_trait::async_trait;
use axum::Router;
use futures::stream::{self, BoxStream, StreamExt};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status, Streaming};

use super::LiveError;
use super::wire::{LiveRequest, LiveResponse, Reader};

/// The largest answer that is taken. An ingester flushes long before it holds
/// this much; a larger one would end a query process by its memory limit.
const ANSWER_BYTES_MAX: usize = 512 << 20;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(1);

/// How often a silent connection is asked whether the other side lives: a host
/// that is gone is noticed, and a paused one too.
const PING: Duration = Duration::from_secs(5);

/// Holds live rows.
pub trait LiveSource: Send + Sync {
    /// What is new to the asker.
    fn answer(&self, request: &LiveRequest) -> LiveResponse;
}

/// Serves the live rows of `source`. It asks nobody who they are: serve it
/// where only query processes can reach it.
pub fn service(source: Arc<dyn LiveSource>) -> Router {
    let service = FlightServiceServer::new(Door(source)).max_encoding_message_size(ANSWER_BYTES_MAX);
    Routes::new(service).prepare().into_axum_router()
}

struct Door(Arc<dyn LiveSource>);

type Answers<T> = BoxStream<'static, Result<T, Status>>;

fn unknown<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("live rows are had by DoGet"))
}

#[async_trait]
impl FlightService for Door {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Answers<FlightData>;
    type DoPutStream = Answers<PutResult>;
    type DoActionStream = Answers<arrow_flight::Result>;
    type ListActionsStream = Answers<ActionType>;
    type DoExchangeStream = Answers<FlightData>;

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let ticket = request.into_inner().ticket;
        let request =
            LiveRequest::decode(&ticket).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let source = self.0.clone();
        // Copying a hundred megabytes holds a thread for as long as it takes.
        let encode = tokio::task::spawn_blocking(move || source.answer(&request).encode());
        let messages = encode.await.map_err(|_| Status::unavailable("the process is ending"))?;
        let messages = messages.map_err(|error| Status::internal(error.to_string()))?;
        Ok(Response::new(stream::iter(messages.into_iter().map(Ok)).boxed()))
    }

    async fn handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        unknown()
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        unknown()
    }

    async fn get_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        unknown()
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        unknown()
    }

    async fn get_schema(&self, _: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        unknown()
    }

    async fn do_put(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        unknown()
    }

    async fn do_action(&self, _: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        unknown()
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        unknown()
    }

    async fn do_exchange(
        &self,
        _: Request<Streaming<FlightData>>,
    ) -> Result<Response<Self::DoExchangeStream>, Status> {
        unknown()
    }
}

/// Asks one holder of live rows. Cloning shares the connection.
#[derive(Clone)]
pub struct FlightClient {
    address: String,
    client: FlightServiceClient<Channel>,
}

impl fmt::Debug for FlightClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlightClient").field("address", &self.address).finish_non_exhaustive()
    }
}

impl FlightClient {
    /// A client for `http://host:port` or `unix:/path`. Nothing is connected
    /// yet; a connection that breaks is made anew.
    ///
    /// # Errors
    /// [`LiveError`] when the address is neither.
    pub fn new(address: &str) -> Result<Self, LiveError> {
        let refused = |reason: String| LiveError { reason: format!("{address:?} is no address: {reason}") };
        let socket = address.strip_prefix("unix:").map(PathBuf::from);
        // A Unix socket has no host; the requests' need one.
        let uri = if socket.is_some() { "http://ingest".to_owned() } else { address.to_owned() };
        let endpoint = Endpoint::from_shared(uri)
            .map_err(|error| refused(error.to_string()))?
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20);
        let channel = match socket {
            Some(path) => endpoint.connect_with_connector_lazy(SocketConnector(Arc::new(path))),
            None => endpoint.connect_lazy(),
        };
        let client = FlightServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
        Ok(Self { address: address.to_owned(), client })
    }

    /// One exchange.
    ///
    /// # Errors
    /// [`LiveError`] when the other side cannot be reached, refuses, or sends
    /// what cannot be read.
    pub async fn ask(&self, request: &LiveRequest) -> Result<LiveResponse, LiveError> {
        let failed = |reason: String| LiveError { reason: format!("{}: {reason}", self.address) };
        let told = |status: Status| failed(format!("{}: {}", status.code(), status.message()));
        let ticket = Ticket { ticket: request.encode().map_err(|error| failed(error.to_string()))? };
        let mut messages = self.client.clone().do_get(ticket).await.map_err(told)?.into_inner();
        let mut reader = Reader::new();
        let mut bytes = 0;
        while let Some(message) = messages.message().await.map_err(told)? {
            bytes += message.data_body.len() + message.app_metadata.len();
            if bytes > ANSWER_BYTES_MAX {
                return Err(failed(format!("the answer is larger than {} MiB", ANSWER_BYTES_MAX >> 20)));
            }
            reader.take(&message).map_err(|error| failed(error.to_string()))?;
        }
        reader.finish().map_err(|error| failed(error.to_string()))
    }
}

/// Connects to a Unix socket, whatever the request's host.
#[derive(Clone)]
struct SocketConnector(Arc<PathBuf>);

impl Service<Uri> for SocketConnector {
    type Response = TokioIo<UnixStream>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let path = self.0.clone();
        Box::pin(async move { Ok(TokioIo::new(UnixStream::connect(path.as_path()).await?)) })
    }
}

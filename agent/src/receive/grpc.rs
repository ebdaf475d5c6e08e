//! OTLP over gRPC, by `opentelemetry-proto`, `docs/specification.md`,
//! "OTLP/gRPC".

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tonic::codec::CompressionEncoding;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use weir_proto::model::Signal;
use weir_proto::wire::otlp;

use super::door::{Door, Verdict};
use super::refusal::{Refusal, Why};
use crate::redact::pushed::Editor;

/// What gRPC puts before a message: a flag and a length.
const FRAMING_BYTES: usize = 5;

/// The status that a response has, where it has no body.
const STATUS: &str = "grpc-status";

/// The routes.
pub(super) fn routes(door: &Arc<Door>) -> Router {
    let exporter = || Exporter(Arc::clone(door));
    let limit = door.max_body();
    let traces = TraceServiceServer::new(exporter())
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .max_decoding_message_size(limit);
    let metrics = MetricsServiceServer::new(exporter())
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .max_decoding_message_size(limit);
    let logs = LogsServiceServer::new(exporter())
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .max_decoding_message_size(limit);
    let guard = |signal| {
        let enter = move |State(door): State<Arc<Door>>, request: Request, next: Next| async move {
            enter(&door, signal, request, next).await
        };
        from_fn_with_state(Arc::clone(door), enter)
    };
    let package = "/opentelemetry.proto.collector";
    Router::new()
        .merge(
            Router::new()
                .route_service(&format!("{package}.trace.v1.TraceService/{{method}}"), traces)
                .route_layer(guard(Signal::Spans)),
        )
        .merge(
            Router::new()
                .route_service(&format!("{package}.metrics.v1.MetricsService/{{method}}"), metrics)
                .route_layer(guard(Signal::Metrics)),
        )
        .merge(
            Router::new()
                .route_service(&format!("{package}.logs.v1.LogsService/{{method}}"), logs)
                .route_layer(guard(Signal::Logs)),
        )
}

/// Reads the whole request first, within the limits that all protocols share,
/// and holds its memory until it is answered.
async fn enter(door: &Door, signal: Signal, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let is_compressed = head.headers.get("grpc-encoding").is_some_and(|value| value != "identity");
    let wire = match door.read(signal, body, FRAMING_BYTES, is_compressed).await {
        Ok(wire) => wire,
        Err(refusal) => {
            door.refused(signal, &refusal);
            return status(&refusal).into_http();
        }
    };
    let mut response = next.run(Request::from_parts(head, Body::from(wire.bytes))).await;
    drop(wire.memory);
    if let Some(refusal) = corrected(response.headers_mut()) {
        door.refused(signal, &refusal);
    }
    response
}

/// The codes of what is refused before it reaches [`Exporter`], which are
/// tonic's, as OTLP wants them: a message that is too large or no message must
/// not be sent again.
fn corrected(headers: &mut HeaderMap) -> Option<Refusal> {
    let code = Code::from_bytes(headers.get(STATUS)?.as_bytes());
    let refusal = match code {
        Code::OutOfRange | Code::ResourceExhausted => Refusal::new(Why::TooLarge, "over the limit"),
        Code::Internal => Refusal::malformed("no message of the protocol"),
        _ => return None,
    };
    headers.insert(STATUS, HeaderValue::from(refusal.why.code() as i32));
    Some(refusal)
}

/// The three services.
#[derive(Clone, Debug)]
struct Exporter(Arc<Door>);

impl Exporter {
    async fn take(
        &self,
        signal: Signal,
        decode: impl FnOnce(i64, &mut Editor) -> weir_proto::wire::Decoded + Send + 'static,
    ) -> Result<Verdict, Status> {
        let taken =
            self.0.take(signal, move |observed, editor: &mut Editor| Ok(decode(observed, editor))).await;
        taken.map_err(|refusal| {
            self.0.refused(signal, &refusal);
            status(&refusal)
        })
    }
}

#[tonic::async_trait]
impl TraceService for Exporter {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        let mut message = request.into_inner();
        let decode = move |observed: i64, editor: &mut Editor| {
            editor.traces(&mut message);
            otlp::traces(message, observed)
        };
        let verdict = self.take(Signal::Spans, decode).await?;
        Ok(tonic::Response::new(traces_response(&verdict)))
    }
}

#[tonic::async_trait]
impl MetricsService for Exporter {
    async fn export(
        &self,
        request: tonic::Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, Status> {
        let mut message = request.into_inner();
        let decode = move |observed: i64, editor: &mut Editor| {
            editor.metrics(&mut message);
            otlp::metrics(message, observed)
        };
        let verdict = self.take(Signal::Metrics, decode).await?;
        Ok(tonic::Response::new(metrics_response(&verdict)))
    }
}

#[tonic::async_trait]
impl LogsService for Exporter {
    async fn export(
        &self,
        request: tonic::Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, Status> {
        let mut message = request.into_inner();
        let decode = move |observed: i64, editor: &mut Editor| {
            editor.logs(&mut message);
            otlp::logs(message, observed)
        };
        let verdict = self.take(Signal::Logs, decode).await?;
        Ok(tonic::Response::new(logs_response(&verdict)))
    }
}

pub(super) fn traces_response(verdict: &Verdict) -> ExportTraceServiceResponse {
    let partial_success = partial(verdict)
        .map(|(rejected_spans, error_message)| ExportTracePartialSuccess { rejected_spans, error_message });
    ExportTraceServiceResponse { partial_success }
}

pub(super) fn metrics_response(verdict: &Verdict) -> ExportMetricsServiceResponse {
    let partial_success = partial(verdict).map(|(rejected_data_points, error_message)| {
        ExportMetricsPartialSuccess { rejected_data_points, error_message }
    });
    ExportMetricsServiceResponse { partial_success }
}

pub(super) fn logs_response(verdict: &Verdict) -> ExportLogsServiceResponse {
    let partial_success = partial(verdict).map(|(rejected_log_records, error_message)| {
        ExportLogsPartialSuccess { rejected_log_records, error_message }
    });
    ExportLogsServiceResponse { partial_success }
}

/// Set only when there is something to say.
fn partial(verdict: &Verdict) -> Option<(i64, String)> {
    let message = verdict.message.clone().unwrap_or_default();
    let rejected = i64::try_from(verdict.rejected).unwrap_or(i64::MAX);
    (rejected > 0 || !message.is_empty()).then_some((rejected, message))
}

/// A refusal, with RetryInfo where coming again helps.
fn status(refusal: &Refusal) -> Status {
    let code = refusal.why.code();
    match refusal.why.retry_after() {
        None => Status::new(code, refusal.text.clone()),
        after => {
            let mut details = ErrorDetails::new();
            details.set_retry_info(after);
            Status::with_error_details(code, refusal.text.clone(), details)
        }
    }
}

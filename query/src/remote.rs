//! Live rows of another process: ingest, behind a Unix socket.

use std::path::Path;

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use tokio::sync::Mutex;
use weir_proto::model::TenantId;
use weir_proto::schema::Table;
use weir_runtime::telemetry::error_chain;
use weir_runtime::unix::UnixClient;
use weir_storage::live::wire::{LiveRequest, LiveResponse};
use weir_storage::live::{LiveCache, LiveError, LiveRows, PinnedRows};

/// The largest answer that is taken. Ingest flushes long before it holds this
/// much; a larger one would end the process by its memory limit.
const ANSWER_BYTES_MAX: usize = 512 << 20;

/// Asks ingest what is new since the last question and keeps the rest.
///
/// Exchanges take turns: of two questions at once, the second then asks for
/// what is newer than the first's answer instead of for the same rows again.
#[derive(Debug)]
pub struct RemoteLive {
    ingest: UnixClient,
    cache: Mutex<LiveCache>,
}

impl RemoteLive {
    /// Live rows from the socket at a path. Nothing is connected yet.
    pub fn new(socket: &Path) -> Self {
        Self { ingest: UnixClient::new(socket), cache: Mutex::new(LiveCache::new()) }
    }

    async fn exchange(&self, request: &LiveRequest) -> Result<LiveResponse, LiveError> {
        let body = request.encode().map_err(|error| failed(&error))?;
        let request = Request::post("/live/logs")
            .header("host", "ingest")
            .body(Body::from(body))
            .map_err(|error| failed(&error))?;
        let response = self.ingest.send(request).await.map_err(|error| failed(&error))?;
        if response.status() != StatusCode::OK {
            return Err(LiveError { reason: format!("ingest answered {}", response.status()) });
        }
        let body = to_bytes(response.into_body(), ANSWER_BYTES_MAX).await.map_err(|error| failed(&error))?;
        LiveResponse::decode(&body).map_err(|error| failed(&error))
    }
}

fn failed(error: &(dyn std::error::Error + 'static)) -> LiveError {
    LiveError { reason: error_chain(error) }
}

#[async_trait]
impl LiveRows for RemoteLive {
    async fn pin(&self, tenant: &TenantId, tables: &[Table]) -> Result<PinnedRows, LiveError> {
        let mut cache = self.cache.lock().await;
        let request = cache.request();
        let response = self.exchange(&request).await?;
        cache.apply(&request, response).map_err(|error| failed(&error))?;
        Ok(cache.pin(tenant, tables))
    }
}

#[cfg(test)]
mod tests;

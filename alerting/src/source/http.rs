//! A query service over HTTP: `POST /api/v1/sql`.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde::Deserialize;
use serde_json::Value;

use super::{Answer, Source};
use crate::error::SourceError;
use crate::time::micros_of;

/// Longer than a query service lets a question run by default.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A query service.
#[derive(Clone, Debug)]
pub struct HttpSource {
    url: String,
    client: reqwest::Client,
}

/// The shape of an answer.
#[derive(Debug, Deserialize)]
struct Body {
    columns: Vec<Column>,
    rows: Vec<Vec<Value>>,
    complete_until: Option<String>,
    #[serde(default)]
    truncated: bool,
}

#[derive(Debug, Deserialize)]
struct Column {
    name: String,
}

/// The shape of an error.
#[derive(Debug, Deserialize)]
struct ErrorBody {
    error: ErrorText,
}

#[derive(Debug, Deserialize)]
struct ErrorText {
    message: String,
    hint: Option<String>,
}

impl HttpSource {
    /// The service at `http://HOST:PORT`.
    ///
    /// # Errors
    /// Without the certificates of the host.
    pub fn new(url: &str) -> Result<Self, SourceError> {
        let client =
            reqwest::Client::builder().timeout(TIMEOUT).build().map_err(|error| away(url, &error))?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), client })
    }
}

#[async_trait]
impl Source for HttpSource {
    async fn ask(&self, statement: &str) -> Result<Answer, SourceError> {
        let request = self.client.post(format!("{}/api/v1/sql", self.url));
        let request = request.header(ACCEPT, "application/json").header(CONTENT_TYPE, "text/plain");
        let away = |error: reqwest::Error| away(&self.url, &error);
        let response = request.body(statement.to_owned()).send().await.map_err(away)?;
        let status = response.status();
        let text = response.bytes().await.map_err(away)?;
        if !status.is_success() {
            let said = serde_json::from_slice::<ErrorBody>(&text).map(|body| body.error);
            let said = said.map_or_else(
                |_| format!("{status}"),
                |error| error.hint.map(|hint| format!("{} ({hint})", error.message)).unwrap_or(error.message),
            );
            return Err(match status.is_server_error() || status.as_u16() == 429 {
                true => SourceError::Away { url: self.url.clone(), reason: said },
                false => SourceError::Refused(said),
            });
        }
        let body: Body = serde_json::from_slice(&text)
            .map_err(|error| SourceError::Answer { url: self.url.clone(), reason: error.to_string() })?;
        Ok(Answer {
            columns: body.columns.into_iter().map(|column| column.name).collect(),
            rows: body.rows,
            complete_until_micros: body.complete_until.as_deref().and_then(micros_of),
            is_truncated: body.truncated,
        })
    }
}

fn away(url: &str, error: &reqwest::Error) -> SourceError {
    let reason = weir_runtime::telemetry::error_chain(error);
    SourceError::Away { url: url.to_owned(), reason }
}

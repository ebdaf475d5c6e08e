//! By HTTP: Alertmanager's body, with the headers of Standard Webhooks that say
//! which message it is and when it was sent.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use reqwest::StatusCode;
use weir_runtime::telemetry::error_chain;

use super::{Notify, NotifyError};
use crate::config::WebhookConfig;
use crate::outgoing::Webhook;

/// How much of an answer is read, for the reason in it.
const SAID_CHARS: usize = 200;

/// Posts to one address.
#[derive(Debug)]
pub(super) struct Poster {
    url: String,
    client: reqwest::Client,
}

impl Poster {
    pub(super) fn new(config: &WebhookConfig) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .timeout(config.timeout.0.max(Duration::from_secs(1)))
            // A redirect could lead to an address that nobody has configured.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("weir/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| error_chain(&error))?;
        Ok(Self { url: config.url.clone(), client })
    }
}

#[async_trait]
impl Notify for Poster {
    async fn send(&self, id: &str, body: &Webhook) -> Result<(), NotifyError> {
        let text = serde_json::to_vec(body).map_err(|error| NotifyError::Refused(error.to_string()))?;
        let sent_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let request = self
            .client
            .post(&self.url)
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", sent_s.to_string())
            .body(text);
        let response = request.send().await.map_err(|error| NotifyError::Retry(error_chain(&error)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let said = response.text().await.unwrap_or_default();
        let said: String = crate::harmless::one_line(&said).chars().take(SAID_CHARS).collect();
        let reason = format!("{status} {said}").trim_end().to_owned();
        Err(match is_worth_another(status) {
            true => NotifyError::Retry(reason),
            false => NotifyError::Refused(reason),
        })
    }
}

/// What a client did wrong stays wrong; but for being early or too often.
fn is_worth_another(status: StatusCode) -> bool {
    !status.is_client_error()
        || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS]
            .contains(&status)
}

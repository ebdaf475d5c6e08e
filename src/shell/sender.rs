//! From the outbox to an agent, one message at a time, in order.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use hyper::StatusCode;
use hyper::header::RETRY_AFTER;
use weir_agent::PipeBatch;

use super::{Outbox, say};
use crate::command::{AGENT_STATUS, AGENTS_HERE, complaint};
use crate::http::{Client, Response};

const LINES: &str = "/api/v1/lines";

const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// An agent may ask for more patience, but not for any.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// Which agent.
#[derive(Debug)]
pub(crate) enum Target {
    /// This one.
    Named(Client),
    /// This host's, once one answers. It stays the same one then: a repeat can
    /// be told only by who was sent the first.
    Here(Option<Client>),
}

/// Why nothing is taken at the moment. Cloning shares.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble(Arc<Mutex<Option<String>>>);

/// Sends the outbox.
#[derive(Debug)]
pub(crate) struct Sender {
    command: &'static str,
    /// Says on standard error when nothing is taken, and when it is again.
    is_talkative: bool,
    target: Target,
    outbox: Arc<Outbox>,
    trouble: Trouble,
}

/// What an attempt came to.
enum Outcome {
    Taken,
    /// Worth another attempt, perhaps after a time that the agent names.
    Away(String, Option<Duration>),
    /// Not worth one.
    Refused(String),
}

impl Target {
    /// The agent at `url`; this host's, where none is named.
    pub(crate) fn new(url: Option<&str>) -> Result<Self> {
        url.map_or(Ok(Self::Here(None)), |url| Client::new(url).map(Self::Named))
    }

    async fn find(&mut self) -> Result<Client, String> {
        match self {
            Self::Named(client) | Self::Here(Some(client)) => Ok(client.clone()),
            Self::Here(found) => {
                for url in AGENTS_HERE {
                    let client = Client::new(url).map_err(|error| error.to_string())?;
                    let answer = client.get(AGENT_STATUS, "application/json").await;
                    // One that waits for its event log will be an agent.
                    let is_agent = |response: Response| {
                        response.status.is_success() || response.status == StatusCode::SERVICE_UNAVAILABLE
                    };
                    if answer.is_ok_and(is_agent) {
                        return Ok(found.insert(client).clone());
                    }
                }
                let places = AGENTS_HERE.join(" or ");
                Err(format!("no agent answers on this host at {places}: start one, or name one with --url"))
            }
        }
    }
}

impl Trouble {
    /// The last one, unless something was taken since.
    pub(crate) fn text(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answers whether there was one.
    fn set(&self, text: Option<String>) -> bool {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), text).is_some()
    }
}

impl Sender {
    pub(crate) fn new(
        command: &'static str,
        is_talkative: bool,
        target: Target,
        outbox: &Arc<Outbox>,
    ) -> Self {
        Self { command, is_talkative, target, outbox: Arc::clone(outbox), trouble: Trouble::default() }
    }

    pub(crate) fn outbox(&self) -> Arc<Outbox> {
        Arc::clone(&self.outbox)
    }

    pub(crate) fn trouble(&self) -> Trouble {
        self.trouble.clone()
    }

    /// Sends until the outbox is closed and empty.
    ///
    /// # Errors
    /// The agent will not take what it was sent, whenever that is.
    pub(crate) async fn run(mut self) -> Result<(), String> {
        let mut backoff = BACKOFF_MIN;
        while let Some(batch) = self.outbox.next().await {
            match self.attempt(&batch).await {
                Outcome::Taken => {
                    self.outbox.taken();
                    backoff = BACKOFF_MIN;
                    if self.trouble.set(None) && self.is_talkative {
                        say(self.command, "the agent takes lines again");
                    }
                }
                Outcome::Away(why, after) => {
                    let is_new = !self.trouble.set(Some(why.clone()));
                    if is_new && self.is_talkative {
                        say(self.command, &format!("{why}; holding lines back, trying again"));
                    }
                    tokio::time::sleep(after.map_or(backoff, |after| after.min(RETRY_AFTER_MAX))).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
                Outcome::Refused(why) => return Err(why),
            }
        }
        Ok(())
    }

    async fn attempt(&mut self, batch: &PipeBatch) -> Outcome {
        let client = match self.target.find().await {
            Ok(client) => client,
            Err(why) => return Outcome::Away(why, None),
        };
        let headers = batch.headers.iter();
        let headers: Vec<_> = headers
            .filter_map(|(name, value)| Some((name.as_str(), std::str::from_utf8(value).ok()?)))
            .collect();
        match client.post(LINES, &headers, batch.body.clone()).await {
            Ok(response) => outcome(&client, &response),
            Err(error) => Outcome::Away(format!("{error:#}"), None),
        }
    }
}

fn outcome(client: &Client, response: &Response) -> Outcome {
    let who = client.authority();
    let away = [
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::GATEWAY_TIMEOUT,
    ];
    match response.status {
        StatusCode::OK => Outcome::Taken,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Outcome::Refused(format!(
            "{who} takes no lines: it is no agent, or an older one; name one with --url, for example http://HOST:9701"
        )),
        status if away.contains(&status) => {
            let after = response.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            Outcome::Away(format!("{who}: {}", reason(response)), after.map(Duration::from_secs))
        }
        _ => Outcome::Refused(format!("{who} refuses: {}", reason(response))),
    }
}

/// What the agent said; its receivers say it otherwise than the rest of Weir.
fn reason(response: &Response) -> String {
    let body = response.json().ok();
    let message = body.as_ref().and_then(|body| body["message"].as_str());
    message
        .map_or_else(|| complaint(response), |message| format!("{} ({})", message, response.status.as_u16()))
}

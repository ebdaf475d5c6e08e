//! Ways to tell people. One way, one module, one signature.

mod email;
mod webhook;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::config::{Config, Receiver};
use crate::error::StartError;
use crate::outgoing::{Channel, Webhook};

/// Tells one address.
#[async_trait]
pub(crate) trait Notify: Send + Sync + std::fmt::Debug {
    /// Sends a message. `id` is the same in every attempt, so that whoever
    /// takes it can know it again.
    async fn send(&self, id: &str, body: &Webhook) -> Result<(), NotifyError>;
}

/// Why a message was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotifyError {
    /// It may be taken later.
    Retry(String),
    /// It will never be taken.
    Refused(String),
}

/// Every channel and its way out.
pub(crate) type Channels = BTreeMap<String, (Channel, Arc<dyn Notify>)>;

/// The channels of a configuration.
pub(crate) fn channels(config: &Config) -> Result<Channels, StartError> {
    let mut channels = Channels::new();
    for receiver in &config.receivers {
        let wrong = |reason: String| StartError::Receiver { receiver: receiver.name.clone(), reason };
        for (number, webhook) in receiver.webhook_configs.iter().enumerate() {
            let channel = channel(receiver, "webhook", number, webhook.send_resolved);
            let notify = webhook::Poster::new(webhook).map_err(wrong)?;
            channels.insert(channel.name.clone(), (channel, Arc::new(notify)));
        }
        for (number, email) in receiver.email_configs.iter().enumerate() {
            let channel = channel(receiver, "email", number, email.send_resolved);
            let notify = email::Mailer::new(&config.smtp, email).map_err(wrong)?;
            channels.insert(channel.name.clone(), (channel, Arc::new(notify)));
        }
    }
    Ok(channels)
}

fn channel(receiver: &Receiver, integration: &'static str, number: usize, send_resolved: bool) -> Channel {
    Channel {
        name: format!("{}/{integration}/{number}", receiver.name),
        receiver: receiver.name.clone(),
        integration,
        send_resolved,
    }
}

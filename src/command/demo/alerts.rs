//! The demo's rules, and who is told: a mailbox and an address of its own.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use weir_alerting::{EmailConfig, Receiver, SmtpTls, WebhookConfig};
use weir_runtime::Handles;

use crate::config::Config;
use crate::demo::Inbox;

/// How long after the shop has closed an alert may still be on its way.
const PATIENCE: Duration = Duration::from_secs(10);

/// The rules, as an operator would write them.
const RULES: &str = include_str!("rules.yaml");

/// People and their alerts.
#[derive(Clone, Debug)]
pub(super) struct Alerts {
    inbox: Inbox,
}

impl Alerts {
    /// Writes the rules into `dir` and makes the configuration tell the inbox.
    pub(super) async fn prepare(dir: &Path, config: &mut Config, handles: &Handles) -> Result<Self> {
        let inbox = Inbox::open(&dir.join("mail"), handles).await?;
        let rules = dir.join("rules.yaml");
        std::fs::write(&rules, RULES).with_context(|| format!("cannot write {}", rules.display()))?;
        let alerting = &mut config.alerting;
        alerting.rules = vec![rules.display().to_string()];
        alerting.smtp.host = "127.0.0.1".to_owned();
        alerting.smtp.port = inbox.smtp_port();
        alerting.smtp.tls = SmtpTls::None;
        "Weir <weir@shop.example>".clone_into(&mut alerting.smtp.from);
        "operator".clone_into(&mut alerting.route.receiver);
        alerting.receivers = vec![Receiver {
            name: "operator".to_owned(),
            webhook_configs: vec![WebhookConfig { url: inbox.webhook_url(), ..WebhookConfig::default() }],
            email_configs: vec![EmailConfig {
                to: "operator@shop.example".to_owned(),
                ..EmailConfig::default()
            }],
        }];
        Ok(Self { inbox })
    }

    /// Mails and webhooks that arrived; waits a little for the first of each.
    pub(super) async fn delivered(&self) -> Delivered {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let delivered = Delivered { webhooks: self.inbox.webhooks(), mails: self.inbox.mails() };
            if delivered.is_clean() || Instant::now() > deadline {
                return delivered;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The newest, for people.
    pub(super) fn last(&self) -> Option<String> {
        self.inbox.last()
    }
}

/// What arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delivered {
    pub webhooks: u64,
    pub mails: u64,
}

impl Delivered {
    /// All that arrived.
    pub(super) fn total(self) -> u64 {
        self.webhooks + self.mails
    }

    /// Both ways work.
    pub(super) fn is_clean(self) -> bool {
        self.webhooks > 0 && self.mails > 0
    }
}

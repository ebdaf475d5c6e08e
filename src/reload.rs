//! The configuration is followed while a node runs.
//!
//! Its files are looked at every few seconds, and at SIGHUP: by content, so that
//! it does not matter how they are replaced. A ConfigMap's are links that the
//! kubelet swaps, an editor's are renamed.
//!
//! What cannot change while it runs is named, and waits for a restart. What is
//! wrong is told with its place, and nothing changes.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use serde_json::Value;
use tokio::signal::unix::{Signal, SignalKind, signal};
use weir_runtime::config::{Texts, keys};
use weir_runtime::telemetry::error_chain;
use weir_runtime::{Clock, Metrics};

use crate::cli::NodeArgs;
use crate::config::Config;
use crate::node::Node;
use crate::role;

/// How often the files are looked at. The kubelet brings a ConfigMap to a node
/// within a minute; more haste is of no use.
const INTERVAL: Duration = Duration::from_secs(3);

/// The section whose keys can change, where its role says so.
const AGENT: &str = "agent";

/// Follows the files of a configuration. Without files there is nothing to
/// follow.
#[derive(Debug)]
pub struct Reload {
    args: NodeArgs,
    path: Option<PathBuf>,
    seen: Texts,
    /// What was seen is what the node runs on.
    is_in_use: bool,
    /// What the node runs on: as it was started, with what changed since.
    running: Config,
    /// The last failure to read the files, told once.
    unreadable: Option<String>,
    counts: Counts,
    clock: Clock,
}

#[derive(Clone, Debug, Default)]
struct Counts {
    reloads: Counter,
    failures: Counter,
    successful: Gauge,
    succeeded_at: Gauge,
}

/// What two configurations have different.
#[derive(Debug, Default, PartialEq, Eq)]
struct Difference {
    /// Keys that can change while a node runs.
    live: Vec<String>,
    /// Keys that need a restart.
    fixed: Vec<String>,
}

impl Reload {
    /// Loads the configuration that a node is to be started with.
    ///
    /// # Errors
    /// As those of [`Config::load`].
    pub fn load(args: &NodeArgs) -> Result<(Config, Self)> {
        let path = args.config.clone();
        let seen = path.as_deref().map(Texts::read).transpose()?.unwrap_or_default();
        let running = Config::of(&seen, args)?;
        let own = NodeArgs {
            config: path.clone(),
            data: args.data.clone(),
            tail: args.tail.clone(),
            listen: args.listen.clone(),
            insecure: args.insecure,
            exit_with_parent: args.exit_with_parent,
        };
        let (counts, clock) = (Counts::default(), Clock::system());
        let config = running.clone();
        Ok((
            config,
            Self { args: own, path, seen, is_in_use: true, running, unreadable: None, counts, clock },
        ))
    }

    /// Takes over what changes. Never ends.
    pub async fn follow(mut self, node: &Node) {
        self.counts.register(node.metrics());
        self.succeeded();
        let Some(path) = self.path.clone() else { return std::future::pending().await };
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => Some(hangup),
            Err(error) => {
                tracing::warn!(%error, "SIGHUP cannot be heard");
                None
            }
        };
        loop {
            let asked = tokio::select! {
                () = heard(&mut hangup) => true,
                () = tokio::time::sleep(INTERVAL) => false,
            };
            let reading = path.clone();
            let read = tokio::task::spawn_blocking(move || Texts::read(&reading)).await;
            match read {
                Ok(Ok(texts)) => self.look(texts, asked, &|config| node.reconfigure(config)),
                Ok(Err(error)) => self.unreadable(error_chain(&error)),
                Err(error) => self.unreadable(error.to_string()),
            }
        }
    }

    /// Takes over what the files say, if that is anything new.
    fn look(&mut self, texts: Texts, asked: bool, apply: &dyn Fn(&Config) -> Result<()>) {
        let was_unreadable = self.unreadable.take().is_some();
        if texts == self.seen {
            if was_unreadable && self.is_in_use {
                self.succeeded();
            }
            if asked {
                tracing::info!("the configuration has not changed");
            }
            return;
        }
        self.seen = texts;
        self.counts.reloads.inc();
        match self.take_over(apply) {
            Ok(difference) => {
                self.succeeded();
                if !difference.live.is_empty() {
                    tracing::info!(keys = difference.live.join(", "), "the configuration has changed");
                }
                if !difference.fixed.is_empty() {
                    let keys = difference.fixed.join(", ");
                    tracing::warn!(keys, "these settings need a restart, until then the old ones hold");
                }
            }
            Err(error) => {
                self.is_in_use = false;
                self.failed(&format!("{error:#}"));
            }
        }
    }

    fn take_over(&mut self, apply: &dyn Fn(&Config) -> Result<()>) -> Result<Difference> {
        let written = Config::of(&self.seen, &self.args)?;
        let difference = Difference::between(&self.running, &written)?;
        if !difference.live.is_empty() {
            let next = with_live(&self.running, &written)?;
            apply(&next)?;
            self.running = next;
        }
        Ok(difference)
    }

    /// Told once: an absent file may be in the middle of being replaced.
    fn unreadable(&mut self, why: String) {
        if self.unreadable.as_ref() != Some(&why) {
            self.failed(&why);
            self.unreadable = Some(why);
        }
    }

    fn failed(&self, why: &str) {
        self.counts.failures.inc();
        self.counts.successful.set(0);
        tracing::error!(error = why, "the new configuration cannot be used, the old one holds");
    }

    fn succeeded(&mut self) {
        self.is_in_use = true;
        self.counts.successful.set(1);
        self.counts.succeeded_at.set(self.clock.now_micros() / 1_000_000);
    }
}

impl Counts {
    fn register(&self, metrics: &Metrics) {
        metrics.register(
            "config_reloads",
            "changes of the configuration that were seen",
            self.reloads.clone(),
        );
        let help = "changes of the configuration that could not be used";
        metrics.register("config_reload_failures", help, self.failures.clone());
        let help = "1 if the configuration as it is written is the one in use, but for what needs a restart";
        metrics.register("config_last_reload_successful", help, self.successful.clone());
        let help = "when the configuration was last taken over, seconds since 1970";
        metrics.register("config_last_reload_success_timestamp_seconds", help, self.succeeded_at.clone());
    }
}

impl Difference {
    fn between(running: &Config, written: &Config) -> Result<Self> {
        let of = |config: &Config| -> Result<BTreeMap<String, String>> {
            let keys = keys(config, "")?;
            Ok(keys.into_iter().map(|key| (key.dotted(), key.value)).collect())
        };
        let (running, written) = (of(running)?, of(written)?);
        let all: BTreeMap<&String, ()> = running.keys().chain(written.keys()).map(|key| (key, ())).collect();
        let mut difference = Self::default();
        for key in all.into_keys().filter(|key| running.get(*key) != written.get(*key)) {
            let list = if is_live(key) { &mut difference.live } else { &mut difference.fixed };
            list.push(key.clone());
        }
        Ok(difference)
    }
}

async fn heard(hangup: &mut Option<Signal>) {
    match hangup {
        Some(hangup) => drop(hangup.recv().await),
        None => std::future::pending().await,
    }
}

fn is_live(key: &str) -> bool {
    let mut parts = key.split('.');
    parts.next() == Some(AGENT) && parts.next().is_some_and(role::agent::Agent::is_live)
}

/// What runs, with the keys that can change as they are written.
fn with_live(running: &Config, written: &Config) -> Result<Config> {
    let mut tree = serde_json::to_value(running).context("the configuration has no text")?;
    let mut written = serde_json::to_value(written).context("the configuration has no text")?;
    if let (Some(Value::Object(section)), Some(Value::Object(new))) =
        (tree.get_mut(AGENT), written.get_mut(AGENT))
    {
        for (key, value) in section.iter_mut().filter(|(key, _)| role::agent::Agent::is_live(key)) {
            *value = new.remove(key).unwrap_or_default();
        }
    }
    serde_json::from_value(tree).context("the configuration does not fit together")
}

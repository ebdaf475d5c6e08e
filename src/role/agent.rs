//! The agent of this process.

use anyhow::{Context, Result};
use axum::Router;
use weir_agent::AgentTopics;
use weir_runtime::admin::Check;
use weir_runtime::{Handles, Shutdown};

use crate::config::Config;
use crate::node::{Deadline, stop_part};
use crate::role::log::{Log, Topics};

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    agent: weir_agent::Agent,
    says_goodbye: bool,
    handles: Handles,
}

impl Agent {
    /// Starts tailing and receiving.
    pub async fn start(config: &Config, log: &Log, handles: Handles) -> Result<Self> {
        let append = log.append.clone().context("the agent needs the event log open for writing")?;
        let state = config.paths().agent();
        if config.agent.tail.is_empty() {
            tracing::info!("nothing is tailed: name files with --tail or agent.tail");
        }
        let Topics { logs, spans, metrics } = log.topics.clone();
        let topics = AgentTopics { logs, spans, metrics };
        let agent = weir_agent::start(own(config), append, topics, state, handles.clone()).await?;
        Ok(Self { agent, says_goodbye: config.agent.goodbye, handles })
    }

    /// The receivers.
    pub fn router(&self) -> Router {
        self.agent.router()
    }

    /// Whether it can do its work.
    pub fn check(&self) -> Check {
        let health = self.agent.health();
        Check::new("agent", move || health.check())
    }

    /// Told when it has ended by itself, which only a failure makes it do.
    pub fn shutdown(&self) -> Shutdown {
        self.handles.shutdown.clone()
    }

    /// Goes on by another configuration, as far as [`Self::is_live`] says.
    pub fn reconfigure(&self, config: &Config) -> Result<()> {
        Ok(self.agent.reconfigure(&own(config))?)
    }

    /// True for a key of the section `agent` that can change while it runs.
    pub fn is_live(key: &str) -> bool {
        weir_agent::Config::LIVE.contains(&key)
    }

    /// Sends what is framed, waits for the acknowledgements, ends.
    pub async fn stop(self, deadline: Deadline) -> Option<String> {
        let ended = match self.says_goodbye {
            true => self.agent.retire(deadline.left()).await,
            false => self.agent.stop(deadline.left()).await,
        };
        let failure = ended.err().map(|error| error.to_string());
        failure.or(stop_part("agent", &self.handles, deadline.left()).await)
    }
}

fn own(config: &Config) -> weir_agent::Config {
    weir_agent::Config {
        own_data: Some(config.data.clone()),
        own_cluster: own_cluster(),
        ..config.agent.clone()
    }
}

/// The API server of the cluster in which this process is a pod: what the
/// kubelet puts into every pod's environment.
fn own_cluster() -> Option<String> {
    let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    let host = variable("KUBERNETES_SERVICE_HOST")?;
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let port = variable("KUBERNETES_SERVICE_PORT").unwrap_or_else(|| "443".to_owned());
    Some(format!("https://{host}:{port}"))
}

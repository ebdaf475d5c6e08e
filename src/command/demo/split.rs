//! The demo's nodes as processes of their own on a real Kafka, a real Postgres
//! and one directory for the tables' files: the shape of a cluster, on one host.
//!
//! Topics and catalog have a name of their own for each run, so that runs do
//! not see each other and leave what was there before alone. They are removed
//! at the end; after a run that lost something they are kept to be looked at.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tracing::level_filters::LevelFilter;
use weir_proto::model::FileId;
use weir_runtime::Handles;
use weir_runtime::child::{Child, Command};

use crate::config::Config;
use crate::role::log::Log;

/// How long a node may take to stop, and all of them to start.
const STOP_DEADLINE: Duration = Duration::from_secs(30);
const START_PATIENCE: Duration = Duration::from_secs(60);

/// Partitions of each topic, so that two ingesters have something to share.
const PARTITIONS: u32 = 4;

/// What is started, in order; stopped in reverse.
const NODES: [(&str, &str); 6] = [
    ("ingest-1", "ingest"),
    ("ingest-2", "ingest"),
    ("query-1", "query"),
    ("alerting", "alerting"),
    ("query-2", "query"),
    ("agent", "agent"),
];

/// The running processes.
#[derive(Debug)]
pub(super) struct Split {
    shared: Box<Config>,
    parts: Vec<Handles>,
    queries: Vec<SocketAddr>,
    agent: Option<SocketAddr>,
}

impl Split {
    /// Starts an agent, two ingesters, two query services and alerting, and
    /// waits until each of them serves.
    pub(super) async fn start(dir: &Path, kafka: &str, postgres: &str, config: &Config) -> Result<Self> {
        let run = FileId::generate().to_string().to_lowercase();
        let mut shared = config.clone();
        shared.listen = "127.0.0.1:0".to_owned();
        shared.aliases = Vec::new();
        shared.catalog = with_schema(postgres, &format!("weir_demo_{run}"));
        shared.objects = dir.join("objects").to_string_lossy().into_owned();
        shared.log.topic_prefix = format!("weir-demo-{run}");
        shared.log.partitions = PARTITIONS;
        shared.log.kafka.brokers = kafka.to_owned();
        let mut split =
            Self { shared: Box::new(shared.clone()), parts: Vec::new(), queries: Vec::new(), agent: None };
        for (name, role) in NODES {
            let data = dir.join(name);
            let own = Config { data: data.clone(), ..shared.clone() };
            let file = dir.join(format!("{name}.json"));
            // JSON is YAML, and the file holds the catalog's password.
            crate::role::write_private(&file, &serde_json::to_vec(&own)?)?;
            let handles = Handles::new("demo");
            Child::start(command(role, &file)?, &handles)?;
            split.parts.push(handles);
            let address = appears(&data.join("run").join(format!("{role}.addr"))).await;
            let address =
                address.with_context(|| format!("{name} does not start; its messages are above"))?;
            match role {
                "query" => {
                    shared.alerting.query_url = format!("http://{address}");
                    split.queries.push(address);
                }
                "alerting" => shared.alerting.url = format!("http://{address}"),
                "agent" => split.agent = Some(address),
                _ => {}
            }
        }
        Ok(split)
    }

    /// Where each query service answers.
    pub(super) fn urls(&self) -> Vec<String> {
        self.queries.iter().map(|address| format!("http://{address}")).collect()
    }

    /// Where spans are sent.
    pub(super) fn agent_url(&self) -> String {
        self.agent.map(|address| format!("http://{address}")).unwrap_or_default()
    }

    /// Ends when a process failed for good.
    pub(super) async fn until_failed(&self) {
        let parts = self.parts.iter().map(|part| Box::pin(part.shutdown.begun()));
        futures::future::select_all(parts).await;
    }

    /// Stops the processes, the agent first, so that each outlives what leans
    /// on it. With `removes`, the run's topics and its schema are gone then.
    pub(super) async fn stop(self, removes: bool) -> Result<()> {
        for handles in self.parts.into_iter().rev() {
            handles.shutdown.begin();
            let pending = handles.tasks.join(STOP_DEADLINE + Duration::from_secs(5)).await;
            if !pending.is_empty() {
                bail!("a process of the demo did not end");
            }
        }
        if removes {
            let handles = Handles::new("demo");
            Log::remove(&self.shared, &handles).await.context("the demo's topics are still there")?;
            handles.shutdown.begin();
            let schema = crate::role::stores::remove_catalog(&self.shared).await;
            schema.context("the demo's schema is still there")?;
        }
        Ok(())
    }
}

fn command(role: &'static str, config: &Path) -> Result<Command> {
    let mut env = Vec::new();
    if LevelFilter::current() == LevelFilter::OFF {
        env.push(("WEIR_LOG".into(), "warn".into()));
    }
    Ok(Command {
        name: role,
        program: std::env::current_exe().context("cannot find the own program")?,
        args: vec![role.into(), "--exit-with-parent".into(), "--config".into(), config.into()],
        env,
        stop_deadline: STOP_DEADLINE,
    })
}

async fn appears(file: &PathBuf) -> Result<SocketAddr> {
    let deadline = Instant::now() + START_PATIENCE;
    loop {
        let found = std::fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
        if let Some(address) = found {
            return Ok(address);
        }
        if Instant::now() > deadline {
            bail!("it does not serve after {START_PATIENCE:?}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The catalog's URL with a schema of its own, which is made when the catalog
/// is opened.
fn with_schema(url: &str, schema: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}options[search_path]={schema}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_one_parameter_of_the_url() {
        assert_eq!(with_schema("postgres://h/d", "s"), "postgres://h/d?options[search_path]=s");
        assert_eq!(
            with_schema("postgres://h/d?sslmode=require", "s"),
            "postgres://h/d?sslmode=require&options[search_path]=s"
        );
    }
}

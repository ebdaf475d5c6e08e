//! The agent under test: a process of its own, so that it can be killed.
//!
//! The same executable again, told by its environment. It appends to a disk
//! log in its directory, waits with each append while a file `stall` stands
//! there, and writes its metrics to `metrics` a few times a second. It ends
//! when its standard input does.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use rustix::process::{Resource, Rlimit, setrlimit};
use weir_agent::{AgentTopics, Config, start};
use weir_runtime::{ByteSize, Handles, HumanDuration};
use weir_stream::disk::{DiskConfig, DiskLog};
use weir_stream::{Append, AppendError, Offset, Partition, Record, Topic};

/// Names the directory.
pub(crate) const DIRECTORY: &str = "WEIR_ROTATION_CHILD";
/// The most descriptors that it may have.
pub(crate) const DESCRIPTORS: &str = "WEIR_ROTATION_DESCRIPTORS";

/// Where the lines go.
pub(crate) const TOPIC: &str = "weir.logs";

/// Is the agent if the environment says so. True: it was, and has ended.
pub(crate) fn ran() -> Result<bool> {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return Ok(false) };
    if let Ok(descriptors) = std::env::var(DESCRIPTORS) {
        let descriptors = Some(descriptors.parse().context("a number of descriptors")?);
        setrlimit(Resource::Nofile, Rlimit { current: descriptors, maximum: descriptors })?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(PathBuf::from(directory)))?;
    Ok(true)
}

async fn run(directory: PathBuf) -> Result<()> {
    let handles = Handles::new("rotation");
    let log = DiskLog::open(
        DiskConfig {
            dir: directory.join("log"),
            tail_bytes: ByteSize::mib(1),
            queue_bytes: ByteSize::mib(8),
            ..DiskConfig::default()
        },
        &handles,
    )?;
    log.ensure_topic(&Topic::new(TOPIC)?, 1)?;
    let topics =
        AgentTopics { logs: Topic::new(TOPIC)?, spans: Topic::new(TOPIC)?, metrics: Topic::new(TOPIC)? };
    let logs = directory.join("logs");
    let config = Config {
        tail: ["*.log", "pods/*/*/*.log"].map(|glob| format!("{}/{glob}", logs.display())).into(),
        // Sizes are seen this often at least.
        scan_interval: HumanDuration(Duration::from_millis(100)),
        own_data: Some(directory.join("state")),
        ..Config::default()
    };
    let log = Gate { log, stall: directory.join("stall") };
    let agent = start(config, Arc::new(log), topics, directory.join("state"), handles.clone()).await?;
    let told = directory.join("metrics");
    let telling = async {
        loop {
            let _ = tell(&told, &handles.metrics.encode());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::select! {
        () = telling => {}
        ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())) => drop(ended??),
    }
    agent.stop(Duration::from_secs(60)).await?;
    Ok(())
}

/// Whole or not at all.
fn tell(path: &Path, text: &str) -> std::io::Result<()> {
    let draft = path.with_extension("new");
    fs::write(&draft, text)?;
    fs::rename(draft, path)
}

/// A log that does not answer while a file stands there.
struct Gate {
    log: DiskLog,
    stall: PathBuf,
}

#[async_trait]
impl Append for Gate {
    async fn append(&self, partition: &Partition, records: Vec<Record>) -> Result<Offset, AppendError> {
        while self.stall.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.log.append(partition, records).await
    }

    async fn partitions(&self, topic: &Topic) -> Result<u32, AppendError> {
        self.log.partitions(topic).await
    }
}

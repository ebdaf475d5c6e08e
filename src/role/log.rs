//! The event log as this process sees it: the writer's, or another's on the
//! same host.

use std::fmt;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use weir_proto::model::Signal;
use weir_runtime::{ByteSize, Handles};
use weir_stream::disk::{DiskConfig, DiskLog, DiskReader};
use weir_stream::{Append, Subscribe, Topic};

use crate::config::Config;

/// The two sides of the event log, each where a role needs it.
pub struct Log {
    /// The topic of the lines.
    pub topic: Topic,
    /// Set where the agent runs.
    pub append: Option<Arc<dyn Append>>,
    /// Set where the ingester runs.
    pub subscribe: Option<Arc<dyn Subscribe>>,
}

impl Log {
    /// Opens the log for writing, reading, both or neither.
    pub async fn open(config: &Config, writes: bool, reads: bool, handles: &Handles) -> Result<Self> {
        let name = format!("{}.{}", config.log.topic_prefix, Signal::Logs);
        let topic = Topic::new(&name).context("log.topic_prefix")?;
        let dir = config.paths().log();
        if writes {
            // Without a reader in the process nobody would be served from memory.
            let tail_bytes = if reads { DiskConfig::default().tail_bytes } else { ByteSize(0) };
            let disk = DiskConfig {
                dir,
                segment_bytes: config.log.segment_bytes,
                tail_bytes,
                queue_bytes: ByteSize::mib(8),
            };
            let log = DiskLog::open(disk, handles)?;
            log.ensure_topic(&topic, config.log.partitions)?;
            let subscribe = reads.then(|| Arc::new(log.reader()) as Arc<dyn Subscribe>);
            return Ok(Self { topic, append: Some(Arc::new(log)), subscribe });
        }
        if !reads {
            return Ok(Self { topic, append: None, subscribe: None });
        }
        if !super::appears(&dir.join(topic.as_str())).await {
            bail!(
                "there is no event log at {}: start `weir agent --data {}` on this host first; \
                 roles on several hosts need Kafka, which this version does not have yet",
                dir.display(),
                config.data.display()
            );
        }
        let reader = Arc::new(DiskReader::open(dir));
        Ok(Self { topic, append: None, subscribe: Some(reader) })
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("topic", &self.topic).finish_non_exhaustive()
    }
}

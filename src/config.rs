//! The configuration tree: defaults, then the file, then `WEIR_*`, then flags.

#[cfg(all(test, feature = "agent", feature = "ingest", feature = "query", feature = "alerting"))]
mod reference;

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use weir_runtime::ByteSize;
use weir_runtime::config::Texts;

use crate::cli::NodeArgs;

/// Everything that can be set. Each role owns its section; a build without a
/// role still accepts its section, so that one file serves every node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where everything is kept.
    pub data: PathBuf,
    /// The address to serve on, `ADDRESS:PORT`. Empty: 127.0.0.1, port 9700 for
    /// `all` and `query`, 9701 for `agent`, 9702 for `ingest`, 9703 for `alerting`.
    pub listen: String,
    /// Allow an address that other hosts can reach, without credentials.
    pub insecure: bool,
    /// Ports on the host of `listen` that serve the same as it does, where they
    /// are free: those that OTLP's and Zipkin's clients try by themselves.
    pub aliases: Vec<u16>,
    /// `HOST:PORT` under which the other processes reach this one. Empty: the
    /// address it serves on; where that is any address, the one with which this
    /// host reaches Kafka.
    pub advertise: String,
    /// The catalog. Empty: a SQLite file in the data directory, for one host.
    /// `postgres://USER:PASSWORD@HOST/DATABASE` for several.
    pub catalog: String,
    /// Where the tables' files are kept. Empty: in the data directory. A path
    /// or `file:///PATH` of a directory that every host sees, or
    /// `s3://BUCKET/PREFIX`.
    pub objects: String,
    /// How the bucket of `objects` is reached.
    pub s3: S3Section,
    /// The event log.
    pub log: LogConfig,
    /// The agent.
    pub agent: AgentSection,
    /// The ingester.
    pub ingest: IngestSection,
    /// The query service.
    pub query: QuerySection,
    /// Rules, and who is told.
    pub alerting: AlertingSection,
}

/// The event log: on Kafka where brokers are named, else on this disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Begins the topics' names: `weir` makes `weir.logs`.
    pub topic_prefix: String,
    /// Partitions of a new topic; at least as many as ingesters.
    pub partitions: u32,
    /// Kafka.
    pub kafka: KafkaSection,
    /// On disk, a segment file is closed at this size; whole segments are what
    /// trimming deletes.
    pub segment_bytes: ByteSize,
    /// On disk, when an append is answered. `group`: once it is synced, and all
    /// that wait share a sync; `always`: once it is synced by itself; `never`:
    /// once the system has it, so that a power cut takes what was answered since
    /// the last segment was begun.
    pub fsync: FsyncSetting,
    /// On disk, what is kept to be read again although it is stored.
    pub retention: RetentionSection,
}

#[cfg(any(feature = "agent", feature = "ingest"))]
type KafkaSection = weir_stream::kafka::KafkaConfig;
#[cfg(not(any(feature = "agent", feature = "ingest")))]
type KafkaSection = OtherRole;
#[cfg(any(feature = "agent", feature = "ingest"))]
type FsyncSetting = weir_stream::disk::Fsync;
#[cfg(not(any(feature = "agent", feature = "ingest")))]
type FsyncSetting = String;
#[cfg(any(feature = "agent", feature = "ingest"))]
type RetentionSection = weir_stream::disk::Retention;
#[cfg(not(any(feature = "agent", feature = "ingest")))]
type RetentionSection = OtherRole;
#[cfg(any(feature = "ingest", feature = "query"))]
type S3Section = weir_storage::object::S3Config;
#[cfg(not(any(feature = "ingest", feature = "query")))]
type S3Section = OtherRole;
#[cfg(feature = "agent")]
type AgentSection = weir_agent::Config;
#[cfg(not(feature = "agent"))]
type AgentSection = OtherRole;
#[cfg(feature = "ingest")]
type IngestSection = weir_ingest::Config;
#[cfg(not(feature = "ingest"))]
type IngestSection = OtherRole;
#[cfg(feature = "query")]
type QuerySection = weir_query::Config;
#[cfg(not(feature = "query"))]
type QuerySection = OtherRole;
#[cfg(feature = "alerting")]
type AlertingSection = weir_alerting::Config;
#[cfg(not(feature = "alerting"))]
type AlertingSection = OtherRole;

/// The section of a role that this build does not have: accepted, not read.
#[cfg(not(all(feature = "agent", feature = "ingest", feature = "query", feature = "alerting")))]
pub type OtherRole = serde_json::Map<String, serde_json::Value>;

impl Default for Config {
    fn default() -> Self {
        Self {
            data: "weir-data".into(),
            listen: String::new(),
            insecure: false,
            aliases: vec![4317, 4318, 9411],
            advertise: String::new(),
            catalog: String::new(),
            objects: String::new(),
            s3: S3Section::default(),
            log: LogConfig::default(),
            agent: AgentSection::default(),
            ingest: IngestSection::default(),
            query: QuerySection::default(),
            alerting: AlertingSection::default(),
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            topic_prefix: "weir".to_owned(),
            partitions: 1,
            kafka: KafkaSection::default(),
            segment_bytes: ByteSize::mib(128),
            fsync: FsyncSetting::default(),
            retention: RetentionSection::default(),
        }
    }
}

impl Config {
    /// Reads the file and the environment, then lays the flags over them.
    pub fn load(args: &NodeArgs) -> Result<Self> {
        let texts = args.config.as_deref().map(Texts::read).transpose()?.unwrap_or_default();
        Self::of(&texts, args)
    }

    /// The same, from files that were read.
    pub fn of(texts: &Texts, args: &NodeArgs) -> Result<Self> {
        let mut config: Self = weir_runtime::config::load_texts(texts, variables(), "WEIR_")?;
        if let Some(data) = &args.data {
            config.data.clone_from(data);
        }
        if let Some(listen) = &args.listen {
            config.listen.clone_from(listen);
        }
        #[cfg(feature = "agent")]
        if !args.tail.is_empty() {
            config.agent.tail.clone_from(&args.tail);
        }
        config.insecure |= args.insecure;
        config.check()?;
        Ok(config)
    }

    /// Reads a file (or none) and the environment, without checking.
    pub fn read(file: Option<&Path>) -> Result<Self> {
        Ok(weir_runtime::config::load(file, variables(), "WEIR_")?)
    }

    /// What the types cannot say.
    pub fn check(&self) -> Result<()> {
        if self.log.partitions == 0 || self.log.partitions > 1024 {
            bail!("log.partitions is {}: use 1 to 1024", self.log.partitions);
        }
        if !self.listen.is_empty() {
            self.listen_address(9700)?;
        }
        #[cfg(any(feature = "agent", feature = "ingest"))]
        if !self.log.kafka.brokers.is_empty() {
            self.log.kafka.validate()?;
        }
        #[cfg(any(feature = "agent", feature = "ingest"))]
        weir_stream::Topic::new(&format!("{}.logs", self.log.topic_prefix)).context("log.topic_prefix")?;
        #[cfg(feature = "agent")]
        self.agent.validate()?;
        #[cfg(feature = "ingest")]
        self.ingest.validate().map_err(anyhow::Error::msg)?;
        #[cfg(feature = "query")]
        self.query.validate().map_err(anyhow::Error::msg)?;
        #[cfg(feature = "alerting")]
        self.alerting.validate().map_err(anyhow::Error::msg)?;
        Ok(())
    }

    /// The address to serve on, with the role's port where none is set.
    ///
    /// # Errors
    /// An address that other hosts can reach, without `insecure`.
    pub fn listen_address(&self, role_port: u16) -> Result<SocketAddr> {
        if self.listen.is_empty() {
            return Ok(SocketAddr::from(([127, 0, 0, 1], role_port)));
        }
        let text = match self.listen.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => self.listen.clone(),
        };
        let address: SocketAddr = text.parse().with_context(|| {
            format!("listen is {:?}: use ADDRESS:PORT, for example 127.0.0.1:9700", self.listen)
        })?;
        if !self.insecure && !is_loopback(address.ip()) {
            bail!(
                "listen is {address}, which other hosts can reach, and no credentials are configured: \
                 use 127.0.0.1:{}, or --insecure if the network is trusted",
                address.port()
            );
        }
        Ok(address)
    }

    /// The parts of the data directory.
    pub fn paths(&self) -> Paths {
        Paths { data: self.data.clone() }
    }
}

/// The environment, as far as it is text.
fn variables() -> impl Iterator<Item = (String, String)> {
    let text =
        |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    std::env::vars_os().filter_map(text)
}

fn is_loopback(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback()),
    }
}

/// Where each part keeps its state below the data directory.
#[derive(Clone, Debug)]
pub struct Paths {
    data: PathBuf,
}

impl Paths {
    /// The directory itself.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The event log's segments.
    pub fn log(&self) -> PathBuf {
        self.data.join("log")
    }

    /// The state of alerting.
    pub fn alerting(&self) -> PathBuf {
        self.data.join("alerting")
    }

    /// The agent's checkpoint.
    pub fn agent(&self) -> PathBuf {
        self.data.join("agent")
    }

    /// The catalog's database.
    pub fn catalog(&self) -> PathBuf {
        self.data.join("catalog.db")
    }

    /// The tables' files.
    pub fn objects(&self) -> PathBuf {
        self.data.join("objects")
    }

    /// Messages that could not be decoded, as they were.
    pub fn dead_letters(&self) -> PathBuf {
        self.data.join("dead-letter")
    }

    /// Sockets and what else lives as long as a process.
    pub fn run(&self) -> PathBuf {
        self.data.join("run")
    }

    /// Where ingest gives out its live rows.
    pub fn ingest_socket(&self) -> PathBuf {
        self.run().join("ingest.sock")
    }

    /// Where the query worker serves.
    pub fn worker_socket(&self) -> PathBuf {
        self.run().join("query.sock")
    }

    /// What the query worker was started with.
    pub fn worker_config(&self) -> PathBuf {
        self.run().join("query.json")
    }

    /// Where queries put what does not fit into memory.
    pub fn spill(&self) -> PathBuf {
        self.data.join("spill")
    }
}

#[cfg(all(test, feature = "agent", feature = "ingest", feature = "query"))]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_others_can_reach_needs_consent() {
        let check = |listen: &str, insecure: bool, allowed: bool| {
            let config = Config { listen: listen.to_owned(), insecure, ..Config::default() };
            assert_eq!(config.check().is_ok(), allowed, "{listen}");
        };
        check("127.0.0.1:9700", false, true);
        check("localhost:9700", false, true);
        check("[::1]:9700", false, true);
        check("0.0.0.0:9700", false, false);
        check("192.168.1.2:9700", false, false);
        check("[::]:9700", false, false);
        check("0.0.0.0:9700", true, true);
        check("9700", false, false);
        check("", false, true);
    }
}

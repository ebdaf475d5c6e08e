//! What a run is made of: the real Kafka and Postgres, and the processes under
//! test. It starts and ends them as it is told, and knows no scenario.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use anyhow::{Context, Result, bail};
use weir_stream::kafka::server::{KafkaOptions, KafkaServer};

use crate::counters::Board;
use crate::node::Node;
use crate::postgres::Postgres;
use crate::query::Query;
use crate::watch::Watch;

/// Partitions of each topic, so that several ingesters share them.
pub(crate) const PARTITIONS: u64 = 4;

/// Topics that ingesters read: lines, spans, metrics.
pub(crate) const TOPICS: u64 = 3;

/// How Weir is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Each role a process, over Kafka and Postgres.
    Split,
    /// `weir all`: one process, a disk log, SQLite.
    All,
}

/// The processes of a run.
pub(crate) struct Cluster {
    /// The run's directory; whoever made it decides whether it is kept.
    dir: PathBuf,
    binary: PathBuf,
    environment: Vec<Variable>,
    shape: Shape,
    kafka: Option<KafkaServer>,
    postgres: Option<Postgres>,
    nodes: BTreeMap<String, Node>,
    board: Board,
    watch: Watch,
    partitions: u64,
}

/// A variable of the processes of some nodes, beside what the run needs itself:
/// failpoints, a log level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variable {
    /// The nodes whose names begin so; empty: all.
    pub(crate) nodes: String,
    pub(crate) name: String,
    pub(crate) value: OsString,
}

impl Variable {
    /// Of all nodes.
    pub(crate) fn everywhere(name: &str, value: impl Into<OsString>) -> Self {
        Self { nodes: String::new(), name: name.to_owned(), value: value.into() }
    }

    /// True if processes that have it end by themselves, or may.
    pub(crate) fn tells_to_fail(&self) -> bool {
        self.name == "FAILPOINTS" || self.name == "PLANTED_BUG"
    }
}

impl Cluster {
    /// Starts Kafka and Postgres where the shape has them; no node yet.
    ///
    /// # Errors
    /// Something is not installed, or does not come up.
    pub(crate) fn start(
        shape: Shape,
        dir: &Path,
        binary: &Path,
        environment: Vec<Variable>,
        board: &Board,
    ) -> Result<Self> {
        fs::create_dir_all(dir.join("in"))?;
        let watch = Watch::start()?;
        let (kafka, postgres) = match shape {
            Shape::Split => {
                let postgres = Postgres::start(&dir.join("postgres"), &watch)?;
                (Some(KafkaServer::start(KafkaOptions::default())), Some(postgres))
            }
            Shape::All => (None, None),
        };
        let (dir, binary, board, nodes) = (dir.to_owned(), binary.to_owned(), board.clone(), BTreeMap::new());
        let partitions = if shape == Shape::All { 1 } else { PARTITIONS };
        Ok(Self { dir, binary, environment, shape, kafka, postgres, nodes, board, watch, partitions })
    }

    /// Starts a node, a new one or one that was ended; waits for nothing.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn launch(&mut self, name: &str) -> Result<()> {
        if !self.nodes.contains_key(name) {
            self.add(name)?;
        }
        let binary = self.binary.clone();
        let node = self.node(name)?;
        node.start(&binary)?;
        let seen = (node.address(), node.generation());
        self.board.runs(name, seen);
        Ok(())
    }

    /// A node that does not run yet, with all settings.
    ///
    /// # Errors
    /// There is no port for it.
    pub(crate) fn add(&mut self, name: &str) -> Result<&mut Node> {
        let mut node = Node::new(name, &self.dir, &self.watch)?;
        if let Some(kafka) = &self.kafka {
            node.set("WEIR_LOG_KAFKA_BROKERS", kafka.brokers());
            node.set("WEIR_LOG_PARTITIONS", PARTITIONS.to_string());
        }
        if let Some(postgres) = &self.postgres {
            node.set("WEIR_CATALOG", postgres.url());
        }
        node.set("WEIR_OBJECTS", self.dir.join("objects"));
        if matches!(node.role(), "agent" | "all") {
            node.set("WEIR_AGENT_TAIL", format!("{}/*.log", self.input().display()));
        }
        for variable in self.environment.iter().filter(|variable| name.starts_with(&variable.nodes)) {
            node.set(&variable.name, &variable.value);
        }
        Ok(self.nodes.entry(name.to_owned()).or_insert(node))
    }

    /// A node by its name.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn node(&mut self, name: &str) -> Result<&mut Node> {
        self.nodes.get_mut(name).with_context(|| format!("there is no node {name}"))
    }

    /// Takes a node away for good; its data stays.
    pub(crate) fn remove(&mut self, name: &str) {
        self.nodes.remove(name);
        self.board.gone(name);
    }

    /// The names of the nodes that begin so.
    pub(crate) fn names(&self, start: &str) -> Vec<String> {
        self.nodes.keys().filter(|name| name.starts_with(start)).cloned().collect()
    }

    /// Nodes that ended though nobody ended them, with what status, and how.
    ///
    /// # Errors
    /// The system does not say.
    pub(crate) fn ended(&mut self) -> Result<Vec<(String, ExitStatus, String)>> {
        let mut ended = Vec::new();
        for (name, node) in &mut self.nodes {
            if let Some(status) = node.ended()? {
                ended.push((name.clone(), status, format!("{status}: {}", node.last_words())));
            }
        }
        Ok(ended)
    }

    /// The most memory that each running process has had, in MiB.
    pub(crate) fn memory_mib(&self) -> BTreeMap<String, u64> {
        let of = |(name, node): (&String, &Node)| Some((name.clone(), node.memory_mib()?));
        self.nodes.iter().filter_map(of).collect()
    }

    /// What `weir check --rows` says of files and catalog, and whether all is well.
    ///
    /// # Errors
    /// There is no node that has both.
    pub(crate) fn check(&self) -> Result<(bool, String)> {
        let knows_both = |node: &&Node| matches!(node.role(), "all" | "query" | "ingest");
        let node = self.nodes.values().find(knows_both).context("nobody has files and a catalog")?;
        let output = node.command(&self.binary, "check").arg("--rows").output().context("weir check")?;
        let said =
            [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).trim().to_owned());
        Ok((output.status.success(), said.join(" ").trim().to_owned()))
    }

    /// The real Kafka.
    ///
    /// # Errors
    /// The shape has none.
    pub(crate) fn kafka(&self) -> Result<&KafkaServer> {
        self.kafka.as_ref().context("this run has no Kafka")
    }

    /// The real Postgres.
    ///
    /// # Errors
    /// The shape has none.
    pub(crate) fn postgres(&mut self) -> Result<&mut Postgres> {
        self.postgres.as_mut().context("this run has no Postgres")
    }

    /// Partitions of the topic of lines, at least.
    pub(crate) fn partitions(&self) -> u64 {
        self.partitions
    }

    /// Makes a topic larger, as an operator does.
    ///
    /// # Errors
    /// Kafka's tool says no.
    pub(crate) fn add_partitions(&mut self, topic: &str, partitions: u32) -> Result<()> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kafka/kafka");
        let mut command = Command::new(script);
        command.args(["topics", "--bootstrap-server", &self.kafka()?.brokers()]);
        command.args(["--alter", "--topic", topic, "--partitions", &partitions.to_string()]);
        let output = command.output().context("deploy/kafka/kafka")?;
        if output.status.success() {
            self.partitions = self.partitions.max(partitions.into());
            return Ok(());
        }
        bail!("{topic} cannot have {partitions} partitions: {}", String::from_utf8_lossy(&output.stderr))
    }

    /// The run's directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where files are written that the agent reads.
    pub(crate) fn input(&self) -> PathBuf {
        self.dir.join("in")
    }

    /// Where is pushed to, whether somebody listens or not.
    ///
    /// # Errors
    /// There is no such node.
    pub(crate) fn agent(&mut self) -> Result<SocketAddr> {
        let name = if self.shape == Shape::All { "all" } else { "agent" };
        Ok(self.node(name)?.address())
    }

    /// Where is asked.
    ///
    /// # Errors
    /// There is no such node.
    pub(crate) fn query(&mut self) -> Result<Query> {
        let name = if self.shape == Shape::All { "all" } else { "query" };
        Ok(Query::at(self.node(name)?.address()))
    }
}

//! The shape that runs in production, on one host: a real Kafka, a real
//! Postgres, a directory that all share, and each role as a process of its own.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use weir_storage::catalog::postgres::server::PostgresServer;
use weir_stream::kafka::server::{KafkaOptions, KafkaServer};

use super::node::{Node, Place, Role};
use super::{Scratch, eventually};

/// Partitions of each topic, so that two ingesters share them.
const PARTITIONS: &str = "4";

/// What the nodes of one test share.
pub(crate) struct Cluster {
    pub(crate) scratch: Scratch,
    pub(crate) kafka: KafkaServer,
    pub(crate) postgres: PostgresServer,
    settings: Mutex<Vec<(String, String)>>,
}

impl Cluster {
    /// Starts Kafka and Postgres; no node yet.
    pub(crate) fn start(test: &str) -> Self {
        let scratch = Scratch::new(test);
        let kafka = KafkaServer::start(KafkaOptions::default());
        let postgres = PostgresServer::start();
        Self { scratch, kafka, postgres, settings: Mutex::default() }
    }

    /// A setting of every node that is started from now on.
    pub(crate) fn set(&self, variable: &str, value: &str) {
        self.settings.lock().expect("not poisoned").push((variable.to_owned(), value.to_owned()));
    }

    /// Starts a role under a name; the same name has the same state again.
    pub(crate) fn start_node(&self, name: &str, role: Role) -> Node {
        self.start_node_with(name, role, |_| ())
    }

    /// The same, with more flags or environment.
    pub(crate) fn start_node_with(&self, name: &str, role: Role, more: impl FnOnce(&mut Command)) -> Node {
        let place = Place { data: self.data(name), stderr: self.scratch.path(&format!("{name}.stderr")) };
        let settings = self.settings.lock().expect("not poisoned").clone();
        Node::start_at(&place, role, |command| {
            command
                .env("WEIR_LOG_KAFKA_BROKERS", self.kafka.brokers())
                .env("WEIR_LOG_PARTITIONS", PARTITIONS)
                .env("WEIR_CATALOG", self.postgres.url())
                .env("WEIR_OBJECTS", self.scratch.path("objects"))
                .envs(settings);
            if role == Role::Agent {
                command.env("WEIR_AGENT_TAIL", self.scratch.tail());
            }
            more(command);
        })
    }

    /// Where a node keeps its state.
    pub(crate) fn data(&self, name: &str) -> PathBuf {
        self.scratch.path(name)
    }

    /// Waits until a table holds this many rows.
    pub(crate) fn wait_for(&self, query: &Node, table: &str, count: u64) {
        eventually("the rows arrive", || {
            let question = format!("SELECT count(*) FROM {table}");
            let rows = query.try_rows(&question).map_err(|error| format!("{error:#}"))?;
            match rows[0][0].as_u64() {
                Some(found) if found >= count => Ok(()),
                found => Err(format!("{found:?} of {count} rows of {table}")),
            }
        });
    }
}

//! A real `weir` process, talked to over its port.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use weir::http::{Client, Response};

use super::{Scratch, eventually};

/// Which command is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    All,
    Agent,
    Ingest,
    Query,
    Alerting,
}

impl Role {
    fn command(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Agent => "agent",
            Self::Ingest => "ingest",
            Self::Query => "query",
            Self::Alerting => "alerting",
        }
    }
}

/// The binary under test, not yet started and without settings of the test's
/// own environment.
pub(crate) fn weir() -> Command {
    without_settings(Path::new(env!("CARGO_BIN_EXE_weir")))
}

fn without_settings(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WEIR_")) {
        command.env_remove(name);
    }
    command
}

/// Where a node keeps its state and its telemetry.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Its data directory.
    pub(crate) data: PathBuf,
    /// Its standard error, kept when a test fails.
    pub(crate) stderr: PathBuf,
}

/// A running node. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Node {
    child: Child,
    address: SocketAddr,
    client: Client,
    runtime: tokio::runtime::Runtime,
}

impl Node {
    /// Runs every role on the scratch's directories and waits until it is
    /// ready.
    pub(crate) fn start(scratch: &Scratch) -> Self {
        Self::start_with(scratch, Role::All, |_| ())
    }

    /// Runs a role, with more flags or environment.
    pub(crate) fn start_with(scratch: &Scratch, role: Role, more: impl FnOnce(&mut Command)) -> Self {
        Self::start_program(Path::new(env!("CARGO_BIN_EXE_weir")), scratch, role, more)
    }

    /// Runs a role of a copy of the binary.
    pub(crate) fn start_program(
        program: &Path,
        scratch: &Scratch,
        role: Role,
        more: impl FnOnce(&mut Command),
    ) -> Self {
        let stderr = scratch.path(&format!("{}.stderr", role.command()));
        let place = Place { data: scratch.data(), stderr };
        let node = Self::spawn(program, &place, role, |command| {
            if matches!(role, Role::All | Role::Agent) {
                command.arg("--tail").arg(scratch.tail());
            }
            more(command);
        });
        node.wait_until_ready();
        node
    }

    /// Runs a role at a place of its own and waits until it serves, not until
    /// it is ready.
    pub(crate) fn start_at(place: &Place, role: Role, more: impl FnOnce(&mut Command)) -> Self {
        Self::spawn(Path::new(env!("CARGO_BIN_EXE_weir")), place, role, more)
    }

    fn spawn(program: &Path, place: &Place, role: Role, more: impl FnOnce(&mut Command)) -> Self {
        let data = place.data.clone();
        let address_file = data.join("run").join(format!("{}.addr", role.command()));
        let _ = fs::remove_file(&address_file);
        let stderr = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&place.stderr)
            .expect("a file for its telemetry");
        let mut command = without_settings(program);
        command.arg(role.command()).arg("--data").arg(&data).env("WEIR_LISTEN", "127.0.0.1:0");
        // The ports that clients try by themselves belong to nobody's test.
        command.env("WEIR_ALIASES", "[]");
        more(&mut command);
        let mut child =
            command.stdin(Stdio::null()).stderr(stderr).spawn().expect("the binary under test starts");
        let address: SocketAddr = eventually("the node serves", || {
            if let Some(status) = child.try_wait().expect("its state") {
                let said = fs::read_to_string(&place.stderr).unwrap_or_default();
                let last: Vec<_> = said.lines().rev().take(5).collect();
                panic!("weir {} ended with {status}: {last:#?}", role.command());
            }
            let text = fs::read_to_string(&address_file).map_err(|error| error.to_string())?;
            text.trim().parse().map_err(|_| format!("{text:?} is no address"))
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let client = Client::new(&format!("http://{address}")).expect("a URL");
        Self { child, address, client, runtime }
    }

    /// Waits for `/readyz`.
    pub(crate) fn wait_until_ready(&self) {
        eventually("the node is ready", || {
            let response = self.get("/readyz").map_err(|error| format!("{error:#}"))?;
            if response.status.is_success() { Ok(()) } else { Err(response.text()) }
        });
    }

    /// Where it serves.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its client, for threads of the test's own.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// `GET`, whatever the answer.
    pub(crate) fn get(&self, path: &str) -> anyhow::Result<Response> {
        self.runtime.block_on(self.client.get(path, "application/json"))
    }

    /// `POST`, whatever the answer.
    pub(crate) fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Response> {
        self.runtime.block_on(self.client.post(path, headers, body.into()))
    }

    /// A statement, whatever the answer.
    pub(crate) fn post_sql(&self, query: &str, accept: &str) -> anyhow::Result<Response> {
        self.runtime.block_on(self.client.sql(query, accept))
    }

    /// The rows of a statement that must succeed.
    pub(crate) fn rows(&self, query: &str) -> Vec<Vec<Value>> {
        self.try_rows(query).unwrap_or_else(|error| panic!("{query}: {error:#}"))
    }

    /// The rows of a statement.
    pub(crate) fn try_rows(&self, query: &str) -> anyhow::Result<Vec<Vec<Value>>> {
        self.runtime.block_on(self.client.rows(query))
    }

    /// The first column of the first row, as a number.
    pub(crate) fn number(&self, query: &str) -> u64 {
        self.rows(query)[0][0].as_u64().unwrap_or_else(|| panic!("{query}: no number"))
    }

    /// Waits until the table holds this many rows.
    pub(crate) fn wait_for_rows(&self, count: u64) {
        eventually("the rows arrive", || {
            let rows = self.try_rows("SELECT count(*) FROM logs").map_err(|error| format!("{error:#}"))?;
            match rows[0][0].as_u64() {
                Some(found) if found >= count => Ok(()),
                found => Err(format!("{found:?} of {count} rows")),
            }
        });
    }

    /// The process of the query worker.
    pub(crate) fn worker(&self) -> Pid {
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        let pid = eventually("the worker runs", || {
            // A worker may have been started by any thread of the node.
            let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).map_err(|e| e.to_string())?;
            tasks
                .filter_map(Result::ok)
                .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
                .find_map(|text| text.split_whitespace().next().and_then(|pid| pid.parse::<i32>().ok()))
                .ok_or_else(|| format!("no child in {children}"))
        });
        Pid::from_raw(pid).expect("a process id")
    }

    /// Stops it without its knowing (SIGSTOP), or lets it go on.
    pub(crate) fn pause(&self, is_paused: bool) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id")).expect("not 0");
        let signal = if is_paused { Signal::STOP } else { Signal::CONT };
        kill_process(pid, signal).expect("it can be told");
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it is gone");
    }

    /// SIGTERM, and its exit status.
    pub(crate) fn terminate(mut self) -> std::process::ExitStatus {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id")).expect("not 0");
        kill_process(pid, Signal::TERM).expect("it can be told");
        self.child.wait().expect("it ends")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

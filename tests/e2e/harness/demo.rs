//! The demo as a person has it who types `weir demo`.

use std::io::{BufRead, BufReader, Lines};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::runtime::Runtime;
use weir::http::Client;

use super::weir;

/// A running demo, in a process group of its own, as a terminal gives to a command.
pub(crate) struct Demo {
    child: Option<Child>,
    said: Lines<BufReader<ChildStdout>>,
    runtime: Runtime,
    client: Client,
    url: String,
}

impl Demo {
    /// Starts it on a free port.
    pub(crate) fn start(more: &[&str]) -> Self {
        let mut child = weir()
            .args(["demo", "--listen", "127.0.0.1:0"])
            .args(more)
            .process_group(0)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut said = BufReader::new(child.stdout.take().expect("its output")).lines();
        let first = said.next().expect("a first line").expect("text");
        let (_, url) = first.rsplit_once(' ').expect("a URL");
        let client = Client::new(url).expect("a URL");
        let runtime = Runtime::new().expect("a runtime");
        Self { child: Some(child), said, runtime, client, url: url.to_owned() }
    }

    /// Where its page is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Reads on until a line has this text.
    pub(crate) fn wait_until_said(&mut self, text: &str) -> String {
        let mut said = self.said.by_ref().map_while(Result::ok);
        said.find(|line| line.contains(text)).unwrap_or_else(|| panic!("it never says {text:?}"))
    }

    /// `GET`: the status and the answer's JSON, or its text.
    pub(crate) fn get(&self, path: &str) -> Result<(u16, serde_json::Value), String> {
        let answer = self.runtime.block_on(self.client.get(path, "application/json"));
        let answer = answer.map_err(|error| error.to_string())?;
        let body = answer.json().unwrap_or_else(|_| answer.text().into());
        Ok((answer.status.as_u16(), body))
    }

    /// `POST` of JSON, which must succeed.
    pub(crate) fn post(&self, path: &str, body: &serde_json::Value) {
        let headers = [("content-type", "application/json")];
        let answer = self.runtime.block_on(self.client.post(path, &headers, body.to_string().into()));
        let answer = answer.expect("it answers");
        assert!(answer.status.is_success(), "{path}: {}", answer.text());
    }

    /// The rows of a statement, which must be answered.
    pub(crate) fn rows(&self, statement: &str) -> Vec<Vec<serde_json::Value>> {
        self.try_rows(statement).expect("an answer")
    }

    /// The rows of a statement, or what Weir has against it.
    pub(crate) fn try_rows(&self, statement: &str) -> Result<Vec<Vec<serde_json::Value>>, String> {
        self.runtime.block_on(self.client.rows(statement)).map_err(|error| format!("{error:#}"))
    }

    /// What Ctrl-C does, and what is left to read when it has ended.
    pub(crate) fn interrupt(mut self) -> Output {
        let child = self.child.take().expect("it runs");
        signal(&child, Signal::INT);
        for _ in self.said.by_ref() {}
        child.wait_with_output().expect("it ends")
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            signal(&child, Signal::INT);
            let _ = child.wait();
        }
    }
}

fn signal(child: &Child, signal: Signal) {
    let group = Pid::from_raw(i32::try_from(child.id()).expect("a process id")).expect("not 0");
    let _ = kill_process_group(group, signal);
}

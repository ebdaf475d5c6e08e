//! One `weir` process under test: where it lives stays, the process comes and goes.

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::watch::Watch;
use crate::{http, port};

/// How long a process may take to be ready, or to end when it is told to.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node, running or not.
pub(crate) struct Node {
    name: String,
    address: SocketAddr,
    data: PathBuf,
    stderr: PathBuf,
    environment: Vec<(OsString, OsString)>,
    child: Option<Child>,
    /// How often it was started.
    generation: u64,
    is_paused: bool,
    watch: Watch,
}

impl Node {
    /// A node of this name, whose role is the name up to `-`: its data, and what
    /// it says, in a directory. It does not run yet.
    ///
    /// # Errors
    /// There is no port.
    pub(crate) fn new(name: &str, dir: &Path, watch: &Watch) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()?));
        let (data, stderr) = (dir.join(name), dir.join(format!("{name}.stderr")));
        let (name, watch) = (name.to_owned(), watch.clone());
        let (environment, child) = (Vec::new(), None);
        Ok(Self { name, address, data, stderr, environment, child, generation: 0, is_paused: false, watch })
    }

    /// Its role: what `weir` is told to be.
    pub(crate) fn role(&self) -> &str {
        self.name.split('-').next().unwrap_or(&self.name)
    }

    /// Where it serves, whenever it runs.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How often it was started.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Where its data is.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Keeps its data elsewhere.
    pub(crate) fn keep_data_in(&mut self, data: PathBuf) {
        self.data = data;
    }

    /// A variable of every process that it becomes from now on.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<OsString>) {
        self.environment.push((name.into(), value.into()));
    }

    /// The processes that it becomes from now on do not have it.
    pub(crate) fn unset(&mut self, name: &str) {
        self.environment.retain(|(known, _)| known != name);
    }

    /// A command of the binary over this node's data, with its settings.
    pub(crate) fn command(&self, binary: &Path, word: &str) -> Command {
        let mut command = Command::new(binary);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WEIR_")) {
            command.env_remove(name);
        }
        command.arg(word).arg("--data").arg(&self.data);
        command.env("WEIR_LISTEN", self.address.to_string());
        // The ports that clients try by themselves belong to nobody's test.
        command.env("WEIR_ALIASES", "[]");
        command.envs(self.environment.iter().cloned());
        command
    }

    /// Starts the process and waits for nothing.
    ///
    /// # Errors
    /// It cannot be started, or runs already.
    pub(crate) fn start(&mut self, binary: &Path) -> Result<()> {
        if self.child.is_some() {
            bail!("{} runs already", self.name);
        }
        let stderr = fs::OpenOptions::new().append(true).create(true).open(&self.stderr)?;
        let mut command = self.command(binary, self.role());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let child = command.spawn().with_context(|| format!("cannot start {}", binary.display()))?;
        self.watch.mind(Pid::from_child(&child));
        self.child = Some(child);
        self.generation += 1;
        Ok(())
    }

    /// True while nobody ended it.
    pub(crate) fn is_started(&self) -> bool {
        self.child.is_some()
    }

    /// How it ended by itself, if it did.
    ///
    /// # Errors
    /// The system does not say.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        let status = child.try_wait()?;
        if status.is_some() {
            self.watch.forget(Pid::from_child(child));
            self.child = None;
        }
        Ok(status)
    }

    /// `kill -9`; true if it ran.
    pub(crate) fn kill(&mut self) -> bool {
        self.is_paused = false;
        let Some(mut child) = self.child.take() else { return false };
        let was_alive = matches!(child.try_wait(), Ok(None));
        let _ = child.kill();
        let _ = child.wait();
        self.watch.forget(Pid::from_child(&child));
        was_alive
    }

    /// SIGTERM, and waits until it has ended.
    ///
    /// # Errors
    /// It does not end, or not well.
    pub(crate) fn terminate(&mut self) -> Result<()> {
        self.resume();
        self.signal(Signal::TERM);
        let begun = Instant::now();
        while self.child.is_some() {
            if let Some(status) = self.ended()? {
                if status.success() {
                    return Ok(());
                }
                bail!("{} was told to end, and ended with {status}", self.name);
            }
            if begun.elapsed() > PATIENCE {
                self.kill();
                bail!("{} was told to end, and did not within {PATIENCE:?}", self.name);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// SIGSTOP.
    pub(crate) fn pause(&mut self) {
        self.is_paused = true;
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub(crate) fn resume(&mut self) {
        if std::mem::take(&mut self.is_paused) {
            self.signal(Signal::CONT);
        }
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// What it says instead.
    pub(crate) fn wait_until_ready(&mut self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let said = match http::request(self.address, ("GET", "/readyz"), &[], b"", PATIENCE) {
                Ok(answer) if answer.is_success() => return Ok(()),
                Ok(answer) => answer.text(),
                Err(error) => error.to_string(),
            };
            if let Some(status) = self.ended()? {
                bail!("{} ended with {status}: {}", self.name, self.last_words());
            }
            if begun.elapsed() > PATIENCE {
                bail!("{} is not ready: {said}", self.name);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The most memory that its process has had, in MiB (proc(5), `VmHWM`).
    pub(crate) fn memory_mib(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.as_ref()?.id())).ok()?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        Some(peak.trim().strip_suffix(" kB")?.parse::<u64>().ok()? >> 10)
    }

    /// The end of what it told.
    pub(crate) fn last_words(&self) -> String {
        let said = fs::read(&self.stderr).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<_> = said.lines().collect();
        lines.get(lines.len().saturating_sub(5)..).unwrap_or_default().join(" | ")
    }

    /// Lines of its standard error that begin so.
    pub(crate) fn said(&self, beginning: &str) -> Vec<String> {
        let said = fs::read(&self.stderr).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        // The last line may be half of one.
        let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().filter(|line| line.starts_with(beginning)).map(str::to_owned).collect()
    }

    fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            // Who has ended meanwhile is found by `ended`.
            let _ = kill_process(Pid::from_child(child), signal);
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

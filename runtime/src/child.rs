//! A child process that is kept alive, and does not outlive its parent.
//!
//! The parent holds the write end of the child's stdin and never writes. When
//! the parent dies, however it dies, the kernel closes the pipe; the child
//! reads end of file and exits ([`exit_with_parent`]). That needs no unsafe
//! code, unlike `PR_SET_PDEATHSIG`, and does not depend on which thread of the
//! parent started the child.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use rustix::process::{Pid, Signal, kill_process};
use thiserror::Error;
use tokio::process::{Child as Process, Command as Starter};
use tokio::time::Instant;

use crate::{Handles, Shutdown};

/// The longest wait before a restart. With the time a process takes to start,
/// a dead child is back within a second.
const BACKOFF_MAX: Duration = Duration::from_millis(800);
const BACKOFF_MIN: Duration = Duration::from_millis(50);

/// Who lived this long was healthy: its next restart does not wait.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);

/// What to run. Standard output and error are the parent's.
#[derive(Clone, Debug)]
pub struct Command {
    /// What it is, for the telemetry.
    pub name: &'static str,
    /// The program, for example `std::env::current_exe()`.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Variables added to the parent's.
    pub env: Vec<(OsString, OsString)>,
    /// The time between SIGTERM and SIGKILL at shutdown.
    pub stop_deadline: Duration,
}

/// Why the first start failed. Later ones are retried.
#[derive(Debug, Error)]
#[error("cannot start {name} ({})", program.display())]
pub struct StartError {
    name: &'static str,
    program: PathBuf,
    source: io::Error,
}

/// A supervised process: restarted when it ends, stopped at shutdown.
#[derive(Clone, Debug)]
pub struct Child {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// 0 while none runs.
    pid: AtomicU32,
    restarts: Counter,
}

impl Child {
    /// Starts the process and keeps it running until the handles' shutdown.
    pub fn start(command: Command, handles: &Handles) -> Result<Self, StartError> {
        let process = command.start().map_err(|source| StartError {
            name: command.name,
            program: command.program.clone(),
            source,
        })?;
        let state = Arc::new(State::default());
        let child = Self { state: state.clone() };
        let shutdown = handles.shutdown.clone();
        handles.tasks.spawn("child", async move {
            supervise(&command, process, &state, &shutdown).await;
            Ok(())
        });
        Ok(child)
    }

    /// The process id, while one runs.
    pub fn pid(&self) -> Option<u32> {
        match self.state.pid.load(Ordering::SeqCst) {
            0 => None,
            pid => Some(pid),
        }
    }

    /// How often it was started again.
    pub fn restarts(&self) -> u64 {
        self.state.restarts.get()
    }

    /// The same number as a metric, for the root to register under a name.
    pub fn restarts_metric(&self) -> Counter {
        self.state.restarts.clone()
    }
}

impl Command {
    fn start(&self) -> io::Result<Process> {
        Starter::new(&self.program)
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            // A terminal's Ctrl-C goes to the whole group. When the child ends
            // is the parent's to say, after what leans on it has ended.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }
}

/// Called in the child: ends this process when its parent is gone, or closes
/// stdin. Such a child has nobody to answer to, so it does not linger.
pub fn exit_with_parent() -> io::Result<()> {
    let watch = || {
        let mut stdin = io::stdin().lock();
        let mut ignored = [0; 64];
        loop {
            match stdin.read(&mut ignored) {
                Ok(0) => break,
                Err(error) if error.kind() != io::ErrorKind::Interrupted => break,
                Ok(_) | Err(_) => {}
            }
        }
        tracing::warn!("the parent process is gone, exiting");
        std::process::exit(0);
    };
    std::thread::Builder::new().name("parent-watch".to_owned()).spawn(watch).map(drop)
}

async fn supervise(command: &Command, first: Process, state: &State, shutdown: &Shutdown) {
    let mut running = Some(first);
    let mut backoff = Backoff::default();
    loop {
        let started = Instant::now();
        if let Some(process) = running.take()
            && !watch(command, process, state, shutdown).await
        {
            return;
        }
        let wait = backoff.next(started.elapsed());
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shutdown.begun() => return,
        }
        match command.start() {
            Ok(process) => {
                state.restarts.inc();
                running = Some(process);
            }
            Err(error) => {
                tracing::error!(child = command.name, %error, "cannot start the child process again");
            }
        }
    }
}

/// Waits for the end of a process or of ours. True if it has to come back.
async fn watch(command: &Command, mut process: Process, state: &State, shutdown: &Shutdown) -> bool {
    let name = command.name;
    // Waiting for a child closes its stdin, which would end it.
    let _pipe = process.stdin.take();
    let pid = process.id().unwrap_or(0);
    tracing::info!(child = name, pid, "child process started");
    state.pid.store(pid, Ordering::SeqCst);
    let ended = tokio::select! {
        ended = process.wait() => Some(ended),
        () = shutdown.begun() => None,
    };
    let again = ended.is_some();
    match ended {
        Some(Ok(status)) => tracing::warn!(child = name, pid, %status, "child process ended, restarting"),
        Some(Err(error)) => tracing::error!(child = name, pid, %error, "lost sight of the child process"),
        None => match stop(&mut process, command.stop_deadline).await {
            Ok(status) => tracing::info!(child = name, pid, %status, "child process stopped"),
            Err(error) => tracing::error!(child = name, pid, %error, "cannot stop the child process"),
        },
    }
    state.pid.store(0, Ordering::SeqCst);
    again
}

async fn stop(process: &mut Process, deadline: Duration) -> io::Result<ExitStatus> {
    let pid = process.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    if let Some(pid) = pid {
        kill_process(pid, Signal::TERM)?;
        if let Ok(status) = tokio::time::timeout(deadline, process.wait()).await {
            return status;
        }
        process.start_kill()?;
    }
    process.wait().await
}

/// How long to wait before the next start: not at all after a healthy life,
/// twice as long each time after a short one.
#[derive(Debug, Default)]
struct Backoff(Duration);

impl Backoff {
    fn next(&mut self, lived: Duration) -> Duration {
        if lived >= HEALTHY_AFTER {
            self.0 = Duration::ZERO;
        }
        let wait = self.0;
        self.0 = (wait * 2).clamp(BACKOFF_MIN, BACKOFF_MAX);
        wait
    }
}

#[cfg(test)]
pub(crate) mod tests;

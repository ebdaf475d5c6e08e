//! The real binary as a process of its own, and what the system says of it.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use weir::http::Client;

/// A node under measurement.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) client: Client,
    pub(crate) runtime: tokio::runtime::Runtime,
}

impl Running {
    pub(crate) fn start(
        role: &str,
        data: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let address = data.join("run").join(format!("{role}.addr"));
        let _ = fs::remove_file(&address);
        // Another build than the one that came with the bench, such as that for nodes.
        let binary = std::env::var("WEIR_BENCH_BINARY").unwrap_or(env!("CARGO_BIN_EXE_weir").to_owned());
        let mut command = Command::new(binary);
        // The bench's own settings are none of Weir's.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WEIR_")) {
            command.env_remove(name);
        }
        let mut child = command
            .arg(role)
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(arguments)
            .envs(environment.iter().copied())
            .env("WEIR_LOG", "warn")
            .stdin(Stdio::null())
            .spawn()?;
        let address = wait_for(|| {
            if let Some(status) = child.try_wait()? {
                bail!("weir {role} ended with {status}");
            }
            Ok(fs::read_to_string(&address).ok().filter(|text| !text.is_empty()))
        })?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { child, client: Client::new(&format!("http://{address}"))?, runtime })
    }

    pub(crate) fn metric(&self, name: &str) -> Result<u64> {
        let text = self.runtime.block_on(self.client.get("/metrics", "text/plain"))?.text();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.with_context(|| format!("no metric {name}"))
    }

    pub(crate) fn wait_for_metric(&self, name: &str, value: u64) -> Result<()> {
        wait_for(|| Ok((self.metric(name)? >= value).then_some(())))
    }

    pub(crate) fn wait_for_metric_pair(&self, started: &str, ended: &str) -> Result<()> {
        wait_for(|| Ok((self.metric(started)? == self.metric(ended)?).then_some(())))
    }

    /// User and system time of the process so far. Source: proc(5), fields 14
    /// and 15 of `stat`, in ticks of 10 ms.
    pub(crate) fn cpu_seconds(&self) -> Result<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = stat.rsplit_once(')').context("a process state")?;
        let ticks: f64 =
            fields.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<f64>().ok()).sum();
        Ok(ticks / 100.0)
    }

    pub(crate) fn peak_rss_mib(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        let kib: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
        Ok(kib / 1024.0)
    }

    pub(crate) fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.child.id())?;
        let pid = rustix::process::Pid::from_raw(pid).context("a process id")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks until there is something, for ten minutes.
pub(crate) fn wait_for<T>(mut probe: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + Duration::from_secs(600);
    loop {
        if let Some(value) = probe()? {
            return Ok(value);
        }
        if Instant::now() > deadline {
            bail!("nothing within ten minutes");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

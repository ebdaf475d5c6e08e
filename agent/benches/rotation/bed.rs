//! A directory of files, an agent that reads them, and a judge.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::child::{DESCRIPTORS, DIRECTORY};
use crate::judge::Judge;

/// The longest wait for something that must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What does not come for so long is lost: longer than some scans of many
/// files on a busy host.
const SILENCE: Duration = Duration::from_secs(30);

/// Files, agent and judge.
pub(crate) struct Bed {
    root: tempfile::TempDir,
    descriptors: Option<u64>,
    agent: Option<Child>,
    pub(crate) judge: Judge,
    pub(crate) random: SmallRng,
    /// The most memory that any of the agents took, MiB.
    pub(crate) rss_mib: f64,
}

impl Bed {
    pub(crate) fn new(seed: u64, descriptors: Option<u64>) -> Result<Self> {
        // Where real files lie: a file system in memory gives no inode twice.
        let root = match std::env::var_os("WEIR_ROTATION_DIR") {
            Some(place) => tempfile::tempdir_in(place)?,
            None => tempfile::tempdir()?,
        };
        fs::create_dir(root.path().join("logs"))?;
        let judge = Judge::new(root.path())?;
        let random = SmallRng::seed_from_u64(seed);
        Ok(Self { root, descriptors, agent: None, judge, random, rss_mib: 0.0 })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("logs").join(name)
    }

    pub(crate) fn start(&mut self) -> Result<()> {
        let mut command = Command::new(std::env::current_exe()?);
        // What the test harness makes of it; the benchmark looks at the environment first.
        command.args(["child", "--exact", "--nocapture"]).env(DIRECTORY, self.root.path());
        if let Some(descriptors) = self.descriptors {
            command.env(DESCRIPTORS, descriptors.to_string());
        }
        let _ = fs::remove_file(self.root.path().join("metrics"));
        self.agent = Some(command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?);
        let told = self.root.path().join("metrics");
        self.wait("the agent to start", |_| Ok(told.exists()))
    }

    /// As by `kill -9`.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.note_rss();
        let mut agent = self.agent.take().context("no agent runs")?;
        agent.kill()?;
        agent.wait()?;
        Ok(())
    }

    /// Ends it as it should.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.note_rss();
        let mut agent = self.agent.take().context("no agent runs")?;
        drop(agent.stdin.take());
        let status = agent.wait()?;
        ensure!(status.success(), "the agent ended with {status}");
        Ok(())
    }

    pub(crate) fn note_rss(&mut self) {
        let Some(agent) = &self.agent else { return };
        let status = fs::read_to_string(format!("/proc/{}/status", agent.id())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|text| text.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
        self.rss_mib = self.rss_mib.max(kib.unwrap_or(0.0) / 1024.0);
    }

    /// CPU time that the agent has taken, of all its threads. Source: proc(5),
    /// fields 14 and 15 of `stat`, in ticks of 10 ms.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let Some(agent) = &self.agent else { return 0.0 };
        let stat = fs::read_to_string(format!("/proc/{}/stat", agent.id())).unwrap_or_default();
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace();
        fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
    }

    /// The event log answers nothing from now on, or answers again.
    pub(crate) fn stall(&self, stalls: bool) -> Result<()> {
        let path = self.root.path().join("stall");
        if stalls {
            File::create(path).map(drop)?;
        } else {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    /// A metric without labels, as the agent last told it.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = fs::read_to_string(self.root.path().join("metrics")).unwrap_or_default();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or(0.0)
    }

    /// Waits while the log is read, until it holds.
    pub(crate) fn wait(&mut self, what: &str, mut holds: impl FnMut(&Judge) -> Result<bool>) -> Result<()> {
        let began = Instant::now();
        loop {
            self.judge.read()?;
            if holds(&self.judge)? {
                return Ok(());
            }
            if let Some(agent) = &mut self.agent
                && let Some(status) = agent.try_wait()?
            {
                bail!("the agent ended with {status} while waiting for {what}");
            }
            if began.elapsed() > PATIENCE {
                bail!("waited {PATIENCE:?} in vain for {what}\n{}", self.metrics());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until every line of the writers came, or nothing has for long;
    /// then a while for what comes again.
    pub(crate) fn settle(&mut self, writers: &[Writer]) -> Result<()> {
        let written: usize = writers.iter().map(|writer| writer.lines).sum();
        let mut since = Instant::now();
        while self.judge.distinct < written && since.elapsed() < SILENCE {
            if self.judge.read()? {
                since = Instant::now();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.quiet(Duration::from_millis(1_500))
    }

    /// Waits until nothing more comes for so long.
    pub(crate) fn quiet(&mut self, time: Duration) -> Result<()> {
        let mut since = Instant::now();
        while since.elapsed() < time {
            if self.judge.read()? {
                since = Instant::now();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.note_rss();
        Ok(())
    }

    /// As [`Self::verdict`], which must be clean.
    pub(crate) fn must_be_clean(&self, writers: &[Writer]) -> Result<Verdict> {
        let verdict = self.verdict(writers);
        if verdict.is_clean() {
            return Ok(verdict);
        }
        let runs = writers.iter().flat_map(|writer| {
            let (lost, _) = self.judge.compare(writer.number, writer.lines);
            let run = |run: &[usize]| (writer.number, run[0], run.len());
            lost.chunk_by(|a, b| a + 1 == *b).map(run).collect::<Vec<_>>()
        });
        let runs: Vec<_> = runs.take(20).collect();
        bail!("{verdict:?}; writer, first and number of lost lines: {runs:?}\n{}", self.metrics());
    }

    fn metrics(&self) -> String {
        let metrics = fs::read_to_string(self.root.path().join("metrics")).unwrap_or_default();
        let own = metrics.lines().filter(|line| line.starts_with("weir_agent"));
        own.collect::<Vec<_>>().join("\n")
    }

    /// Nothing of these writers is lost, nothing is there twice, and nothing
    /// else came.
    pub(crate) fn verdict(&self, writers: &[Writer]) -> Verdict {
        let mut verdict = Verdict { strange: self.judge.strange.len(), ..Verdict::default() };
        for writer in writers {
            let (lost, twice) = self.judge.compare(writer.number, writer.lines);
            verdict.written += writer.lines;
            verdict.lost_bytes += (lost.len() * writer.bytes) as u64;
            verdict.first_lost = verdict.first_lost.or(lost.first().map(|serial| (writer.number, *serial)));
            verdict.lost += lost.len();
            verdict.twice += twice;
        }
        verdict
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if let Some(agent) = &mut self.agent {
            let _ = agent.kill();
            let _ = agent.wait();
        }
    }
}

/// What became of the lines.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) written: usize,
    pub(crate) lost: usize,
    pub(crate) lost_bytes: u64,
    pub(crate) first_lost: Option<(u32, usize)>,
    pub(crate) twice: u64,
    pub(crate) strange: usize,
}

impl Verdict {
    fn is_clean(&self) -> bool {
        self.lost == 0 && self.twice == 0 && self.strange == 0
    }
}

/// Writes lines that are all different.
pub(crate) struct Writer {
    pub(crate) number: u32,
    pub(crate) lines: usize,
    bytes: usize,
    noise: Option<SmallRng>,
}

/// The least that a line takes: who wrote it, and which it is.
const HEAD_BYTES: usize = 17;

impl Writer {
    /// Lines of so many bytes.
    pub(crate) fn new(number: u32, bytes: usize) -> Self {
        Self { number, lines: 0, bytes: bytes.max(HEAD_BYTES + 1), noise: None }
    }

    /// Lines that hardly compress.
    pub(crate) fn noisy(number: u32, bytes: usize, random: &mut SmallRng) -> Self {
        Self { noise: Some(SmallRng::from_rng(random)), ..Self::new(number, bytes) }
    }

    /// The next lines.
    pub(crate) fn text(&mut self, lines: usize) -> String {
        let mut text = String::with_capacity(lines * self.bytes);
        for _ in 0..lines {
            let end = text.len() + self.bytes - 2;
            text.push_str(&format!("{:05} {:08} ", self.number, self.lines));
            while let Some(noise) = &mut self.noise
                && text.len() < end
            {
                text.push_str(&format!("{:016x}", noise.random::<u64>()));
            }
            text.truncate(end);
            text.extend(std::iter::repeat_n('x', end - text.len()));
            text.push_str(".\n");
            self.lines += 1;
        }
        text
    }

    /// Appends the next lines. Answers with the file, still open.
    pub(crate) fn append(&mut self, path: &Path, lines: usize) -> Result<File> {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        file.write_all(self.text(lines).as_bytes())?;
        Ok(file)
    }
}

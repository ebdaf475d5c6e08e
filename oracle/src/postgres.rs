//! A real Postgres for the catalog: its data in the run's directory, on a free
//! port, without a client of it. `weir-storage` has one for its tests; taking
//! that would bring Parquet and SQL into a program that only kills processes.

use std::fs::{self, File};
use std::net::TcpStream;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::port;
use crate::watch::Watch;

const PATIENCE: Duration = Duration::from_secs(60);

/// What it runs as where the oracle runs as root, which Postgres refuses.
const USER: &str = "postgres";

/// A server. Dropping it ends it.
pub(crate) struct Postgres {
    dir: PathBuf,
    port: u16,
    programs: PathBuf,
    user: Option<(u32, u32)>,
    child: Option<Child>,
    watch: Watch,
}

impl Postgres {
    /// Makes a database in a directory and starts it.
    ///
    /// # Errors
    /// Postgres is not installed, or does not come up.
    pub(crate) fn start(dir: &Path, watch: &Watch) -> Result<Self> {
        let (programs, user) = (programs()?, other_user()?);
        fs::create_dir_all(dir)?;
        if let Some((user, group)) = user {
            chown(dir, Some(user), Some(group))?;
        }
        let port = port::free()?;
        let mut server =
            Self { dir: dir.to_owned(), port, programs, user, child: None, watch: watch.clone() };
        let mut initdb = server.command("initdb");
        initdb.arg("-D").arg(server.data());
        initdb.args(["-U", "weir", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
        let output = initdb.output().context("initdb")?;
        if !output.status.success() {
            bail!("initdb: {}", String::from_utf8_lossy(&output.stderr));
        }
        server.launch()?;
        Ok(server)
    }

    /// What `WEIR_CATALOG` is to be.
    pub(crate) fn url(&self) -> String {
        format!("postgres://weir@127.0.0.1:{}/postgres", self.port)
    }

    /// `kill -9`, of all its processes.
    pub(crate) fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = Pid::from_child(&child);
        // Stopped first, so that it starts no other process meanwhile.
        let _ = kill_process(pid, Signal::STOP);
        let backends = children(pid);
        for backend in &backends {
            let _ = kill_process(*backend, Signal::KILL);
        }
        let _ = child.kill();
        let _ = child.wait();
        self.watch.forget(pid);
        // It does not start while one of them is alive.
        let begun = Instant::now();
        while backends.iter().any(|pid| is_alive(*pid)) && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts it again on the same port and data.
    ///
    /// # Errors
    /// It does not come up.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.kill();
        self.launch()
    }

    fn launch(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.dir.with_extension("log"))?;
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data());
        let settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "shared_buffers=32MB"];
        for setting in settings.map(str::to_owned).into_iter().chain([format!("port={}", self.port)]) {
            command.args(["-c", &setting]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
        let child = command.spawn().context("postgres")?;
        self.watch.mind(Pid::from_child(&child));
        let (id, begun) = (child.id().to_string(), Instant::now());
        self.child = Some(child);
        while !(self.is_ready(&id) && TcpStream::connect(("127.0.0.1", self.port)).is_ok()) {
            if let Some(status) = self.child.as_mut().map(Child::try_wait).transpose()?.flatten() {
                bail!("Postgres ended with {status}; see {}", self.dir.with_extension("log").display());
            }
            if begun.elapsed() > PATIENCE {
                bail!("Postgres was not ready within {PATIENCE:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Its lock file says who it is in the first line, and how it is in the last.
    fn is_ready(&self, id: &str) -> bool {
        let lock = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        lock.lines().next() == Some(id) && lock.lines().nth(7).is_some_and(|line| line.trim() == "ready")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(&self.dir).env_remove("PGDATA").env("LC_ALL", "C");
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }

    fn data(&self) -> PathBuf {
        self.dir.join("data")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Where `initdb` and `postgres` are: the newest of Debian's, else on the path.
fn programs() -> Result<PathBuf> {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<_> = debian.map(|entry| entry.path().join("bin")).collect();
    found.sort();
    found.reverse();
    found.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let has_both = |path: &PathBuf| path.join("initdb").is_file() && path.join("postgres").is_file();
    found.into_iter().find(has_both).context(
        "no `initdb` and `postgres` in /usr/lib/postgresql/*/bin or on PATH: install Postgres 12 or later",
    )
}

/// Root becomes another user for Postgres.
fn other_user() -> Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let ids = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        fields.next().filter(|name| *name == USER)?;
        Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    Ok(Some(ids.context("Postgres refuses to run as root, and there is no user `postgres`")?))
}

fn children(of: Pid) -> Vec<Pid> {
    let path = format!("/proc/{0}/task/{0}/children", of.as_raw_nonzero());
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|word| Pid::from_raw(word.parse().ok()?)).collect()
}

/// False for one that has ended, also where nobody has asked how.
fn is_alive(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

//! A real Postgres for tests: its data in a temporary directory, on a free
//! port, ended with the test.
//!
//! For tests only, behind the feature `conformance`. What goes wrong panics and
//! says what to install or what the server's own log says: a test that needs
//! Postgres fails without it and is never skipped.

use std::fs::{self, File};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;

/// Long enough for a server to start, or to recover, on a busy host.
const PATIENCE: Duration = Duration::from_secs(60);

/// Below the ports that the system hands out for outgoing connections, so that
/// a server finds its port free again when it restarts.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// What `postgres` runs as where the test runs as root, which it refuses.
const USER: &str = "postgres";

/// In the URL, and nowhere else: a test looks for it in what is shown.
const PASSWORD: &str = "only-for-tests";

/// Ends the server and deletes its directory when the test's process is gone,
/// however it went: it reads the server's id from a pipe that only the test
/// holds open.
const WATCH: &str = r#"
pid=
while read -r line; do pid=$line; done
if [ -n "$pid" ]; then
    kill -CONT "$pid" && kill -QUIT "$pid"
    while kill -0 "$pid"; do sleep 0.1; done
fi
rm -rf "$1"
"#;

/// How the server is to be.
#[derive(Clone, Debug, Default)]
pub struct PostgresOptions {
    /// It has a certificate, for `localhost`: [`PostgresServer::certificate`].
    pub tls: bool,
    /// More of its settings, `name=value`.
    pub settings: Vec<String>,
}

/// A running server. All methods block; sharing it between tests is fine.
pub struct PostgresServer {
    dir: TempDir,
    port: u16,
    programs: PathBuf,
    user: Option<(u32, u32)>,
    options: PostgresOptions,
    databases: AtomicU32,
    process: Mutex<Process>,
}

struct Process {
    server: Option<Child>,
    watch: Child,
}

impl PostgresServer {
    /// Starts a server and waits until it takes connections.
    ///
    /// # Panics
    /// When Postgres is missing, or does not come up.
    pub fn start() -> Self {
        Self::start_with(PostgresOptions::default())
    }

    /// [`PostgresServer::start`], with more to say.
    ///
    /// # Panics
    /// As [`PostgresServer::start`].
    pub fn start_with(options: PostgresOptions) -> Self {
        let programs = programs();
        let dir = tempfile::Builder::new().prefix("weir-postgres-").tempdir().expect("a temporary directory");
        let watch = Command::new("sh")
            .args(["-c", WATCH, "weir-postgres-watch"])
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("sh starts");
        let process = Mutex::new(Process { server: None, watch });
        let user = other_user();
        let databases = AtomicU32::new(0);
        let mut server = Self { dir, port: free_port(), programs, user, options, databases, process };
        server.create();
        // Another test may have taken the port in the meantime.
        for attempt in 1.. {
            match server.launch() {
                Ok(()) => break,
                Err(why) if attempt == 3 => panic!("Postgres did not start: {why}"),
                Err(_) => server.port = free_port(),
            }
        }
        server
    }

    /// `postgres://` with user, password, host, port and database.
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// The URL of a new, empty database of this server.
    ///
    /// # Panics
    /// When it cannot be created.
    pub async fn database(&self) -> String {
        let name = format!("weir_{}", self.databases.fetch_add(1, Ordering::SeqCst));
        let mut connection = PgConnection::connect(&self.url()).await.expect("the server takes connections");
        let create = format!("CREATE DATABASE {name}");
        sqlx::query(AssertSqlSafe(create)).execute(&mut connection).await.expect("a database is created");
        connection.close().await.expect("the connection ends");
        self.url_of(&name)
    }

    /// The port that it takes connections on, of 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The password in its URLs.
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// The certificate that it shows, which signed itself.
    pub fn certificate(&self) -> PathBuf {
        self.dir.path().join("server.crt")
    }

    /// The directory with its data and its log.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// `kill -9`, of the server and all of its processes at one moment, as a
    /// power cut would.
    pub fn kill(&self) {
        self.pause();
        let all = self.pid().map(children).unwrap_or_default();
        self.signal_all(Signal::KILL);
        self.reap();
        // A server that finds one of them alive refuses to start.
        let begun = Instant::now();
        while all.iter().any(|pid| is_alive(*pid)) && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it in order, and the sessions with it.
    pub fn stop(&self) {
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, Signal::INT);
        }
        self.reap();
    }

    /// Starts it again on the same port and data, after [`kill`](Self::kill) or
    /// [`stop`](Self::stop), or stops it first; waits until it takes
    /// connections.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn restart(&self) {
        self.stop();
        if let Err(why) = self.launch() {
            panic!("Postgres did not start again: {why}");
        }
    }

    /// `kill -STOP`: it holds its connections and answers nothing.
    pub fn pause(&self) {
        // The server first: it must not start another process meanwhile.
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, Signal::STOP);
        }
        self.signal_all(Signal::STOP);
    }

    /// `kill -CONT`.
    pub fn resume(&self) {
        self.signal_all(Signal::CONT);
    }

    fn url_of(&self, database: &str) -> String {
        format!("postgres://weir:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    /// Makes the directory of its data.
    fn create(&self) {
        let password = self.dir.path().join("password");
        fs::write(&password, PASSWORD).expect("the password is written");
        if self.options.tls {
            self.create_certificate();
        }
        if let Some((user, group)) = self.user {
            let entries = fs::read_dir(self.dir.path()).expect("the directory is read");
            let entries = entries.map(|entry| entry.expect("an entry").path());
            for path in entries.chain([self.dir.path().to_owned()]) {
                chown(path, Some(user), Some(group)).expect("root gives the directory away");
            }
        }
        let mut command = self.command("initdb");
        command.arg("-D").arg(self.data()).arg("--pwfile").arg(password);
        command.args(["-U", "weir", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-sync"]);
        let output = command.output().expect("initdb starts");
        assert!(output.status.success(), "initdb failed: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn create_certificate(&self) {
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
        command.args(["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
        command.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        command.arg("-out").arg(self.certificate()).arg("-keyout").arg(self.dir.path().join("server.key"));
        let output = command.output().expect("openssl is needed for this test: apt-get install openssl");
        assert!(output.status.success(), "openssl failed: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn launch(&self) -> Result<(), String> {
        let log = File::options().create(true).append(true).open(self.log()).expect("the server's log");
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data());
        let mut settings = vec![
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={}", self.port),
            "unix_socket_directories=".to_owned(),
            "max_connections=200".to_owned(),
            "shared_buffers=32MB".to_owned(),
        ];
        if self.options.tls {
            settings.push("ssl=on".to_owned());
            settings.push(format!("ssl_cert_file={}", self.certificate().display()));
            settings.push(format!("ssl_key_file={}", self.dir.path().join("server.key").display()));
        }
        for setting in settings.iter().chain(&self.options.settings) {
            command.args(["-c", setting]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
        let child = command.spawn().expect("postgres starts");
        self.watch(&child.id().to_string());
        self.process().server = Some(child);
        self.await_connections()
    }

    fn await_connections(&self) -> Result<(), String> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let ended =
                self.process().server.as_mut().map(|child| child.try_wait().expect("the server's state"));
            if let Some(Some(status)) = ended {
                self.reap();
                return Err(format!("it ended with {status}; its log ends:\n{}", self.log_end()));
            }
            if self.is_ready() && TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let why = format!("not ready within {PATIENCE:?}; its log ends:\n{}", self.log_end());
        self.kill();
        Err(why)
    }

    /// Its lock file says who it is in the first line, and how it is in the
    /// last.
    fn is_ready(&self) -> bool {
        let lock = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        let pid = self.process().server.as_ref().map(|child| child.id().to_string());
        lock.lines().next() == pid.as_deref()
            && lock.lines().nth(7).is_some_and(|line| line.trim() == "ready")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.dir.path()).env_remove("PGDATA").env("LC_ALL", "C");
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    fn log_end(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pid(&self) -> Option<Pid> {
        self.process().server.as_ref().map(Pid::from_child)
    }

    /// To the server's own processes, and to itself last.
    fn signal_all(&self, signal: Signal) {
        let Some(pid) = self.pid() else { return };
        for child in children(pid) {
            let _ = kill_process(child, signal);
        }
        let _ = kill_process(pid, signal);
    }

    fn reap(&self) {
        let server = self.process().server.take();
        if let Some(mut server) = server {
            server.wait().expect("the server's end");
            self.watch("");
        }
    }

    /// Tells the watch which process there is to end.
    fn watch(&self, pid: &str) {
        if let Some(pipe) = &mut self.process().watch.stdin {
            let _ = writeln!(pipe, "{pid}");
        }
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.kill();
        let mut process = self.process();
        drop(process.watch.stdin.take());
        let _ = process.watch.wait();
    }
}

/// Where `initdb` and `postgres` are.
fn programs() -> PathBuf {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<_> = debian.map(|entry| entry.path().join("bin")).collect();
    let version = |path: &PathBuf| {
        let name = path.parent()?.file_name()?.to_str()?;
        name.parse::<u32>().ok()
    };
    versions.sort_by_key(version);
    let searched = std::env::var_os("PATH").unwrap_or_default();
    let all = versions.into_iter().rev().chain(std::env::split_paths(&searched));
    all.into_iter()
        .find(|path| path.join("initdb").is_file() && path.join("postgres").is_file())
        .expect("no `initdb` and `postgres` in /usr/lib/postgresql/*/bin or on PATH: install Postgres 12 or later, for example `apt-get install postgresql`")
}

/// Root becomes another user for Postgres.
fn other_user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("the users");
    let entry = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == USER)
            .then(|| Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?)))?
    });
    Some(entry.expect("Postgres refuses to run as root, and there is no user `postgres`: create one, or run the tests as another user"))
}

fn free_port() -> u16 {
    let taken = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let draw = || PORTS.start + rand_u16() % (PORTS.end - PORTS.start);
    std::iter::repeat_with(draw).take(1000).find(taken).expect("one of a thousand ports is free")
}

fn rand_u16() -> u16 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) as u16
}

/// False for one that has ended, also where nobody has asked how.
fn is_alive(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

/// The processes that this one started.
fn children(of: Pid) -> Vec<Pid> {
    let parent = of.as_raw_nonzero().to_string();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_child = |stat: &str| {
        // After the name, which may hold anything: the state, then the parent.
        stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)) == Some(parent.as_str())
    };
    processes
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            is_child(&fs::read_to_string(entry.path().join("stat")).ok()?).then(|| Pid::from_raw(pid))?
        })
        .collect()
}

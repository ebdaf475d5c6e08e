//! A real Apache Kafka for tests: one node with its data in a temporary
//! directory, started through `deploy/kafka/kafka`, ended with the test.
//!
//! For tests only, behind the feature `conformance`. What goes wrong panics and
//! says what to install or where the broker's own log is: a test that needs
//! Kafka fails without it and is never skipped.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// Long enough for a Java machine to start on a busy host.
const PATIENCE: Duration = Duration::from_secs(120);

/// Below the ports that the system hands out for outgoing connections, so that
/// a broker finds its port free again when it restarts.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Ends the broker and deletes its directory when the test's process is gone,
/// however it went: it reads the broker's id from a pipe that only the test
/// holds open.
const WATCH: &str = r#"
pid=
while read -r line; do pid=$line; done
if [ -n "$pid" ]; then kill -KILL "$pid"; fi
rm -rf "$1"
"#;

/// How the broker is to be.
#[derive(Clone, Debug, Default)]
pub struct KafkaOptions {
    /// A second listener beside the plain one.
    pub secured: Option<Secured>,
    /// More of the broker's settings, `name=value`.
    pub properties: Vec<String>,
}

/// A listener that asks who is there.
#[derive(Clone, Debug)]
pub struct Secured {
    /// Kafka's name of the protocol: `SASL_PLAINTEXT`, `SASL_SSL` or `SSL`.
    pub protocol: &'static str,
    /// Users that may sign in by PLAIN and SCRAM: name and password.
    pub users: Vec<(String, String)>,
    /// Settings of the listener, `name=value`: key stores and the like.
    pub properties: Vec<String>,
}

/// A running broker. All methods block; sharing it between tests is fine.
pub struct KafkaServer {
    dir: TempDir,
    options: KafkaOptions,
    ports: Ports,
    process: Mutex<Process>,
}

#[derive(Clone, Copy, Debug)]
struct Ports {
    plain: u16,
    controller: u16,
    secured: u16,
}

struct Process {
    broker: Option<Child>,
    watch: Child,
}

impl KafkaServer {
    /// Starts a broker and waits until it answers.
    ///
    /// # Panics
    /// When Java or Maven is missing, or the broker does not come up.
    pub fn start(options: KafkaOptions) -> Self {
        fetch();
        let dir = tempfile::Builder::new().prefix("weir-kafka-").tempdir().expect("a temporary directory");
        let watch = Command::new("sh")
            .args(["-c", WATCH, "weir-kafka-watch"])
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("sh starts");
        let process = Mutex::new(Process { broker: None, watch });
        let mut server = Self { dir, options, ports: Ports::free(), process };
        // Another test may have taken a port in the meantime.
        for attempt in 1.. {
            server.write_properties();
            match server.launch() {
                Ok(()) => break,
                Err(why) if attempt == 3 => panic!("Kafka did not start: {why}"),
                Err(_) => server.ports = Ports::free(),
            }
        }
        server
    }

    /// Where the plain listener is, `HOST:PORT`.
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.ports.plain)
    }

    /// Where the secured listener is, by the name that certificates are for.
    pub fn secured_brokers(&self) -> String {
        format!("localhost:{}", self.ports.secured)
    }

    /// The directory with the broker's data, settings and log.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The broker's process id.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pid(&self) -> u32 {
        self.process().broker.as_ref().expect("the broker runs").id()
    }

    /// `kill -9`.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
        self.reap();
    }

    /// Ends it in order.
    pub fn stop(&self) {
        self.signal(Signal::TERM);
        self.reap();
    }

    /// Starts it again after [`kill`](Self::kill) or [`stop`](Self::stop), on
    /// the same ports and data, and waits until it answers.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn restart(&self) {
        if let Err(why) = self.launch() {
            panic!("Kafka did not start again: {why}");
        }
    }

    /// `kill -STOP`: it holds its connections and answers nothing.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// `kill -CONT`.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn launch(&self) -> Result<(), String> {
        let log = File::options().create(true).append(true).open(self.log()).expect("the broker's log");
        let mut command = Command::new(script());
        command.arg("run").arg(self.dir.path());
        command.args([self.ports.plain, self.ports.controller].map(|port| port.to_string()));
        // Little is run long enough to be worth the second compiler.
        command.env("KAFKA_JVM", "-Xms128m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1");
        command.env("KAFKA_SCRAM", self.options.scram());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
        let child = command.spawn().expect("deploy/kafka/kafka starts");
        self.watch(&child.id().to_string());
        self.process().broker = Some(child);
        self.await_answer()
    }

    fn await_answer(&self) -> Result<(), String> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.ended() {
                self.reap();
                return Err(format!("it ended with {status}; its log ends:\n{}", self.log_end()));
            }
            if TcpStream::connect(self.brokers()).is_ok() && self.answers() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let why = format!("no answer within {PATIENCE:?}; its log ends:\n{}", self.log_end());
        self.kill();
        Err(why)
    }

    fn ended(&self) -> Option<ExitStatus> {
        self.process().broker.as_mut().and_then(|child| child.try_wait().expect("the broker's state"))
    }

    /// It knows itself: topics can be created.
    fn answers(&self) -> bool {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.brokers())
            .set("log_level", "0")
            .create()
            .expect("a consumer");
        let metadata = consumer.fetch_metadata(None, Duration::from_secs(5));
        metadata.is_ok_and(|metadata| !metadata.brokers().is_empty())
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("the broker takes signals");
    }

    fn reap(&self) {
        let broker = self.process().broker.take();
        if let Some(mut child) = broker {
            child.wait().expect("the broker ends");
        }
        self.watch("");
    }

    fn watch(&self, line: &str) {
        let mut process = self.process();
        let pipe = process.watch.stdin.as_mut().expect("the watch's pipe");
        writeln!(pipe, "{line}").expect("the watch listens");
    }

    fn write_properties(&self) {
        let lines = self.options.lines(self.ports);
        fs::write(self.dir.path().join("extra.properties"), lines.join("\n")).expect("settings are written");
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("broker.log")
    }

    fn log_end(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for KafkaServer {
    fn drop(&mut self) {
        let process = self.process.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut child) = process.broker.take() {
            // Either it is killed now, or it is gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
        drop(process.watch.stdin.take());
        let _ = process.watch.wait();
    }
}

impl KafkaOptions {
    fn lines(&self, ports: Ports) -> Vec<String> {
        // Tests write records of any time; retention is what they ask for.
        let mut lines = vec!["log.retention.ms=-1".to_owned()];
        if let Some(secured) = &self.secured {
            let Ports { plain, controller, secured: port } = ports;
            let local = "127.0.0.1";
            lines.push(format!(
                "listeners=PLAINTEXT://{local}:{plain},CONTROLLER://{local}:{controller},SECURED://{local}:{port}"
            ));
            lines
                .push(format!("advertised.listeners=PLAINTEXT://{local}:{plain},SECURED://localhost:{port}"));
            lines.push(format!(
                "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURED:{}",
                secured.protocol
            ));
            if !secured.users.is_empty() {
                lines.push("sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512".into());
                let plain: Vec<_> =
                    secured.users.iter().map(|(name, word)| format!("user_{name}=\"{word}\"")).collect();
                lines.push(format!(
                    "listener.name.secured.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required {};",
                    plain.join(" ")
                ));
                for mechanism in ["scram-sha-256", "scram-sha-512"] {
                    lines.push(format!(
                        "listener.name.secured.{mechanism}.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;"
                    ));
                }
            }
            lines.extend(secured.properties.iter().cloned());
        }
        lines.extend(self.properties.iter().cloned());
        lines.push(String::new());
        lines
    }

    fn scram(&self) -> String {
        let users = self.secured.iter().flat_map(|secured| &secured.users);
        let lines = users.flat_map(|(name, word)| {
            ["SCRAM-SHA-256", "SCRAM-SHA-512"]
                .map(|mechanism| format!("{mechanism}=[name={name},password={word}]"))
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

impl Ports {
    /// Three that nobody listens on.
    fn free() -> Self {
        let free = || loop {
            let random = RandomState::new().hash_one(std::process::id());
            let port = PORTS.start + (random % u64::from(PORTS.end - PORTS.start)) as u16;
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                return port;
            }
        };
        Self { plain: free(), controller: free(), secured: free() }
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kafka/kafka")
}

/// Fills the cache of jars, once for all tests of the host.
fn fetch() {
    for (program, package) in [("java", "openjdk-17-jre-headless"), ("mvn", "maven")] {
        let found =
            Command::new(program).arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(
            found.is_ok_and(|status| status.success()),
            "this test needs a real Kafka and {program:?} is missing: apt-get install {package}"
        );
    }
    let output = Command::new(script()).arg("fetch").stdin(Stdio::null()).output();
    let output = output.expect("deploy/kafka/kafka starts");
    assert!(
        output.status.success(),
        "this test needs a real Kafka, and fetching it from Maven Central failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

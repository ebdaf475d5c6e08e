//! Clients that others wrote: OpenTelemetry's SDKs, installed once for all runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

/// A program of `tests/clients` that sends all three signals through an SDK.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sdk {
    /// Protocols: `grpc`, `http`.
    Python,
    /// Protocols: `grpc`, `json`, `proto`.
    Node,
}

impl Sdk {
    /// Sends `count` log lines, twice as many spans and as many series and one,
    /// as a service; waits until it has ended.
    pub(crate) fn emit(self, endpoint: &str, protocol: &str, service: &str, count: u64) -> Value {
        let mut command = self.command();
        let output =
            command.args([endpoint, protocol, service, &count.to_string()]).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{self:?} {protocol}: {said} {}", errors(&output));
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said} {}", errors(&output)))
    }

    fn command(self) -> Command {
        match self {
            Self::Python => python("emit.py"),
            Self::Node => {
                static NODE: OnceLock<PathBuf> = OnceLock::new();
                let mut command = Command::new("node");
                let home = NODE.get_or_init(|| install_node(&source("node"), "node"));
                command.arg(home.join("emit.mjs"));
                command
            }
        }
    }
}

/// A program of `tests/clients/python`, with the packages that it needs.
pub(crate) fn python(program: &str) -> Command {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    let mut command = Command::new(PYTHON.get_or_init(install_python));
    command.arg(source("python").join(program));
    command
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(name)
}

/// Where clients are kept between runs.
fn cache(name: &str) -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let root = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home).expect("a home directory");
    root.join("weir/clients").join(name)
}

/// The interpreter of an environment that has the SDK.
fn install_python() -> PathBuf {
    let wanted = source("python").join("requirements.txt");
    let home = cache("python");
    if !is_current(&home, &wanted) {
        let _ = fs::remove_dir_all(&home);
        run(Command::new("python3").args(["-m", "venv"]).arg(&home));
        run(Command::new(home.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(&wanted));
        keep(&home, &wanted);
    }
    home.join("bin/python")
}

/// A program of `tests/browser`, which drives Chromium.
pub(crate) fn browser(program: &str) -> Command {
    static BROWSER: OnceLock<PathBuf> = OnceLock::new();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let mut command = Command::new("node");
    command.arg(BROWSER.get_or_init(|| install_node(&from, "browser")).join(program));
    command
}

/// A directory with the programs of `from` and the packages that they need.
fn install_node(from: &Path, name: &str) -> PathBuf {
    let home = cache(name);
    let wanted = from.join("package-lock.json");
    if !is_current(&home, &wanted) {
        let _ = fs::remove_dir_all(&home);
        fs::create_dir_all(&home).expect("a directory");
        for file in ["package.json", "package-lock.json"] {
            fs::copy(from.join(file), home.join(file)).expect("copied");
        }
        run(Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(&home));
        keep(&home, &wanted);
    }
    for entry in fs::read_dir(from).expect("programs") {
        let program = entry.expect("an entry").path();
        if program.extension().is_some_and(|extension| extension == "mjs") {
            fs::copy(&program, home.join(program.file_name().expect("a name"))).expect("copied");
        }
    }
    home
}

fn is_current(home: &Path, wanted: &Path) -> bool {
    let kept = fs::read(home.join("installed")).ok();
    kept.is_some_and(|kept| kept == fs::read(wanted).expect("a list of packages"))
}

fn keep(home: &Path, wanted: &Path) {
    fs::copy(wanted, home.join("installed")).expect("copied");
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", errors(&output));
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

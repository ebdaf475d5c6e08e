use std::path::Path;

use super::*;

/// Runs a test of this binary again in a process of its own, for what can only
/// be seen from outside or would harm its neighbours.
pub(crate) mod again {
    use std::process::{Command, Stdio};

    const MARK: &str = "WEIR_TEST_AGAIN";

    /// True inside the second process.
    pub(crate) fn is_child() -> bool {
        std::env::var_os(MARK).is_some()
    }

    /// Runs the named test, and only it, as the second process.
    pub(crate) fn command(test: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().expect("this binary"));
        command.args(["--exact", test, "--nocapture"]).env(MARK, "1").stdout(Stdio::null());
        command
    }
}

fn shell(script: &str, directory: &Path) -> Command {
    Command {
        name: "shell",
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: vec![("OUT".into(), directory.join("out").into())],
        stop_deadline: Duration::from_secs(30),
    }
}

async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn lines(directory: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(directory.join("out")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn kill(pid: u32) {
    kill_process(Pid::from_raw(pid as i32).expect("a pid"), Signal::KILL).expect("alive");
}

#[tokio::test]
async fn a_killed_child_comes_back_and_is_counted() {
    let directory = tempfile::tempdir().expect("a directory");
    let handles = Handles::new("test");
    let script = r#"echo $$ >> "$OUT"; exec sleep 3600"#;
    let child = Child::start(shell(script, directory.path()), &handles).expect("started");
    for life in 1..=3 {
        until(|| lines(directory.path()).len() == life).await;
        until(|| child.pid().is_some()).await;
        assert_eq!(lines(directory.path())[life - 1], child.pid().expect("runs").to_string());
        assert_eq!(child.restarts(), life as u64 - 1);
        let pid = child.pid().expect("runs");
        kill(pid);
        until(|| child.pid() != Some(pid)).await;
    }
    handles.shutdown.begin();
    assert!(handles.tasks.join(Duration::from_secs(30)).await.is_empty());
    assert_eq!(child.pid(), None);
}

#[tokio::test]
async fn at_shutdown_a_child_is_asked_first() {
    let directory = tempfile::tempdir().expect("a directory");
    let handles = Handles::new("test");
    let script = r#"trap 'echo asked >> "$OUT"; exit 0' TERM; echo up >> "$OUT"; while read x; do :; done"#;
    let child = Child::start(shell(script, directory.path()), &handles).expect("started");
    until(|| lines(directory.path()) == ["up"]).await;
    handles.shutdown.begin();
    assert!(handles.tasks.join(Duration::from_secs(30)).await.is_empty());
    assert_eq!(lines(directory.path()), ["up", "asked"]);
    assert_eq!(child.restarts(), 0);
}

#[tokio::test]
async fn a_child_that_does_not_listen_is_killed_at_the_deadline() {
    let directory = tempfile::tempdir().expect("a directory");
    let handles = Handles::new("test");
    let script = r#"trap '' TERM; echo up >> "$OUT"; while read x; do :; done"#;
    let mut command = shell(script, directory.path());
    command.stop_deadline = Duration::from_millis(20);
    let child = Child::start(command, &handles).expect("started");
    until(|| lines(directory.path()) == ["up"]).await;
    handles.shutdown.begin();
    assert!(handles.tasks.join(Duration::from_secs(30)).await.is_empty());
    assert_eq!(child.pid(), None);
}

#[tokio::test]
async fn a_missing_program_is_an_error_at_the_start() {
    let mut command = shell("", Path::new("/"));
    command.program = "/nonexistent/weir".into();
    let error = Child::start(command, &Handles::new("test")).expect_err("missing").to_string();
    assert_eq!(error, "cannot start shell (/nonexistent/weir)");
}

#[test]
fn a_child_ends_when_its_parent_is_gone() {
    if again::is_child() {
        exit_with_parent().expect("watching");
        std::thread::sleep(Duration::from_secs(3600));
    }
    let mut child = again::command("child::tests::a_child_ends_when_its_parent_is_gone")
        .stdin(Stdio::piped())
        .spawn()
        .expect("started");
    assert_eq!(child.try_wait().expect("ours"), None);
    drop(child.stdin.take());
    assert!(child.wait().expect("ours").success());
}

#[test]
fn the_first_restart_is_immediate_and_no_wait_reaches_a_second() {
    let mut backoff = Backoff::default();
    let waits: Vec<_> = (0..8).map(|_| backoff.next(Duration::ZERO).as_millis()).collect();
    assert_eq!(waits, [0, 50, 100, 200, 400, 800, 800, 800]);
    assert_eq!(backoff.next(HEALTHY_AFTER), Duration::ZERO);
}

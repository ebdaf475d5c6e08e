//! The command line: help, versions, and configuration mistakes.

use std::process::Output;

use crate::harness::{Node, Role, Scratch, append, weir};

fn run(args: &[&str]) -> Output {
    weir().args(args).output().expect("the binary runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn help_starts_with_an_example() {
    for args in [
        &["--help"][..],
        &["all", "--help"],
        &["sql", "--help"],
        &["delivery", "--help"],
        &["validate", "--help"],
        &["demo", "--help"],
        &["ship", "--help"],
        &["run", "--help"],
        &["doctor", "--help"],
    ] {
        let output = run(args);
        assert!(output.status.success());
        assert!(stdout(&output).starts_with("Example:"), "{args:?}: {}", stdout(&output));
    }
    let version = run(&["--version"]);
    assert_eq!(stdout(&version), format!("weir {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_typo_in_the_configuration_is_named_with_its_place() {
    let scratch = Scratch::new("typo");
    let file = scratch.path("weir.yaml");
    let check = |text: &str, expected: &[&str]| {
        std::fs::write(&file, text).expect("written");
        let output = run(&["validate", file.to_str().expect("text")]);
        assert!(!output.status.success(), "{text} was accepted");
        for part in expected {
            assert!(stderr(&output).contains(part), "{text:?}: no {part:?} in {}", stderr(&output));
        }
    };
    check("ingest:\n  flush_intervall: 30s\n", &["weir.yaml", "flush_intervall", "flush_interval", "2"]);
    check("query:\n  memory: lots\n", &["weir.yaml", "lots", "64MiB"]);
    check("tails: []\n", &["tails", "weir.yaml"]);
    check("listen: 0.0.0.0:9700\n", &["0.0.0.0:9700", "--insecure"]);
    check("listen: [\n", &["weir.yaml"]);
    std::fs::write(&file, "data: /var/lib/weir\nagent:\n  tail: ['/var/log/*.log']\n").expect("written");
    let output = run(&["validate", file.to_str().expect("text")]);
    assert!(output.status.success(), "{}", stderr(&output));
    let output = weir().env("WEIR_QUERY_MEMROY", "1GiB").arg("all").output().expect("runs");
    assert!(!output.status.success());
    assert!(stderr(&output).contains("WEIR_QUERY_MEMROY") && stderr(&output).contains("WEIR_QUERY_MEMORY"));
}

#[test]
fn a_port_in_use_is_said_before_anything_starts() {
    let scratch = Scratch::new("port");
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = held.local_addr().expect("an address").to_string();
    let output =
        weir().args(["all", "--listen", &address, "--data"]).arg(scratch.data()).output().expect("runs");
    assert!(!output.status.success());
    assert!(stderr(&output).contains(&address) && stderr(&output).contains("in use"), "{}", stderr(&output));
    assert!(!scratch.data().join("catalog.db").exists(), "something was started");
}

#[test]
fn sql_prints_a_table_and_complains_well() {
    let scratch = Scratch::new("sql");
    append(&scratch.input("a.log"), "hello\n");
    let node = Node::start_with(&scratch, Role::All, |_| ());
    node.wait_for_rows(1);
    let url = node.url();
    let output = run(&["sql", "--url", &url, "SELECT body, source_end FROM logs"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("hello") && stdout(&output).contains("source_end"),
        "{}",
        stdout(&output)
    );
    let output = run(&["sql", "--url", &url, "--format", "csv", "SELECT body FROM logs"]);
    assert_eq!(stdout(&output), "body\nhello\n");
    let output = run(&["sql", "--url", &url, "SELECT bodi FROM logs"]);
    assert!(!output.status.success());
    assert!(stderr(&output).contains("bodi"), "{}", stderr(&output));
    drop(node);
    let output = run(&["sql", "--url", &url, "SELECT 1"]);
    assert!(!output.status.success());
    assert!(stderr(&output).contains("is it running"), "{}", stderr(&output));
}

//! What operators do to a node: change its settings while it runs, and ask the
//! doctor.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::Value;
use weir_stream::kafka::server::{KafkaOptions, KafkaServer};

use crate::harness::{Node, Place, Role, Scratch, append, eventually, topics, weir};

/// Replaces the files of a mounted ConfigMap, as the kubelet does.
fn mount(directory: &Path, version: u32, yaml: &str) {
    let real = format!("..{version}");
    fs::create_dir(directory.join(&real)).expect("a directory");
    fs::write(directory.join(&real).join("weir.yaml"), yaml).expect("written");
    symlink(&real, directory.join("..tmp")).expect("a link");
    fs::rename(directory.join("..tmp"), directory.join("..data")).expect("renamed");
    let file = directory.join("weir.yaml");
    if fs::symlink_metadata(&file).is_err() {
        symlink("..data/weir.yaml", file).expect("a link");
    }
}

#[test]
fn settings_change_while_lines_flow_and_nothing_is_lost_or_doubled() {
    let scratch = Scratch::new("reload");
    let directory = scratch.path("config");
    fs::create_dir(&directory).expect("a directory");
    let tail = |names: &[&str]| {
        let paths: Vec<_> = names.iter().map(|name| format!("'{}'", scratch.input(name).display())).collect();
        format!("agent:\n  tail: [{}]\n", paths.join(", "))
    };
    let place = Place { data: scratch.data(), stderr: scratch.path("all.stderr") };
    mount(&directory, 1, &tail(&["a.log", "b.log"]));
    let node = Node::start_at(&place, Role::All, |command| {
        command.arg("--config").arg(&directory);
    });
    node.wait_until_ready();
    let metric = |name: &str| -> f64 {
        let text = node.get("/metrics").expect("answered").text();
        let line =
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
        line.unwrap_or_else(|| panic!("no {name}")).trim().parse().expect("a number")
    };
    let wait_for = |name: &str, value: f64| {
        eventually(name, || match metric(name) {
            found if found >= value => Ok(()),
            found => Err(format!("{found} of {value}")),
        });
    };
    let lines = |name: &str, from: u32, to: u32| {
        for n in from..to {
            append(&scratch.input(name), format!("{name} {n}\n"));
        }
    };
    let count = |name: &str| {
        node.number(&format!("SELECT count(DISTINCT body) FROM logs WHERE body LIKE '{name} %'"))
    };
    let all = |name: &str, expected: u64| {
        eventually(name, || match count(name) {
            found if found == expected => Ok(()),
            found => Err(format!("{found} of {expected}")),
        });
    };
    ["a.log", "b.log", "c.log"].iter().for_each(|name| lines(name, 0, 200));
    all("a.log", 200);
    all("b.log", 200);

    mount(&directory, 2, &tail(&["a.log", "c.log"]));
    wait_for("weir_config_reloads_total", 1.0);
    all("c.log", 200);
    ["a.log", "b.log", "c.log"].iter().for_each(|name| lines(name, 200, 400));
    all("a.log", 400);
    all("c.log", 400);

    mount(&directory, 3, "agent:\n  tial: [x]\n");
    wait_for("weir_config_reload_failures_total", 1.0);
    assert_eq!(metric("weir_config_last_reload_successful"), 0.0);
    assert!(fs::read_to_string(&place.stderr).expect("its telemetry").contains("did you mean tail"));
    assert_eq!(count("b.log"), 200, "it is not meant");

    mount(&directory, 4, &format!("query: {{ memory: 300MiB }}\n{}", tail(&["a.log", "b.log", "c.log"])));
    wait_for("weir_config_reloads_total", 3.0);
    ["a.log", "b.log", "c.log"].iter().for_each(|name| all(name, 400));
    assert_eq!(metric("weir_config_last_reload_successful"), 1.0);
    assert!(fs::read_to_string(&place.stderr).expect("its telemetry").contains("need a restart"));
    assert_eq!(node.number("SELECT count(*) FROM logs"), 1_200);
    assert_eq!(
        node.number("SELECT count(DISTINCT source_id) FROM logs"),
        3,
        "each is the source that it was"
    );
    assert_eq!(node.number("SELECT count(*) FROM weir.gaps"), 0);
}

fn examined(args: &[&str]) -> (bool, Vec<Value>) {
    let output = weir().arg("doctor").arg("--json").args(args).output().expect("the binary runs");
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(report["ok"] == true, output.status.success(), "{report}");
    (output.status.success(), report["checks"].as_array().expect("a list").clone())
}

fn outcome<'a>(checks: &'a [Value], check: &str) -> (&'a str, String) {
    let found = checks.iter().find(|found| found["check"] == check);
    let found = found.unwrap_or_else(|| panic!("no {check}: {checks:#?}"));
    (found["outcome"].as_str().expect("text"), format!("{} {}", found["found"], found["advice"]))
}

#[test]
fn the_doctor_sees_kafka_its_topics_and_its_clock() {
    let kafka = KafkaServer::start(KafkaOptions::default());
    let scratch = Scratch::new("doctor");
    append(&scratch.input("a.log"), "x\n");
    let config = scratch.path("weir.yaml");
    let data = scratch.data();
    let text = format!(
        "data: {}\nlisten: 127.0.0.1:0\naliases: []\nagent: {{ tail: ['{}', '/no/such.log'] }}\n\
         log: {{ kafka: {{ brokers: '{},127.0.0.1:1' }} }}\n",
        data.display(),
        scratch.tail(),
        kafka.brokers()
    );
    fs::write(&config, text).expect("written");
    let config = config.to_str().expect("text");
    let (_, checks) = examined(&["--config", config, "--probe"]);
    let brokers: Vec<_> = checks.iter().filter(|check| check["check"] == "kafka broker").collect();
    assert_eq!(brokers.len(), 2);
    assert_eq!(
        (&brokers[0]["outcome"], &brokers[1]["outcome"]),
        (&"ok".into(), &"warn".into()),
        "{checks:#?}"
    );
    assert!(outcome(&checks, "kafka topic").1.contains("created at the first start"), "{checks:#?}");
    assert_eq!(outcome(&checks, "clock of kafka").0, "ok", "{checks:#?}");
    assert_eq!(outcome(&checks, "patterns").0, "warn");
    assert!(outcome(&checks, "patterns").1.contains("/no/such.log"));
    assert_eq!(outcome(&checks, "data directory").0, "ok");
    assert!(!data.exists(), "the doctor changes nothing");
    let left = topics(&kafka.brokers());
    assert!(left.iter().all(|topic| !topic.contains("doctor")), "{left:?}");

    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = held.local_addr().expect("an address").to_string();
    let (is_ok, checks) = examined(&["--listen", &address, "--data", data.to_str().expect("text")]);
    assert!(!is_ok);
    let (port, found) = outcome(&checks, "port");
    assert_eq!(port, "fail");
    assert!(found.contains(&format!("process {}", std::process::id())), "{found}");
}

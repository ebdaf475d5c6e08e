//! What `deploy/` has is what Weir takes: every configuration through the real
//! loader, every manifest held to its schema, and the processes of
//! `compose.yaml` with its commands, settings and files on a real Kafka and Postgres.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use weir::config::Config;

use crate::harness::{Cluster, Node, Place, Role, append, eventually, python, weir};

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(deploy(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The documents of a YAML file.
fn yaml(name: &str) -> Vec<Value> {
    let text = read(name);
    let documents = text.split("\n---\n").map(serde_saphyr::from_str);
    documents.map(|one| one.unwrap_or_else(|error| panic!("{name}: {error}"))).collect()
}

const MANIFESTS: [&str; 6] =
    ["namespace.yaml", "agent.yaml", "ingest.yaml", "query.yaml", "alerting.yaml", "network-policy.yaml"];

/// The containers of the manifests: their arguments and literal variables.
fn containers() -> Vec<(String, Vec<String>, BTreeMap<String, String>)> {
    let manifests = MANIFESTS.iter().flat_map(|name| yaml(&format!("kubernetes/{name}")));
    let pods = manifests.filter_map(|manifest| manifest.pointer("/spec/template/spec/containers").cloned());
    let containers = pods.flat_map(|containers| containers.as_array().expect("a list").clone());
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let one = |container: Value| {
        let args = container["args"].as_array().expect("arguments").iter().map(text).collect();
        let variables = container["env"].as_array().expect("variables").iter();
        // What the cluster fills in is filled in here.
        let filled = |one: &Value| (text(&one["name"]), one["value"].as_str().unwrap_or("node-1").to_owned());
        (text(&container["name"]), args, variables.map(filled).collect())
    };
    containers.map(one).collect()
}

#[test]
fn every_configuration_is_one_and_so_are_its_rules() {
    let scratch = crate::harness::Scratch::new("deploy");
    let mut checked = 0;
    for (config, rules) in [
        ("compose/weir.yaml", Some("compose/rules.yaml")),
        ("kubernetes/weir.yaml", Some("kubernetes/rules.yaml")),
        ("systemd/weir.yaml", None),
    ] {
        let mut text = read(config);
        if let Some(rules) = rules {
            let mounted = ["'/etc/weir/rules.yaml'", "'/etc/weir/rules/*.yaml'"];
            let named = mounted.iter().find(|mounted| text.contains(**mounted)).expect("it names its rules");
            text = text.replace(named, &format!("'{}'", deploy(rules).display()));
        }
        let file = scratch.path("weir.yaml");
        fs::write(&file, text).expect("written");
        let output = weir().arg("validate").arg(&file).output().expect("it runs");
        assert!(output.status.success(), "{config}: {}", String::from_utf8_lossy(&output.stderr));
        checked += 1;
    }
    let all = ["compose", "kubernetes", "systemd"].iter();
    let there = all.filter(|dir| deploy(dir).join("weir.yaml").exists()).count();
    assert_eq!(checked, there);
}

/// An image is built of what `.dockerignore` lets through: each of Cargo's packages,
/// and what the build reads besides. No engine runs here; Cargo reads the same.
#[test]
fn the_build_of_an_image_is_given_what_it_reads() {
    let root = deploy("..");
    let scratch = crate::harness::Scratch::new("image");
    let ignored = fs::read_to_string(root.join(".dockerignore")).expect("what is let through");
    let let_through: Vec<_> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    for path in &let_through {
        let copied = scratch.path(path);
        fs::create_dir_all(copied.parent().expect("a directory")).expect("created");
        let copy = Command::new("cp").arg("-r").arg(root.join(path)).arg(&copied).status();
        assert!(copy.expect("cp runs").success(), "{path} is let through and not there");
    }
    for path in [".cargo", "Cargo.lock", "build.rs", "dashboards"] {
        assert!(let_through.contains(&path), "the build reads {path}");
    }
    let is_kept_out = |line: &&str| !line.is_empty() && !line.starts_with(['#', '!']);
    let kept_out: Vec<_> = ignored.lines().filter(is_kept_out).collect();
    assert_eq!(kept_out, ["*", "dashboards/grafana"], "the test knows of no others");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--offline", "--locked", "--no-deps", "--format-version", "1"]);
    let output = cargo.current_dir(scratch.path("")).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_variables_and_arguments_of_every_container_are_taken() {
    let compose = yaml("compose.yaml").remove(0);
    let mut all = containers();
    assert_eq!(all.len(), 4, "{all:?}");
    for (name, service) in compose["services"].as_object().expect("services") {
        let image = service["image"].as_str();
        // `<<: *weir` is laid over by who reads YAML; here it is what has a command.
        let Some(command) = service["command"].as_array() else { continue };
        let command = command.iter().map(|word| word.as_str().expect("text").to_owned()).collect();
        let variables = service["environment"].as_object().expect("variables").iter();
        let variables =
            variables.map(|(name, value)| (name.clone(), value.as_str().expect("text").to_owned()));
        all.push((format!("{name} {image:?}"), command, variables.collect()));
    }
    assert_eq!(all.len(), 8, "{all:?}");
    for unit in ["weir.service", "weir-agent.service"] {
        let text = read(&format!("systemd/{unit}"));
        let start = text.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/weir "));
        let words = start.expect("it starts Weir").split(' ').map(str::to_owned).collect();
        let set = text.lines().filter_map(|line| line.strip_prefix("Environment=")?.split_once('='));
        all.push((
            unit.to_owned(),
            words,
            set.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        ));
    }
    for (name, args, variables) in all {
        let weirs: Vec<_> = variables.into_iter().filter(|(name, _)| name.starts_with("WEIR_")).collect();
        assert!(!weirs.is_empty(), "{name}");
        let config: Result<Config, _> = weir_runtime::config::load(None, weirs.into_iter(), "WEIR_");
        let mut config = config.unwrap_or_else(|error| panic!("{name}: {error}"));
        config.insecure = true;
        config.check().unwrap_or_else(|error| panic!("{name}: {error:#}"));
        let port = match args[0].as_str() {
            "agent" => 9701,
            "ingest" => 9702,
            "query" | "all" => 9700,
            "alerting" => 9703,
            other => panic!("{name}: {other}"),
        };
        assert_eq!(config.listen_address(port).expect("an address").port(), port, "{name}");
        assert_eq!(args[1..], ["--config", "/etc/weir/weir.yaml"], "{name}");
    }
}

#[test]
fn manifests_are_what_their_schemas_say() {
    let kustomization = yaml("kubernetes/kustomization.yaml").remove(0);
    assert_eq!(kustomization["resources"], json!(MANIFESTS));
    for generated in kustomization["configMapGenerator"].as_array().expect("a list") {
        let file = generated["files"][0].as_str().expect("a file");
        assert!(deploy("kubernetes").join(file).is_file(), "{file}");
    }
    let manifests = MANIFESTS.map(|name| deploy("kubernetes").join(name));
    let check = |kind: &str, files: &[PathBuf]| -> Value {
        let output = python("schemas.py").arg(kind).args(files).output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let found = check("kubernetes", &manifests);
    assert!(found["manifests"].as_u64() > Some(15), "{found}");
    let found = check("compose", &[deploy("compose.yaml")]);
    assert_eq!(found["services"].as_array().map(Vec::len), Some(7), "{found}");
}

#[test]
fn the_agents_pod_may_read_logs_and_write_its_own_directory_and_nothing_else() {
    let agent = yaml("kubernetes/agent.yaml");
    let daemons = agent.iter().find(|one| one["kind"] == "DaemonSet").expect("a DaemonSet");
    let pod = &daemons["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let security = json!({
        "runAsUser": 0, "runAsGroup": 0, "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] },
    });
    assert_eq!(container["securityContext"], security);
    let mounts = container["volumeMounts"].as_array().expect("mounts");
    let writable: Vec<_> = mounts.iter().filter(|mount| mount["readOnly"] != true).collect();
    assert_eq!(writable.len(), 1, "{mounts:?}");
    assert_eq!(writable[0]["mountPath"], "/var/lib/weir");
    assert_eq!(pod["tolerations"], json!([{ "operator": "Exists" }]));
    assert!(container["resources"]["limits"].get("cpu").is_none());
    // All others are nobody, and write nowhere but in their volume.
    for name in ["ingest", "query", "alerting"] {
        let all = yaml(&format!("kubernetes/{name}.yaml"));
        let pod = all.iter().find_map(|one| one.pointer("/spec/template/spec")).expect("a pod");
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"], true, "{name}");
    }
}

/// A port that nobody has; somebody might take it, which a test would say.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("bound").local_addr().expect("an address").port()
}

#[test]
fn the_processes_of_compose_store_lines_and_tell_of_them() {
    let cluster = Cluster::start("compose");
    let scratch = &cluster.scratch;
    let ports = ["agent", "ingest", "query", "alerting"].map(|name| (name, free_port()));
    let port = |name: &str| ports.iter().find(|(known, _)| *known == name).expect("a port").1;
    let containers = scratch.path("containers");
    fs::create_dir_all(containers.join("c0ffee")).expect("a directory");
    let here = |text: &str| {
        text.replace("kafka:9092", &cluster.kafka.brokers())
            .replace("postgres://weir:${POSTGRES_PASSWORD:-weir}@postgres:5432/weir", &cluster.postgres.url())
            .replace("/var/lib/weir-objects", &scratch.path("objects").display().to_string())
            .replace("/var/lib/docker/containers", &containers.display().to_string())
            .replace("/etc/weir/", &format!("{}/", scratch.path("etc").display()))
            .replace("http://query:9700", &format!("http://127.0.0.1:{}", port("query")))
            .replace("http://alerting:9703", &format!("http://127.0.0.1:{}", port("alerting")))
    };
    fs::create_dir_all(scratch.path("etc")).expect("a directory");
    fs::write(scratch.path("etc/weir.yaml"), here(&read("compose/weir.yaml"))).expect("written");
    fs::write(scratch.path("etc/rules.yaml"), read("compose/rules.yaml")).expect("written");

    let compose = yaml("compose.yaml").remove(0);
    let start = |name: &str, role: Role, instance: u16| -> Node {
        let service = &compose["services"][name];
        let data = scratch.path(&format!("{name}-{instance}"));
        let place = Place { data, stderr: scratch.path(&format!("{name}-{instance}.stderr")) };
        Node::start_at(&place, role, |process| {
            for (variable, value) in service["environment"].as_object().expect("variables") {
                let value = match variable.as_str() {
                    // The first has the port that the others know; all serve on any address.
                    "WEIR_LISTEN" => format!("0.0.0.0:{}", if instance == 0 { port(name) } else { 0 }),
                    _ => here(value.as_str().expect("text")),
                };
                process.env(variable, value);
            }
            let words = service["command"].as_array().expect("a command").iter().skip(1);
            process.args(words.map(|word| here(word.as_str().expect("text"))));
        })
    };
    let nodes = [
        start("ingest", Role::Ingest, 0),
        start("ingest", Role::Ingest, 1),
        start("query", Role::Query, 0),
        start("alerting", Role::Alerting, 0),
        start("agent", Role::Agent, 0),
    ];
    nodes.iter().for_each(Node::wait_until_ready);
    let query = &nodes[2];

    let line = |log: &str| json!({ "log": format!("{log}\n"), "stream": "stdout", "time": jiff::Timestamp::now().to_string() });
    let file = containers.join("c0ffee/c0ffee-json.log");
    append(&file, format!("{}\n{}\n", line("ready"), line("java.lang.OutOfMemoryError: Java heap space")));
    query.wait_for_rows(2);
    // The live rows came from ingesters that serve on any address: theirs was found out.
    let alerts = || {
        let answer = query.get("/api/v1/alerts").map_err(|error| format!("{error:#}"))?;
        let answer = answer.json().map_err(|error| error.to_string())?;
        let alerts = answer["data"]["alerts"].as_array().cloned().unwrap_or_default();
        let fires =
            |alert: &Value| alert["labels"]["alertname"] == "OutOfMemory" && alert["state"] == "firing";
        if alerts.iter().any(fires) { Ok(()) } else { Err(answer.to_string()) }
    };
    eventually("the line is told", alerts);
}

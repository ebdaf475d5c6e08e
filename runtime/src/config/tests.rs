use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;
use crate::{ByteSize, HumanDuration};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Tree {
    listen: String,
    insecure: bool,
    query: Query,
    agent: Agent,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Query {
    memory: ByteSize,
    deadline: HumanDuration,
    rows_max: u32,
    cluster: Option<String>,
}

/// Forgot to refuse unknown fields.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Agent {
    tail: Vec<String>,
    ports: Vec<u16>,
    labels: BTreeMap<String, String>,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:9700".to_owned(),
            insecure: false,
            query: Query::default(),
            agent: Agent::default(),
        }
    }
}

impl Default for Query {
    fn default() -> Self {
        Self {
            memory: ByteSize::mib(1024),
            deadline: "30s".parse().expect("a duration"),
            rows_max: 10_000,
            cluster: None,
        }
    }
}

fn read(yaml: &str, variables: &[(&str, &str)]) -> Result<Tree, String> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("weir.yaml");
    std::fs::write(&path, yaml).expect("written");
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    load(Some(&path), variables, "WEIR_")
        .map_err(|error| error.to_string().replace(&path.display().to_string(), "weir.yaml"))
}

#[test]
fn nothing_written_is_all_defaults() {
    for yaml in ["", "\n", "# only a comment\n", "---\n", "{}"] {
        assert_eq!(read(yaml, &[]), Ok(Tree::default()), "{yaml:?}");
    }
    assert_eq!(load::<Tree>(None, std::iter::empty(), "WEIR_").expect("read"), Tree::default());
}

#[test]
fn a_file_overrides_what_it_names_and_only_that() {
    let yaml =
        "query:\n  memory: 2 GiB\n  cluster: 1.10\nagent:\n  tail: [/a/*.log, /b]\n  labels:\n    zone: 7\n";
    let tree = read(yaml, &[]).expect("read");
    assert_eq!(tree.query.memory, ByteSize::mib(2048));
    assert_eq!(tree.query.cluster.as_deref(), Some("1.10"));
    assert_eq!(tree.agent.tail, ["/a/*.log", "/b"]);
    assert_eq!(tree.agent.labels["zone"], "7");
    assert_eq!(tree.query.deadline, Query::default().deadline);
    assert_eq!(tree.listen, Tree::default().listen);
}

#[test]
fn a_section_without_keys_is_a_section_of_defaults() {
    for yaml in ["listen: x\nquery:\n  # memory: 2GiB\nagent:\n", "agent: # none\nquery:\n\nlisten: x"] {
        let expected = Tree { listen: "x".to_owned(), ..Tree::default() };
        assert_eq!(read(yaml, &[]), Ok(expected), "{yaml}");
    }
    let error = read("query:\n  # cluster: a\nagent:\n  port: 5\n", &[]).expect_err("typo");
    assert!(error.starts_with("weir.yaml:4:3: agent.port: unknown key"), "{error}");
}

#[test]
fn mistakes_in_a_file_are_named_with_their_place() {
    let check = |yaml: &str, expected: &str| {
        let error = read(yaml, &[]).expect_err(yaml);
        assert!(error.starts_with(expected), "\n{yaml}\nsays  {error}\nnot   {expected}");
    };
    check(
        "listen: x\nquery:\n  memroy: 1GiB\n",
        "weir.yaml:3:3: query.memroy: unknown key, did you mean memory? (allowed: memory, deadline, rows_max, \
         cluster)",
    );
    check("quary: {}\n", "weir.yaml:1:1: quary: unknown key, did you mean query? (allowed: ");
    check("agent:\n  tial: [a]\n", "weir.yaml:2:3: agent.tial: unknown key, did you mean tail? (allowed: ");
    check("query:\n  rows_max: many\n", "weir.yaml:2:13: query.rows_max: ");
    check("query:\n  rows_max: -1\n", "weir.yaml:2:13: query.rows_max: ");
    check("insecure: maybe\n", "weir.yaml:1:11: insecure: ");
    check(
        "query:\n  deadline: 10s\n  memory: 2 parsecs\n",
        "weir.yaml:3:11: query.memory: \"2 parsecs\" is no size: write a number and a unit, for example 64MiB",
    );
    check("query: 5\n", "weir.yaml:1:8: query: ");
    check("agent:\n  ports: [80, x]\n", "weir.yaml:2:15: agent.ports: ");
    check("listen: a\nquery: {}\nlisten: b\n", "weir.yaml:3:1: listen: is set twice");
    check("listen: [\n", "weir.yaml:");
    check("- a\n- b\n", "weir.yaml:1:1: ");
}

#[test]
fn a_missing_file_is_named() {
    let path = Path::new("/nonexistent/weir.yaml");
    let error = load::<Tree>(Some(path), std::iter::empty(), "WEIR_").expect_err("missing");
    assert_eq!(error.to_string(), "cannot read the configuration file /nonexistent/weir.yaml");
}

#[test]
fn a_variable_overrides_the_file() {
    let yaml = "query:\n  memory: 2GiB\n  rows_max: 5\n";
    let variables = [
        ("PATH", "/bin"),
        ("WEIR_AGENT_LABELS_ZONE", "7"),
        ("WEIR_AGENT_PORTS", "80, 443"),
        ("WEIR_AGENT_TAIL", "/a/*.log,/b"),
        ("WEIR_CONFIG", "weir.yaml"),
        ("WEIR_INSECURE", "true"),
        ("WEIR_LISTEN", "0.0.0.0:1"),
        ("WEIR_LOG", "debug"),
        ("WEIR_QUERY_CLUSTER", "007"),
        ("WEIR_QUERY_MEMORY", "3GiB"),
    ];
    let tree = read(yaml, &variables).expect("read");
    let expected = Tree {
        listen: "0.0.0.0:1".to_owned(),
        insecure: true,
        query: Query {
            memory: ByteSize::mib(3072),
            rows_max: 5,
            cluster: Some("007".to_owned()),
            ..Query::default()
        },
        agent: Agent {
            tail: vec!["/a/*.log".to_owned(), "/b".to_owned()],
            ports: vec![80, 443],
            labels: BTreeMap::from([("zone".to_owned(), "7".to_owned())]),
        },
    };
    assert_eq!(tree, expected);
}

#[test]
fn a_list_in_a_variable_is_commas_or_yaml() {
    let check = |text: &str, expected: &[&str]| {
        let tree = read("agent: {tail: [old]}", &[("WEIR_AGENT_TAIL", text)]).expect("read");
        assert_eq!(tree.agent.tail, expected, "{text}");
    };
    check("/a", &["/a"]);
    check("/a, /b", &["/a", "/b"]);
    check("[/a, \"/b,c\"]", &["/a", "/b,c"]);
    check("[ab]*.log,/c", &["[ab]*.log", "/c"]);
    check("1,2", &["1", "2"]);
    check("", &[]);
}

#[test]
fn mistakes_in_variables_are_named() {
    let check = |name: &str, text: &str, expected: &str| {
        let error = read("", &[(name, text)]).expect_err(name);
        assert!(error.starts_with(expected), "\n{error}\n{expected}");
    };
    check(
        "WEIR_QUERY_MEMROY",
        "1GiB",
        "the environment variable WEIR_QUERY_MEMROY sets no key, did you mean WEIR_QUERY_MEMORY?",
    );
    check("WEIR_COLOUR", "red", "the environment variable WEIR_COLOUR sets no key");
    check("WEIR_QUERY", "{}", "the environment variable WEIR_QUERY sets no key");
    check(
        "WEIR_QUERY_MEMORY",
        "lots",
        "the environment variable WEIR_QUERY_MEMORY, which sets query.memory: \"lots\" is no size",
    );
    check(
        "WEIR_QUERY_ROWS_MAX",
        "many",
        "the environment variable WEIR_QUERY_ROWS_MAX, which sets query.rows_max: invalid type: string \"many\"",
    );
    check("WEIR_AGENT_PORTS", "80,x", "the environment variable WEIR_AGENT_PORTS, which sets agent.ports: ");
}

#[test]
fn what_kubernetes_says_of_a_service_named_weir_is_no_mistake() {
    let variables = [
        ("WEIR_SERVICE_HOST", "10.96.0.7"),
        ("WEIR_SERVICE_PORT", "9700"),
        ("WEIR_SERVICE_PORT_HTTP", "9700"),
        ("WEIR_PORT", "tcp://10.96.0.7:9700"),
        ("WEIR_PORT_9700_TCP", "tcp://10.96.0.7:9700"),
        ("WEIR_PORT_9700_TCP_ADDR", "10.96.0.7"),
        ("WEIR_QUERY_SERVICE_HOST", "10.96.0.8"),
        ("WEIR_QUERY_PORT_53_UDP_PROTO", "udp"),
    ];
    assert_eq!(read("", &variables), Ok(Tree::default()));
    for mistake in [("WEIR_PORT", "9700"), ("WEIR_SERVICE", "x"), ("WEIR_QUERY_PORT_TCP", "tcp://a")] {
        assert!(read("", &[mistake]).is_err(), "{mistake:?}");
    }
}

#[test]
fn a_variable_that_could_mean_two_keys_is_refused() {
    #[derive(Default, Debug, Serialize, Deserialize)]
    #[serde(default)]
    struct Twins {
        a_b: u8,
        a: Inner,
    }
    #[derive(Default, Debug, Serialize, Deserialize)]
    #[serde(default)]
    struct Inner {
        b: u8,
    }
    let variables = [("WEIR_A_B".to_owned(), "1".to_owned())];
    let error = load::<Twins>(None, variables.into_iter(), "WEIR_").expect_err("ambiguous");
    assert!(error.to_string().contains("WEIR_A_B could set a.b and a_b"), "{error}");
}

#[test]
fn every_key_is_listed_with_its_variable_and_value() {
    let keys = keys(&Tree::default(), "WEIR_").expect("keys");
    let memory = keys.iter().find(|key| key.dotted() == "query.memory").expect("listed");
    assert_eq!((memory.variable.as_str(), memory.value.as_str()), ("WEIR_QUERY_MEMORY", "\"1GiB\""));
    assert_eq!(keys.len(), 9);
}

#[test]
fn a_directory_is_read_by_name_and_what_a_later_file_sets_holds() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, yaml: &str| std::fs::write(directory.path().join(name), yaml).expect("written");
    let read = || load::<Tree>(Some(directory.path()), std::iter::empty(), "WEIR_");
    let empty = read().expect_err("nothing there").to_string();
    assert!(empty.contains("has no *.yaml"), "{empty}");
    write(
        "10-base.yaml",
        "listen: a:1\nquery:\n  memory: 5MiB\n  cluster: 123\nagent:\n  tail: [x, y]\n  labels: {a: b}\n",
    );
    write("20-more.yml", "query: { memory: 7MiB }\nagent:\n  tail: [z]\n  labels: {c: d}\n");
    write("30-nothing.yaml", "# nothing\nquery:\n");
    write("notes.txt", "not: [yaml");
    write(".hidden.yaml", "also: not");
    let tree = read().expect("reads");
    let labels =
        ["a", "c"].iter().filter_map(|key| Some(tree.agent.labels.get(*key)?.as_str())).collect::<Vec<_>>();
    assert_eq!((tree.listen.as_str(), tree.query.memory, labels), ("a:1", ByteSize::mib(7), vec!["b", "d"]));
    assert_eq!((tree.query.cluster.as_deref(), tree.agent.tail), (Some("123"), vec!["z".to_owned()]));
    write("20-more.yml", "query:\n  memroy: 1MiB\n");
    let wrong = read().expect_err("a typo").to_string();
    assert!(wrong.contains("20-more.yml:2:3") && wrong.contains("did you mean memory"), "{wrong}");
}

/// As the kubelet replaces a ConfigMap.
#[test]
fn a_mounted_config_map_is_read_whole() {
    use std::os::unix::fs::symlink;
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    let fill = |name: &str, n: u32| {
        std::fs::create_dir(at(name)).expect("a directory");
        for file in ["a.yaml", "b.yaml"] {
            let key = if file == "a.yaml" { "listen" } else { "agent: {tail: [x]}\nquery: {rows_max" };
            let end = if file == "a.yaml" { "" } else { "}" };
            std::fs::write(at(name).join(file), format!("{key}: {n}{end}\n")).expect("written");
        }
    };
    fill("..1", 1);
    symlink("..1", at("..data")).expect("a link");
    for file in ["a.yaml", "b.yaml"] {
        symlink(format!("..data/{file}"), at(file)).expect("a link");
    }
    let ended = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 2..60 {
                fill(&format!("..{n}"), n);
                symlink(format!("..{n}"), at("..tmp")).expect("a link");
                std::fs::rename(at("..tmp"), at("..data")).expect("renamed");
                std::fs::remove_dir_all(at(&format!("..{}", n - 1))).expect("removed");
            }
            ended.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        while !ended.load(std::sync::atomic::Ordering::SeqCst) {
            let Ok(tree) = load::<Tree>(Some(directory.path()), std::iter::empty(), "WEIR_") else {
                continue;
            };
            assert_eq!(tree.listen, tree.query.rows_max.to_string(), "half of one, half of another");
        }
    });
    let tree: Tree = load(Some(directory.path()), std::iter::empty(), "WEIR_").expect("reads");
    assert_eq!((tree.listen.as_str(), tree.query.rows_max), ("59", 59));
}

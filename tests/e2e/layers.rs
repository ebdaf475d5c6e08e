//! The crates keep to their layers: the manifests and sources are held to the
//! code map in `ARCHITECTURE.md`. Not a test of behaviour; it runs here because
//! it looks at all crates at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Families of packages, and the only folders whose manifests may name them.
/// The root is `src`; its tests produce to Kafka as a stranger does.
const CONTAINED: [(&str, &[&str]); 5] = [
    ("datafusion", &["query"]),
    ("sqlx", &["alerting", "storage"]),
    ("parquet", &["storage"]),
    ("clap", &["src"]),
    ("rdkafka", &["stream", "src"]),
];

/// What the pure crate must not be able to do.
const IMPURE: [&str; 8] =
    ["async-trait", "axum", "futures", "hyper", "object_store", "rustix", "tokio", "tracing"];

/// Keys that every crate takes from the workspace.
const INHERITED: [&str; 5] = ["version", "edition", "rust-version", "license", "publish"];

/// Ways to start a task that nobody owns.
const UNOWNED: [&str; 4] = ["tokio::spawn(", "task::spawn(", "spawn_local(", "Handle::current()"];

/// A `Cargo.toml`, as far as it matters here: per section its keys and values.
#[derive(Default)]
struct Manifest(BTreeMap<String, Vec<(String, String)>>);

impl Manifest {
    fn parse(text: &str) -> Self {
        let mut sections: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        let mut section = String::new();
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                section = name.trim_matches(|end| end == '[' || end == ']').to_owned();
                sections.entry(section.clone()).or_default();
            } else if let Some((key, value)) = line.split_once('=')
                && !line.starts_with('#')
            {
                let entry = (key.trim().to_owned(), value.trim().to_owned());
                sections.entry(section.clone()).or_default().push(entry);
            }
        }
        Self(sections)
    }

    fn read(folder: &str) -> Self {
        let folder = if folder == "src" { root() } else { root().join(folder) };
        Self::parse(&read(&folder.join("Cargo.toml")))
    }

    /// The names in `[dependencies]`, `[dev-dependencies]`, tables of single
    /// dependencies and tables of platforms included; not the workspace's list.
    fn dependencies(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for (section, entries) in &self.0 {
            let mut words = section.split('.').skip_while(|word| !word.ends_with("dependencies"));
            if section.starts_with("workspace") || words.next().is_none() {
                continue;
            }
            match words.next() {
                Some(name) => drop(names.insert(name.to_owned())),
                None => names.extend(
                    entries
                        .iter()
                        .map(|(key, _)| key.split('.').next().unwrap_or(key).trim_matches('"').to_owned()),
                ),
            }
        }
        names
    }

    fn has(&self, section: &str, key: &str, value: &str) -> bool {
        let entries = self.0.get(section).map_or(&[][..], Vec::as_slice);
        entries.iter().any(|(k, v)| k == key && v == value)
    }
}

/// The code map: per folder its crate, and the crates it may use.
fn code_map(text: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut map = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [folder, name, _, uses] = cells.as_slice() else { panic!("a row has four cells: {line}") };
        if *name == "-" || uses.is_empty() {
            continue;
        }
        let folder = folder.trim_matches('`').trim_end_matches('/').to_owned();
        let uses = uses.split(',').map(|name| name.trim().to_owned()).filter(|name| name != "-").collect();
        map.insert(folder, (name.trim_matches('`').to_owned(), uses));
    }
    map
}

/// The edges of a crate that the code map does not allow.
fn forbidden_edges(name: &str, allowed: &BTreeSet<String>, manifest: &Manifest) -> Vec<String> {
    if allowed.contains("all") {
        return Vec::new();
    }
    let is_allowed = |edge: &String| {
        // A crate may name itself to switch on a feature for its tests.
        edge == name || allowed.contains(edge.trim_start_matches("weir-"))
    };
    let edges = manifest.dependencies().into_iter().filter(|edge| edge.starts_with("weir"));
    edges.filter(|edge| !is_allowed(edge)).collect()
}

/// The families that a folder's manifest names and must not.
fn misplaced(folder: &str, manifest: &Manifest) -> Vec<String> {
    let family = |name: &str| CONTAINED.iter().find(|(family, _)| name.starts_with(family));
    let is_misplaced = |name: &String| family(name).is_some_and(|(_, folders)| !folders.contains(&folder));
    manifest.dependencies().into_iter().filter(is_misplaced).collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

/// The folders of all crates, the root's as `src`.
fn folders() -> BTreeSet<String> {
    let members = read(&root().join("Cargo.toml"));
    let line = members.lines().find(|line| line.starts_with("members")).expect("the workspace has members");
    let names = line.split('"').skip(1).step_by(2).map(str::to_owned);
    names.chain(["src".to_owned()]).collect()
}

/// Every Rust file below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                open.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                found.push(entry);
            }
        }
    }
    found
}

#[test]
fn edges_between_crates_are_those_of_the_code_map() {
    let map = code_map(&read(&root().join("ARCHITECTURE.md")));
    for folder in folders() {
        let manifest = Manifest::read(&folder);
        let Some((name, allowed)) = map.get(&folder) else {
            let edges = forbidden_edges(&folder, &BTreeSet::new(), &manifest);
            assert!(edges.is_empty(), "{folder} is not in the code map and uses {edges:?}");
            continue;
        };
        assert!(manifest.has("package", "name", &format!("{name:?}")), "{folder} is not the crate {name}");
        let edges = forbidden_edges(name, allowed, &manifest);
        assert!(edges.is_empty(), "{folder} uses {edges:?}, the code map allows {allowed:?}");
    }
    for folder in map.keys() {
        assert!(folders().contains(folder), "the code map has {folder}, the workspace has not");
    }
}

#[test]
fn great_dependencies_stay_where_they_belong() {
    for folder in folders() {
        let found = misplaced(&folder, &Manifest::read(&folder));
        assert!(found.is_empty(), "{folder}/Cargo.toml names {found:?}");
    }
}

#[test]
fn the_event_model_is_pure() {
    let names = Manifest::read("proto").dependencies();
    let impure: Vec<_> = IMPURE.iter().filter(|name| names.contains(**name)).collect();
    assert!(impure.is_empty(), "proto/Cargo.toml names {impure:?}");
}

#[test]
fn every_crate_takes_edition_and_lints_from_the_workspace() {
    for folder in folders() {
        let manifest = Manifest::read(&folder);
        for key in INHERITED {
            assert!(
                manifest.has("package", &format!("{key}.workspace"), "true"),
                "{folder}: {key}.workspace = true is missing"
            );
        }
        assert!(manifest.has("lints", "workspace", "true"), "{folder}: [lints] workspace = true is missing");
    }
}

#[test]
fn every_crate_forbids_unsafe_code_by_the_workspace() {
    let manifest = Manifest::read("src");
    assert!(manifest.has("workspace.lints.rust", "unsafe_code", "\"forbid\""));
}

#[test]
fn tasks_have_an_owner() {
    for folder in folders().iter().filter(|folder| *folder != "runtime") {
        let folder = if folder == "src" { root().join("src") } else { root().join(folder).join("src") };
        for path in sources(&folder) {
            for (number, line) in read(&path).lines().enumerate() {
                let is_comment = line.trim_start().starts_with("//");
                let found = UNOWNED.iter().find(|spawn| !is_comment && line.contains(**spawn));
                assert!(
                    found.is_none(),
                    "{}:{}: {}…) starts a task without an owner, use weir_runtime::Tasks",
                    path.display(),
                    number + 1,
                    found.unwrap_or(&"")
                );
            }
        }
    }
}

/// The checks above pass on a tidy tree; these show that they would not on an
/// untidy one.
#[test]
fn a_breach_is_found() {
    let map = code_map(
        "| folder | crate | is | may use |\n|---|---|---|---|\n| `agent/` | `weir-agent` | x | proto, stream |\n\
         | `src/` | `weir` | x | all |\n| `tests/` | - | x | |\n",
    );
    assert_eq!(map.keys().map(String::as_str).collect::<Vec<_>>(), ["agent", "src"]);
    let (name, allowed) = &map["agent"];
    let check = |manifest: &str, edges: &[&str], families: &[&str]| {
        let manifest = Manifest::parse(manifest);
        assert_eq!(forbidden_edges(name, allowed, &manifest), edges);
        assert_eq!(misplaced("agent", &manifest), families);
    };
    check("[dependencies]\nweir-proto.workspace = true\ntokio = \"1\"\n", &[], &[]);
    check("[dependencies]\nweir-query.workspace = true\n", &["weir-query"], &[]);
    check("[dependencies]\nweir-stream = { workspace = true, optional = true }\n", &[], &[]);
    check(
        "[dev-dependencies]\nweir-storage = { path = \"x\" }\nweir-agent.workspace = true\n",
        &["weir-storage"],
        &[],
    );
    check("[dependencies.weir-ingest]\npath = \"../ingest\"\n", &["weir-ingest"], &[]);
    check("[target.'cfg(unix)'.dependencies]\ndatafusion-common = \"1\"\n", &[], &["datafusion-common"]);
    check("[build-dependencies]\nclap.workspace = true\nsqlx = \"1\"\n", &[], &["clap", "sqlx"]);
    check("[workspace.dependencies]\ndatafusion = \"55\"\nweir-query = { path = \"query\" }\n", &[], &[]);
}

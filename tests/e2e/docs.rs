//! Every code block of the documentation does what it says: shell blocks run
//! against a demo, statements are asked there, settings and rules are loaded. A
//! block that cannot run says why (```` ```sh no-run: reason ````); its commands
//! are still held to the command line.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::harness::{Demo, Scratch, weir};

/// A fenced block.
#[derive(Debug)]
struct Block {
    /// File and line.
    place: String,
    language: String,
    /// Why it is not run.
    no_run: Option<String>,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages() -> Vec<PathBuf> {
    let mut found = vec![root().join("README.md"), root().join("ARCHITECTURE.md")];
    let mut below = vec![root().join("docs"), root().join("deploy"), root().join("dashboards")];
    while let Some(directory) = below.pop() {
        for entry in fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                below.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn blocks() -> Vec<Block> {
    let mut blocks = Vec::new();
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        let mut open: Option<Block> = None;
        for (number, line) in text.lines().enumerate() {
            let Some(info) = line.strip_prefix("```") else {
                if let Some(block) = &mut open {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
                continue;
            };
            match open.take() {
                Some(block) => blocks.push(block),
                None => {
                    let (language, more) = info.split_once(' ').unwrap_or((info, ""));
                    let name = page.strip_prefix(root()).expect("below the root").display();
                    open = Some(Block {
                        place: format!("{name}:{}", number + 1),
                        language: language.to_owned(),
                        no_run: more.strip_prefix("no-run: ").map(str::to_owned),
                        text: String::new(),
                    });
                }
            }
        }
        assert!(open.is_none(), "{}: a block is not closed", page.display());
    }
    blocks
}

/// What a block that is run may use: the binary, and an error of the server is one.
const RUN: &str =
    "set -eu -o pipefail\ncurl() { command curl --silent --show-error --fail-with-body \"$@\"; }\n";

/// What stands in for programs in a block that is not run. Weir's command line is read, and help printed.
const READ: &str = r#"set -eu
weir() { command weir "$@" --help > /dev/null; }
for other in cargo curl docker grafana install kubectl mkdir mv systemctl useradd deploy/kafka/kafka; do
    eval "function $other { :; }"
done
"#;

fn shell(block: &Block, demo: &Demo, scratch: &Scratch) {
    let binaries = scratch.path("bin");
    let program = weir();
    if !binaries.exists() {
        fs::create_dir(&binaries).expect("a directory");
        std::os::unix::fs::symlink(program.get_program(), binaries.join("weir")).expect("linked");
    }
    let path = format!("{}:{}", binaries.display(), std::env::var("PATH").expect("a path"));
    let beginning = if block.no_run.is_some() { READ } else { RUN };
    let text =
        block.text.replace("http://127.0.0.1:9700", demo.url()).replace("http://localhost:9700", demo.url());
    let directory = scratch.path("in");
    let mut bash = Command::new("bash");
    bash.arg("-c").arg(format!("{beginning}{text}")).current_dir(&directory).env("PATH", path);
    let output = bash.env("WEIR_URL", demo.url()).output().expect("bash runs");
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}:\n{}\n{said}{wrong}", block.place, block.text);
    if block.no_run.is_none() {
        assert!(!said.trim().is_empty(), "{}: it prints nothing:\n{}", block.place, block.text);
    }
}

/// Each statement of a block.
fn statements(block: &Block, demo: &Demo) -> usize {
    let uncommented = block.text.lines().map(|line| line.split("-- ").next().unwrap_or_default());
    let text = uncommented.collect::<Vec<_>>().join("\n");
    let all = text.split(';').map(str::trim).filter(|statement| !statement.is_empty());
    let mut count = 0;
    for statement in all {
        demo.try_rows(statement).unwrap_or_else(|error| panic!("{}: {statement}: {error}", block.place));
        count += 1;
    }
    count
}

/// Settings, rules, or a piece of rules, by what they begin with.
fn settings(block: &Block, scratch: &Scratch) {
    let rules = scratch.path("rules.yaml");
    let (config, written) = if block.text.contains("- alert:") {
        let whole = if block.text.contains("groups:") {
            block.text.clone()
        } else {
            format!("groups:\n  - name: docs\n    rules:\n{}", block.text)
        };
        (format!("alerting: {{ rules: ['{}'] }}\n", rules.display()), whole)
    } else {
        let named = block.text.replace("/etc/weir/rules/*.yaml", &rules.display().to_string());
        (named, "groups: []\n".to_owned())
    };
    fs::write(&rules, written).expect("written");
    let file = scratch.path("weir.yaml");
    fs::write(&file, config).expect("written");
    let output = weir().arg("validate").arg(&file).output().expect("it runs");
    assert!(output.status.success(), "{}: {}", block.place, String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_code_block_does_what_it_says() {
    let scratch = Scratch::new("docs");
    let mut demo = Demo::start(&["--rate", "100"]);
    demo.wait_until_said("the operator is told: firing PaymentDeclined");
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for block in blocks() {
        let kind = match (block.language.as_str(), &block.no_run) {
            ("sh", None) => {
                shell(&block, &demo, &scratch);
                "run"
            }
            ("sh", Some(reason)) => {
                shell(&block, &demo, &scratch);
                println!("not run: {}: {reason}", block.place);
                "read"
            }
            ("sql", None) => {
                *counts.entry("statements").or_default() += statements(&block, &demo);
                "sql"
            }
            ("yaml", None) => {
                settings(&block, &scratch);
                "yaml"
            }
            ("json", None) => {
                let parsed: Result<Value, _> = serde_json::from_str(&block.text);
                parsed.unwrap_or_else(|error| panic!("{}: {error}", block.place));
                "json"
            }
            ("text", None) => "text",
            (other, _) => panic!("{}: a block is sh, sql, yaml, json or text, not {other:?}", block.place),
        };
        *counts.entry(kind).or_default() += 1;
    }
    println!("{counts:?}");
    let at_least = [("run", 6), ("read", 6), ("statements", 15), ("yaml", 6)];
    assert!(at_least.iter().all(|(kind, count)| counts.get(kind) >= Some(count)), "{counts:?}");
}

#[test]
fn every_link_to_a_file_leads_to_one() {
    let mut count = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") || file.contains(' ') {
                continue;
            }
            let target = page.parent().expect("a directory").join(file);
            assert!(target.exists(), "{}: {link}", page.display());
            count += 1;
        }
    }
    assert!(count > 30, "{count} links");
}

//! `weir agent explain`: what applies to a pod's containers, and why.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::Value;

use super::sql::{cell, complaint};
use super::tap::escaped;
use super::top::agent_at;
use crate::cli::ExplainArgs;

/// Asks the agent, and shows what it says.
pub fn explain(args: &ExplainArgs) -> Result<ExitCode> {
    super::block_on(async {
        let client = agent_at(args.url.as_deref()).await?;
        let response = client.get(&path(&args.pod), "application/json").await?;
        if response.status == hyper::StatusCode::NOT_FOUND {
            bail!("{} is no agent, or an older one: name one with --url", client.authority());
        }
        if !response.status.is_success() {
            bail!("{}", complaint(&response));
        }
        let told: Value = response.json()?;
        let is_found = told["pods"].as_array().is_some_and(|pods| !pods.is_empty());
        let text = if args.json { format!("{told:#}\n") } else { described(&told, &args.pod) };
        std::io::stdout().lock().write_all(text.as_bytes())?;
        Ok(if is_found { ExitCode::SUCCESS } else { ExitCode::from(1) })
    })
}

/// What to ask for.
fn path(pod: &str) -> String {
    let (namespace, pod) = pod.split_once('/').map_or((None, pod), |(namespace, pod)| (Some(namespace), pod));
    let mut path = format!("/api/v1/agent/explain?pod={}", escaped(pod));
    if let Some(namespace) = namespace {
        let _ = write!(path, "&namespace={}", escaped(namespace));
    }
    path
}

/// For people. Nothing of a pod reaches the terminal as control.
fn described(told: &Value, wanted: &str) -> String {
    let mut text = String::new();
    let none = Vec::new();
    let list = |value: &Value| value.as_array().unwrap_or(&none).clone();
    let pods = list(&told["pods"]);
    if told["kubernetes"].is_null() {
        text.push_str("this agent does not ask the API server: agent.kubernetes.mode\n");
    }
    for trouble in list(&told["kubernetes"]["troubles"]) {
        let _ = writeln!(text, "the API server cannot be followed: {}", cell(&trouble));
    }
    if pods.is_empty() {
        let _ = writeln!(text, "no pod {wanted:?} is on this node: ask the agent of its own, with --url");
    }
    for pod in &pods {
        let state = match (pod["known"] == true, pod["deleted"] == true) {
            (true, false) => "",
            (true, true) => " (deleted)",
            (false, _) => " (not known to the API server, or not yet)",
        };
        let _ = writeln!(text, "pod {}/{}{state}", cell(&pod["namespace"]), cell(&pod["pod"]));
        for container in list(&pod["containers"]) {
            let _ = writeln!(text, "  container {}", cell(&container["container"]));
            for set in list(&container["settings"]) {
                let [name, value, from] = ["setting", "value", "from"].map(|key| cell(&set[key]));
                let _ = writeln!(text, "    {name:<11} {value:<20} {from}");
            }
            for refused in list(&container["refused"]) {
                let [on, key, value, why] =
                    ["on", "annotation", "value", "why"].map(|key| cell(&refused[key]));
                let _ = writeln!(text, "    not in force: {on} annotation {key}: {value:?}: {why}");
            }
            if let Some(attributes) = container["attributes"].as_object().filter(|held| !held.is_empty()) {
                text.push_str("    attributes\n");
                for (key, value) in attributes {
                    let _ = writeln!(text, "      {} = {}", cell(&Value::from(key.as_str())), cell(value));
                }
            }
            for file in list(&container["files"]) {
                let [path, read, size, lines] = ["path", "read", "size", "lines"].map(|key| cell(&file[key]));
                let state = match (file["excluded"] == true, file["metadata"].as_str()) {
                    (true, _) => ", excluded: not read".to_owned(),
                    (_, Some(state)) => format!(", metadata {state}"),
                    (_, None) => String::new(),
                };
                let _ = writeln!(text, "    file {path}: {read} of {size} bytes, {lines} lines{state}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_asked_for() {
        assert_eq!(path("cart-1"), "/api/v1/agent/explain?pod=cart-1");
        assert_eq!(path("shop/cart-*"), "/api/v1/agent/explain?pod=cart-%2A&namespace=shop");
    }

    #[test]
    fn each_value_is_shown_with_where_it_comes_from() {
        let told = json!({
            "kubernetes": { "troubles": ["pods: 10.0.0.1 answers 403"] },
            "pods": [{
                "namespace": "shop", "pod": "cart-1", "known": true, "deleted": false,
                "containers": [{
                    "container": "main",
                    "settings": [{ "setting": "parser", "value": "json", "from": "pod annotation weir.dev/parser" }],
                    "refused": [{ "on": "pod", "annotation": "weir.dev/sample", "value": "x\u{1b}", "why": "write" }],
                    "attributes": { "service.name": "cart" },
                    "files": [{ "path": "/p/0.log", "read": 3, "size": 9, "lines": 1, "metadata": "known" }],
                }],
            }],
        });
        let text = described(&told, "cart-1");
        let expected = concat!(
            "the API server cannot be followed: pods: 10.0.0.1 answers 403\n",
            "pod shop/cart-1\n",
            "  container main\n",
            "    parser      json                 pod annotation weir.dev/parser\n",
            "    not in force: pod annotation weir.dev/sample: \"x\\\\u{1b}\": write\n",
            "    attributes\n",
            "      service.name = cart\n",
            "    file /p/0.log: 3 of 9 bytes, 1 lines, metadata known\n",
        );
        assert_eq!(text, expected);
        assert!(described(&json!({ "kubernetes": {}, "pods": [] }), "x").contains("no pod \"x\""));
    }
}

//! The whole agent below a directory like `/var/log/pods`, with a stand-in for
//! the API server.

use std::collections::BTreeMap;

use serde_json::json;
use weir_proto::model::{Source, flags};

use super::*;
use crate::kube::KubernetesConfig;
use crate::kube::tests::server::ApiServer;

/// Long enough that no test outlasts it by chance.
const LONG: Duration = Duration::from_secs(120);

struct Site {
    place: Place,
    server: ApiServer,
    wait: Duration,
    labels: Vec<String>,
}

/// A line as it was sent.
#[derive(Clone, Debug)]
struct Sent {
    flags: i32,
    source: Source,
}

impl Site {
    async fn new() -> Self {
        let server = ApiServer::start().await;
        Self { place: Place::new(), server, wait: LONG, labels: Vec::new() }
    }

    async fn start(&self) -> Agent {
        let root = self.place.root.path().display().to_string();
        let config = Config {
            tail: vec![format!("{root}/logs/*/*/*.log")],
            node: Some("node-1".to_owned()),
            scan_interval: HumanDuration(Duration::from_millis(20)),
            kubernetes: KubernetesConfig {
                url: self.server.url(),
                token_file: "/nowhere".into(),
                wait: HumanDuration(self.wait),
                labels: self.labels.clone(),
                ..KubernetesConfig::default()
            },
            ..self.place.config()
        };
        self.place.start_as(config).await.expect("started")
    }

    /// Writes lines as containerd does.
    fn write(&self, file: &str, lines: &[&str]) {
        let line = |text: &&str| format!("2026-01-01T00:00:00.000000001Z stdout F {text}\n");
        self.place.write(file, &lines.iter().map(line).collect::<String>());
    }

    fn sent(&self) -> Vec<Sent> {
        let records = self.place.log.records.lock().expect("not poisoned");
        let mut sent = Vec::new();
        for record in records.iter() {
            let batch = LineBatch::decode(&record.headers, &record.payload).expect("decodes");
            sent.extend(
                batch
                    .lines()
                    .map(|line| Sent { flags: line.flags, source: batch.sources[line.source].clone() }),
            );
        }
        sent
    }

    /// Each source covers from its beginning on, without a hole and nothing twice.
    fn assert_covered(&self) {
        let records = self.place.log.records.lock().expect("not poisoned");
        let mut covered = BTreeMap::new();
        for record in records.iter() {
            let batch = LineBatch::decode(&record.headers, &record.payload).expect("decodes");
            for source in &batch.sources {
                let end: &mut u64 = covered.entry(source.id).or_default();
                assert_eq!(source.covered.start, *end, "{source:?}");
                *end = source.covered.end;
            }
        }
    }

    async fn wait_for(&self, lines: &[&str]) -> Vec<Sent> {
        self.place.wait_for_lines(lines).await;
        self.sent()
    }

    async fn explain(&self, agent: &Agent, pod: &str) -> Value {
        let request = Request::get(format!("/api/v1/agent/explain?pod={pod}")).body(Body::empty());
        let response = agent.router().oneshot(request.expect("a request")).await.expect("answered");
        assert_eq!(response.status(), StatusCode::OK);
        let body = response.into_body().collect().await.expect("read").to_bytes();
        serde_json::from_slice(&body).expect("JSON")
    }
}

impl Sent {
    fn attribute(&self, key: &str) -> Option<&str> {
        self.source.resource.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    fn is_pending(&self) -> bool {
        self.flags & flags::METADATA_PENDING != 0
    }
}

fn pod(annotations: &Value, labels: &Value) -> Value {
    json!({
        "metadata": {
            "name": "cart-7d9f-x", "namespace": "shop", "uid": "u1",
            "annotations": annotations, "labels": labels,
            "ownerReferences": [{ "kind": "ReplicaSet", "name": "cart-7d9f", "controller": true }],
        },
        "spec": { "nodeName": "node-1", "containers": [
            { "name": "main", "image": "reg:5000/cart:v1" }, { "name": "proxy", "image": "proxy" },
        ] },
        "status": { "containerStatuses": [
            { "name": "main", "containerID": "containerd://c0ffee", "restartCount": 0 },
        ] },
    })
}

fn hashed() -> Value {
    json!({ "pod-template-hash": "7d9f", "team": "basket" })
}

const MAIN: &str = "shop_cart-7d9f-x_u1/main/0.log";
const PROXY: &str = "shop_cart-7d9f-x_u1/proxy/0.log";

#[tokio::test]
async fn first_lines_wait_for_their_pod_and_have_what_is_known_of_it() {
    let mut site = Site::new().await;
    site.labels = vec!["team".to_owned()];
    let agent = site.start().await;
    site.write(MAIN, &["one"]);
    // Another file does not wait for it.
    site.place.write("plain/x/y.log", "beside\n");
    site.wait_for(&["beside"]).await;
    site.server.put("pods", pod(&json!({}), &hashed()));
    let sent = site.wait_for(&["beside", "one"]).await;
    let line = &sent[1];
    let expected = [
        ("k8s.deployment.name", "cart"),
        ("k8s.replicaset.name", "cart-7d9f"),
        ("k8s.container.name", "main"),
        ("k8s.container.restart_count", "0"),
        ("k8s.node.name", "node-1"),
        ("k8s.pod.label.team", "basket"),
        ("container.id", "c0ffee"),
        ("container.image.name", "reg:5000/cart"),
        ("container.image.tag", "v1"),
        ("service.name", "cart"),
        ("log.iostream", "stdout"),
    ];
    for (key, value) in expected {
        assert_eq!(line.attribute(key), Some(value), "{key} {line:?}");
    }
    assert!(!line.is_pending());
    assert!(line.source.resource.is_sorted(), "{:?}", line.source.resource);
    agent.stop(PATIENCE).await.expect("stopped");
    site.assert_covered();
}

#[tokio::test]
async fn without_the_api_server_lines_go_marked_and_later_ones_are_whole() {
    let mut site = Site::new().await;
    site.wait = Duration::from_millis(100);
    site.server.fall().await;
    let agent = site.start().await;
    site.write(MAIN, &["one"]);
    let sent = site.wait_for(&["one"]).await;
    assert!(sent[0].is_pending(), "{sent:?}");
    assert_eq!(sent[0].attribute("service.name"), Some("main"), "what the path says");
    agent.health().check().expect("an API server that is away makes no agent ill");
    let told = site.explain(&agent, "cart-7d9f-x").await;
    assert_eq!(told["pods"][0]["known"], false, "{told}");
    assert_ne!(told["kubernetes"]["troubles"], json!([]), "{told}");
    site.server.put("pods", pod(&json!({}), &hashed()));
    site.server.listen().await;
    // Whoever writes on is known in the end.
    let known = || site.sent().last().is_some_and(|line| !line.is_pending());
    let mut written = 0;
    while !known() {
        assert!(written < 2_000, "{:?}", site.sent().last());
        site.write(MAIN, &["more"]);
        written += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let last = site.sent().pop().expect("a line");
    assert_eq!(last.attribute("service.name"), Some("cart"));
    assert_eq!(last.source.id, sent[0].source.id, "the source stays");
    agent.stop(PATIENCE).await.expect("stopped");
    site.assert_covered();
}

#[tokio::test]
async fn a_changed_label_is_on_the_lines_that_follow() {
    let site = Site::new().await;
    site.server.put("pods", pod(&json!({}), &json!({ "app.kubernetes.io/name": "first" })));
    let agent = site.start().await;
    site.write(MAIN, &["one"]);
    let sent = site.wait_for(&["one"]).await;
    assert_eq!(sent[0].attribute("service.name"), Some("first"));
    site.server.put("pods", pod(&json!({}), &json!({ "app.kubernetes.io/name": "second" })));
    let mut told = Value::Null;
    while told["pods"][0]["containers"][0]["attributes"]["service.name"] != "second" {
        tokio::time::sleep(Duration::from_millis(5)).await;
        told = site.explain(&agent, "cart-*").await;
    }
    // What the store knows the reader hears of in the same turn, at the latest in the next.
    tokio::time::sleep(Duration::from_millis(50)).await;
    site.write(MAIN, &["two"]);
    let sent = site.wait_for(&["one", "two"]).await;
    assert_eq!(sent[0].attribute("service.name"), Some("first"), "what was sent stays");
    assert_eq!(sent[1].attribute("service.name"), Some("second"));
    assert_eq!(sent[0].source.id, sent[1].source.id);
    agent.stop(PATIENCE).await.expect("stopped");
    site.assert_covered();
}

#[tokio::test]
async fn annotations_are_in_force_for_the_container_that_they_name() {
    let site = Site::new().await;
    let annotations = json!({
        "weir.dev/exclude.proxy": "true",
        "weir.dev/parser": "json",
        "weir.dev/min-level": "warn",
        "weir.dev/multiline": "none",
        "weir.dev/sample.proxy": "lots",
    });
    site.server.put("pods", pod(&annotations, &hashed()));
    let agent = site.start().await;
    site.write(PROXY, &["never", "read"]);
    site.write(MAIN, &["Exception in thread \"main\" java.lang.Error: x", "\tat a.B.c(B.java:1)"]);
    let sent =
        site.wait_for(&["Exception in thread \"main\" java.lang.Error: x", "\tat a.B.c(B.java:1)"]).await;
    assert_eq!((sent[0].source.parser.as_str(), sent[0].source.min_severity), ("json", Some(13)));
    let told = site.explain(&agent, "cart-7d9f-x").await;
    let containers = &told["pods"][0]["containers"];
    let setting = |container: usize, name: &str| {
        let all = containers[container]["settings"].as_array().expect("settings");
        let set = all.iter().find(|set| set["setting"] == name).expect(name);
        (set["value"].as_str().expect("a value").to_owned(), set["from"].as_str().expect("from").to_owned())
    };
    let is = |value: &str, from: &str| (value.to_owned(), from.to_owned());
    assert_eq!(setting(0, "parser"), is("json", "pod annotation weir.dev/parser"));
    assert_eq!(setting(0, "exclude"), is("false", "default"));
    assert_eq!(setting(0, "service"), is("cart", "k8s.deployment.name"));
    assert_eq!(setting(1, "exclude"), is("true", "pod annotation weir.dev/exclude.proxy"));
    assert_eq!(containers[1]["refused"][0]["annotation"], "weir.dev/sample.proxy");
    assert_eq!(containers[1]["files"][0]["excluded"], true, "{told}");
    agent.stop(PATIENCE).await.expect("stopped");
    site.assert_covered();
}

#[tokio::test]
async fn an_exclusion_ends_at_a_line_and_outlives_a_restart_without_the_api_server() {
    let mut site = Site::new().await;
    site.server.put("pods", pod(&json!({}), &hashed()));
    let agent = site.start().await;
    site.write(MAIN, &["one"]);
    site.wait_for(&["one"]).await;
    site.server.put("pods", pod(&json!({ "weir.dev/exclude": "true" }), &hashed()));
    let excluded = async |agent: &Agent, is: bool| loop {
        let told = site.explain(agent, "cart-7d9f-x").await;
        if told["pods"][0]["containers"][0]["files"][0]["excluded"] == is {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    excluded(&agent, true).await;
    site.write(MAIN, &["not", "these"]);
    agent.stop(PATIENCE).await.expect("stopped");
    site.wait = Duration::from_millis(50);
    site.server.fall().await;
    let agent = site.start().await;
    site.write(MAIN, &["nor", "those"]);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(site.place.log.lines(), ["one"], "the checkpoint says that it is excluded");
    site.server.listen().await;
    site.server.put("pods", pod(&json!({}), &hashed()));
    let excluded = async |agent: &Agent, is: bool| loop {
        let told = site.explain(agent, "cart-7d9f-x").await;
        if told["pods"][0]["containers"][0]["files"][0]["excluded"] == is {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    excluded(&agent, false).await;
    site.write(MAIN, &["two"]);
    let sent = site.wait_for(&["one", "two"]).await;
    assert_eq!(sent[0].source.id, sent[1].source.id);
    assert!(sent.iter().all(|line| line.source.drops.is_empty()), "a choice is no loss");
    agent.stop(PATIENCE).await.expect("stopped");
    site.assert_covered();
}

#[tokio::test]
async fn the_last_lines_of_a_deleted_pod_have_its_metadata() {
    let site = Site::new().await;
    site.server.put("pods", pod(&json!({}), &hashed()));
    let agent = site.start().await;
    site.write(MAIN, &["one"]);
    site.wait_for(&["one"]).await;
    site.server.delete("pods", "shop/cart-7d9f-x");
    let mut told = Value::Null;
    while told["pods"][0]["deleted"] != true {
        tokio::time::sleep(Duration::from_millis(5)).await;
        told = site.explain(&agent, "cart-7d9f-x").await;
    }
    // A container's file that is found only now, and the rest of the known one.
    site.write(PROXY, &["late"]);
    site.place.wait_for("late", || site.place.log.lines().len() == 2).await;
    site.write(MAIN, &["last"]);
    let sent = site.wait_for(&["one", "late", "last"]).await;
    for line in &sent {
        assert_eq!(line.attribute("service.name"), Some("cart"), "{line:?}");
        assert!(!line.is_pending());
    }
    agent.stop(PATIENCE).await.expect("stopped");
    site.assert_covered();
}

#[tokio::test]
async fn a_limit_that_a_pod_asks_for_is_counted_like_any_other() {
    let site = Site::new().await;
    site.server.put("pods", pod(&json!({ "weir.dev/rate-limit.main": "1/s" }), &hashed()));
    let agent = site.start().await;
    let line = |number: usize| format!("line {number}");
    let lines: Vec<_> = (0..50).map(line).collect();
    site.write(MAIN, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    site.place
        .wait_for("dropped", || {
            let sent = site.sent();
            sent.len() >= 5
                && sent.iter().any(|line| line.source.drops.iter().any(|drop| drop.reason == "rate_limited"))
        })
        .await;
    let sent = site.sent();
    let dropped: u64 = sent.last().map_or(0, |line| line.source.drops.iter().map(|drop| drop.count).sum());
    assert_eq!(sent.len() as u64 + dropped, 50, "{dropped}");
    assert_eq!(sent.len(), 5, "the burst of 5 s");
    agent.stop(PATIENCE).await.expect("stopped");
    site.assert_covered();
}

//! Lists and watches, and what goes wrong with them.

use std::fs;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use weir_runtime::Metrics;

use super::server::{ApiServer, Part};
use crate::kube::*;

const PATIENCE: Duration = Duration::from_secs(30);

const TEMPO: Tempo = Tempo {
    backoff: Duration::from_millis(5),
    backoff_max: Duration::from_millis(40),
    watch: Duration::from_secs(300),
    silence: Duration::from_millis(300),
};

/// An agent's following of a stand-in.
struct Site {
    server: ApiServer,
    pods: Arc<Pods>,
    _following: JoinSet<()>,
    _token: tempfile::TempDir,
    token: std::path::PathBuf,
}

impl Site {
    async fn new(prepare: impl FnOnce(&ApiServer)) -> Self {
        let server = ApiServer::start().await;
        prepare(&server);
        let place = tempfile::tempdir().expect("a directory");
        let token = place.path().join("token");
        fs::write(&token, "first\n").expect("written");
        let config = KubernetesConfig {
            url: server.url(),
            token_file: token.clone(),
            grace: weir_runtime::HumanDuration(Duration::from_millis(300)),
            ..KubernetesConfig::default()
        };
        let access = config.access(None).expect("sensible").expect("a server");
        let measured = Measured::new(&Metrics::new());
        let pods = Arc::new(Pods::new(config.rules(), config.grace.0, Arc::default(), measured.clone()));
        let following =
            Following { client: Client::new(access), pods: Arc::clone(&pods), measured, tempo: TEMPO };
        let mut running = JoinSet::new();
        let namespaces = following.clone();
        running.spawn(async move {
            let selector = "fieldSelector=spec.nodeName%3Dnode-1&";
            following.pods(selector, &Shutdown::new()).await.expect("never ends");
        });
        running.spawn(async move { namespaces.namespaces(&Shutdown::new()).await.expect("never ends") });
        Self { server, pods, _following: running, _token: place, token }
    }

    fn names(&self) -> Vec<String> {
        self.pods
            .all()
            .into_iter()
            .filter(|known| !known.is_gone)
            .map(|known| known.facts.name.clone())
            .collect()
    }

    async fn wait_for(&self, what: &str, condition: impl Fn() -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        let held = waited.await.is_ok();
        let standing = self.pods.standing();
        assert!(held, "{what}: {:?} {standing:?} {:?}", self.names(), self.server.requests("pods"));
    }

    async fn wait_for_names(&self, expected: &[&str]) {
        self.wait_for("names", || self.names() == expected).await;
    }
}

pub(crate) fn pod(name: &str) -> Value {
    json!({
        "metadata": { "name": name, "namespace": "shop", "uid": format!("uid-{name}") },
        "spec": { "nodeName": "node-1", "containers": [{ "name": "main", "image": "shop/cart:v1" }] },
        "status": {},
    })
}

fn event(kind: &str, object: &Value, version: u64) -> String {
    let mut object = object.clone();
    object["metadata"]["resourceVersion"] = version.to_string().into();
    format!("{}\n", json!({ "type": kind, "object": object }))
}

#[tokio::test]
async fn pods_come_change_and_go() {
    let site = Site::new(|server| server.put("pods", pod("a"))).await;
    site.wait_for_names(&["a"]).await;
    site.server.put("pods", pod("b"));
    site.wait_for_names(&["a", "b"]).await;
    site.server.put("pods", {
        let mut pod = pod("b");
        pod["metadata"]["labels"] = json!({ "app.kubernetes.io/name": "basket" });
        pod
    });
    let label = |site: &Site| {
        site.pods.get("uid-b").and_then(|known| known.facts.labels.get("app.kubernetes.io/name").cloned())
    };
    site.wait_for("a label", || label(&site).as_deref() == Some("basket")).await;
    site.server.delete("pods", "shop/b");
    site.wait_for_names(&["a"]).await;
    assert!(site.pods.get("uid-b").is_some_and(|known| known.is_gone), "known for its last lines");
    site.wait_for("forgotten", || {
        site.server.bookmark("pods");
        site.pods.get("uid-b").is_none()
    })
    .await;
    let asked = site.server.requests("pods");
    assert!(asked.iter().all(|asked| asked.contains("fieldSelector=spec.nodeName=node-1")), "{asked:?}");
    assert_eq!(asked.iter().filter(|asked| !asked.contains("watch=1")).count(), 1, "{asked:?}");
}

#[tokio::test]
async fn a_list_comes_in_pages() {
    let site = Site::new(|server| {
        server.page("pods", 2);
        for name in ["a", "b", "c", "d", "e"] {
            server.put("pods", pod(name));
        }
    })
    .await;
    site.wait_for_names(&["a", "b", "c", "d", "e"]).await;
    let lists = site.server.requests("pods").iter().filter(|asked| asked.contains("limit=")).count();
    assert_eq!(lists, 3);
}

#[tokio::test]
async fn odd_chunks_and_huge_pods_are_read() {
    let site = Site::new(|server| server.chunk(7)).await;
    site.wait_for("listed", || site.pods.standing().is_listed).await;
    let mut huge = pod("huge");
    huge["metadata"]["annotations"] = json!({ "weir.dev/service": "cart", "kubectl.kubernetes.io/last-applied-configuration": "x".repeat(200_000) });
    huge["metadata"]["managedFields"] = json!(vec![json!({ "fieldsV1": { "f:x": "y".repeat(1_000) } }); 100]);
    site.server.put("pods", huge);
    site.server.put("pods", pod("small"));
    site.wait_for_names(&["huge", "small"]).await;
    let known = site.pods.get("uid-huge").expect("known");
    assert_eq!(known.facts.annotations.len(), 1, "the rest is not held");
}

#[tokio::test]
async fn after_a_cut_it_goes_on_from_the_last_version_and_a_repeat_does_no_harm() {
    let line = event("ADDED", &pod("b"), 105);
    let (half, rest) = line.split_at(line.len() / 2);
    let site = Site::new(|server| {
        server.put("pods", pod("a"));
        let bookmark = event("BOOKMARK", &json!({ "metadata": {} }), 104);
        let first = event("ADDED", &pod("a"), 103);
        let pause = Part::Pause(Duration::from_millis(30));
        server.script("pods", vec![Part::Text(first + &bookmark + half), pause, Part::Cut]);
        // It comes again, slowly, then the server ends the watch.
        let slow = Part::Pause(Duration::from_millis(30));
        server.script("pods", vec![Part::Text(half.to_owned()), slow, Part::Text(rest.to_owned())]);
        server.script("pods", vec![Part::Text(line.clone()), Part::Hang]);
    })
    .await;
    site.wait_for_names(&["a", "b"]).await;
    site.wait_for("watches", || site.server.requests("pods").len() >= 5).await;
    let asked = site.server.requests("pods");
    let from: Vec<_> = asked.iter().filter_map(|asked| asked.split("resourceVersion=").nth(1)).collect();
    let from: Vec<_> = from.iter().map(|rest| rest.split('&').next().unwrap_or_default()).collect();
    // The list, its version, the bookmark's, the event's; silence is begun again at the same.
    assert_eq!(from[..5], ["0", "101", "104", "105", "105"], "{asked:?}");
    assert_eq!(site.names(), ["a", "b"]);
}

#[tokio::test]
async fn what_is_too_old_is_listed_anew() {
    for in_stream in [false, true] {
        let site = Site::new(|server| {
            server.put("pods", pod("a"));
            server.script("pods", vec![]);
        })
        .await;
        site.wait_for_names(&["a"]).await;
        let before = site.server.requests("pods").len();
        site.server.delete("pods", "shop/a");
        site.server.put("pods", pod("b"));
        site.server.compact("pods", in_stream);
        // The watch that is under way is cut, and begins anew where it was.
        site.server.chunk(0);
        site.server.bookmark("namespaces");
        site.wait_for("asked again", || site.server.requests("pods").len() > before).await;
        site.server.chunk(usize::MAX);
        site.wait_for_names(&["b"]).await;
        site.server.put("pods", pod("c"));
        site.wait_for_names(&["b", "c"]).await;
    }
}

#[tokio::test]
async fn a_list_that_is_too_old_itself_is_followed_by_an_exact_one() {
    let site = Site::new(|server| {
        server.put("pods", pod("a"));
        server.refuse("pods", StatusCode::GONE);
    })
    .await;
    site.wait_for_names(&["a"]).await;
    let lists = site.server.requests("pods");
    assert!(lists[0].contains("resourceVersion=0"), "{lists:?}");
    assert!(!lists[1].contains("resourceVersion"), "{lists:?}");
}

#[tokio::test]
async fn what_makes_no_sense_is_passed_over_or_listed_anew() {
    let site = Site::new(|server| {
        server.put("pods", pod("a"));
        let unknown = event("PRUNED", &pod("a"), 200);
        let senseless = event("MODIFIED", &json!({ "metadata": { "name": 7 } }), 102);
        server.script("pods", vec![Part::Text(unknown + &senseless + &event("ADDED", &pod("b"), 103))]);
        server.script("pods", vec![Part::Text("<html>\n".to_owned())]);
        server.script("pods", vec![Part::Text("<html>\n".to_owned())]);
    })
    .await;
    // The list does not have the one that was only told of.
    site.wait_for("listed anew", || site.pods.all().iter().any(|known| known.is_gone)).await;
    site.wait_for_names(&["a"]).await;
    let asked = site.server.requests("pods");
    assert!(asked.iter().any(|asked| asked.contains("resourceVersion=103")), "{asked:?}");
    assert!(!asked.iter().any(|asked| asked.contains("resourceVersion=200")), "{asked:?}");
}

#[tokio::test]
async fn a_server_that_falls_is_asked_until_it_is_back() {
    let mut site = Site::new(|server| server.put("pods", pod("a"))).await;
    site.wait_for_names(&["a"]).await;
    site.server.fall().await;
    site.wait_for("trouble", || !site.pods.standing().troubles.is_empty()).await;
    assert_eq!(site.names(), ["a"], "what was known stays");
    site.server.put("pods", pod("b"));
    site.server.listen().await;
    site.wait_for_names(&["a", "b"]).await;
    site.wait_for("well again", || site.pods.standing().troubles.is_empty()).await;
}

#[tokio::test]
async fn a_token_that_was_renewed_is_read_again() {
    let site = Site::new(|server| {
        server.put("pods", pod("a"));
        server.token("second");
    })
    .await;
    site.wait_for("refused", || site.pods.standing().troubles.iter().any(|told| told.contains("401"))).await;
    fs::write(&site.token, "second").expect("written");
    site.wait_for_names(&["a"]).await;
}

#[tokio::test]
async fn namespaces_that_are_forbidden_are_not_waited_for() {
    let site = Site::new(|server| {
        server.put("pods", pod("a"));
        for _ in 0..1_000 {
            server.refuse("namespaces", StatusCode::FORBIDDEN);
        }
    })
    .await;
    site.wait_for("known", || site.pods.get("uid-a").is_some()).await;
}

#[tokio::test]
async fn annotations_of_a_namespace_reach_its_pods() {
    let namespace = |service: Option<&str>| {
        let annotations = service.map(|service| json!({ "weir.dev/service": service }));
        json!({ "metadata": { "name": "shop", "annotations": annotations } })
    };
    let site = Site::new(|server| {
        server.put("pods", pod("a"));
        server.put("namespaces", namespace(Some("one")));
    })
    .await;
    let default = || site.pods.get("uid-a").and_then(|known| known.defaults.get("weir.dev/service").cloned());
    site.wait_for("the first", || default().as_deref() == Some("one")).await;
    site.pods.take_changed();
    site.server.put("namespaces", namespace(Some("two")));
    site.wait_for("the second", || default().as_deref() == Some("two")).await;
    assert!(site.pods.take_changed().contains("uid-a"));
    site.server.put("namespaces", namespace(None));
    site.wait_for("none", || site.pods.get("uid-a").is_some() && default().is_none()).await;
}

#[tokio::test]
async fn a_static_pod_is_known_by_the_uid_in_its_paths() {
    let mut mirror = pod("etcd-node-1");
    mirror["metadata"]["annotations"] = json!({ "kubernetes.io/config.hash": "5d3a" });
    let site = Site::new(|server| server.put("pods", mirror)).await;
    site.wait_for("known", || site.pods.get("5d3a").is_some()).await;
    assert_eq!(site.pods.get("5d3a").expect("known").facts.uid, "uid-etcd-node-1");
}

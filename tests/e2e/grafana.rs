//! What Grafana's built-in Zipkin data source asks, asked again, and the answers
//! held to what it decodes (`zipkin-go`'s `SpanModel`); the provisioning files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::{Demo, eventually};

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards/grafana").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Ids are hexadecimal of at most so many digits, and an even count as Go decodes them.
fn is_id(value: &Value, digits: usize) -> bool {
    value.as_str().is_some_and(|id| id.len() == digits && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Panics unless Grafana's back end decodes this: one wrong span is no trace at all.
fn decode(spans: &Value) -> usize {
    let spans = spans.as_array().expect("a list of spans");
    for span in spans {
        let is_optional = |name: &str, is_right: &dyn Fn(&Value) -> bool| span.get(name).is_none_or(is_right);
        assert!(is_id(&span["traceId"], 32) && is_id(&span["id"], 16), "{span}");
        assert!(is_optional("parentId", &|id| is_id(id, 16)), "{span}");
        // A time with a point, below 0 or as text fails the whole answer.
        for time in ["timestamp", "duration"] {
            assert!(is_optional(time, &|value| value.as_u64().is_some_and(|micros| micros > 0)), "{span}");
        }
        let kinds = ["CLIENT", "SERVER", "PRODUCER", "CONSUMER"];
        assert!(
            is_optional("kind", &|kind| kind.as_str().is_some_and(|kind| kinds.contains(&kind))),
            "{span}"
        );
        let texts = |tags: &Value| tags.as_object().is_some_and(|tags| tags.values().all(Value::is_string));
        assert!(is_optional("tags", &texts), "{span}");
        for endpoint in ["localEndpoint", "remoteEndpoint"] {
            let is_right = |endpoint: &Value| {
                endpoint.get("port").is_none_or(|port| port.as_u64().is_some_and(|port| port < 65_536))
                    && ["serviceName", "ipv4", "ipv6"]
                        .iter()
                        .all(|name| endpoint.get(name).is_none_or(Value::is_string))
            };
            assert!(is_optional(endpoint, &is_right), "{span}");
        }
        let events = |events: &Value| {
            let is_event = |event: &Value| event["timestamp"].is_u64() && event["value"].is_string();
            events.as_array().is_some_and(|events| events.iter().all(is_event))
        };
        assert!(is_optional("annotations", &events), "{span}");
    }
    spans.len()
}

#[test]
fn grafana_finds_searches_and_shows_traces() {
    let sources = yaml("provisioning/datasources/weir.yaml");
    let source = &sources["datasources"][0];
    assert_eq!((&source["type"], &source["url"]), (&"zipkin".into(), &"$WEIR_URL".into()));

    let demo = Demo::start(&["--rate", "50"]);
    let get = |path: &str| {
        let (status, body) = demo.get(path).expect("an answer");
        assert_eq!(status, 200, "{path}: {body}");
        body
    };
    // "Save & test": the status is not looked at, the text must be a list of strings.
    let services = eventually("the shop's services are there", || {
        let services = get("/api/v2/services");
        let list = services.as_array().ok_or(services.to_string())?.clone();
        assert!(list.iter().all(Value::is_string), "{services}");
        if list.len() >= 7 { Ok(list) } else { Err(services.to_string()) }
    });
    assert!(services.contains(&"checkout".into()), "{services:?}");
    // The three steps of its menu: a service, a span, a trace; no span of time is said.
    let spans = get("/api/v2/spans?serviceName=checkout");
    let spans: Vec<_> =
        spans.as_array().expect("a list").iter().map(|name| name.as_str().expect("text")).collect();
    assert!(spans.contains(&"post /checkout"), "{spans:?}");
    let traces = eventually("an order is there", || {
        let traces = get("/api/v2/traces?serviceName=checkout&spanName=post+%2Fcheckout");
        if traces.as_array().is_some_and(|traces| !traces.is_empty()) {
            Ok(traces)
        } else {
            Err("none".to_owned())
        }
    });
    let mut ids = BTreeSet::new();
    for trace in traces.as_array().expect("a list") {
        assert!(decode(trace) > 1, "{trace}");
        // It names a trace by its root, and fails without one.
        let root = trace.as_array().expect("spans").iter().find(|span| span.get("parentId").is_none());
        let root = root.unwrap_or_else(|| panic!("no root: {trace}"));
        assert!(root["name"].is_string() && root["duration"].is_u64(), "{root}");
        ids.insert(root["traceId"].as_str().expect("text").to_owned());
    }
    // The panel and Explore: one trace.
    for id in &ids {
        assert!(decode(&get(&format!("/api/v2/trace/{id}"))) > 1, "{id}");
    }
    let (status, _) =
        demo.get("/api/v2/trace/00000000000000000000000000000001").unwrap_or((404, Value::Null));
    assert_eq!(status, 404, "an unknown trace is an error that it shows");
}

#[test]
fn the_dashboard_asks_the_data_source_that_is_provisioned() {
    let sources = yaml("provisioning/datasources/weir.yaml");
    let provider = yaml("provisioning/dashboards/weir.yaml");
    assert_eq!(provider["providers"][0]["options"]["path"], "/etc/weir/dashboards");
    let dashboard: Value = serde_json::from_str(&file("dashboards/trace.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    assert!(!panels.is_empty());
    for panel in panels {
        for asked in panel["targets"].as_array().expect("targets").iter().chain([panel]) {
            let uid = &asked["datasource"]["uid"];
            assert_eq!(uid, &sources["datasources"][0]["uid"], "{asked}");
        }
        assert_eq!(panel["targets"][0]["query"], "${trace}");
    }
    let variables = dashboard["templating"]["list"].as_array().expect("variables");
    assert!(variables.iter().any(|variable| variable["name"] == "trace"));
}

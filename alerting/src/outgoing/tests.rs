use serde_json::json;

use super::*;
use crate::instance::{Instance, Phase};

fn transition(news: News, service: &str) -> Transition {
    let labels = Labels::from([
        ("alertname".to_owned(), "A".to_owned()),
        ("service_name".to_owned(), service.to_owned()),
    ]);
    let instance = Instance {
        labels,
        annotations: Labels::new(),
        phase: Phase::Firing,
        active_micros: 0,
        fired_micros: Some(1_000_000),
        last_micros: 1_000_000,
        told_micros: None,
        value: 1.0,
        sample: Some(json!({"trace_id": "\"><script>"})),
        incomplete: false,
    };
    let ends_micros = (news == News::Resolved).then_some(2_000_000);
    Transition { news, instance, ends_micros }
}

fn of(transitions: &[Transition], send_resolved: bool) -> Option<Webhook> {
    let about = About {
        rule: "g/A",
        alertname: "A",
        query: "a b",
        is_search: true,
        external_url: "http://weir.example/",
    };
    let channel = Channel {
        name: "ops/webhook/0".to_owned(),
        receiver: "ops".to_owned(),
        integration: "webhook",
        send_resolved,
    };
    let transitions: Vec<_> = transitions.iter().collect();
    message(about, &channel, &transitions).map(|message| message.body)
}

#[test]
fn the_body_is_alertmanagers() {
    let body = of(&[transition(News::Fired, "cart"), transition(News::Resolved, "pay")], true);
    let body = serde_json::to_value(body.expect("a message")).expect("JSON");
    for (key, expected) in [
        ("/version", json!("4")),
        ("/groupKey", json!("{}:{alertname=\"A\"}")),
        ("/truncatedAlerts", json!(0)),
        ("/status", json!("firing")),
        ("/receiver", json!("ops")),
        ("/groupLabels", json!({"alertname": "A"})),
        ("/commonLabels", json!({"alertname": "A"})),
        ("/commonAnnotations", json!({})),
        ("/externalURL", json!("http://weir.example/")),
        ("/alerts/0/status", json!("firing")),
        ("/alerts/0/startsAt", json!("1970-01-01T00:00:01.000Z")),
        ("/alerts/0/endsAt", json!("0001-01-01T00:00:00Z")),
        ("/alerts/1/status", json!("resolved")),
        ("/alerts/1/endsAt", json!("1970-01-01T00:00:02.000Z")),
    ] {
        assert_eq!(body.pointer(key), Some(&expected), "{key} of {body:#}");
    }
    let url = body.pointer("/alerts/0/generatorURL").and_then(Value::as_str).expect("a URL");
    assert!(url.starts_with("http://weir.example/?query=a+b&start="), "{url}");
    assert_eq!(body.pointer("/alerts/0/weir/trace_url"), None, "no id, no link");
}

#[test]
fn who_wants_no_ends_hears_of_none() {
    assert_eq!(of(&[transition(News::Resolved, "cart")], false), None);
    let body = of(&[transition(News::Resolved, "cart"), transition(News::Fired, "pay")], false);
    assert_eq!(body.map(|body| body.alerts.len()), Some(1));
    let resolved = of(&[transition(News::Resolved, "cart")], true).expect("a message");
    assert_eq!(resolved.status, Status::Resolved);
}

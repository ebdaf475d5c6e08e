use serde_json::json;
use weir_runtime::{Clock, Handles};

use super::super::testkit::{Script, book, told, until};
use super::*;
use crate::rule::RuleSet;
use crate::time::rfc3339;

const SECOND: i64 = 1_000_000;
const NOW: i64 = 1_700_000_000 * SECOND;

fn rules(dir: &std::path::Path) -> RuleSet {
    let path = dir.join("rules.yaml");
    let text = "groups:\n  - name: g\n    rules:\n      - alert: Declined\n        logs: declined\n        \
                keep_firing_for: 5s\n        annotations: { summary: '{{ value }}: {{ sample.body }}' }\n";
    std::fs::write(&path, text).expect("written");
    RuleSet::load(&[path.display().to_string()]).expect("rules")
}

/// Lines that were noticed: service, number, and when.
fn answer(complete_until: i64, lines: &[(&str, i64, i64)]) -> Answer {
    let columns = ["rule", "timestamp", "service_name", "body", "attributes", "source_id", "source_start"];
    let row = |(service, start, noticed): &(&str, i64, i64)| {
        let body = "payment declined\u{1b}[31m {{7*7}}";
        let attributes = json!({"customer": "c1"});
        vec![
            json!("g/Declined"),
            json!(rfc3339(*noticed)),
            json!(service),
            json!(body),
            attributes,
            json!("S"),
            json!(start),
        ]
    };
    Answer {
        columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        rows: lines.iter().map(row).collect(),
        complete_until_micros: Some(complete_until),
        is_truncated: false,
    }
}

#[tokio::test]
async fn lines_are_told_once_and_end_when_nothing_comes_for_long_enough() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(NOW);
    let rules = rules(dir.path());
    let script = Script::new(vec![Ok(answer(NOW, &[("cart", 1, NOW), ("cart", 2, NOW)]))]);
    let start = async || {
        let book = book(dir.path(), &clock, &rules).await;
        let of_logs = rules.log_rules().map(|(rule, condition)| (rule.clone(), condition.clone()));
        let handles = Handles { clock: clock.clone(), ..Handles::new("test") };
        let watch = Watch {
            rules: of_logs.collect(),
            book: book.clone(),
            source: script.clone(),
            handles: handles.clone(),
        };
        handles.tasks.spawn("log rules", watch.run());
        (book, handles)
    };
    let (book, handles) = start().await;
    until(async || !book.page("g/Declined").instances.is_empty()).await;
    let page = book.page("g/Declined");
    let instance = page.instances.values().next().expect("an instance");
    assert_eq!(instance.value, 2.0);
    assert_eq!(instance.annotations["summary"], "2: payment declined␛[31m {{7*7}}");
    assert_eq!(told(&book).await, ["cart fires"]);
    handles.shutdown.begin();
    handles.tasks.join(Duration::from_secs(5)).await;
    book.store.close().await;

    // The same lines are noticed again, as after an ingester's death, and one
    // more: it adds to what fires already.
    clock.advance(Duration::from_secs(2));
    let later = NOW + 2 * SECOND;
    script.then(answer(later, &[("cart", 1, later), ("cart", 2, later), ("cart", 3, later)]));
    let (book, handles) = start().await;
    until(async || book.page("g/Declined").instances.values().any(|one| one.value == 3.0)).await;
    assert!(told(&book).await.is_empty());

    // Time goes by, but what was written in it is not all there: nothing ends.
    clock.advance(Duration::from_secs(60));
    let asked = script.asked.lock().unwrap().len();
    until(async || script.asked.lock().unwrap().len() > asked + 3).await;
    assert!(told(&book).await.is_empty());
    script.then(answer(later + 10 * SECOND, &[]));
    until(async || book.page("g/Declined").instances.is_empty()).await;
    assert_eq!(told(&book).await, ["cart over"]);
    handles.shutdown.begin();
    handles.tasks.join(Duration::from_secs(5)).await;
}

#[test]
fn labels_are_columns_names_of_opentelemetry_or_attributes() {
    let row = json!({
        "service_name": "cart", "k8s_pod_name": "cart-1", "attributes": {"customer": "c1", "n": "7"},
        "resource_attributes": {"log.file.path": "/var/log/x"}, "trace_id": null,
    });
    let row = row.as_object().expect("an object");
    let check = |name: &str, expected: Option<&str>| {
        assert_eq!(field(row, name).as_deref(), expected, "{name}");
    };
    check("service_name", Some("cart"));
    check("service.name", Some("cart"));
    check("k8s.pod.name", Some("cart-1"));
    check("customer", Some("c1"));
    check("attributes.n", Some("7"));
    check("log.file.path", Some("/var/log/x"));
    check("trace_id", None);
    check("nothing", None);
}

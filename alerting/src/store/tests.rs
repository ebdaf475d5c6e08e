use super::*;
use crate::evaluate::{Timing, Transition};
use crate::instance::Sample;
use crate::label::Labels;
use crate::outgoing::{About, Channel, message};

fn fired() -> (Instances, Vec<Transition>) {
    let timing = Timing { for_micros: 0, keep_firing_micros: 0, repeat_micros: i64::MAX, limit: 10 };
    let mut instances = Instances::new();
    let labels = Labels::from([("service_name".to_owned(), "cart".to_owned())]);
    let sample = Sample { labels, annotations: Labels::new(), value: 1.0, row: None };
    let outcome = timing.evaluate(&mut instances, vec![sample], 5, true);
    (instances, outcome.transitions)
}

fn outgoing(transitions: &[Transition]) -> Vec<Outgoing> {
    let about = About { rule: "g/A", alertname: "A", query: "q", is_search: false, external_url: "http://w" };
    let channel = Channel {
        name: "ops/webhook/0".to_owned(),
        receiver: "ops".to_owned(),
        integration: "webhook",
        send_resolved: true,
    };
    message(about, &channel, &transitions.iter().collect::<Vec<_>>()).into_iter().collect()
}

#[tokio::test]
async fn an_evaluation_is_there_again_after_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("state").join("alerting.db");
    let (instances, transitions) = fired();
    let outgoing = outgoing(&transitions);
    let seen = vec!["g/A|s|1".to_owned()];
    let store = Store::open(&path).await.expect("opened");
    let change = Change {
        changed: instances.iter().map(|(key, instance)| (key.as_str(), instance)).collect(),
        progress_micros: Some(7),
        seen: &seen,
        outgoing: &outgoing,
        ..Change::default()
    };
    store.apply("g/A", &change, 9).await.expect("applied");
    let second = Store::open(&path).await;
    assert!(second.is_err(), "two processes would tell everything twice");
    store.close().await;

    let store = Store::open(&path).await.expect("opened again");
    assert_eq!(store.instances("g/A").await.expect("read"), instances);
    assert_eq!(store.rules().await.expect("read"), ["g/A"]);
    assert_eq!(store.progress("g/A").await.expect("read"), Some(7));
    assert_eq!(store.progress("g/B").await.expect("read"), None);
    let unseen = store.unseen(vec!["g/A|s|1".to_owned(), "g/A|s|2".to_owned()]).await.expect("read");
    assert_eq!(unseen, ["g/A|s|2"]);
    let waiting = store.waiting("ops/webhook/0").await.expect("read").expect("a message");
    assert_eq!((&waiting.id, &waiting.body), (&outgoing[0].id, &outgoing[0].body));

    let gone: Vec<_> = instances.keys().map(String::as_str).collect();
    store.apply("g/A", &Change { gone, ..Change::default() }, 10).await.expect("applied");
    assert!(store.instances("g/A").await.expect("read").is_empty());
}

#[tokio::test]
async fn messages_go_out_in_order_and_are_kept_as_what_became_of_them() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(&dir.path().join("alerting.db")).await.expect("opened");
    let (_, transitions) = fired();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let outgoing = outgoing(&transitions);
        ids.push(outgoing[0].id.clone());
        store.apply("g/A", &Change { outgoing: &outgoing, ..Change::default() }, 9).await.expect("applied");
    }
    let next = async || store.waiting("ops/webhook/0").await.expect("read");
    store.postponed(&ids[0], 99, "busy").await.expect("stored");
    let first = next().await.expect("the first still");
    assert_eq!((&first.id, first.attempts, first.next_micros), (&ids[0], 1, 99));
    store.delivered(&ids[0], 100).await.expect("stored");
    assert_eq!(next().await.map(|waiting| waiting.id).as_ref(), Some(&ids[1]));
    store.given_up(&ids[1], "410 Gone").await.expect("stored");
    assert_eq!(next().await.map(|waiting| waiting.id).as_ref(), Some(&ids[2]));
    let newest = store.newest(10).await.expect("read");
    let states: Vec<_> = newest.iter().map(|entry| entry.state.as_str()).collect();
    assert_eq!(states, ["pending", "dead", "delivered"]);
    assert_eq!(newest[1].last_error.as_deref(), Some("410 Gone"));
    store.forget(i64::MAX).await.expect("stored");
    assert_eq!(store.newest(10).await.expect("read").len(), 1, "what waits is kept");
}

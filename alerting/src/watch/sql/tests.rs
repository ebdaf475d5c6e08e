use serde_json::json;
use weir_runtime::{Clock, Handles};

use super::super::testkit::{Script, book, told, until};
use super::*;
use crate::rule::{Condition, RuleSet};

const SECOND: i64 = 1_000_000;

fn rules(dir: &std::path::Path, more: &str) -> RuleSet {
    let path = dir.join("rules.yaml");
    let text = format!(
        "groups:\n  - name: g\n    rules:\n      - alert: Errors\n        \
         sql: SELECT service_name, count(*) AS value FROM spans WHERE timestamp >= $start AND timestamp < $end\n        \
         window: 10s\n        every: 10s\n        lateness: 1s\n        max_wait: 20s\n        threshold: '> 2'\n{more}"
    );
    std::fs::write(&path, text).expect("written");
    RuleSet::load(&[path.display().to_string()]).expect("rules")
}

fn answer(complete_until_s: Option<i64>, rows: &[(&str, i64)]) -> Answer {
    Answer {
        columns: vec!["service_name".to_owned(), "value".to_owned()],
        rows: rows.iter().map(|(service, count)| vec![json!(service), json!(count)]).collect(),
        complete_until_micros: complete_until_s.map(|second| second * SECOND),
        is_truncated: false,
    }
}

/// Runs the rule on a script from a time on.
async fn run(dir: &std::path::Path, clock: &Clock, script: &Arc<Script>, more: &str) -> (Arc<Book>, Handles) {
    let rules = rules(dir, more);
    let book = book(dir, clock, &rules).await;
    let rule = rules.rules()[0].clone();
    let Condition::Sql(condition) = rule.condition.clone() else { panic!("a statement") };
    let handles = Handles { clock: clock.clone(), ..Handles::new("test") };
    let watch =
        Watch { rule, condition, book: book.clone(), source: script.clone(), handles: handles.clone() };
    handles.tasks.spawn("rule", watch.run());
    (book, handles)
}

async fn end(book: &Book, handles: &Handles) {
    handles.shutdown.begin();
    assert!(handles.tasks.join(Duration::from_secs(5)).await.is_empty());
    book.store.close().await;
}

/// Moves the clock on and lets the task see it.
async fn at(clock: &Clock, book: &Book, second: i64, progress_s: i64) {
    let now = clock.now_micros();
    clock.advance(between(now, second * SECOND));
    until(async || book.store.progress("g/Errors").await.unwrap() >= Some(progress_s * SECOND)).await;
}

#[tokio::test]
async fn a_window_is_judged_when_it_is_complete_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(1_012 * SECOND);
    // Half of the data says that nothing is wrong.
    let script =
        Script::new(vec![Ok(answer(Some(1_005), &[("cart", 1)])), Ok(answer(Some(1_011), &[("cart", 3)]))]);
    let (book, handles) = run(dir.path(), &clock, &script, "").await;
    at(&clock, &book, 1_013, 1_010).await;
    assert_eq!(told(&book).await, ["cart fires"]);
    let asked = script.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked[0].contains("to_timestamp_micros(1000000000)") && asked[0].contains("(1010000000)"));
    script.then(answer(Some(1_030), &[("cart", 2)]));
    at(&clock, &book, 1_022, 1_020).await;
    assert_eq!(told(&book).await, ["cart over"]);
    end(&book, &handles).await;
}

#[tokio::test]
async fn what_is_never_complete_is_judged_in_the_end_and_marked() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(1_012 * SECOND);
    let script = Script::new(vec![Ok(answer(Some(1_005), &[("cart", 3)]))]);
    let (book, handles) = run(dir.path(), &clock, &script, "").await;
    until(async || !script.asked.lock().unwrap().is_empty()).await;
    assert_eq!(book.page("g/Errors").error, None, "a moment late is no failure");
    clock.advance(Duration::from_secs(12));
    until(async || book.page("g/Errors").error.is_some()).await;
    let why = book.page("g/Errors").error.unwrap_or_default();
    assert!(why.contains("complete until 1970-01-01T00:16:45"), "{why}");
    assert!(told(&book).await.is_empty());
    at(&clock, &book, 1_031, 1_010).await;
    assert_eq!(told(&book).await, ["cart fires incomplete"]);
    end(&book, &handles).await;
}

#[tokio::test]
async fn state_survives_a_restart_and_missed_windows_are_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(1_012 * SECOND);
    let script = Script::new(vec![Ok(answer(Some(2_000), &[("cart", 3)]))]);
    let more = "        for: 20s\n";
    let (book, handles) = run(dir.path(), &clock, &script, more).await;
    at(&clock, &book, 1_013, 1_010).await;
    assert!(told(&book).await.is_empty(), "pending");
    end(&book, &handles).await;

    // Down for 50 s: it has been true throughout, so it fires at once.
    clock.advance(Duration::from_secs(50));
    let (book, handles) = run(dir.path(), &clock, &script, more).await;
    at(&clock, &book, 1_063, 1_060).await;
    assert_eq!(told(&book).await, ["cart fires"]);
    let page = book.page("g/Errors");
    let instance = page.instances.values().next().expect("an instance");
    assert_eq!(instance.active_micros, 1_010 * SECOND);
    end(&book, &handles).await;

    // Down again, and it ended meanwhile: five windows, one message.
    script.then(answer(Some(2_000), &[]));
    clock.advance(Duration::from_secs(50));
    let (book, handles) = run(dir.path(), &clock, &script, more).await;
    at(&clock, &book, 1_113, 1_110).await;
    assert_eq!(told(&book).await, ["cart over"]);
    end(&book, &handles).await;
}

#[tokio::test]
async fn a_source_that_is_away_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(1_012 * SECOND);
    let script = Script::new(vec![
        Ok(answer(Some(2_000), &[("cart", 3)])),
        Err("connection refused".to_owned()),
        Ok(answer(Some(2_000), &[("cart", 3)])),
    ]);
    let (book, handles) = run(dir.path(), &clock, &script, "").await;
    at(&clock, &book, 1_013, 1_010).await;
    assert_eq!(told(&book).await, ["cart fires"]);
    at(&clock, &book, 1_022, 1_020).await;
    assert!(told(&book).await.is_empty());
    end(&book, &handles).await;
}

#[tokio::test]
async fn a_rule_that_is_no_more_ends_its_alerts() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(1_012 * SECOND);
    let script = Script::new(vec![Ok(answer(Some(2_000), &[("cart", 3)]))]);
    let (book_before, handles) = run(dir.path(), &clock, &script, "").await;
    at(&clock, &book_before, 1_013, 1_010).await;
    end(&book_before, &handles).await;
    let book = book(dir.path(), &clock, &RuleSet::default()).await;
    assert_eq!(told(&book).await, ["cart fires", "cart over"]);
}

#[tokio::test]
async fn a_value_that_is_no_number_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(1_012 * SECOND);
    let mut wrong = answer(Some(2_000), &[]);
    wrong.rows.push(vec![json!("cart"), json!("many")]);
    let script = Script::new(vec![Ok(wrong)]);
    let (book, handles) = run(dir.path(), &clock, &script, "").await;
    until(async || book.page("g/Errors").error.is_some_and(|error| error.contains("is no number"))).await;
    end(&book, &handles).await;
}

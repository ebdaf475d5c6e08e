//! The whole agent on real files, with an event log in memory.

mod pods;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tokio::sync::watch;
use tower::ServiceExt;
use weir_proto::wire::batch::LineBatch;
use weir_runtime::HumanDuration;
use weir_runtime::admin::{self, Check};
use weir_stream::{AppendError, Offset, Record, Topic};

use super::*;

/// More than any of these takes; a wait ends as soon as its condition holds.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct MemoryLog {
    records: Mutex<Vec<Record>>,
    full: AtomicBool,
    refuses: AtomicBool,
    is_small: AtomicBool,
    appends: AtomicU32,
    /// Never answers, until it is said that it does.
    silent: watch::Sender<bool>,
}

#[async_trait]
impl Append for MemoryLog {
    async fn append(&self, partition: &Partition, records: Vec<Record>) -> Result<Offset, AppendError> {
        self.appends.fetch_add(1, Ordering::SeqCst);
        let _ = self.silent.subscribe().wait_for(|silent| !silent).await;
        if self.refuses.load(Ordering::SeqCst) {
            return Err(AppendError::Poisoned { partition: partition.clone(), reason: "no sync".to_owned() });
        }
        if self.is_small.load(Ordering::SeqCst) {
            return Err(AppendError::TooLarge { bytes: 2, limit: 1 });
        }
        if self.full.load(Ordering::SeqCst) {
            let source = std::io::Error::other("no space");
            return Err(AppendError::Full { path: "/log".into(), source });
        }
        let mut held = self.records.lock().expect("not poisoned");
        let first = Offset(held.len() as u64);
        held.extend(records);
        Ok(first)
    }

    async fn partitions(&self, _: &Topic) -> Result<u32, AppendError> {
        Ok(1)
    }
}

impl MemoryLog {
    fn lines(&self) -> Vec<String> {
        let records = self.records.lock().expect("not poisoned");
        let mut lines = Vec::new();
        for record in records.iter() {
            let batch = LineBatch::decode(&record.headers, &record.payload).expect("decodes");
            lines.extend(batch.lines().map(|line| String::from_utf8_lossy(line.text).into_owned()));
        }
        lines
    }

    fn goodbyes(&self) -> usize {
        let records = self.records.lock().expect("not poisoned");
        let header =
            |record: &Record| LineBatch::decode(&record.headers, &record.payload).expect("decodes").header;
        records.iter().filter(|record| header(record).goodbye).count()
    }
}

struct Place {
    root: tempfile::TempDir,
    log: Arc<MemoryLog>,
    handles: Handles,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a directory");
        fs::create_dir(root.path().join("logs")).expect("a directory");
        Self { root, log: Arc::default(), handles: Handles::new("test") }
    }

    fn config(&self) -> Config {
        Config {
            tail: vec![format!("{}/logs/*.log", self.root.path().display())],
            batch_delay: HumanDuration(Duration::from_millis(10)),
            // What the kernel tells must do; a scan does not come in time.
            scan_interval: HumanDuration(2 * PATIENCE),
            ..Config::default()
        }
    }

    async fn start(&self) -> Result<Agent, StartError> {
        self.start_as(self.config()).await
    }

    async fn start_as(&self, config: Config) -> Result<Agent, StartError> {
        let topic = |name| Topic::new(name).expect("a topic");
        let topics = AgentTopics {
            logs: topic("weir.logs"),
            spans: topic("weir.spans"),
            metrics: topic("weir.metrics"),
        };
        let log = Arc::clone(&self.log) as Arc<dyn Append>;
        start(config, log, topics, self.root.path().join("state"), self.handles.clone()).await
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.root.path().join("logs").join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        let mut file = OpenOptions::new().create(true).append(true).open(path).expect("opened");
        file.write_all(text.as_bytes()).expect("written");
    }

    fn rename(&self, from: &str, to: &str) {
        let logs = self.root.path().join("logs");
        fs::rename(logs.join(from), logs.join(to)).expect("renamed");
    }

    async fn wait_for(&self, what: &str, condition: impl Fn() -> bool) {
        let waited = tokio::time::timeout(PATIENCE, async {
            while !condition() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        assert!(waited.await.is_ok(), "{what}: {:?}", self.log.lines());
    }

    async fn wait_for_lines(&self, expected: &[&str]) {
        self.wait_for("lines", || self.log.lines() == expected).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_lines_new_files_and_rotations_are_heard_of_at_once() {
    let place = Place::new();
    place.write("a.log", "one\n");
    let agent = place.start().await.expect("starts");
    place.wait_for_lines(&["one"]).await;
    place.write("a.log", "two\n");
    place.wait_for_lines(&["one", "two"]).await;
    place.write("b.log", "three\n");
    place.wait_for_lines(&["one", "two", "three"]).await;
    place.rename("a.log", "a.log.1");
    place.write("a.log.1", "four\n");
    place.wait_for_lines(&["one", "two", "three", "four"]).await;
    place.write("a.log", "five\n");
    place.wait_for_lines(&["one", "two", "three", "four", "five"]).await;
    assert_eq!(agent.health().check(), Ok(()));
    agent.stop(PATIENCE).await.expect("stops");
    let counted = place.handles.metrics.encode();
    for expected in ["weir_agent_lines_total 5", "weir_agent_bytes_total 24", "weir_agent_rotations_total 1"]
    {
        assert!(counted.contains(expected), "{expected} in {counted}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_stop_nothing_is_sent_twice_and_what_came_meanwhile_is_sent() {
    let place = Place::new();
    place.write("a.log", "one\n");
    let agent = place.start().await.expect("starts");
    place.wait_for_lines(&["one"]).await;
    agent.stop(PATIENCE).await.expect("stops");
    assert_eq!(place.log.goodbyes(), 0);
    place.write("a.log", "two\n");
    place.rename("a.log", "a.log.1");
    place.write("a.log", "three\n");
    let agent = place.start().await.expect("starts again");
    place.wait_for("lines", || place.log.lines().len() >= 3).await;
    agent.retire(PATIENCE).await.expect("stops");
    let mut lines = place.log.lines();
    lines[1..].sort_unstable();
    assert_eq!(lines, ["one", "three", "two"]);
    assert_eq!(place.log.goodbyes(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_log_is_told_and_waited_for() {
    let place = Place::new();
    place.log.full.store(true, Ordering::SeqCst);
    place.write("a.log", "one\ntwo\n");
    let agent = place.start().await.expect("starts");
    place.wait_for("trouble", || agent.health().check().is_err()).await;
    let text = agent.health().check().expect_err("in trouble");
    assert!(text.contains("disk is full"), "{text}");
    place.log.full.store(false, Ordering::SeqCst);
    place.wait_for_lines(&["one", "two"]).await;
    place.wait_for("recovery", || agent.health().check().is_ok()).await;
    agent.stop(PATIENCE).await.expect("stops");
    assert_eq!(place.log.lines(), ["one", "two"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_the_log_holds_up_says_so_and_loses_nothing() {
    let place = Place::new();
    place.log.full.store(true, Ordering::SeqCst);
    place.write("a.log", "one\n");
    let agent = place.start().await.expect("starts");
    place.wait_for("an append", || place.log.appends.load(Ordering::SeqCst) > 1).await;
    let stopped = agent.stop(Duration::from_millis(50)).await;
    assert!(matches!(stopped, Err(StopError::Deadline)), "{stopped:?}");
    place.log.full.store(false, Ordering::SeqCst);
    // The reading thread lets go of the state soon after.
    let agent = loop {
        match place.start().await {
            Ok(agent) => break agent,
            Err(StartError::InUse { .. }) => tokio::time::sleep(Duration::from_millis(2)).await,
            Err(other) => panic!("{other}"),
        }
    };
    place.wait_for_lines(&["one"]).await;
    agent.stop(PATIENCE).await.expect("stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shutdown_of_the_process_drains_the_agent() {
    let place = Place::new();
    let agent = place.start().await.expect("starts");
    place.write("a.log", "one\n");
    place.wait_for_lines(&["one"]).await;
    place.handles.shutdown.begin();
    agent.stop(PATIENCE).await.expect("has ended by itself");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_over_the_logs_limit_waits_until_it_is_raised() {
    let place = Place::new();
    place.log.is_small.store(true, Ordering::SeqCst);
    place.write("a.log", "one\n");
    let agent = place.start().await.expect("starts");
    let is_said = || agent.health().check().is_err_and(|text| text.contains("max.message.bytes"));
    place.wait_for("the advice", is_said).await;
    assert!(!place.handles.shutdown.has_begun(), "the next process would meet the same batch");
    place.log.is_small.store(false, Ordering::SeqCst);
    place.wait_for_lines(&["one"]).await;
    agent.stop(PATIENCE).await.expect("stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_must_be_opened_anew_ends_the_process() {
    let place = Place::new();
    place.log.refuses.store(true, Ordering::SeqCst);
    place.write("a.log", "one\n");
    let agent = place.start().await.expect("starts");
    place.wait_for("the shutdown", || place.handles.shutdown.has_begun()).await;
    let text = agent.health().check().expect_err("failed");
    assert!(text.contains("until it is opened anew"), "{text}");
    assert!(matches!(agent.stop(PATIENCE).await, Err(StopError::Failed(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_keeps_an_agent_from_starting_is_named() {
    let place = Place::new();
    let agent = place.start().await.expect("starts");
    let error = place.start().await.expect_err("in use");
    assert!(matches!(error, StartError::InUse { .. }), "{error}");
    agent.stop(PATIENCE).await.expect("stops");

    let config = Config { tail: vec!["/var/log/[a.log".to_owned()], ..place.config() };
    let error = place.start_as(config).await.expect_err("no glob");
    assert!(error.to_string().contains("/var/log/[a.log"), "{error}");

    let checkpoint = place.root.path().join("state/checkpoint");
    fs::write(&checkpoint, "nonsense\n").expect("written");
    let error = place.start().await.expect_err("damaged");
    assert!(matches!(error, StartError::Damaged { .. }), "{error}");
}

/// A process's routes: the agent's, and what it says of itself.
fn process(agent: &Agent, place: &Place) -> Router {
    let health = agent.health();
    let checks = vec![Check::new("agent", move || health.check())];
    admin::router(checks, place.handles.metrics.clone()).merge(agent.router())
}

async fn get(router: &Router, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let response = router.clone().oneshot(request).await.expect("answered");
    let status = response.status();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

async fn status_of(router: &Router) -> Value {
    let (status, body) = get(router, "/api/v1/agent/status").await;
    assert_eq!(status, StatusCode::OK, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_never_answers_is_no_reason_to_be_killed_but_one_not_to_be_ready() {
    let place = Place::new();
    place.log.silent.send_replace(true);
    place.write("a.log", "one\ntwo\n");
    let agent = place.start().await.expect("starts");
    let router = process(&agent, &place);
    place.wait_for("trouble", || agent.health().check().is_err()).await;
    assert_eq!(get(&router, "/healthz").await.0, StatusCode::OK);
    let (status, body) = get(&router, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("the event log does not answer"), "{body}");
    let answer = get(&router, "/metrics").await;
    assert_eq!(answer.0, StatusCode::OK);
    let said = status_of(&router).await;
    let file = &said["files"][0];
    assert_eq!((&file["lines"], &file["lag_bytes"]), (&Value::from(2), &Value::from(8)), "{said}");
    assert!(said["log"].as_str().is_some_and(|text| text.contains("does not answer")), "{said}");

    place.log.silent.send_replace(false);
    place.wait_for_lines(&["one", "two"]).await;
    place.wait_for("recovery", || agent.health().check().is_ok()).await;
    assert_eq!(get(&router, "/readyz").await.0, StatusCode::OK);
    agent.stop(PATIENCE).await.expect("stops");
    let (status, body) = get(&router, "/api/v1/agent/status").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_says_how_each_file_stands() {
    let place = Place::new();
    place.write("shop_cart-7d9_1a2b/cart/0.log", "2033-05-18T03:33:20Z stdout F one\n");
    place.write("a.log", &"0123456789\n".repeat(100));
    let pods = format!("{}/logs/*/*/*.log", place.root.path().display());
    let limits = r#"{"pod": {"lines_per_second": 1, "burst": "10s"}}"#;
    let limits = serde_json::from_str(limits).expect("limits");
    let mut config = Config { limits, ..place.config() };
    config.tail.push(pods);
    let agent = place.start_as(config).await.expect("starts");
    let router = agent.router();
    place.wait_for("lines", || place.log.lines().len() == 11).await;
    let mut said = status_of(&router).await;
    while said["files"].as_array().expect("files").iter().any(|file| file["lag_bytes"] != 0) {
        said = status_of(&router).await;
    }
    let files = said["files"].as_array().expect("files");
    let file = |part: &str| {
        let has = |file: &&Value| file["path"].as_str().is_some_and(|path| path.ends_with(part));
        files.iter().find(has).unwrap_or_else(|| panic!("{part} in {said}"))
    };
    let plain = file("a.log");
    assert_eq!((&plain["service"], &plain["pod"]), (&Value::from("a"), &Value::Null));
    assert_eq!((&plain["lines"], &plain["drops"]["rate_limited"]), (&Value::from(10), &Value::from(90)));
    assert_eq!(
        (&plain["size"], &plain["read"], &plain["acknowledged"]),
        (&1100.into(), &1100.into(), &1100.into())
    );
    let pod = file("0.log");
    assert_eq!(
        (&pod["namespace"], &pod["pod"], &pod["container"]),
        (&"shop".into(), &"cart-7d9".into(), &"cart".into())
    );
    assert_eq!((&pod["format"], &pod["streams"][0]), (&"cri".into(), &"stdout".into()));
    assert_eq!((&said["reading"]["paused"], &said["reading"]["why"]), (&Value::from(false), &Value::Null));
    assert_eq!(said["receive"]["spans"]["spool_bytes"], 0);
    agent.stop(PATIENCE).await.expect("stops");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tap_shows_lines_as_they_come_and_ends_with_the_agent() {
    let place = Place::new();
    let agent = place.start().await.expect("starts");
    let router = agent.router();
    for (query, part) in [
        ("stage=raw", "stage"),
        ("pod=[", "no glob"),
        ("sample=0", "1 or more"),
        ("for=ever", "for"),
        ("colour=red", "colour"),
    ] {
        let (status, body) = get(&router, &format!("/api/v1/agent/tap?{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        assert!(body.contains(part), "{query}: {body}");
    }
    let (status, body) = get(&router, "/api/v1/agent/tap?for=1ms").await;
    assert_eq!((status, body.as_str()), (StatusCode::OK, ""), "it ends by itself");

    let request = Request::get("/api/v1/agent/tap?service=a*&contains=tw&for=1h").body(Body::empty());
    let response = router.clone().oneshot(request.expect("a request")).await.expect("answered");
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let mut body = response.into_body();
    place.write("a.log", "one\ntwo\n");
    place.write("b.log", "two\n");
    let frame = tokio::time::timeout(PATIENCE, body.frame()).await.expect("in time");
    let line = frame.expect("a frame").expect("whole").into_data().expect("data");
    let line: Value = serde_json::from_slice(&line).expect("JSON");
    assert_eq!(
        (&line["text"], &line["service"], &line["stage"]),
        (&"two".into(), &"a".into(), &"batched".into())
    );
    agent.stop(PATIENCE).await.expect("stops");
    assert!(body.frame().await.is_none(), "nothing more comes");
    assert_eq!(get(&router, "/api/v1/agent/tap").await.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[test]
fn unknown_settings_are_refused() {
    assert!(serde_json::from_str::<Config>(r#"{"tail":["/var/log"],"line_timeout":"2s"}"#).is_ok());
    assert!(serde_json::from_str::<Config>(r#"{"tials":[]}"#).is_err());
    assert!(serde_json::from_str::<Config>(r#"{"tenant":"A/B"}"#).is_err());
    assert!(Path::new(&Config::default().tail.join("/")).as_os_str().is_empty(), "nothing is read unasked");
}

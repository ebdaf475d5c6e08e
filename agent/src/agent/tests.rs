//! The whole agent on real files, with an event log in memory.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use async_trait::async_trait;
use weir_proto::wire::batch::LineBatch;
use weir_runtime::HumanDuration;
use weir_stream::{AppendError, Offset, Record, Topic};

use super::*;

/// More than any of these takes; a wait ends as soon as its condition holds.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct MemoryLog {
    records: Mutex<Vec<Record>>,
    full: AtomicBool,
    refuses: AtomicBool,
    appends: AtomicU32,
}

#[async_trait]
impl Append for MemoryLog {
    async fn append(&self, _: &Partition, records: Vec<Record>) -> Result<Offset, AppendError> {
        self.appends.fetch_add(1, Ordering::SeqCst);
        if self.refuses.load(Ordering::SeqCst) {
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
async fn a_log_that_refuses_for_good_ends_the_process() {
    let place = Place::new();
    place.log.refuses.store(true, Ordering::SeqCst);
    place.write("a.log", "one\n");
    let agent = place.start().await.expect("starts");
    place.wait_for("the shutdown", || place.handles.shutdown.has_begun()).await;
    let text = agent.health().check().expect_err("failed");
    assert!(text.contains("refuses a batch for good"), "{text}");
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

#[test]
fn unknown_settings_are_refused() {
    assert!(serde_json::from_str::<Config>(r#"{"tail":["/var/log"],"line_timeout":"2s"}"#).is_ok());
    assert!(serde_json::from_str::<Config>(r#"{"tials":[]}"#).is_err());
    assert!(serde_json::from_str::<Config>(r#"{"tenant":"A/B"}"#).is_err());
    assert!(Path::new(&Config::default().tail.join("/")).as_os_str().is_empty(), "nothing is read unasked");
}

//! From bytes to an agent that answers as it likes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use bytes::Bytes;
use weir_proto::wire::batch::LineBatch;
use weir_runtime::Handles;
use weir_runtime::server::{Listener, Server};

use super::*;
use crate::http::Client;

/// Answers each request with the next of the given ones, then with success.
struct Agent {
    url: String,
    taken: Arc<Mutex<Vec<String>>>,
    asked: Arc<AtomicUsize>,
    port: Handles,
}

impl Agent {
    async fn start(answers: Vec<(StatusCode, &'static str)>) -> Self {
        let listener = Listener::tcp("127.0.0.1:0").await.unwrap();
        let (taken, asked) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicUsize>::default());
        let url = format!("http://{}", listener.local_addr());
        let (into, count) = (taken.clone(), asked.clone());
        let take = move |headers: HeaderMap, body: Bytes| async move {
            let n = count.fetch_add(1, Ordering::SeqCst);
            if let Some((status, text)) = answers.get(n) {
                let after = [("retry-after", "0")];
                return (*status, after, format!(r#"{{"code":1,"message":"{text}"}}"#)).into_response();
            }
            let pairs: Vec<_> = headers
                .iter()
                .map(|(name, value)| (name.to_string(), Bytes::copy_from_slice(value.as_bytes())))
                .collect();
            let batch = LineBatch::decode(&pairs, &body).unwrap();
            let texts = batch.lines().map(|line| String::from_utf8_lossy(line.text).into_owned());
            into.lock().unwrap().extend(texts);
            "{}".into_response()
        };
        let port = Handles::new("test");
        Server::start(listener, Router::new().route("/api/v1/lines", axum::routing::post(take)), &port);
        Self { url, taken, asked, port }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.port.shutdown.begin();
    }
}

struct Way {
    outbox: Arc<Outbox>,
    stream: Arc<Stream>,
}

impl Way {
    fn new(bytes_max: usize, full: Full) -> Self {
        let outbox = Arc::new(Outbox::new(bytes_max));
        let known = resource("make", &["a=b".to_owned()]).unwrap();
        Self { stream: Arc::new(Stream::new(known, &outbox, full)), outbox }
    }

    fn end(&self) {
        self.stream.finish();
        self.outbox.close();
    }

    async fn deliver(&self, url: &str, wait: Duration) -> Result<(), String> {
        let sender = Sender::new("test", false, Target::new(Some(url)).unwrap(), &self.outbox);
        deliver(&[Arc::clone(&self.stream)], sender, wait).await
    }
}

const WAIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn what_is_not_taken_is_sent_again_until_it_is() {
    let busy = (StatusCode::SERVICE_UNAVAILABLE, "busy");
    let agent = Agent::start(vec![busy, (StatusCode::TOO_MANY_REQUESTS, "slow"), busy]).await;
    let way = Way::new(1 << 20, Full::HoldBack);
    way.stream.push(b"one\ntwo\nthr");
    way.end();
    way.deliver(&agent.url, WAIT).await.unwrap();
    assert_eq!(*agent.taken.lock().unwrap(), ["one", "two", "thr"]);
    assert_eq!(agent.asked.load(Ordering::SeqCst), 4);
    assert_eq!(way.outbox.account(), outbox::Account { taken: 3, dropped: 0, unsent: 0 });
    assert!(!way.stream.push(b"late\n"), "it has ended");
}

#[tokio::test]
async fn what_is_refused_is_told_and_not_sent_again() {
    let agent = Agent::start(vec![(StatusCode::PAYLOAD_TOO_LARGE, "too many attributes")]).await;
    let way = Way::new(1 << 20, Full::HoldBack);
    way.stream.push(b"one\ntwo\n");
    way.end();
    let why = way.deliver(&agent.url, WAIT).await.unwrap_err();
    assert!(why.contains("refuses: too many attributes (413)"), "{why}");
    assert_eq!(way.outbox.account().lost(), 2);

    let way = Way::new(1 << 20, Full::HoldBack);
    way.stream.push(b"one\n");
    way.end();
    let other = Agent::start(vec![(StatusCode::NOT_FOUND, "")]).await;
    let why = way.deliver(&other.url, WAIT).await.unwrap_err();
    assert!(why.contains("is no agent") && why.contains("--url"), "{why}");
}

#[tokio::test]
async fn who_never_answers_is_waited_for_only_so_long() {
    let way = Way::new(1 << 20, Full::HoldBack);
    way.stream.push(b"one\n");
    way.end();
    let why = way.deliver("http://127.0.0.1:1", Duration::from_millis(300)).await.unwrap_err();
    assert!(why.contains("cannot reach Weir at 127.0.0.1:1"), "{why}");
    assert_eq!(way.outbox.account().lost(), 1);

    let way = Way::new(1 << 20, Full::HoldBack);
    way.stream.push(b"one\n");
    way.end();
    way.outbox.hurry();
    assert!(way.deliver("http://127.0.0.1:1", WAIT).await.is_err(), "a second signal ends the wait");
}

#[tokio::test]
async fn without_room_run_drops_and_counts_and_ship_holds_back() {
    let way = Way::new(1, Full::Drop);
    let text = |n: usize| format!("{n} {}\n", "x".repeat(1000));
    for n in 0..2_000 {
        assert!(way.stream.push(text(n).as_bytes()));
    }
    way.end();
    let before = way.outbox.account();
    assert!(before.dropped > 0 && before.unsent > 0, "{before:?}");
    assert_eq!(before.dropped + before.unsent, 2_000);
    let agent = Agent::start(Vec::new()).await;
    way.deliver(&agent.url, WAIT).await.unwrap();
    let after = way.outbox.account();
    assert_eq!((after.taken, after.dropped, after.unsent), (before.unsent, before.dropped, 0));

    let way = Arc::new(Way::new(1, Full::HoldBack));
    let pushing = way.clone();
    let pushed = std::thread::spawn(move || {
        for n in 0..2_000 {
            pushing.stream.push(text(n).as_bytes());
        }
        pushing.end();
    });
    way.deliver(&agent.url, WAIT).await.unwrap();
    pushed.join().unwrap();
    assert_eq!(way.outbox.account(), outbox::Account { taken: 2_000, dropped: 0, unsent: 0 });
}

#[tokio::test]
async fn lines_are_sent_while_the_input_goes_on() {
    let agent = Agent::start(Vec::new()).await;
    let way = Way::new(1 << 20, Full::HoldBack);
    way.stream.push(b"one\n");
    let seen = async {
        while agent.taken.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        way.end();
    };
    let (sent, ()) = tokio::join!(way.deliver(&agent.url, WAIT), seen);
    sent.unwrap();
}

#[test]
fn attributes_are_key_and_value() {
    let known = resource("make", &["host.name=h".to_owned(), "a=b=c".to_owned()]).unwrap();
    let value =
        |key: &str| known.iter().filter(|(name, _)| name == key).map(|(_, v)| v.as_str()).collect::<Vec<_>>();
    assert_eq!(
        (value("host.name"), value("a"), value("service.name")),
        (vec!["h"], vec!["b=c"], vec!["make"])
    );
    let why = resource("make", &["=x".to_owned()]).unwrap_err().to_string();
    assert!(why.contains("KEY=VALUE"), "{why}");
    assert!(Client::new("ftp://x").is_err());
}

/// The thread that copies never waits for the agent, and what it copies is what
/// it read.
#[test]
fn a_copy_is_exact_while_nobody_takes_anything() {
    use std::io::Read as _;
    let way = Way::new(1, Full::Drop);
    let text: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let (mut shown, to) = std::io::pipe().unwrap();
    let tee = Tee::start(std::io::Cursor::new(text.clone()), &to, &way.stream).unwrap();
    drop(to);
    let mut seen = Vec::new();
    shown.read_to_end(&mut seen).unwrap();
    assert!(seen == text);
    while !tee.is_over(WAIT) {
        std::thread::yield_now();
    }
    way.end();
    assert!(way.outbox.account().lost() > 0);
}

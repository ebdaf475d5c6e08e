//! A source that answers from a script, and a book on a directory of its own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use weir_runtime::{Clock, Metrics};

use crate::book::Book;
use crate::config::Route;
use crate::error::SourceError;
use crate::metric::AlertingMetrics;
use crate::outgoing::{Channel, Status, Webhook};
use crate::route::Router;
use crate::rule::RuleSet;
use crate::source::{Answer, Source};
use crate::store::Store;

/// Answers in turn, and keeps what it was asked; the last answer is repeated.
#[derive(Debug, Default)]
pub(super) struct Script {
    answers: Mutex<VecDeque<Result<Answer, String>>>,
    pub(super) asked: Mutex<Vec<String>>,
}

impl Script {
    pub(super) fn new(answers: Vec<Result<Answer, String>>) -> Arc<Self> {
        Arc::new(Self { answers: Mutex::new(answers.into()), asked: Mutex::default() })
    }

    pub(super) fn then(&self, answer: Answer) {
        self.answers.lock().unwrap().push_back(Ok(answer));
    }
}

#[async_trait]
impl Source for Script {
    async fn ask(&self, statement: &str) -> Result<Answer, SourceError> {
        self.asked.lock().unwrap().push(statement.to_owned());
        let mut answers = self.answers.lock().unwrap();
        let next = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        match next.expect("an answer") {
            Ok(answer) => Ok(answer),
            Err(reason) => Err(SourceError::Away { url: "http://test".to_owned(), reason }),
        }
    }
}

pub(super) const CHANNEL: &str = "ops/webhook/0";

pub(super) async fn book(dir: &std::path::Path, clock: &Clock, rules: &RuleSet) -> Arc<Book> {
    let channel = Channel {
        name: CHANNEL.to_owned(),
        receiver: "ops".to_owned(),
        integration: "webhook",
        send_resolved: true,
    };
    let route = Route { receiver: "ops".to_owned(), ..Route::default() };
    let book = Book::new(
        Store::open(&dir.join("alerting.db")).await.expect("opened"),
        clock.clone(),
        AlertingMetrics::register(&Metrics::new()),
        Duration::from_secs(4 * 3600),
        "http://weir.example".to_owned(),
        Router::new(&route).expect("routes"),
        vec![channel],
    );
    book.open(rules.rules()).await.expect("opened");
    book
}

/// Takes the messages that wait; each is `status: labels`.
pub(super) async fn told(book: &Book) -> Vec<String> {
    let mut told = Vec::new();
    while let Some(waiting) = book.store.waiting(CHANNEL).await.expect("read") {
        told.push(describe(&waiting.body));
        book.store.delivered(&waiting.id, 0).await.expect("stored");
    }
    told
}

fn describe(body: &Webhook) -> String {
    let alerts = body.alerts.iter().map(|alert| {
        let status = if alert.status == Status::Firing { "fires" } else { "over" };
        let service = alert.labels.get("service_name").map_or("", String::as_str);
        let mark = if alert.weir.incomplete { " incomplete" } else { "" };
        format!("{service} {status}{mark}").trim().to_owned()
    });
    alerts.collect::<Vec<_>>().join(", ")
}

/// Waits until it is so; a script that never gets there fails the test.
pub(super) async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..2_000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never became so");
}

//! How the reading thread is woken, and by what.

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::reader::{Change, Heard};
use crate::status::ReaderStatus;

/// Wakes the reading thread. Every word but the last is said again at the next
/// wake-up; nothing queues up: what changed is a set, the rest are counts.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    news: Mutex<News>,
    rung: Condvar,
}

/// What was said since the thread last woke.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// What the kernel told.
    pub(crate) heard: Heard,
    /// Batches that the event log made durable.
    pub(crate) acknowledged: usize,
    /// Who wants to know how things stand.
    pub(crate) asked: Vec<oneshot::Sender<ReaderStatus>>,
    /// What was configured anew.
    pub(crate) change: Option<Box<Change>>,
    /// How to end, once that was asked for.
    pub(crate) stop: Option<Stop>,
    rung: bool,
}

/// How the agent ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stop {
    /// Send what is framed and wait until it is durable.
    Drain,
    /// The same, and say that the lane retires.
    Goodbye,
    /// At once.
    Abandon,
}

impl Bell {
    /// A file changed.
    pub(crate) fn changed(&self, path: PathBuf) {
        self.ring(|news| {
            news.heard.changed.insert(path);
        });
    }

    /// A file came.
    pub(crate) fn appeared(&self, path: PathBuf) {
        self.ring(|news| {
            news.heard.appeared.insert(path);
            news.heard.rescan = true;
        });
    }

    /// Files came or went.
    pub(crate) fn rescan(&self) {
        self.ring(|news| news.heard.rescan = true);
    }

    /// More happened than the kernel could note.
    pub(crate) fn overflow(&self) {
        self.ring(|news| news.heard.overflow = true);
    }

    /// Batches became durable.
    pub(crate) fn acknowledged(&self, batches: usize) {
        self.ring(|news| news.acknowledged += batches);
    }

    /// What is told elsewhere shall be looked at.
    pub(crate) fn wake(&self) {
        self.ring(|_| {});
    }

    /// Asks how things stand. No answer comes once the thread has ended.
    pub(crate) fn ask(&self) -> oneshot::Receiver<ReaderStatus> {
        let (answer, answered) = oneshot::channel();
        self.ring(|news| {
            news.asked.retain(|asker| !asker.is_closed());
            news.asked.push(answer);
        });
        answered
    }

    /// The configuration changed. A newer one replaces one that nobody took.
    pub(crate) fn change(&self, change: Change) {
        self.ring(|news| news.change = Some(Box::new(change)));
    }

    /// The agent shall end. A harder word replaces a softer one.
    pub(crate) fn stop(&self, how: Stop) {
        self.ring(|news| news.stop = news.stop.max(Some(how)));
    }

    /// Waits for news, or until `wait` is over. A stop is told every time.
    pub(crate) fn wait(&self, wait: Duration) -> News {
        let quiet = |news: &mut News| !news.rung;
        let held = self.lock();
        let (mut held, _) =
            self.rung.wait_timeout_while(held, wait, quiet).unwrap_or_else(PoisonError::into_inner);
        let stop = held.stop;
        std::mem::replace(&mut *held, News { stop, ..News::default() })
    }

    fn ring(&self, say: impl FnOnce(&mut News)) {
        let mut news = self.lock();
        say(&mut news);
        news.rung = true;
        drop(news);
        self.rung.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Messages that the agent has not answered yet.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use weir_agent::PipeBatch;

/// A bounded queue from the threads that read to the task that sends.
///
/// It never waits by itself: whoever fills it asks for room first, so it is
/// over its bound by one message of each stream at most.
#[derive(Debug)]
pub(crate) struct Outbox {
    held: Mutex<Held>,
    room: Condvar,
    /// Told with every change.
    news: watch::Sender<()>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Held {
    batches: VecDeque<PipeBatch>,
    bytes: usize,
    /// Nothing more will be put in.
    is_closed: bool,
    /// Nobody shall be waited for any more.
    is_hurried: bool,
    /// Nothing more will be taken out.
    is_given_up: bool,
    account: Account,
}

/// What became of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    /// On the agent's disk.
    pub(crate) taken: u64,
    /// Dropped because the outbox was full. The agent was told of some of them,
    /// and keeps them as a gap.
    pub(crate) dropped: u64,
    /// Still here.
    pub(crate) unsent: u64,
}

impl Account {
    /// Lines that will never be rows.
    pub(crate) fn lost(self) -> u64 {
        self.dropped + self.unsent
    }
}

impl Outbox {
    /// An outbox for so many bytes of messages.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { held: Mutex::default(), room: Condvar::new(), news: watch::Sender::new(()), bytes_max }
    }

    /// True while more may be put in.
    pub(crate) fn has_room(&self) -> bool {
        self.fits(&self.lock())
    }

    /// Waits until there is room; in vain once it was given up.
    pub(crate) fn wait_for_room(&self) {
        let full = |held: &mut Held| !self.fits(held) && !held.is_given_up;
        drop(self.room.wait_while(self.lock(), full).unwrap_or_else(PoisonError::into_inner));
    }

    /// Adds messages.
    pub(crate) fn put(&self, batches: Vec<PipeBatch>) {
        if batches.is_empty() {
            return;
        }
        self.change(|held| {
            for batch in batches {
                held.account.unsent += batch.lines;
                held.account.dropped += batch.dropped;
                if !held.is_given_up {
                    held.bytes += batch.body.len();
                    held.batches.push_back(batch);
                }
            }
        });
    }

    /// The oldest message, which stays; none once all is done.
    pub(crate) async fn next(&self) -> Option<PipeBatch> {
        let mut news = self.news.subscribe();
        loop {
            {
                let held = self.lock();
                if let Some(batch) = held.batches.front() {
                    return Some(batch.clone());
                }
                if held.is_closed {
                    return None;
                }
            }
            // The sender of news lives as long as this.
            let _ = news.changed().await;
        }
    }

    /// The oldest message is the agent's.
    pub(crate) fn taken(&self) {
        self.change(|held| {
            if let Some(batch) = held.batches.pop_front() {
                held.bytes -= batch.body.len();
                held.account.unsent -= batch.lines;
                held.account.taken += batch.lines;
            }
        });
        self.room.notify_all();
    }

    /// Nothing more will be put in.
    pub(crate) fn close(&self) {
        self.change(|held| held.is_closed = true);
    }

    /// Somebody does not want to wait for what is left.
    pub(crate) fn hurry(&self) {
        self.change(|held| held.is_hurried = true);
    }

    /// Nothing more will be taken out: what is put in from now on is only
    /// counted.
    pub(crate) fn give_up(&self) {
        self.change(|held| {
            held.is_given_up = true;
            held.batches.clear();
            held.bytes = 0;
        });
        self.room.notify_all();
    }

    /// Waits until it is closed.
    pub(crate) async fn closed(&self) {
        self.until(|held| held.is_closed).await;
    }

    /// Waits until somebody does not want to wait.
    pub(crate) async fn hurried(&self) {
        self.until(|held| held.is_hurried).await;
    }

    /// What became of the lines so far.
    pub(crate) fn account(&self) -> Account {
        self.lock().account
    }

    async fn until(&self, condition: impl Fn(&Held) -> bool) {
        let mut news = self.news.subscribe();
        while !condition(&self.lock()) {
            let _ = news.changed().await;
        }
    }

    fn fits(&self, held: &Held) -> bool {
        !held.is_given_up && held.bytes < self.bytes_max
    }

    fn change(&self, change: impl FnOnce(&mut Held)) {
        change(&mut self.lock());
        self.news.send_replace(());
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

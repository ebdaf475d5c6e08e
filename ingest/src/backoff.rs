//! Waiting longer after each failure in a row.

use std::time::Duration;

/// Doubles from the first wait to the longest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        Self { first, next: first, longest }
    }

    /// Waits, longer than the last time.
    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(self.longest);
    }

    /// It worked: the next wait is the first again.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

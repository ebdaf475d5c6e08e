//! The way out of the outbox: one task for each channel, one message at a time,
//! tried until it is taken, refused, or a day old.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use weir_runtime::telemetry::error_chain;
use weir_runtime::{Handles, TaskError};

use crate::book::Book;
use crate::metric::AlertingMetrics;
use crate::notify::{Notify, NotifyError};
use crate::store::Waiting;
use crate::time::{between, micros};

/// Pauses between attempts: doubled each time, up to the longest.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// After this long a message is given up: nobody waits for yesterday's page.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// How often the outbox is looked at without being told, for a store that
/// failed just then.
const LOOK: Duration = Duration::from_secs(30);

/// Delivers the messages of one channel.
pub(crate) struct Deliverer {
    pub(crate) book: Arc<Book>,
    pub(crate) channel: String,
    pub(crate) notify: Arc<dyn Notify>,
    pub(crate) handles: Handles,
}

impl Deliverer {
    /// Delivers until told to end. A message under way is finished first.
    pub(crate) async fn run(self) -> Result<(), TaskError> {
        let shutdown = self.handles.shutdown.clone();
        let mut news = self.book.news();
        while !shutdown.has_begun() {
            let pause = match self.book.store.waiting(&self.channel).await {
                Ok(Some(waiting)) => {
                    let early = between(self.book.clock.now_micros(), waiting.next_micros);
                    if early.is_zero() {
                        self.deliver(&waiting).await;
                        continue;
                    }
                    early
                }
                Ok(None) => LOOK,
                Err(error) => {
                    tracing::error!(
                        channel = self.channel,
                        error = error_chain(&error),
                        "the outbox cannot be read"
                    );
                    PAUSE_MIN
                }
            };
            tokio::select! {
                () = shutdown.begun() => {}
                () = tokio::time::sleep(pause.min(LOOK)) => {}
                // The sender lives as long as the book.
                _ = news.changed() => {}
            }
        }
        Ok(())
    }

    async fn deliver(&self, waiting: &Waiting) {
        let (book, id, channel) = (&self.book, waiting.id.as_str(), self.channel.as_str());
        let sent = self.notify.send(id, &waiting.body).await;
        let now_micros = book.clock.now_micros();
        let labels = AlertingMetrics::channel(channel);
        let is_late = now_micros - waiting.created_micros >= micros(PATIENCE);
        let stored = match sent {
            Ok(()) => {
                book.metrics.delivered.get_or_create(&labels).inc();
                tracing::info!(channel, id, "told");
                book.store.delivered(id, now_micros).await
            }
            Err(NotifyError::Retry(error)) if !is_late => {
                book.metrics.retried.get_or_create(&labels).inc();
                let pause = pause(waiting.attempts);
                tracing::warn!(channel, id, error, ?pause, "not told, trying again");
                book.store.postponed(id, now_micros + micros(pause), &error).await
            }
            Err(NotifyError::Retry(error) | NotifyError::Refused(error)) => {
                book.metrics.dead.get_or_create(&labels).inc();
                tracing::error!(channel, id, error, "given up: nobody was told");
                book.store.given_up(id, &error).await
            }
        };
        if let Err(error) = stored {
            // It will be sent again, under the same id.
            tracing::error!(
                channel,
                id,
                error = error_chain(&error),
                "what became of a message is not stored"
            );
            tokio::time::sleep(PAUSE_MIN).await;
        }
    }
}

/// Half of it is by chance, so that many do not come back at once.
fn pause(attempts: u32) -> Duration {
    let full = PAUSE_MIN.saturating_mul(1 << attempts.min(16)).min(PAUSE_MAX);
    full / 2 + full.mul_f64(SmallRng::from_os_rng().random::<f64>() / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest() {
        for attempts in 0..100 {
            let full = PAUSE_MIN.saturating_mul(1 << attempts.min(16)).min(PAUSE_MAX);
            let pause = pause(attempts);
            assert!(pause >= full / 2 && pause <= full, "{attempts}: {pause:?}");
        }
    }
}

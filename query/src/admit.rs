//! Who may run now: a few at once, a few more wait, the rest is refused.
//!
//! Memory is shared by those that run, so their number is what keeps a share
//! useful. A queue without an end would only turn a refusal into a time-out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::QueryError;

/// The door to the engine.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    running: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    running_max: usize,
    waiting_max: usize,
}

/// The right to run; dropping it lets the next one in.
#[derive(Debug)]
pub(crate) struct Permit {
    _permit: OwnedSemaphorePermit,
}

impl Admission {
    pub(crate) fn new(running_max: usize, waiting_max: usize) -> Self {
        let running_max = running_max.max(1);
        Self {
            running: Arc::new(Semaphore::new(running_max)),
            waiting: Arc::default(),
            running_max,
            waiting_max,
        }
    }

    /// Waits for a turn, in order of arrival.
    pub(crate) async fn enter(&self, deadline: Instant, after: Duration) -> Result<Permit, QueryError> {
        if let Ok(permit) = self.running.clone().try_acquire_owned() {
            return Ok(Permit { _permit: permit });
        }
        let _place = self.queue()?;
        let turn = tokio::time::timeout_at(deadline, self.running.clone().acquire_owned());
        match turn.await {
            Ok(Ok(permit)) => Ok(Permit { _permit: permit }),
            Ok(Err(closed)) => Err(QueryError::internal(closed)),
            Err(_) => Err(QueryError::Deadline { after }),
        }
    }

    fn queue(&self) -> Result<Place, QueryError> {
        let place = Place(self.waiting.clone());
        let before = place.0.fetch_add(1, Ordering::SeqCst);
        if before >= self.waiting_max {
            return Err(QueryError::Busy { running: self.running_max, waiting: before });
        }
        Ok(place)
    }
}

/// A place in the queue, given back however the wait ends.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn one_runs_one_waits_the_third_is_refused() {
        let door = Admission::new(1, 1);
        let deadline = Instant::now() + HOUR;
        let first = door.enter(deadline, HOUR).await.expect("free");
        let mut second = Box::pin(door.enter(deadline, HOUR));
        assert!(futures::poll!(&mut second).is_pending());
        let refused = door.enter(deadline, HOUR).await.expect_err("full");
        assert!(matches!(refused, QueryError::Busy { running: 1, waiting: 1 }), "{refused}");
        drop(first);
        drop(second.await.expect("its turn"));
        door.enter(deadline, HOUR).await.expect("free again");
    }

    #[tokio::test]
    async fn waiting_ends_at_the_deadline_and_gives_the_place_back() {
        let door = Admission::new(1, 1);
        let held = door.enter(Instant::now() + HOUR, HOUR).await.expect("free");
        for _ in 0..3 {
            let error = door.enter(Instant::now(), HOUR).await.expect_err("late");
            assert!(matches!(error, QueryError::Deadline { .. }), "{error}");
        }
        drop(held);
    }
}

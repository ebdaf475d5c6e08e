//! The only spawner: named tasks with an owner.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio_util::task::TaskTracker;

use crate::Shutdown;
use crate::telemetry::error_chain;

/// Why a task ended before it was told to.
pub type TaskError = Box<dyn std::error::Error + Send + Sync>;

/// The tasks of one part of the process. A task that fails or panics begins
/// the part's shutdown, and its failure is kept for whoever waits.
#[derive(Clone, Debug)]
pub struct Tasks {
    owner: &'static str,
    shutdown: Shutdown,
    tracker: TaskTracker,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    running: BTreeMap<u64, (&'static str, AbortHandle)>,
    next: u64,
    first_failure: Option<String>,
}

impl Tasks {
    /// No tasks yet.
    pub fn new(owner: &'static str, shutdown: Shutdown) -> Self {
        Self { owner, shutdown, tracker: TaskTracker::new(), state: Arc::default() }
    }

    /// Runs a task until it ends, fails, or is aborted.
    pub fn spawn(
        &self,
        name: &'static str,
        task: impl Future<Output = Result<(), TaskError>> + Send + 'static,
    ) {
        let tasks = self.clone();
        let key = {
            let mut state = self.lock();
            state.next += 1;
            state.next
        };
        let handle = self.tracker.spawn(task);
        self.lock().running.insert(key, (name, handle.abort_handle()));
        self.tracker.spawn(async move {
            let failure = match handle.await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error_chain(error.as_ref())),
                Err(join) if join.is_cancelled() => None,
                Err(join) => Some(format!("panicked: {join}")),
            };
            tasks.ended(key, name, failure);
        });
    }

    fn ended(&self, key: u64, name: &'static str, failure: Option<String>) {
        let mut state = self.lock();
        state.running.remove(&key);
        let Some(failure) = failure else { return };
        tracing::error!(owner = self.owner, task = name, error = %failure, "task failed, shutting down");
        state.first_failure.get_or_insert_with(|| format!("{}/{name}: {failure}", self.owner));
        drop(state);
        self.shutdown.begin();
    }

    /// Waits until every task has ended. After the deadline the rest is
    /// aborted and named.
    pub async fn join(&self, deadline: Duration) -> Vec<&'static str> {
        self.tracker.close();
        if tokio::time::timeout(deadline, self.tracker.wait()).await.is_ok() {
            return Vec::new();
        }
        let pending: Vec<_> = self.lock().running.values().cloned().collect();
        for (_, handle) in &pending {
            handle.abort();
        }
        pending.into_iter().map(|(name, _)| name).collect()
    }

    /// The first failure, as text, if a task failed.
    pub fn failure(&self) -> Option<String> {
        self.lock().first_failure.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failure_begins_the_shutdown_and_is_kept() {
        let shutdown = Shutdown::new();
        let tasks = Tasks::new("part", shutdown.clone());
        let waiting = shutdown.clone();
        tasks.spawn("waits", async move {
            waiting.begun().await;
            Ok(())
        });
        tasks.spawn("fails", async { Err("no disk".into()) });
        assert_eq!(tasks.join(Duration::from_secs(5)).await, Vec::<&str>::new());
        assert_eq!(tasks.failure().as_deref(), Some("part/fails: no disk"));
    }

    #[tokio::test(start_paused = true)]
    async fn who_misses_the_deadline_is_named_and_aborted() {
        let tasks = Tasks::new("part", Shutdown::new());
        tasks.spawn("stuck", async {
            std::future::pending::<()>().await;
            Ok(())
        });
        assert_eq!(tasks.join(Duration::from_secs(1)).await, ["stuck"]);
    }

    #[tokio::test]
    async fn a_panic_is_a_failure() {
        let tasks = Tasks::new("part", Shutdown::new());
        tasks.spawn("bug", async { panic!("impossible") });
        tasks.join(Duration::from_secs(5)).await;
        assert!(tasks.failure().expect("kept").contains("part/bug: panicked"));
    }
}

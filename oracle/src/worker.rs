//! Threads that end when they are told to, or dropped.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// A thread of its own.
pub(crate) struct Worker {
    stop: Stop,
    thread: Option<JoinHandle<()>>,
}

/// Whether it is time to end. Cloning shares.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Worker {
    /// Starts a thread.
    ///
    /// # Panics
    /// When the system has none: nothing of a run would mean anything then.
    pub(crate) fn start(name: &str, work: impl FnOnce(&Stop) + Send + 'static) -> Self {
        let stop = Stop::default();
        let told = stop.clone();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || work(&told));
        Self { stop, thread: Some(thread.expect("the system has a thread")) }
    }

    /// Tells it to end and does not wait.
    pub(crate) fn tell(&self) {
        self.stop.set();
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// When it did: an oracle that lost a part of itself judges nothing.
    pub(crate) fn finish(mut self) {
        self.stop.set();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a part of the oracle ended badly");
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.set();
    }
}

impl Stop {
    /// Waits so long, or until it is time to end: then true, at once.
    pub(crate) fn wait(&self, at_most: Duration) -> bool {
        let (flag, changed) = &*self.0;
        let flag = flag.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(flag, at_most, |flag| !*flag);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn set(&self) {
        let (flag, changed) = &*self.0;
        *flag.lock().unwrap_or_else(PoisonError::into_inner) = true;
        changed.notify_all();
    }
}

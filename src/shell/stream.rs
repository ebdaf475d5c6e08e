//! One stream of bytes on its way into the outbox.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_agent::Pipe;
use weir_runtime::Clock;

use super::Outbox;

/// What happens while the outbox is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// Whoever brings bytes waits.
    HoldBack,
    /// Lines are counted and dropped.
    Drop,
}

/// A stream that one thread feeds, and another ticks.
#[derive(Debug)]
pub(crate) struct Stream {
    /// None once nothing more comes.
    pipe: Mutex<Option<Pipe>>,
    outbox: Arc<Outbox>,
    full: Full,
}

impl Stream {
    /// A stream of which these resource attributes hold.
    pub(crate) fn new(resource: Vec<(String, String)>, outbox: &Arc<Outbox>, full: Full) -> Self {
        let pipe = Mutex::new(Some(Pipe::new(resource, Clock::system())));
        Self { pipe, outbox: Arc::clone(outbox), full }
    }

    /// Takes what came. False: it has ended, and takes nothing.
    pub(crate) fn push(&self, bytes: &[u8]) -> bool {
        if self.full == Full::HoldBack {
            self.outbox.wait_for_room();
        }
        self.with(|pipe, keep| pipe.push(bytes, keep))
    }

    /// Sends on what does not grow any more.
    pub(crate) fn tick(&self) {
        self.with(Pipe::tick);
    }

    /// Nothing more comes.
    pub(crate) fn finish(&self) {
        self.with(Pipe::finish);
        *self.lock() = None;
    }

    fn with(&self, act: impl FnOnce(&mut Pipe, bool)) -> bool {
        let mut held = self.lock();
        let Some(pipe) = held.as_mut() else { return false };
        act(pipe, self.full == Full::HoldBack || self.outbox.has_room());
        // In the lock: messages of a stream are put in in their order.
        self.outbox.put(pipe.take());
        true
    }

    fn lock(&self) -> MutexGuard<'_, Option<Pipe>> {
        self.pipe.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Which spans there are of each trace, and which were answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::context::TraceId;

/// Counts of spans by trace. Cloning shares.
#[derive(Clone, Debug)]
pub(super) struct Ledger(Option<Arc<Mutex<BTreeMap<TraceId, Count>>>>);

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    begun: u64,
    answered: u64,
}

impl Ledger {
    /// One that remembers nothing costs nothing.
    pub(super) fn new(remembers: bool) -> Self {
        Self(remembers.then(Arc::default))
    }

    /// A span has begun.
    pub(super) fn begun(&self, trace: TraceId) {
        if let Some(mut counts) = self.counts() {
            counts.entry(trace).or_default().begun += 1;
        }
    }

    /// A span was taken by an agent.
    pub(super) fn answered(&self, trace: TraceId) {
        if let Some(mut counts) = self.counts() {
            counts.entry(trace).or_default().answered += 1;
        }
    }

    /// The spans of each trace, and how many traces were not sent whole.
    pub(super) fn close(&self) -> (BTreeMap<String, u64>, u64) {
        let Some(counts) = self.counts() else { return (BTreeMap::new(), 0) };
        let unsent = counts.values().filter(|count| count.begun != count.answered).count();
        let traces = counts.iter().map(|(trace, count)| (trace.to_string(), count.answered));
        (traces.collect(), unsent as u64)
    }

    fn counts(&self) -> Option<MutexGuard<'_, BTreeMap<TraceId, Count>>> {
        Some(self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

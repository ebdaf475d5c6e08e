//! What the API server knows, on its way to the files: a pod's file waits for
//! it, and hears when it changes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Reader;
use crate::checkpoint::FileKey;
use crate::kube::Pods;
use crate::tail::{MetadataState as Metadata, Moment, Tail};

/// Who is asked, and which files wait for the answer.
#[derive(Debug)]
pub(super) struct Asking {
    pods: Arc<Pods>,
    wait: Duration,
    /// The longer a file is known, the sooner its wait is over: their order is
    /// that of their keys.
    waiting: BTreeSet<FileKey>,
}

impl Reader {
    /// Asks about the pods whose files these are; first lines wait so long for
    /// an answer, those of known files from `now` on.
    pub(crate) fn knowing(mut self, pods: Arc<Pods>, wait: Duration, now: Duration) -> Self {
        let mut waiting = BTreeSet::new();
        for tail in self.files.iter_mut() {
            if tail.await_metadata(now + wait) {
                waiting.insert(tail.key);
            }
        }
        self.asking = Some(Asking { pods, wait, waiting });
        self
    }

    /// A file was found: if it is a pod's, it waits until that is known.
    pub(super) fn ask(&mut self, key: FileKey, now: Moment) {
        let Some((asking, tail)) = self.asking.as_mut().zip(self.files.get_mut(key)) else { return };
        if tail.await_metadata(now.steady + asking.wait) {
            asking.waiting.insert(key);
            self.look_up(key, now);
        }
    }

    /// Hands on what was told of pods since the last turn, and gives up what
    /// was waited for long enough.
    pub(super) fn hear_of_pods(&mut self, now: Moment) {
        let Some(asking) = &self.asking else { return };
        let changed = asking.pods.take_changed();
        let is_due = |key: &FileKey| match self.files.get(*key).map(Tail::metadata_state) {
            Some(Metadata::Waiting(until)) => until <= now.steady,
            _ => true,
        };
        let due: Vec<_> = asking.waiting.iter().copied().take_while(is_due).collect();
        if !changed.is_empty() {
            let concerned = |tail: &&Tail| tail.pod().is_some_and(|pod| changed.contains(&pod.uid));
            let keys: Vec<_> = self.files.iter().filter(concerned).map(|tail| tail.key).collect();
            for key in keys {
                self.look_up(key, now);
            }
        }
        for key in due {
            self.give_up(key);
        }
    }

    /// When the next file will have waited long enough.
    pub(super) fn wait_over(&self) -> Option<Duration> {
        let until = |key: &FileKey| match self.files.get(*key)?.metadata_state() {
            Metadata::Waiting(until) => Some(until),
            _ => None,
        };
        self.asking.as_ref()?.waiting.iter().find_map(until)
    }

    fn look_up(&mut self, key: FileKey, now: Moment) {
        let Some(asking) = &mut self.asking else { return };
        let place = self.files.get(key).and_then(|tail| tail.pod());
        let Some(applied) = place.and_then(|place| asking.pods.applied(place)) else { return };
        asking.waiting.remove(&key);
        self.lane.set_mark(self.marks.value());
        let Some((tail, mut bench)) = self.workplace(key) else { return };
        let was_waiting = tail.is_waiting();
        let is_noteworthy = tail.apply(applied, &mut bench, now);
        self.framed(key);
        if is_noteworthy {
            self.dirty.insert(key);
        }
        if was_waiting || is_noteworthy {
            self.queue(key);
        }
    }

    fn give_up(&mut self, key: FileKey) {
        let Some(asking) = &mut self.asking else { return };
        asking.waiting.remove(&key);
        let Some(tail) = self.files.get_mut(key).filter(|tail| tail.is_waiting()) else { return };
        tail.give_up_metadata();
        if tail.is_open() {
            self.measured.metadata_missed.inc();
            tracing::debug!(path = %tail.last_path.display(), "its pod is not known in time, reading it without");
        }
        self.queue(key);
    }
}

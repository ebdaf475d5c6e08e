//! Files read to their end that hold something unfinished, by when it will
//! have waited long enough.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::checkpoint::FileKey;

/// The unfinished files.
#[derive(Debug, Default)]
pub(super) struct Unfinished {
    by_due: BTreeSet<(Duration, FileKey)>,
    dues: HashMap<FileKey, Duration>,
}

impl Unfinished {
    /// A file is due then, and no longer when it was before.
    pub(super) fn insert(&mut self, key: FileKey, due: Duration) {
        if let Some(before) = self.dues.insert(key, due) {
            self.by_due.remove(&(before, key));
        }
        self.by_due.insert((due, key));
    }

    /// A file is not unfinished.
    pub(super) fn remove(&mut self, key: FileKey) {
        if let Some(due) = self.dues.remove(&key) {
            self.by_due.remove(&(due, key));
        }
    }

    /// When the first is due.
    pub(super) fn next(&self) -> Option<Duration> {
        self.by_due.first().map(|(due, _)| *due)
    }

    /// Those that are due at `now`.
    pub(super) fn due(&self, now: Duration) -> Vec<FileKey> {
        self.by_due.iter().take_while(|(due, _)| *due <= now).map(|(_, key)| *key).collect()
    }

    /// All of them, which are forgotten.
    pub(super) fn take(&mut self) -> Vec<FileKey> {
        self.dues.clear();
        std::mem::take(&mut self.by_due).into_iter().map(|(_, key)| key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_due_at_the_last_time_that_was_said() {
        let mut unfinished = Unfinished::default();
        let at = Duration::from_millis;
        unfinished.insert(FileKey(1), at(10));
        unfinished.insert(FileKey(2), at(20));
        unfinished.insert(FileKey(1), at(30));
        assert_eq!(unfinished.next(), Some(at(20)));
        assert_eq!(unfinished.due(at(20)), [FileKey(2)]);
        assert_eq!(unfinished.due(at(30)), [FileKey(2), FileKey(1)]);
        unfinished.remove(FileKey(2));
        assert_eq!((unfinished.next(), unfinished.take().len()), (Some(at(30)), 1));
        assert_eq!(unfinished.next(), None);
    }
}

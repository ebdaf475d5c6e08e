//! Which file is read next.
//!
//! A file that may be gone soon is read before others: first of all what was
//! renamed or deleted, one after the other; then rotated generations, the
//! oldest first, and files that are about to be rotated; then all others, a
//! block each in turn. So that these do not stand still for ever, they have
//! each eighth block.

use std::collections::VecDeque;

use crate::checkpoint::FileKey;

/// How soon a file must be read. The first is the most urgent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// It was renamed or deleted: only its descriptor holds it.
    Leaving,
    /// It is a rotated generation, or will be one soon.
    Pressed,
    /// It stays where it is.
    Calm,
}

/// One block in so many is of a calm file, whatever else waits.
const CALM_SHARE: u32 = 8;

/// Files that may have something to read. A file that became more urgent
/// stands in it twice: the file itself says which place holds.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lanes: [VecDeque<FileKey>; 3],
    taken: u32,
}

impl Queue {
    /// After all others of its urgency.
    pub(super) fn push_back(&mut self, key: FileKey, urgency: Urgency) {
        self.lanes[urgency as usize].push_back(key);
    }

    /// Before them.
    pub(super) fn push_front(&mut self, key: FileKey, urgency: Urgency) {
        self.lanes[urgency as usize].push_front(key);
    }

    /// The next one, and the place that it had.
    pub(super) fn pop(&mut self) -> Option<(FileKey, Urgency)> {
        use Urgency::{Calm, Leaving, Pressed};
        self.taken = self.taken.wrapping_add(1);
        let order = if self.taken.is_multiple_of(CALM_SHARE) {
            [Calm, Leaving, Pressed]
        } else {
            [Leaving, Pressed, Calm]
        };
        order.into_iter().find_map(|urgency| Some((self.lanes[urgency as usize].pop_front()?, urgency)))
    }

    /// The calm ones, the last first.
    pub(super) fn last_first(&self) -> impl Iterator<Item = FileKey> {
        self.lanes[Urgency::Calm as usize].iter().rev().copied()
    }

    /// True when there is nothing to read.
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.iter().all(VecDeque::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_urgent_come_first_and_the_others_have_their_share() {
        let mut queue = Queue::default();
        for key in 0..20 {
            queue.push_back(FileKey(key), Urgency::Calm);
            queue.push_back(FileKey(100 + key), Urgency::Pressed);
            queue.push_back(FileKey(200 + key), Urgency::Leaving);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(key, _)| key.0).collect();
        assert_eq!(order.len(), 60);
        let leaving: Vec<_> = order.iter().copied().filter(|key| *key >= 200).collect();
        assert_eq!(leaving, (200..220).collect::<Vec<_>>(), "in their order");
        assert_eq!(order[..8], [200, 201, 202, 203, 204, 205, 206, 0]);
        assert!(order.iter().position(|key| *key == 100) > order.iter().position(|key| *key == 219));
        assert!(queue.is_empty());
    }
}

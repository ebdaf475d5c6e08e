//! What of a file is passed over, unread, because nobody wants it.

use serde::{Deserialize, Serialize};

/// Ranges of a file, in order. Each begins where a line begins, so a replay
/// that comes to it has read all that was read before, and passes over the
/// same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Passed(Vec<(u64, u64)>);

impl Passed {
    /// True when there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The end of the last.
    pub(crate) fn last_end(&self) -> u64 {
        self.0.last().map_or(0, |(_, end)| *end)
    }

    /// Where one begins that lies ahead.
    pub(crate) fn ahead(&self, position: u64) -> Option<u64> {
        self.0.iter().map(|(start, _)| *start).find(|start| *start > position)
    }

    /// The end of the one that begins at `position`, if one does.
    pub(super) fn end_of(&self, position: u64) -> Option<u64> {
        self.0.iter().find(|(start, end)| *start == position && *end > position).map(|(_, end)| *end)
    }

    /// From `start` to `end` is passed over. If a replay has yet to come to the
    /// last one, that one goes on to `end`.
    pub(super) fn add(&mut self, start: u64, end: u64) {
        match self.0.last_mut() {
            Some(last) if last.1 >= start => last.1 = last.1.max(end),
            _ => self.0.push((start, end)),
        }
    }

    /// Those that a replay from `resume` would need; all of them, where nothing
    /// was read.
    pub(super) fn needed(&mut self, resume: Option<u64>) -> Self {
        if let Some(resume) = resume {
            self.0.retain(|(_, end)| *end > resume);
        }
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_passes_over_the_same() {
        let mut passed = Passed::default();
        passed.add(10, 10);
        assert_eq!((passed.ahead(5), passed.end_of(10)), (Some(10), None), "nothing yet");
        passed.add(10, 30);
        passed.add(30, 50);
        assert_eq!((passed.ahead(5), passed.end_of(10), passed.ahead(10)), (Some(10), Some(50), None));
        passed.add(70, 80);
        assert_eq!((passed.ahead(50), passed.end_of(70), passed.last_end()), (Some(70), Some(80), 80));
        // A replay from 60 hears that more is not wanted.
        passed.add(60, 90);
        assert_eq!(passed.end_of(70), Some(90));
        assert_eq!(passed.needed(None).0.len(), 2, "nobody has read anything");
        assert_eq!(passed.needed(Some(50)).0, [(70, 90)]);
        assert!(passed.needed(Some(90)).is_empty());
    }
}

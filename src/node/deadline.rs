//! How long stopping may take, as a whole.

use std::time::{Duration, Instant};

/// The whole stop. What supervises Weir waits for 60 s by the files in `deploy/`,
/// and then kills; what is cut off before that can still say so.
const STOP_WITHIN: Duration = Duration::from_secs(50);

/// One part of it: one that hangs must not take the time of those after it.
const PART_WITHIN: Duration = Duration::from_secs(20);

/// When a process that was told to stop must have ended.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// Begins now.
    pub fn begin() -> Self {
        Self(Instant::now() + STOP_WITHIN)
    }

    /// How long the next part may take.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now()).min(PART_WITHIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_its_share_and_no_more_than_is_left() {
        assert_eq!(Deadline::begin().left(), PART_WITHIN);
        let late = Deadline(Instant::now() + Duration::from_secs(3));
        assert!(late.left() <= Duration::from_secs(3));
        assert_eq!(Deadline(Instant::now()).left(), Duration::ZERO);
    }
}

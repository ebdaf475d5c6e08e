//! Whether the log is still the one that the catalog speaks of.
//!
//! A topic that was deleted and made anew, or a cluster that stands where
//! another stood, has other messages under the same offsets: reading on would
//! pass over what came before, in silence, for the client hears of no error where
//! the new one has outgrown the offset. So a message is kept as the *anchor* and
//! looked at again: when a term begins, after a failed read, after a silence, and
//! now and then. Only a look that finds it moves it on, so that what was read of
//! another log meanwhile, and even stored, does not take the evidence away.
//!
//! By content and not by the ids of cluster and topic: a log that was mirrored
//! with its offsets is the same log, one that an unclean election has cut back
//! and written anew is not, and a disk log has no such ids.

use std::time::Duration;

use tokio::time::Instant;
use weir_runtime::telemetry::error_chain;
use weir_storage::catalog::Anchor;
use weir_stream::{Offset, ReadError, ReadLimit, StoredRecord};

use super::{BACKOFF, Ended, Reader};
use crate::backoff::Backoff;

/// How long a read of the anchor waits for it.
const ANCHOR_WAIT: Duration = Duration::from_secs(1);

/// How long messages are taken in before the anchor is looked at again: a look
/// puts the reading back to the anchor and forth again.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);

/// A read is answered within a second. After a longer silence this process was
/// stopped, or held up, and has not heard what became of the log meanwhile.
const SILENCE: Duration = Duration::from_secs(3);

/// The anchor of a term, and when it was seen to hold.
pub(super) struct Anchored {
    anchor: Option<Anchor>,
    looked: Instant,
    heard: Instant,
    /// There was a silence since.
    is_doubtful: bool,
}

impl Anchored {
    pub(super) fn at(anchor: Option<Anchor>) -> Self {
        let now = Instant::now();
        Self { anchor, looked: now, heard: now, is_doubtful: false }
    }

    /// The log has answered, if only that there is nothing.
    pub(super) fn heard(&mut self) {
        self.is_doubtful |= self.heard.elapsed() > SILENCE;
        self.heard = Instant::now();
    }

    /// The log is to be looked at before what was read of it is taken in.
    pub(super) fn is_due(&self) -> bool {
        self.anchor.is_none() || self.is_doubtful || self.looked.elapsed() > LOOK_INTERVAL
    }

    /// A message that was read before the last look is the anchor from now on.
    pub(super) fn move_to(&mut self, message: &StoredRecord) -> Anchor {
        let anchor = Anchor { offset: message.offset.0, fingerprint: message.fingerprint() };
        self.anchor = Some(anchor);
        anchor
    }
}

/// What lies where the anchor lay.
enum Found {
    /// The same message, or none that could tell: it expired, or is damaged.
    NothingElse,
    /// Something else, or less: in words.
    Another(String),
    /// Nothing yet, though it is below the log's end.
    Nothing,
}

impl Reader {
    /// Looks until the log answers. None: nothing says that it is another log.
    pub(super) async fn is_replaced(&self, anchored: &mut Anchored) -> Option<Ended> {
        let anchor = anchored.anchor?;
        let mut backoff = Backoff::new(BACKOFF.0, BACKOFF.1);
        loop {
            match self.look_at(anchor).await {
                Ok(Found::NothingElse) => {
                    (anchored.looked, anchored.is_doubtful) = (Instant::now(), false);
                    return None;
                }
                Ok(Found::Another(what)) => return Some(self.replaced(&what)),
                Ok(Found::Nothing) => {}
                Err(error) => {
                    self.wrong(&error_chain(&error), tracing::Level::ERROR);
                    backoff.wait().await;
                }
            }
        }
    }

    /// Says that it is, and what to do.
    pub(super) fn replaced(&self, what: &str) -> Ended {
        let topic = &self.partition.topic;
        let advice = format!(
            "the event log was replaced or cut back: restore it, or have it read from its start with `weir \
             reset-offsets {topic}`"
        );
        self.wrong(&format!("{what}; {advice}"), tracing::Level::ERROR);
        Ended::Replaced
    }

    async fn look_at(&self, anchor: Anchor) -> Result<Found, ReadError> {
        let limit = ReadLimit { bytes: 1, wait: ANCHOR_WAIT };
        let log = &self.shared.log;
        let found = match log.read(&self.partition, Offset(anchor.offset), limit).await {
            Ok(found) => found,
            Err(error @ ReadError::AboveEnd { .. }) => return Ok(Found::Another(error_chain(&error))),
            Err(error @ (ReadError::BelowStart { .. } | ReadError::Corrupt { .. })) => {
                tracing::debug!(partition = %self.partition, error = error_chain(&error), "anchor gone");
                return Ok(Found::NothingElse);
            }
            Err(error) => return Err(error),
        };
        let offset = anchor.offset;
        let Some(message) = found.first() else {
            let end = log.watermarks(&self.partition).await?.end;
            let is_cut_back = end.0 <= offset;
            let what = format!("it ends at offset {end}, and messages up to {offset} were stored");
            return Ok(if is_cut_back { Found::Another(what) } else { Found::Nothing });
        };
        if message.offset.0 == offset && message.fingerprint() == anchor.fingerprint {
            return Ok(Found::NothingElse);
        }
        let at = message.offset;
        Ok(Found::Another(format!("offset {offset} held another message before (there is one at {at})")))
    }
}

//! Offsets that may be given away without a sync: the file `reserved` of a
//! partition.
//!
//! After a power cut, a log that answers before a sync would begin again where
//! its disk ends: below what was read of it and stored, and what it then took
//! would be taken for what is already there. So it reserves offsets ahead, durably.
//! After a power cut it goes on behind them, and what is missing up to there is
//! told as lost: all that is, and up to [`AHEAD`] offsets that nothing ever had.
//!
//! The file is there while such a log is open, and after it was killed.

use std::io::{self, ErrorKind};

use super::files::{self, Files};
use super::place::Place;
use super::watermark::Watermark;

/// So many offsets are reserved at once: two syncs for that many records.
pub(super) const AHEAD: u64 = 1 << 16;

/// The writer's hand on the file.
#[derive(Debug)]
pub(super) struct Reservation {
    place: Place,
    /// Every offset below is reserved.
    until: u64,
}

/// What the file says at opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// The log was not open without syncs, or was closed.
    Nothing,
    /// It was, and the machine has not failed since: what was written is there,
    /// synced or not.
    Unsynced,
    /// It was, and the machine has failed since: every offset below may have been
    /// given away.
    Lost(u64),
}

impl Reservation {
    /// None yet, for a partition that goes on at `next`.
    pub(super) fn new(place: Place, next: u64) -> Self {
        Self { place, until: next }
    }

    /// Sees to it that offsets below `end` are reserved.
    pub(super) fn cover(&mut self, files: &dyn Files, end: u64) -> io::Result<()> {
        if end <= self.until {
            return Ok(());
        }
        let until = end + AHEAD;
        let says = Watermark { end: until, boot: files.boot().unwrap_or(0) };
        files::replace(files, &self.place.reservation(), &says.to_bytes(&self.place))?;
        self.until = until;
        Ok(())
    }
}

/// What an earlier writer has left. A damaged file says nothing: it is put in
/// its place whole.
pub(super) fn left(files: &dyn Files, place: &Place) -> io::Result<Left> {
    let Some(bytes) = files::read(files, &place.reservation())? else { return Ok(Left::Nothing) };
    Ok(match Watermark::from_bytes(&bytes, place) {
        Some(says) if says.is_exact(files) => Left::Unsynced,
        Some(says) => Left::Lost(says.end),
        None => Left::Unsynced,
    })
}

/// Gives the reservation back once all that was given away is durable.
pub(super) fn release(files: &dyn Files, place: &Place) -> io::Result<()> {
    match files.remove(&place.reservation()) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other.and_then(|()| files.sync_dir(&place.dir)),
    }
}

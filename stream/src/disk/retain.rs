//! Which segments may be deleted: those that nobody needs any more, as far as
//! they are not kept to be read again.

use std::io::{self, ErrorKind};

use weir_runtime::Clock;

use super::config::Retention;
use super::files::{Files, read_full};
use super::frame::{HEAD_BYTES, Head};
use super::place::Place;
use super::segment::{HEADER_BYTES, Seed};
use crate::Offset;

/// What is kept, and by which clock.
#[derive(Clone, Debug)]
pub(super) struct Retain {
    retention: Retention,
    clock: Clock,
}

impl Retain {
    /// Keeps what the limits say.
    pub(super) fn new(retention: Retention, clock: Clock) -> Self {
        Self { retention, clock }
    }

    /// How many of a partition's segments may go, the oldest first: those that
    /// lie entirely below `before` and beyond a limit. The last one stays: it is
    /// being written, or names where writing goes on.
    pub(super) fn removable(
        &self,
        files: &dyn Files,
        place: &Place,
        bases: &[u64],
        before: Offset,
    ) -> io::Result<usize> {
        let unneeded = bases.iter().skip(1).take_while(|next| **next <= before.0).count();
        if unneeded == 0 || self.retention.is_none() {
            return Ok(unneeded);
        }
        let mut beyond = 0;
        if self.retention.bytes.0 > 0 {
            beyond = beyond.max(self.beyond_bytes(files, place, bases)?);
        }
        if !self.retention.age.0.is_zero() {
            beyond = beyond.max(self.beyond_age(files, place, &bases[..=unneeded])?);
        }
        Ok(unneeded.min(beyond))
    }

    /// How many are older than the newest that hold as much as is kept.
    fn beyond_bytes(&self, files: &dyn Files, place: &Place, bases: &[u64]) -> io::Result<usize> {
        let mut newer = 0;
        for (index, base) in bases.iter().enumerate().rev() {
            if newer >= self.retention.bytes.0 {
                return Ok(index + 1);
            }
            newer += match files.open(&place.segment(*base)) {
                Ok(file) => file.size()?,
                Err(error) if error.kind() == ErrorKind::NotFound => 0,
                Err(error) => return Err(error),
            };
        }
        Ok(0)
    }

    /// How many were followed by another one so long ago. What that one begins
    /// with is younger than all that is in them; where its beginning is damaged,
    /// a later one tells.
    fn beyond_age(&self, files: &dyn Files, place: &Place, bases: &[u64]) -> io::Result<usize> {
        let age_micros = i64::try_from(self.retention.age.0.as_micros()).unwrap_or(i64::MAX);
        let oldest_micros = self.clock.now_micros().saturating_sub(age_micros);
        let mut beyond = 0;
        for (index, base) in bases.iter().enumerate().skip(1) {
            match first_micros(files, place, *base)? {
                Some(micros) if micros < oldest_micros => beyond = index,
                Some(_) => break,
                None => {}
            }
        }
        Ok(beyond)
    }
}

/// When the first record of a segment was appended; none when that cannot be
/// read in it.
fn first_micros(files: &dyn Files, place: &Place, base: u64) -> io::Result<Option<i64>> {
    let file = match files.open(&place.segment(base)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut bytes = [0; HEAD_BYTES];
    let length = read_full(&*file, &mut bytes, HEADER_BYTES as u64)?;
    let head = Head::parse(&bytes[..length], Seed::new(&place.partition, base));
    Ok(head.map(|head| head.timestamp_micros))
}

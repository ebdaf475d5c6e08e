//! Reading records from segment files, for readers of both kinds.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind};
use std::sync::{Mutex, PoisonError};

use super::files::{Files, read_full};
use super::frame;
use super::place::Place;
use super::scan::{Found, Scanner};
use super::segment::{self, HEADER_BYTES, HeaderSays, Seed};
use crate::{Offset, Partition, ReadError, StoredRecord};

/// Read at a time, at least and at most; more for a larger record.
const CHUNK_BYTES_MIN: usize = 64 << 10;
const CHUNK_BYTES_MAX: usize = 4 << 20;

/// Positions remembered per partition: a reader, and a few behind it.
const CURSORS: usize = 4;

/// A segment that was listed can be trimmed before it is opened. So often at
/// most; after that the directory is what is wrong.
const ATTEMPTS: usize = 8;

/// Where in a file a record begins, so that the next read need not walk there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    base: u64,
    offset: u64,
    at: u64,
}

/// The positions at which reads ended.
#[derive(Debug, Default)]
pub(super) struct Cursors(Mutex<BTreeMap<Partition, VecDeque<Cursor>>>);

/// What to read: `[from, end)`, of which about `bytes`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) from: u64,
    /// Everything below is durable and below the file's end. `from` is below.
    pub(super) end: u64,
    pub(super) bytes: usize,
}

/// What a segment had.
enum Outcome {
    Records(Vec<StoredRecord>, Cursor),
    Lost {
        next: u64,
        reason: String,
    },
    /// It is gone.
    Trimmed,
}

/// Reads at least one record, or says what is lost.
pub(super) fn fetch(
    files: &dyn Files,
    place: &Place,
    wanted: Wanted,
    cursors: &Cursors,
) -> Result<Vec<StoredRecord>, ReadError> {
    let Wanted { from, end, .. } = wanted;
    let mut base = 0;
    for _ in 0..ATTEMPTS {
        let bases = bases(files, place)?;
        let start = bases.first().map_or(end, |first| (*first).min(end));
        if from < start {
            return Err(below_start(place, from, start));
        }
        let after = bases.partition_point(|base| *base <= from);
        base = bases[after - 1];
        let upper = bases.get(after).map_or(end, |next| (*next).min(end));
        match read_segment(files, place, base, upper, wanted, cursors)? {
            Outcome::Records(records, cursor) => {
                cursors.put(&place.partition, cursor);
                return Ok(records);
            }
            Outcome::Lost { next, reason } => {
                return Err(ReadError::Corrupt {
                    partition: place.partition.clone(),
                    path: place.segment(base),
                    from: Offset(from),
                    next: Offset(next),
                    reason,
                });
            }
            Outcome::Trimmed => {}
        }
    }
    Err(io_error(place, base, ErrorKind::NotFound.into()))
}

/// The oldest offset held, given the end.
pub(super) fn start(files: &dyn Files, place: &Place, end: u64) -> Result<u64, ReadError> {
    Ok(bases(files, place)?.first().map_or(end, |first| (*first).min(end)))
}

/// The base offsets of the partition's segments.
pub(super) fn bases(files: &dyn Files, place: &Place) -> Result<Vec<u64>, ReadError> {
    match place.bases(files) {
        Ok(bases) => Ok(bases),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(ReadError::NoPartition(place.partition.clone()))
        }
        Err(source) => Err(ReadError::Io { path: place.dir.clone(), source }),
    }
}

fn read_segment(
    files: &dyn Files,
    place: &Place,
    base: u64,
    upper: u64,
    wanted: Wanted,
    cursors: &Cursors,
) -> Result<Outcome, ReadError> {
    let failed = |source| io_error(place, base, source);
    if let Some(cursor) = cursors.find(&place.partition, base, wanted.from) {
        match read_from(files, place, cursor, upper, wanted).map_err(failed)? {
            // The file may not be the one that was read before.
            Outcome::Lost { .. } => cursors.forget(&place.partition),
            outcome => return Ok(outcome),
        }
    }
    let file = match files.open(&place.segment(base)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Outcome::Trimmed),
        other => other.map_err(failed)?,
    };
    let mut header = [0; HEADER_BYTES];
    let length = read_full(&*file, &mut header, 0).map_err(failed)?;
    match segment::check_header(&header[..length], &place.partition, base) {
        HeaderSays::Ours | HeaderSays::OursUnmarked | HeaderSays::Damaged => {}
        HeaderSays::Foreign(found) => {
            return Ok(Outcome::Lost { next: upper, reason: format!("the segment belongs to {found}") });
        }
        HeaderSays::Version(version) => {
            let text =
                format!("segment format version {version} is not known, read it with the Weir that wrote it");
            return Err(failed(io::Error::new(ErrorKind::InvalidData, text)));
        }
    }
    let begin = Cursor { base, offset: base, at: HEADER_BYTES as u64 };
    read_from(files, place, begin, upper, wanted).map_err(failed)
}

fn read_from(
    files: &dyn Files,
    place: &Place,
    cursor: Cursor,
    upper: u64,
    wanted: Wanted,
) -> io::Result<Outcome> {
    let file = match files.open(&place.segment(cursor.base)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Outcome::Trimmed),
        other => other?,
    };
    let seed = Seed::new(&place.partition, cursor.base);
    let chunk = wanted.bytes.clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
    let mut scanner = Scanner::new(file, seed, cursor.at, cursor.offset, upper, chunk)?;
    let lost = |next: u64, damage: Option<_>| {
        let reason = damage.map_or_else(
            || "records are missing".to_owned(),
            |damage: super::scan::Damage| damage.to_string(),
        );
        Outcome::Lost { next, reason }
    };
    let Some(first) = scanner.next(wanted.from)? else { return Ok(lost(upper, scanner.damage())) };
    if first.offset > wanted.from {
        return Ok(lost(first.offset, first.damage));
    }
    let mut taken = 0;
    let mut records = Vec::new();
    let mut found = first;
    loop {
        let Found { offset, record, end, .. } = found;
        let cursor = Cursor { base: cursor.base, offset: offset + 1, at: end };
        taken += frame::frame_bytes(&record);
        records.push(StoredRecord { offset: Offset(offset), record });
        if taken >= wanted.bytes {
            return Ok(Outcome::Records(records, cursor));
        }
        match scanner.next(cursor.offset)? {
            Some(next) if next.offset == cursor.offset => found = next,
            // A loss is told by the read that begins at it.
            _ => return Ok(Outcome::Records(records, cursor)),
        }
    }
}

fn below_start(place: &Place, from: u64, start: u64) -> ReadError {
    let partition = place.partition.clone();
    ReadError::BelowStart { partition, from: Offset(from), start: Offset(start) }
}

fn io_error(place: &Place, base: u64, source: io::Error) -> ReadError {
    ReadError::Io { path: place.segment(base), source }
}

// ===== impl Cursors =====

impl Cursors {
    /// The nearest position at or before `from` in the segment at `base`.
    fn find(&self, partition: &Partition, base: u64, from: u64) -> Option<Cursor> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |cursor: &&Cursor| cursor.base == base && cursor.offset <= from;
        held.get(partition)?.iter().filter(fits).max_by_key(|cursor| cursor.offset).copied()
    }

    fn put(&self, partition: &Partition, cursor: Cursor) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cursors = held.entry(partition.clone()).or_default();
        cursors.retain(|old| *old != cursor);
        cursors.push_back(cursor);
        if cursors.len() > CURSORS {
            cursors.pop_front();
        }
    }

    fn forget(&self, partition: &Partition) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(partition);
    }
}

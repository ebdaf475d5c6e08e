//! What a crash left behind, made good before anything is appended.
//!
//! Only the last segment is read: the ones before it were complete and synced
//! when it was created. What follows its last sound frame is either a write
//! that nobody was told about, and is cut off; or the watermark says that it was
//! durable, and then it is a loss: it stays as it is, its offsets are not used
//! again, and readers get them as a corrupt range.
//!
//! A power cut may leave the end of a write and not its middle. So damage counts
//! as a write that was torn there, too, unless the watermark covers it, or a frame
//! behind it begins another write: that was not begun before all was synced.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice};

use super::active::{ActiveSegment, StepError};
use super::error::OpenError;
use super::files::{File, Files, is_full, read_full, write_all};
use super::metrics::LogMetrics;
use super::place::Place;
use super::reserve::{self, Left};
use super::scan::{Damage, Scanner};
use super::segment::{self, HEADER_BYTES, HeaderSays, Seed};
use super::watermark::{Publisher, Watermark};

/// Losses within a segment that are told one by one.
const LOSSES_TOLD: usize = 20;

const CHUNK_BYTES: usize = 1 << 20;

/// A partition that is ready for its next record.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) active: ActiveSegment,
    /// Nothing may be appended to it: the next segment is yet to be created.
    pub(super) is_ended: bool,
    pub(super) next: u64,
    pub(super) publisher: Publisher,
}

/// What is known of a partition before its segments are looked at.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// Every offset below was, or may have been, given away.
    end: u64,
    /// Every record below was synced.
    synced: u64,
    /// What the files read as may not be what is on disk.
    may_be_cached: bool,
}

/// What the last segment holds.
struct Content {
    walk: Walk,
    file_bytes: u64,
    lost: Vec<Loss>,
    /// What is wrong behind the last sound frame.
    tail: Option<Damage>,
}

/// How far a segment was read.
#[derive(Clone, Copy, Debug)]
struct Walk {
    /// The offset after the last sound frame.
    next: u64,
    /// Where that frame ends.
    end: u64,
    /// Where the first frame begins that may never have been synced.
    unsure_from: u64,
    lost_records: u64,
    /// Losses that are told one by one.
    losses: usize,
}

struct Loss {
    from: u64,
    next: u64,
    damage: Option<Damage>,
}

impl Known {
    fn new(says: Option<Watermark>, left: Left, files: &dyn Files) -> Self {
        let published = says.map_or(0, |says| says.end);
        let (end, synced) = match left {
            Left::Nothing => (published, published),
            Left::Unsynced => (published, 0),
            Left::Lost(end) => (published.max(end), 0),
        };
        let may_be_cached = says.is_none_or(|says| files.boot().is_none_or(|boot| boot == says.boot));
        Self { end, synced, may_be_cached }
    }
}

/// Opens a partition whose directory exists.
pub(super) fn recover(
    files: &dyn Files,
    place: &Place,
    metrics: &LogMetrics,
) -> Result<Recovered, OpenError> {
    let failed = |error| file_error(place, error);
    let watermark_path = place.watermark();
    let says =
        Watermark::read(files, place).map_err(StepError::at("read", &watermark_path)).map_err(failed)?;
    let reservation_path = place.reservation();
    let left =
        reserve::left(files, place).map_err(StepError::at("read", &reservation_path)).map_err(failed)?;
    let known = Known::new(says, left, files);
    let durable = known.end;
    let bases = place.bases(files).map_err(|source| OpenError::Directory {
        step: "list",
        path: place.dir.clone(),
        source,
    })?;
    let (active, is_ended, next) = match bases.last() {
        Some(&base) => recover_last(files, place, base, known, metrics)?,
        None => {
            if durable > 0 {
                tracing::error!(
                    partition = %place.partition, dir = %place.dir.display(), next = durable,
                    "every segment of the partition is missing; offsets go on where they were"
                );
            }
            (ActiveSegment::create(files, place, durable).map_err(failed)?, false, durable)
        }
    };
    let publisher = publish(files, place, next).map_err(failed)?;
    // Only now: all that was given away is durable, or told as lost.
    if left != Left::Nothing {
        reserve::release(files, place).map_err(StepError::at("remove", &reservation_path)).map_err(failed)?;
    }
    Ok(Recovered { active, is_ended, next, publisher })
}

fn publish(files: &dyn Files, place: &Place, next: u64) -> Result<Publisher, StepError> {
    let path = place.watermark();
    let publisher = Publisher::open(files, place).map_err(StepError::at("create", &path))?;
    publisher.publish(next).map_err(StepError::at("write", &path))?;
    publisher.sync().map_err(StepError::at("sync", &path))?;
    // The segment's name too: the writer may have died before it synced it.
    files.sync_dir(&place.dir).map_err(StepError::at("sync", &place.dir))?;
    Ok(publisher)
}

fn recover_last(
    files: &dyn Files,
    place: &Place,
    base: u64,
    known: Known,
    metrics: &LogMetrics,
) -> Result<(ActiveSegment, bool, u64), OpenError> {
    let failed = |error| file_error(place, error);
    let durable = known.end;
    let path = place.segment(base);
    let file = files.open_for_write(&path).map_err(StepError::at("read", &path)).map_err(failed)?;
    let header = read_header(&*file, place, base)?;
    let content = read_content(files, place, base, known, header == HeaderSays::Ours)
        .map_err(StepError::at("read", &path))
        .map_err(failed)?;
    tell_losses(place, &content, metrics);

    if durable > content.walk.next {
        metrics.lost_records.inc_by(durable - content.walk.next);
        tracing::error!(
            partition = %place.partition, path = %path.display(),
            from = content.walk.next, next = durable, reason = %Reason(content.tail),
            "durable records are lost at the end of the event log; offsets go on after them"
        );
        file.sync_all().map_err(StepError::at("sync", &path)).map_err(failed)?;
        let ended = ActiveSegment::resume(file, place, base, content.walk.end);
        return begin(files, place, ended, durable).map_err(failed);
    }
    let next = content.walk.next;
    if header == HeaderSays::Damaged {
        // With frames in it, it is left as it is and a new one is begun; without,
        // its creation was not finished and `next` is its own base.
        tracing::warn!(
            partition = %place.partition, path = %path.display(), records = next - base,
            "the header of the last segment is damaged"
        );
        file.sync_all().map_err(StepError::at("sync", &path)).map_err(failed)?;
        let ended = ActiveSegment::resume(file, place, base, content.walk.end);
        return begin(files, place, ended, next).map_err(failed);
    }
    if content.file_bytes > content.walk.end {
        metrics.torn_tails.inc();
        tracing::warn!(
            partition = %place.partition, path = %path.display(), next,
            bytes = content.file_bytes - content.walk.end, reason = %Reason(content.tail),
            "cut an unfinished write off the event log"
        );
        file.set_size(content.walk.end).map_err(StepError::at("cut", &path)).map_err(failed)?;
    }
    if known.may_be_cached {
        let header = HEADER_BYTES as u64;
        rewrite(&*file, 0, header)
            .and_then(|()| rewrite(&*file, content.walk.unsure_from, content.walk.end))
            .map_err(StepError::at("write", &path))
            .map_err(failed)?;
    }
    // Also when nothing was cut: frames of a killed writer may not be on disk.
    file.sync_all().map_err(StepError::at("sync", &path)).map_err(failed)?;
    let active = ActiveSegment::resume(file, place, base, content.walk.end);
    if header == HeaderSays::OursUnmarked {
        return begin(files, place, active, next).map_err(failed);
    }
    Ok((active, false, next))
}

/// Begins a segment behind one that has ended. On a full disk its writer does it
/// later: until then the log can be read, and takes nothing. A process that could
/// not start would be started again and again.
fn begin(
    files: &dyn Files,
    place: &Place,
    ended: ActiveSegment,
    next: u64,
) -> Result<(ActiveSegment, bool, u64), StepError> {
    match ActiveSegment::create(files, place, next) {
        Ok(active) => Ok((active, false, next)),
        Err(error) if is_full(&error.source) => Ok((ended, true, next)),
        Err(error) => Err(error),
    }
}

/// Refuses what belongs elsewhere or to a later version: to write into it would
/// destroy it.
fn read_header(file: &dyn File, place: &Place, base: u64) -> Result<HeaderSays, OpenError> {
    let path = place.segment(base);
    let mut bytes = [0; HEADER_BYTES];
    let length = read_full(file, &mut bytes, 0)
        .map_err(StepError::at("read", &path))
        .map_err(|error| file_error(place, error))?;
    match segment::check_header(&bytes[..length], &place.partition, base) {
        HeaderSays::Foreign(found) => {
            Err(OpenError::Foreign { partition: place.partition.clone(), path, found })
        }
        HeaderSays::Version(version) => Err(OpenError::Version { path, version }),
        says @ (HeaderSays::Ours | HeaderSays::OursUnmarked | HeaderSays::Damaged) => Ok(says),
    }
}

fn read_content(
    files: &dyn Files,
    place: &Place,
    base: u64,
    known: Known,
    is_marked: bool,
) -> io::Result<Content> {
    let file = files.open(&place.segment(base))?;
    let begin = HEADER_BYTES as u64;
    let seed = Seed::new(&place.partition, base);
    let mut scanner = Scanner::new(file, seed, begin, base, u64::MAX, CHUNK_BYTES)?;
    let mut walk = Walk { next: base, end: begin, unsure_from: begin, lost_records: 0, losses: 0 };
    let mut lost: Vec<Loss> = Vec::new();
    // What was there before the last write was torn, if it was, and by what.
    let mut torn: Option<(Walk, Option<Damage>)> = None;
    while let Some(found) = scanner.next(0)? {
        if found.begins {
            torn = None;
        }
        if found.offset > walk.next {
            if is_marked && !found.begins && walk.next >= known.end && torn.is_none() {
                torn = Some((walk, found.damage));
            }
            walk.lost_records += found.offset - walk.next;
            if walk.losses < LOSSES_TOLD {
                lost.push(Loss { from: walk.next, next: found.offset, damage: found.damage });
                walk.losses += 1;
            }
        }
        walk.next = found.offset + 1;
        walk.end = found.end;
        if found.offset < known.synced {
            walk.unsure_from = found.end;
        }
    }
    let mut tail = scanner.damage();
    if let Some((before, damage)) = torn {
        (walk, tail) = (before, damage);
        lost.truncate(walk.losses);
    }
    Ok(Content { walk, file_bytes: scanner.file_bytes(), lost, tail })
}

/// Writes bytes over themselves. A writer whose sync failed and that died before
/// it could take its frames back has left them in the system's cache, marked as
/// written; without this, the sync that follows would not write them either.
fn rewrite(file: &dyn File, from: u64, to: u64) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut at = from;
    while at < to {
        let length = CHUNK_BYTES.min(usize::try_from(to - at).unwrap_or(CHUNK_BYTES));
        let read = read_full(file, &mut buffer[..length], at)?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        write_all(file, &mut [IoSlice::new(&buffer[..read])], at)?;
        at += read as u64;
    }
    Ok(())
}

fn tell_losses(place: &Place, content: &Content, metrics: &LogMetrics) {
    metrics.lost_records.inc_by(content.walk.lost_records);
    for loss in &content.lost {
        tracing::error!(
            partition = %place.partition, dir = %place.dir.display(),
            from = loss.from, next = loss.next, reason = %Reason(loss.damage),
            "records in the event log are damaged"
        );
    }
}

fn file_error(place: &Place, error: StepError) -> OpenError {
    OpenError::File {
        step: error.step,
        partition: place.partition.clone(),
        path: error.path,
        source: error.source,
    }
}

struct Reason(Option<Damage>);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(damage) => damage.fmt(f),
            None => f.write_str("the file ends"),
        }
    }
}
